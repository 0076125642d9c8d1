#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a QEMU can do at the daemon's sockets, without one.

qemu.py greet SOCKET [--say HEX] [--hold SECONDS]
        connect, print each message of the greeting as "VALUE KIND ID": KIND is
        none, event (ID tells eventfds apart) or memory (ID is its inode, and its bytes
        and seals follow); --hold prints "held" and stays that long
qemu.py mark SOCKET TEXT    write TEXT to each page of the memory, and go
qemu.py find SOCKET TEXT    "found" or "nothing", anywhere in the memory
qemu.py jam SOCKET          fill its own doorbell, make who rings it wait, print "held", stay
qemu.py churn SOCKET SECONDS    come and go without end; says how often it was let in
qemu.py open FILE ro|rw     "opened" with its bytes, or the error's name
"""
import argparse
import array
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
import sys
import time

F_GET_SEALS = 1034


def receive(s):
    """All messages until the socket is quiet."""
    while select.select([s], [], [], 0.5)[0]:
        data, rights, _, _ = s.recvmsg(8, socket.CMSG_SPACE(16))
        if not data:
            print("end")
            return
        fds = array.array("i")
        for _, _, payload in rights:
            fds.frombytes(payload)
        yield struct.unpack("<q", data)[0], fds


def describe(fd):
    with open(f"/proc/self/fdinfo/{fd}") as info:
        for line in info:
            if line.startswith("eventfd-id:"):
                return "event " + line.split()[1]
    st = os.fstat(fd)
    return f"memory {st.st_ino} {st.st_size} {fcntl.fcntl(fd, F_GET_SEALS)}"


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def memory_of(s):
    for value, fds in receive(s):
        if value == -1:
            return mmap.mmap(fds[0], 0)
    sys.exit("no memory in the greeting")


def greet(args):
    s = connect(args.path)
    if args.say:
        s.sendall(bytes.fromhex(args.say))
    for value, fds in receive(s):
        print(value, " ".join(map(describe, fds)) or "none", flush=True)
    if args.hold:
        print("held", flush=True)
        time.sleep(args.hold)


def mark(args):
    s = connect(args.path)      # the daemon clears the memory when this closes
    m = memory_of(s)
    # the worker writes over some of it anyway
    for at in range(0, len(m), 4096):
        m[at:at + len(args.text)] = args.text.encode()


def find(args):
    s = connect(args.path)
    print("found" if memory_of(s).find(args.text.encode()) >= 0 else "nothing")


def jam(args):
    s = connect(args.path)
    bell = [fds for _, fds in receive(s) if fds][-1][0]
    fcntl.fcntl(bell, fcntl.F_SETFL, fcntl.fcntl(bell, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    os.write(bell, struct.pack("<Q", 2 ** 64 - 2))
    print("held", flush=True)
    time.sleep(60)


def churn(args):
    end, times = time.monotonic() + float(args.text), 0
    while time.monotonic() < end:
        try:
            connect(args.path).close()
            times += 1
        except OSError:
            time.sleep(0.001)
    print("times", times)


def open_file(args):
    try:
        fd = os.open(args.path, os.O_RDWR if args.text == "rw" else os.O_RDONLY)
    except OSError as e:
        print(errno.errorcode[e.errno])
    else:
        print("opened", os.fstat(fd).st_size)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["greet", "mark", "find", "jam", "churn", "open"])
    p.add_argument("path")
    p.add_argument("text", nargs="?")
    p.add_argument("--say")
    p.add_argument("--hold", type=float)
    args = p.parse_args()
    {"greet": greet, "mark": mark, "find": find, "jam": jam, "churn": churn, "open": open_file}[args.what](args)


main()
