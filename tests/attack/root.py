#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Root in a guest goes for the memory of the ivshmem devices, without a grant: by
sysfs, by /dev/mem, by giving a device to another driver. Prints "through WAY" for each
way that led somewhere, "canary in WAY" for what is there, and "tried N".

root.py [CANARY]"""
import glob
import mmap
import os
import sys

tried = 0
canary = os.fsencode(sys.argv[1]) if len(sys.argv) > 1 else None


def attempt(way, act):
    global tried
    tried += 1
    try:
        if act():
            print("through", way, flush=True)
    except OSError as e:
        print("refused", way, os.strerror(e.errno), flush=True)


def mapped(path, offset=0):
    fd = os.open(path, os.O_RDWR | os.O_SYNC)
    try:
        # a region of registers is smaller than a page, /dev/mem has no size
        size = os.fstat(fd).st_size or 4096
        with mmap.mmap(fd, size, offset=offset & -4096) as m:
            if canary and m.find(canary) >= 0:
                print("canary in", os.path.basename(path), flush=True)
            return True
    finally:
        os.close(fd)


def put(path, data):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data.encode())
    finally:
        os.close(fd)


def driver(device):
    try:
        return os.path.basename(os.readlink(device + "/driver"))
    except OSError:
        return None


def moved(device, before, *writes):
    """Was it taken from the driver that has it?"""
    for path, data in writes:
        try:
            put(path, data)
        except OSError:
            pass
    return driver(device) != before


def config(device):
    """Where a BAR lies is in the configuration space: who writes that can move it."""
    fd = os.open(device + "/config", os.O_RDWR)
    try:
        line = os.pread(fd, 1, 0x3c)
        return os.pwrite(fd, line, 0x3c) == 1
    finally:
        os.close(fd)


def attack(device):
    name, had = os.path.basename(device), driver(device)
    other = "/sys/bus/pci/drivers/virtio-pci/"
    with open(device + "/resource") as f:
        bars = [int(line.split()[0], 16) for line in f]
    if not had:
        attempt("enable", lambda: put(device + "/enable", "1") is None)
    for bar in (0, 2):
        for path in glob.glob(f"{device}/resource{bar}*"):
            attempt(os.path.basename(path), lambda path=path: mapped(path))
        attempt(f"mem{bar}", lambda bar=bar: mapped("/dev/mem", bars[bar]))
    attempt("config", lambda: config(device))
    if not had:
        return
    attempt("unbind", lambda: moved(device, had, (f"{device}/driver/unbind", name)))
    attempt("new_id", lambda: moved(device, had, (other + "new_id", "1af4 1110"), (other + "bind", name)))
    attempt("override", lambda: moved(device, had, (device + "/driver_override", "virtio-pci"),
                                      (other + "bind", name), ("/sys/bus/pci/rescan", "1"),
                                      ("/sys/bus/pci/drivers_probe", name)))
    put(device + "/driver_override", "\n")


for found in sorted(glob.glob("/sys/bus/pci/devices/*")):
    with open(found + "/vendor") as v, open(found + "/device") as d:
        if (v.read().strip(), d.read().strip()) == ("0x1af4", "0x1110"):
            attack(found)
print("tried", tried)
