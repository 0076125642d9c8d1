#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A hostile QEMU and guest kernel at the daemon's sockets, without a VM.

guest.py grants RUNDIR VM COUNT   name grants 1 to COUNT in each request of a kernel, of
                                  this boot and of the next one; count what is answered
                                  with anything but EBADF
guest.py reboot RUNDIR VM PROXY UID   relay a client of PROXY, a socket, to the daemon until it
                                  is granted an object; say what the grant, the session
                                  and their messages are worth, before and after a reboot
guest.py flood RUNDIR VM HOW      until it is killed, as fast as the ring takes it: `questions`
                                  about grants, `handshakes` of ever new sessions, or
                                  `garbage`; or `stall` in the middle of a frame, with
                                  questions whose answers are never read. Prints "flooding"
                                  when it has begun
guest.py resize SOCKET            try each way to take the memory of a device, a socket
                                  in RUNDIR/vm/VM, away from under the others
"""
import array
import errno
import fcntl
import mmap
import os
import random
import select
import socket
import struct
import sys
import time

HELLO, OPEN, CLOSE, RELAY, RELEASE, RESIZE, STAT, LOCK = range(1, 9)
WELCOME, GRANT, DONE = 64, 65, 69
RESULT = 6
SIZE, G2H, H2G = 512 << 10, 512 << 10, 1024 << 10
DAEMON = 0
F_ADD_SEALS, F_SEAL_WRITE = 1033, 8


def greeting(path):
    """{id: its descriptors} and the connection, which is to be kept."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    fds = {}
    while select.select([s], [], [], 0.5)[0]:
        data, rights, _, _ = s.recvmsg(8, socket.CMSG_SPACE(16))
        if not data:
            sys.exit("the daemon hung up")
        got = array.array("i")
        for _, _, payload in rights:
            got.frombytes(payload)
        fds.setdefault(struct.unpack("<q", data)[0], []).extend(got)
    return s, fds


def frame(kind, payload=b"", session=0, sequence=1):
    data = struct.pack("<IHHQQ", len(payload), kind, 0, session, sequence) + payload
    return data + bytes(-len(data) % 8)


class Guest:
    """A kernel on the control device, as sivshmem-protocol(7) has it."""

    def __init__(self, path):
        self.connection, fds = greeting(path)
        self.memory = mmap.mmap(fds[-1][0], 2 << 20)
        self.bell = fds[DAEMON][0]
        self.sequence = 0

    def get(self, offset, form):
        return struct.unpack_from("<" + form, self.memory, offset)[0]

    def put(self, offset, form, value):
        struct.pack_into("<" + form, self.memory, offset, value)

    def ring(self):
        os.write(self.bell, struct.pack("<Q", 1))

    def wait(self, what, condition):
        end = time.time() + 10
        while not condition():
            if time.time() > end:
                sys.exit("waited in vain for " + what)
            time.sleep(0.001)

    def boot(self):
        """A new kernel: everything of before is forgotten."""
        nonce = random.getrandbits(63) | 1
        self.put(136, "Q", 0)
        self.put(128, "Q", nonce)
        self.ring()
        self.wait("an epoch", lambda: self.get(8, "Q") == nonce and self.get(16, "Q"))
        self.put(144, "I", 0)
        self.put(148, "I", 0)
        self.put(136, "Q", self.get(16, "Q"))
        self.send(HELLO, struct.pack("<IIQ", self.get(4, "I"), self.get(4, "I"), 4096))
        return self.receive(WELCOME)

    def write(self, index, data):
        at = index % SIZE
        first = data[:SIZE - at]
        self.memory[G2H + at:G2H + at + len(first)] = first
        self.memory[G2H:G2H + len(data) - len(first)] = data[len(first):]

    def room(self):
        return SIZE - (self.get(144, "I") - self.get(24, "I")) % (1 << 32)

    def publish(self, data):
        tail = self.get(144, "I")
        self.write(tail, data)
        self.put(144, "I", (tail + len(data)) % (1 << 32))
        self.ring()

    def send(self, kind, payload=b"", session=0):
        self.sequence += 1
        data = frame(kind, payload, session, self.sequence)
        self.wait("room", lambda: self.room() >= len(data))
        self.publish(data)
        return self.sequence

    def pending(self):
        return self.get(28, "I") != self.get(148, "I")

    def take(self):
        """The next frame: type, the sequence that it answers, payload."""
        head = self.get(148, "I")
        self.wait("an answer", self.pending)
        raw = bytes(self.memory[H2G + (head + i) % SIZE] for i in range(24))
        length, kind, _, _, answered = struct.unpack("<IHHQQ", raw)
        payload = bytes(self.memory[H2G + (head + 24 + i) % SIZE] for i in range(length))
        self.put(148, "I", (head + 24 + length + 7 & ~7) % (1 << 32))
        return kind, answered, payload

    def receive(self, kind, sequence=None):
        while True:
            got, answered, payload = self.take()
            if got == kind and sequence in (None, answered):
                return payload

    def ask(self, kind, payload):
        """The host's errno."""
        answer = self.receive(DONE, self.send(kind, payload))
        return -struct.unpack_from("<i", answer)[0]


def control(args):
    return Guest(f"{args[0]}/vm/{args[1]}/control.sock")


