# SPDX-License-Identifier: MIT
"""fdstore.py RUN [--alter COUNT SEED] -- COMMAND...: systemd's part for a service of Type=notify.

Starts COMMAND with NOTIFY_SOCKET, keeps the files that it gives (sd_notify(3), FDSTORE=1), and
starts it again with them when it ends (LISTEN_FDS, LISTEN_FDNAMES); SIGTERM ends both.

With --alter, SIGUSR1 kills it, and then it is started COUNT times with the same files but another
state: altered, cut short, or put together anew, with sums that fit. It must be ready each time.
"""
import array
import mmap
import os
import random
import select
import signal
import socket
import struct
import sys
import time

split = sys.argv.index("--")
run, options, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1:]
HEAD, HALF = 4096, 1 << 30
store = []			# (name, fd)
stopping = alter = False


def stop(*_):
    global stopping
    stopping = True


def begin_altering(*_):
    global alter
    alter = True


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR1, begin_altering)
inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inbox.bind(run + "/notify")


def hear(keep=True):
    """One message, if there is one: its lines."""
    if not select.select([inbox], [], [], 0.05)[0]:
        return []
    text, fds, _, _ = socket.recv_fds(inbox, 4096, 4)
    lines = text.decode().split("\n")
    name = next((x[7:] for x in lines if x.startswith("FDNAME=")), "stored")
    if keep and "FDSTOREREMOVE=1" in lines:
        for entry in [e for e in store if e[0] == name]:
            os.close(entry[1])
            store.remove(entry)
    for fd in fds:
        if keep and "FDSTORE=1" in lines:
            store.append((name, fd))
        else:
            os.close(fd)
    return lines


def start(files):
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    high = [(name, os.dup(fd)) for name, fd in files]
    base = max([fd for _, fd in high] + [len(high) + 3]) + 1
    high = [(name, os.dup2(fd, base + i, False)) for i, (name, fd) in enumerate(high)]
    for i, (_, fd) in enumerate(high):
        os.dup2(fd, 3 + i, True)
    os.closerange(3 + len(high), base + len(high))
    env = dict(os.environ, NOTIFY_SOCKET=run + "/notify", LISTEN_PID=str(os.getpid()),
               LISTEN_FDS=str(len(files)), LISTEN_FDNAMES=":".join(n for n, _ in files))
    os.execvpe(command[0], command, env)


def ended(pid):
    return os.waitpid(pid, os.WNOHANG)[0] == pid


# --- another state ---

def read_state():
    fd = next(fd for name, fd in store if name == "state")
    memory = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    head = memory[:24]
    committed = struct.unpack_from("<Q", head, 16)[0]
    at = HEAD + (HALF if committed >> 63 else 0)
    return head[:16], memory[at:at + (committed & (1 << 62) - 1)]


def parse(data):
    records, at = [], 0
    while at < len(data):
        kind, _, key, fixed, tail, gone, pad = struct.unpack_from("<IIQIIII", data, at)
        end = at + 32 + fixed + tail
        records.append([kind, key, fixed, tail, gone, pad, bytearray(data[at + 32:end])])
        at = (end + 7) & ~7
    return records


def checksum(data):
    total = 2166136261
    for byte in data:
        total = (total ^ byte) * 16777619 & 0xffffffff
    return total


def build(records):
    out = bytearray()
    for kind, key, fixed, tail, gone, pad, data in records:
        head = struct.pack("<IIQIIII", kind, 0, key, fixed, tail, gone, pad)
        total = checksum(head + data)
        out += head[:4] + struct.pack("<I", total) + head[8:] + data
        out += bytes(-len(out) % 8)
    return out


def altered(records, rnd):
    records = [r[:6] + [bytearray(r[6])] for r in records]
    for _ in range(rnd.choice((1, 1, 1, 2, 8))):
        r = rnd.choice(records)
        how = rnd.randrange(8)
        if how < 4 and r[6]:
            at = rnd.randrange(len(r[6]))
            r[6][at] = rnd.choice((0, 1, 0x41, 0x7f, 0xff, r[6][at] ^ 1 << rnd.randrange(8)))
        elif how == 4 and r[6]:
            at, n = rnd.randrange(len(r[6])), rnd.choice((4, 8, 64))
            r[6][at:at + n] = bytes([rnd.choice((0, 0xff, 0x41))]) * len(r[6][at:at + n])
        elif how == 5:
            r[rnd.choice((0, 1, 4))] = rnd.choice((0, 1, 2, 63, 64, 1 << 31, r[1] if r[1] < 1 << 32 else 7))
        elif how == 6 and len(r[6]) > 8:
            cut = rnd.randrange(len(r[6]))
            r[2], r[3], r[6] = min(r[2], cut), max(0, cut - r[2]), r[6][:cut]
        elif len(records) > 1:
            records.remove(r)
    return records


def write_state(head, data, cut):
    fd = os.memfd_create("state")
    os.ftruncate(fd, HEAD + 2 * HALF if not cut else HEAD + len(data))
    os.pwrite(fd, bytes(head) + struct.pack("<Q", len(data) | 1 << 62), 0)
    os.pwrite(fd, bytes(data), HEAD)
    return fd


def try_one(files):
    """None, or how it failed."""
    pid = start(files)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if "READY=1" in hear(keep=False):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return f"ended with status {status}"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "was not ready"


def alter_all():
    count, rnd = int(options[1]), random.Random(int(options[2]))
    head, data = read_state()
    records = parse(data)
    assert build(records) == data, "the layout of the state is another"
    others = [e for e in store if e[0] != "state"]
    for i in range(count):
        new = altered(records, rnd)
        fd = write_state(head, build(new), rnd.randrange(40) == 0)
        some = [e for e in others if rnd.randrange(60)]
        if rnd.randrange(30) == 0:		# files under the names of others
            names = [n for n, _ in some]
            rnd.shuffle(names)
            some = [(n, f) for n, (_, f) in zip(names, some)]
        bad = try_one(some + [("state", fd)])
        os.close(fd)
        while hear(keep=False):
            pass
        if bad:
            print(f"state {i}: {bad}: {new}", flush=True)
            return 1
    print(f"{count} altered states: ready each time", flush=True)
    return 0


def main():
    pid = start([])
    while not stopping:
        hear()
        if alter:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            while hear():
                pass
            return alter_all()
        if ended(pid):
            pid = start(store)
    os.kill(pid, signal.SIGINT)
    os.waitpid(pid, 0)
    return 0


sys.exit(main())
