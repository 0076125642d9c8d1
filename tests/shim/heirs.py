# SPDX-License-Identifier: MIT
"""heirs.py NAME: an object's descriptor in many hands, until it is dead in all.

A mapping made here and a child that inherits it; a process that has received
the descriptor over a socket and another that has it by exec. Prints what each
meets once touching the memory raises SIGBUS here.
"""
import ctypes
import mmap
import os
import signal
import socket
import sys
import time

import _posixshmem

name = sys.argv[1]
fd = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT, mode=0o600)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
memory[:4] = b"mine"
dead, tell = os.pipe()


def later(function):
    """In a child, when the parent has said so; what it came to is printed."""
    pid = os.fork()
    if pid:
        return pid
    os.close(tell)
    os.read(dead, 1)
    function()
    os._exit(0)


def touch():
    ctypes.string_at(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1)


def attempt(what, function):
    try:
        function()
        print(what, "done", flush=True)
    except OSError as e:
        print(what, type(e).__name__, e.errno, flush=True)


def use_received():
    _, fds, _, _ = socket.recv_fds(here, 1, 1)
    attempt("received read", lambda: os.pread(fds[0], 4, 0))
    attempt("received write", lambda: os.pwrite(fds[0], b"more", 0))
    attempt("received size", lambda: os.ftruncate(fds[0], 8192))
    attempt("received open", lambda: os.open(f"/proc/self/fd/{fds[0]}", os.O_RDWR))
    attempt("received map", lambda: touch_other(fds[0]))


def touch_other(other):
    m = mmap.mmap(other, 4096)
    os._exit(10 if m[0:1] else 11)


here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
heirs = {"inherited mapping": later(touch), "received": later(use_received)}
socket.send_fds(there, [b"x"], [fd])

watcher = os.fork()
if not watcher:
    print("mapped", flush=True)
    while True:		# SIGBUS ends it
        touch()
        time.sleep(0.002)
_, status = os.waitpid(watcher, 0)
print("watcher", signal.Signals(os.WTERMSIG(status)).name, flush=True)
os.write(tell, b"xx")
for what, pid in heirs.items():
    _, status = os.waitpid(pid, 0)
    print(what, signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status)
          else f"exit {os.WEXITSTATUS(status)}", flush=True)
