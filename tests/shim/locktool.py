# SPDX-License-Identifier: MIT
"""locktool.py NAME OPERATION...: locks on a shared memory object, as Python has them.

flock ex|sh|un [nb]    record ex|sh|un START LENGTH [nb]    test START LENGTH
open (another description of it)    close (that)    print TEXT    sleep SECONDS
hold (until killed)    fork OPERATION... (in a child)
aside un (give a flock back in another thread, meanwhile)
shred COUNT (unlock every other byte of what is locked, up to so many)
peel COUNT (unlock so many bytes from the start on, one by one)
closes COUNT (open it again and close that, so often)
idle COUNT (give back, so often, a flock and a byte beyond 2^40 that nobody has)
mark OTHER (make that object)    await OTHER (until it is there)
"""
import errno
import fcntl
import os
import struct
import sys
import threading
import time

import _posixshmem

KINDS = {"ex": fcntl.LOCK_EX, "sh": fcntl.LOCK_SH, "un": fcntl.LOCK_UN}
name, words = sys.argv[1], sys.argv[2:]


def open_object():
    fd = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT, mode=0o600)
    os.ftruncate(fd, 100)
    return fd


fds = [open_object()]


def take(count):
    taken = words[:count]
    del words[:count]
    return taken


def how(kind):
    if words[:1] == ["nb"]:
        take(1)
        return KINDS[kind] | fcntl.LOCK_NB
    return KINDS[kind]


def attempt(what, function, *args):
    began = time.monotonic()
    try:
        function(*args)
        result = "done"
    except OSError as e:
        result = errno.errorcode[e.errno]
    print(what, result, flush=True)
    print(what, f"{time.monotonic() - began:.2f} s", file=sys.stderr, flush=True)


while words:
    word = take(1)[0]
    if word == "flock":
        kind = take(1)[0]
        attempt(f"flock {kind}", fcntl.flock, fds[-1], how(kind))
    elif word == "aside":
        kind = take(1)[0]
        threading.Thread(target=attempt, args=(f"aside {kind}", fcntl.flock, fds[-1], KINDS[kind]),
                         daemon=True).start()
    elif word == "record":
        kind, start, length = take(3)
        attempt(f"record {kind} {start} {length}", fcntl.lockf, fds[-1], how(kind),
                int(length), int(start))
    elif word == "test":
        start, length = take(2)
        ask = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, int(start), int(length), 0)
        kind, _, start, length, pid = struct.unpack("hhqqi4x",
                                                    fcntl.fcntl(fds[-1], fcntl.F_GETLK, ask))
        print("test", {fcntl.F_WRLCK: "ex", fcntl.F_RDLCK: "sh", fcntl.F_UNLCK: "free"}[kind],
              *([start, length] if kind != fcntl.F_UNLCK else []), flush=True)
    elif word == "open":
        fds.append(open_object())
    elif word == "close":
        os.close(fds.pop())
    elif word == "print":
        print(*take(1), flush=True)
    elif word == "sleep":
        time.sleep(float(take(1)[0]))
    elif word == "hold":
        time.sleep(600)
    elif word == "shred":
        count = int(take(1)[0])
        attempt("shred", lambda: [fcntl.lockf(fds[-1], fcntl.LOCK_UN, 1, 2 * i + 1)
                                  for i in range(count)])
    elif word == "peel":
        count = int(take(1)[0])
        attempt("peel", lambda: [fcntl.lockf(fds[-1], fcntl.LOCK_UN, 1, i) for i in range(count)])
    elif word == "closes":
        count, again = int(take(1)[0]), f"/proc/self/fd/{fds[-1]}"
        attempt("closes", lambda: [os.close(os.open(again, os.O_RDWR)) for _ in range(count)])
    elif word == "idle":
        count = int(take(1)[0])
        attempt("idle flock", lambda: [fcntl.flock(fds[-1], fcntl.LOCK_UN) for _ in range(count)])
        attempt("idle record", lambda: [fcntl.lockf(fds[-1], fcntl.LOCK_UN, 1, 2**40 + 2 * i)
                                        for i in range(count)])
    elif word == "mark":
        os.close(_posixshmem.shm_open(take(1)[0], os.O_RDWR | os.O_CREAT, mode=0o600))
    elif word == "await":
        other, end = take(1)[0], time.monotonic() + 40
        while time.monotonic() < end:
            try:
                os.close(_posixshmem.shm_open(other, os.O_RDWR, mode=0))
                break
            except FileNotFoundError:
                time.sleep(0.02)
    elif word == "fork":
        if os.fork():
            os.wait()
            break
    else:
        sys.exit(f"unknown operation '{word}'")
