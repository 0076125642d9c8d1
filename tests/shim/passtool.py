# SPDX-License-Identifier: MIT
"""passtool.py NAME: an object's descriptor on its ways to other processes.

Over a socket, by fork, by vfork and exec, by posix_spawn; each posts a
semaphore in the object, for which this process waits. Then dup and fchmod.
"""
import ctypes
import mmap
import os
import socket
import stat
import subprocess
import sys

import _posixshmem

POST = """if True:
    import ctypes, mmap, os
    memory = mmap.mmap(3, 4096)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[:4] = b"%s"
    assert ctypes.CDLL(None).sem_post(ctypes.c_void_p(at + 64)) == 0
"""

libc = ctypes.CDLL(None, use_errno=True)
name = sys.argv[1]
fd = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o600)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
sem = ctypes.c_void_p(address + 64)
assert libc.sem_init(sem, 1, 0) == 0


def posted(how):
    if libc.sem_wait(sem):
        sys.exit(f"{how}: {os.strerror(ctypes.get_errno())}")
    print(how, bytes(memory[:4]).decode(), flush=True)


def child(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return pid


def receive():
    there.close()
    _, fds, _, _ = socket.recv_fds(here, 1, 1)
    os.dup2(fds[0], 3)
    exec(POST % "sock")


def inherit():
    memory[:4] = b"fork"
    libc.sem_post(sem)


here, there = socket.socketpair()
pid = child(receive)
socket.send_fds(there, [b"x"], [fd])
posted("SCM_RIGHTS")
os.waitpid(pid, 0)

pid = child(inherit)
posted("fork")
os.waitpid(pid, 0)

os.dup2(fd, 3)
os.set_inheritable(3, True)
subprocess.run([sys.executable, "-c", POST % "exec"], pass_fds=(3,), check=True)
posted("exec")

pid = os.posix_spawn(sys.executable, [sys.executable, "-c", POST % "spwn"], os.environ)
posted("posix_spawn")
os.waitpid(pid, 0)

other = os.dup(fd)
os.fchmod(other, 0o640)
os.posix_fallocate(other, 0, 8192)
st = os.fstat(fd)
print("mode", oct(stat.S_IMODE(st.st_mode)), "size", st.st_size)
os.close(_posixshmem.shm_open(name, os.O_RDWR | os.O_TRUNC, mode=0))
print("truncated to", os.fstat(fd).st_size)
_posixshmem.shm_unlink(name)
