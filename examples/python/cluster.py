# SPDX-License-Identifier: MIT
"""The instrument cluster: owns the segment, publishes speed, waits for a reply.

An ordinary program: it knows Python's shared_memory and nothing else.
"""
import sys
import time
from multiprocessing import shared_memory

shm = shared_memory.SharedMemory(name="telemetry", create=True, size=65536)
print(f"cluster: created 'telemetry', {shm.size} bytes, "
      f"all zero: {not any(shm.buf)}", flush=True)
text = "speed=88 km/h from the cluster".encode()
shm.buf[64:64 + len(text)] = text
shm.buf[1] = len(text)
shm.buf[0] = 1                          # ready

end = time.monotonic() + 60
while shm.buf[2] != 1:
    if time.monotonic() > end:
        sys.exit("cluster: nobody answered in 60 s")
    time.sleep(0.01)
answer = bytes(shm.buf[512:512 + shm.buf[3]]).decode()
print(f"cluster: read back '{answer}'", flush=True)
shm.buf[4] = 1                          # done
shm.close()
shm.unlink()
