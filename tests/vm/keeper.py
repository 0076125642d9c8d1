#!/usr/bin/python3 -IS
# SPDX-License-Identifier: MIT
"""keeper.py DIR NAME OWNER BOUND QEMU...: one guest's QEMU, from start to end.

Relays between the clients on DIR/NAME.sock (`vm exec` and the like) and the
agent in the guest, and ends QEMU when told to, when OWNER (a pid; 0: nobody)
is gone, when BOUND seconds are over, or when it ends itself.
"""
import ctypes
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys

HEAD = struct.Struct("<IIc3x")      # length, id, type: struct frame in agent.c
CHUNK = 65536
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def frame(kind, data=b"", number=0):
    return HEAD.pack(len(data), number, kind) + data


class Stream:
    """A socket with frames in and bytes out, never blocking."""
    def __init__(self, sock):
        self.sock, self.inp, self.out = sock, b"", bytearray()
        sock.setblocking(False)

    def receive(self):
        """Read what is there; False at the end."""
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.inp += data
        return bool(data)

    def frames(self):
        while len(self.inp) >= HEAD.size:
            n, number, kind = HEAD.unpack_from(self.inp)
            if len(self.inp) < HEAD.size + n:
                return
            data, self.inp = self.inp[HEAD.size:HEAD.size + n], self.inp[HEAD.size + n:]
            yield number, kind, data

    def flush(self):
        try:
            while self.out:
                del self.out[:self.sock.send(self.out)]
        except BlockingIOError:
            pass
        except OSError:
            self.out.clear()


class Client(Stream):
    def __init__(self, sock, number):
        super().__init__(sock)
        self.number, self.unread = number, 0
        self.running = self.waiting = False


class Keeper:
    def __init__(self, directory, name, owner, bound, qemu):
        self.dir, self.name = directory, name
        self.up = self.over = False
        self.clients, self.count = {}, 0
        self.queue = []             # commands that came before the agent was up
        self.sel = selectors.DefaultSelector()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path("sock"))
        os.chmod(self.path("sock"), 0o600)
        listener.listen(64)
        self.watch(listener, lambda: self.accept(listener))
        if owner:
            self.watch(os.pidfd_open(owner), lambda: self.end("its owner is gone"))
        self.start(bound, qemu)

    def path(self, ext):
        return os.path.join(self.dir, f"{self.name}.{ext}")

    def watch(self, what, call):
        self.sel.register(what, selectors.EVENT_READ, call)

    def start(self, bound, qemu):
        agent, agent_far = socket.socketpair()
        qmp, qmp_far = socket.socketpair()
        far = [agent_far.fileno(), qmp_far.fileno()]
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        me = os.getpid()

        def child():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != me:
                os._exit(1)
        self.proc = subprocess.Popen(
            ["timeout", "--foreground", "-s", "KILL", str(bound),
             "setpriv", "--pdeathsig", "KILL"] + qemu +
            ["-chardev", f"socket,id=keeper-agent,fd={far[0]}",
             "-device", "virtserialport,chardev=keeper-agent,name=sivshmem.agent",
             "-chardev", f"socket,id=keeper-qmp,fd={far[1]}",
             "-mon", "chardev=keeper-qmp,mode=control"],
            stdin=subprocess.DEVNULL, preexec_fn=child, pass_fds=far)
        agent_far.close()
        qmp_far.close()
        self.agent, self.qmp = Stream(agent), Stream(qmp)
        self.qmp.out += b'{"execute": "qmp_capabilities"}\n'
        self.watch(agent, self.from_agent)
        self.watch(qmp, self.from_qmp)

    def accept(self, listener):
        sock, _ = listener.accept()
        self.count += 1
        c = self.clients[self.count] = Client(sock, self.count)
        self.watch(sock, lambda: self.from_client(c))

    def drop(self, c):
        if self.clients.pop(c.number, None):
            self.sel.unregister(c.sock)
            c.sock.close()
            if c.running:
                self.agent.out += frame(b"k", number=c.number)
            self.queue = [q for q in self.queue if q[0] is not c]

    def from_client(self, c):
        if not c.receive():
            self.drop(c)
            return
        for _, kind, data in c.frames():
            if kind == b"r":
                self.queue.append((c, data))
                self.send_queue()
            elif kind == b"w":
                c.waiting = True
                self.tell_waiters()
            elif kind == b"R":
                c.waiting, self.up = True, False
                self.qmp.out += b'{"execute": "system_reset"}\n'
            elif kind == b"q":
                c.waiting = True
                self.qmp.out += b'{"execute": "quit"}\n'

    def send_queue(self):
        if self.up:
            for c, data in self.queue:
                c.running = True
                self.agent.out += frame(b"r", data, c.number)
            self.queue = []

    def tell_waiters(self, trouble=""):
        for c in list(self.clients.values()):
            if c.waiting and (self.up or trouble):
                c.waiting = False
                c.out += frame(b"d", trouble.encode())

    def from_agent(self):
        if not self.agent.receive():
            self.end()
            return
        for number, kind, data in self.agent.frames():
            c = self.clients.get(number)
            if kind == b"b":
                self.up = True
                self.send_queue()
                self.tell_waiters()
            elif c:
                c.out += frame(kind, data)
                c.unread += len(data)
                c.running = c.running and kind != b"x"

    def from_qmp(self):
        if not self.qmp.receive():
            self.end()
            return
        *lines, self.qmp.inp = self.qmp.inp.split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event.get("event") == "RESET":
                self.after_reset()

    def after_reset(self):
        """What the old kernel's agent said or was told in part is void."""
        self.up = False
        while self.agent.receive() and len(self.agent.inp) > CHUNK:
            self.agent.inp = b""
        self.agent.inp = b""
        self.agent.out.clear()
        for c in list(self.clients.values()):
            if c.running:
                c.running = False
                c.out += frame(b"l", b"the guest was reset")

    def end(self, why=""):
        if why:
            print(f"keeper: {self.name} is ended: {why}", flush=True)
        self.over = True

    def loop(self):
        while not self.over:
            for s in (self.agent, self.qmp):
                self.interest(s)
            for c in list(self.clients.values()):
                self.interest(c)
                if c.unread and not c.out and c.running:
                    self.agent.out += frame(b"a", struct.pack("<I", c.unread), c.number)
                    c.unread = 0
                    self.interest(self.agent)
            for key, mask in self.sel.select():
                if mask & selectors.EVENT_READ:
                    key.data()
        self.finish()

    def interest(self, s):
        s.flush()
        want = selectors.EVENT_READ | (selectors.EVENT_WRITE if s.out else 0)
        key = self.sel.get_key(s.sock)
        if key.events != want:
            self.sel.modify(s.sock, want, key.data)

    def finish(self):
        """QEMU dies with timeout, and comes to us, who reap it."""
        self.proc.kill()
        try:
            while True:
                os.wait()
        except ChildProcessError:
            pass
        for ext in ("pid", "keeper", "qmp", "sock", "initrd"):
            try:
                os.unlink(self.path(ext))
            except OSError:
                pass
        self.tell_waiters("QEMU ended")
        for c in self.clients.values():
            if c.running:
                c.out += frame(b"l", b"QEMU ended")
            c.flush()


def main():
    directory, name, owner, bound = sys.argv[1:5]
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, lambda *_: sys.exit(1))
    with open(os.path.join(directory, f"{name}.keeper"), "w") as f:
        f.write(str(os.getpid()))
    k = Keeper(directory, name, int(owner), bound, sys.argv[5:])
    try:
        k.loop()
    except SystemExit:
        k.finish()


main()
