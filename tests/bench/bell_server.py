#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bell_server.py SOCKET0 SOCKET1: an ivshmem server for two VMs and no more.

Protocol version 0 of QEMU's ivshmem-spec; peers 0 and 1, one vector each.
Prints "ready" and serves until it is killed.
"""
import os
import socket
import struct
import sys

SIZE = 2 << 20
memory = os.memfd_create("bell")
os.ftruncate(memory, SIZE)
bells = [os.eventfd(0), os.eventfd(0)]
listeners = []
for path in sys.argv[1:3]:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(path)
    s.listen(1)
    listeners.append(s)
print("ready", flush=True)


def say(s, value, fd=None):
    socket.send_fds(s, [struct.pack("<q", value)], [] if fd is None else [fd])


connections = []
for me, listener in enumerate(listeners):
    s, _ = listener.accept()
    say(s, 0)
    say(s, me)
    say(s, -1, memory)
    say(s, 1 - me, bells[1 - me])
    say(s, me, bells[me])
    connections.append(s)
for s in connections:
    s.recv(1)
