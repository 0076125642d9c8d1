# SPDX-License-Identifier: MIT
"""exchange.py make|use NAME: bytes both ways, and a ShareableList.

An ordinary program: it knows Python's shared_memory and nothing else. The end
that only attaches is the last to go: before Python 3.13 its resource tracker
removes what it has attached to, and says so on stderr.
"""
import os
import sys
import time
from multiprocessing.shared_memory import ShareableList, SharedMemory

END = time.monotonic() + float(os.environ.get("JOIN_SECONDS", "60"))


def until(true, what):
    while not true():
        if time.monotonic() > END:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.01)


def attach(name):
    while True:
        try:
            return SharedMemory(name=name)
        except (FileNotFoundError, ValueError):     # not there, or not sized, yet
            if time.monotonic() > END:
                sys.exit(f"waited in vain for {name}")
            time.sleep(0.02)


def turn(shm, number):
    until(lambda: shm.buf[0] == number, f"turn {number}")


def make(name):
    things = ShareableList(["text", 42, 2.5, None, True, b"bytes"], name=name + "-list")
    shm = SharedMemory(name=name, create=True, size=5000)
    print(f"make: {shm.size} bytes, zero: {not any(shm.buf)}")
    shm.buf[4000:4005] = b"hello"
    shm.buf[0] = 1
    turn(shm, 2)
    print(f"make: read {bytes(shm.buf[4000:4005])}, the list is now {list(things)}")
    shm.unlink()
    things.shm.unlink()
    shm.buf[0] = 3


def use(name):
    shm = attach(name)
    turn(shm, 1)
    things = ShareableList(name=name + "-list")
    print(f"use: read {bytes(shm.buf[4000:4005])}, {len(things)} things: {list(things)}")
    shm.buf[4000:4005] = b"world"
    things[0] = "TEXT"
    things[1] += 1
    things[3] = None
    shm.buf[0] = 2
    turn(shm, 3)
    print("use: done")


if len(sys.argv) != 3 or sys.argv[1] not in ("make", "use"):
    sys.exit("usage: exchange.py make|use NAME")
{"make": make, "use": use}[sys.argv[1]](sys.argv[2])
