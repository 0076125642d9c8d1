# SPDX-License-Identifier: MIT
"""Infotainment: attaches to the cluster's segment, reads the speed, replies.

An ordinary program: it knows Python's shared_memory and nothing else.
"""
import sys
import time
from multiprocessing import shared_memory

end = time.monotonic() + 60
while True:
    try:
        shm = shared_memory.SharedMemory(name="telemetry")
        break
    except (FileNotFoundError, ValueError):   # not there, or not sized, yet
        if time.monotonic() > end:
            sys.exit("infotainment: no 'telemetry' in 60 s")
        time.sleep(0.05)
print(f"infotainment: attached 'telemetry', {shm.size} bytes", flush=True)
while shm.buf[0] != 1:
    time.sleep(0.01)
text = bytes(shm.buf[64:64 + shm.buf[1]]).decode()
print(f"infotainment: read '{text}'", flush=True)
answer = f"seen by infotainment: {text[6:8]}".encode()
shm.buf[512:512 + len(answer)] = answer
shm.buf[3] = len(answer)
shm.buf[2] = 1
while shm.buf[4] != 1:
    if time.monotonic() > end:
        sys.exit("infotainment: the cluster went away")
    time.sleep(0.01)
shm.close()