def relay(guest, client, session):
    """Between a process and the daemon, until it has a grant: its id, and what was said."""
    grant, said = None, []
    while True:
        if select.select([client], [], [], 0.002)[0]:
            said.append(client.recv(4096))
            guest.send(RELAY, said[-1], session)
        while guest.pending():
            kind, _, payload = guest.take()
            if kind == GRANT:
                grant = struct.unpack_from("<Q", payload)[0]
            elif kind == RELAY:
                client.send(payload)
                if grant and struct.unpack_from("<H", payload)[0] == RESULT:
                    return grant, said


def worth(guest, grant):
    return errno.errorcode.get(abs(guest.ask(STAT, struct.pack("<Q", grant))), "good")


def reboot(args):
    guest = control(args)
    guest.boot()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(args[2])
    os.chmod(args[2], 0o666)
    listener.listen(1)
    client = listener.accept()[0]
    who = struct.pack("<IIIIQ16s", int(args[3]), int(args[3]), 7, 0, 1, b"honest")
    guest.send(OPEN, who, 5)
    grant, said = relay(guest, client, 5)
    print("before: the grant is", worth(guest, grant))
    guest.boot()
    print("after: the grant is", worth(guest, grant))
    # the same session again, and all that it said
    guest.send(OPEN, who, 5)
    for message in said:
        guest.send(RELAY, message, 5)
    time.sleep(1)
    granted = 0
    while guest.pending():
        granted += guest.take()[0] == GRANT
    print("replayed:", granted, "grants")


def each_grant(guest, count):
    """(tried, not refused with EBADF) of requests that name a grant."""
    tried = wrong = 0
    for grant in range(1, count + 1):
        for kind, payload in ((STAT, struct.pack("<Q", grant)),
                              (RESIZE, struct.pack("<QQII", grant, 0, 0, 0)),
                              (LOCK, struct.pack("<QQQQII", grant, 1, 0, 9, 2, 0))):
            tried += 1
            e = abs(guest.ask(kind, payload))
            if e != errno.EBADF:
                wrong += 1
                print("grant", grant, "kind", kind, errno.errorcode.get(e, e))
        # nobody answers this one: whose grant it is sees what it did
        guest.send(RELEASE, struct.pack("<Q", grant))
        tried += 1
    return tried, wrong


def grants(args):
    guest = control(args)
    for boot in "first", "second":
        guest.boot()
        guest.send(OPEN, struct.pack("<IIIIQ16s", 1000, 1000, 7, 0, 1, b"hostile"), 1)
        print(boot, "boot: %d tried, %d not refused" % each_grant(guest, int(args[2])))


def handshakes(first, count):
    """Sessions that each begin one: the first of its messages costs the host the most."""
    hello = struct.pack("<HHIHHI32s", 1, 0, 40, 1, 1, 1, bytes([9]))
    who = struct.pack("<IIIIQ16s", 1000, 1000, 7, 0, 1, b"hostile")
    return b"".join(frame(OPEN, who, n) + frame(RELAY, hello, n) + frame(CLOSE, b"", n)
                    for n in range(first, first + count))


def flood(args):
    guest, how, session = control(args), args[2], 1
    questions = frame(STAT, struct.pack("<Q", 7)) * 256
    guest.boot()
    print("flooding", flush=True)
    if how == "stall":
        guest.publish(questions * (guest.room() // len(questions)))
        guest.wait("what can be answered", lambda: guest.room() > 4096)
        guest.publish(frame(STAT, struct.pack("<Q", 7))[:20])
        while True:
            time.sleep(0.01)
            guest.ring()
    while True:
        if guest.get(16, "Q") != guest.get(136, "Q"):   # a broken ring begins anew, in time
            guest.put(144, "I", 0)
            guest.put(148, "I", 0)
            guest.put(136, "Q", guest.get(16, "Q"))
            guest.send(HELLO, struct.pack("<IIQ", guest.get(4, "I"), guest.get(4, "I"), 4096))
        guest.put(148, "I", guest.get(28, "I"))         # all answers are read, unseen
        data = {"questions": lambda: questions, "garbage": lambda: os.urandom(8192),
                "handshakes": lambda: handshakes(session, 64)}[how]()
        if guest.room() < len(data):
            time.sleep(0.0005)
            continue
        guest.publish(data)
        session += 64


def resize(args):
    connection, fds = greeting(args[0])
    fd = fds[-1][0]
    size = os.fstat(fd).st_size

    def seal():
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)

    for name, attempt in (("shrink", lambda: os.ftruncate(fd, 0)),
                          ("grow", lambda: os.ftruncate(fd, 2 * size)),
                          ("shrink by path", lambda: os.truncate(f"/proc/self/fd/{fd}", 4096)),
                          ("write behind the end", lambda: os.pwrite(fd, b"x", size)),
                          ("seal", seal)):
        try:
            attempt()
            print("through", name)
        except OSError as e:
            print("held", name, errno.errorcode[e.errno])
    print("size", "kept" if os.fstat(fd).st_size == size else "CHANGED")
    connection.close()


{"flood": flood, "grants": grants, "reboot": reboot, "resize": resize}[sys.argv[1]](sys.argv[2:])
