#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The guest's end of `vm exec`: each virtio port serves one command at a time.

A request is one line of JSON; the answer is b"SIVM" + id, then frames of
type (o, e, x), length, bytes.
"""
import glob
import json
import os
import select
import signal
import struct
import subprocess
import threading
import time


def frame(port, kind, data):
    buf = kind + struct.pack("<I", len(data)) + data
    while buf:
        buf = buf[os.write(port, buf):]


def prepare(req):
    def child():
        os.setsid()
        if req.get("gid") is not None:
            os.setgroups([])
            os.setgid(req["gid"])
        if req.get("uid") is not None:
            os.setuid(req["uid"])
    return child


def serve(port, req):
    os.write(port, b"SIVM" + struct.pack("<I", req["id"]))
    env = dict(os.environ, **req.get("env", {}))
    try:
        p = subprocess.Popen(req["argv"], stdin=subprocess.DEVNULL, env=env, cwd="/tmp",
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             preexec_fn=prepare(req))
    except Exception as e:
        frame(port, b"e", f"vm exec: {req['argv'][0]}: {e}\n".encode())
        frame(port, b"x", struct.pack("<i", 127))
        return
    end = time.monotonic() + req["timeout"]
    poll = select.poll()
    kinds = {p.stdout.fileno(): b"o", p.stderr.fileno(): b"e"}
    for fd in kinds:
        poll.register(fd, select.POLLIN)
    late = gone = False
    while kinds:
        # a background grandchild may hold the pipes: do not wait for that long
        if p.poll() is not None and not poll.poll(200):
            break
        for fd, _ in poll.poll(100):
            data = os.read(fd, 65536)
            if data:
                frame(port, kinds[fd], data)
            else:
                poll.unregister(fd)
                del kinds[fd]
        hup = select.poll()
        hup.register(port, 0)
        gone = bool(hup.poll(0))
        if gone or time.monotonic() > end:
            late = True
            os.killpg(p.pid, signal.SIGKILL)
            break
    while p.poll() is None and time.monotonic() < end and not late:
        time.sleep(0.01)
    if p.poll() is None:
        late = True
        os.killpg(p.pid, signal.SIGKILL)
    code = p.wait()
    p.stdout.close()
    p.stderr.close()
    if not gone:
        frame(port, b"x", struct.pack("<i", 124 if late else code if code >= 0 else 128 - code))


def loop(path):
    port = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    line = b""
    while True:
        try:
            data = os.read(port, 65536)
        except OSError:
            data = b""
        if not data:                     # nobody is connected at the host
            line = b""
            time.sleep(0.02)
            continue
        line += data
        if not line.endswith(b"\n"):
            continue
        try:
            serve(port, json.loads(line[line.rindex(b"\n", 0, -1) + 1:]
                                   if b"\n" in line[:-1] else line))
        except (OSError, ValueError, KeyError):
            pass
        line = b""


def main():
    ports = []
    while not ports:
        ports = sorted(glob.glob("/dev/vport*"))
        time.sleep(0.05)
    for path in ports:
        threading.Thread(target=loop, args=(path,), daemon=True).start()
    print("sivshmem-vm: agent up after", open("/proc/uptime").read().split()[0], "s", flush=True)
    signal.pause()


main()
