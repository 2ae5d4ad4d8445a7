# attack: A child that outlives the program keeps writing to its streams; the answer does not wait for it.
# limits: {"wall_time_ms": 3000}
# expect: accepted stdout~"parent\\n" wall<=1000
import os
import time

if os.fork() == 0:
    os.setsid()
    while True:
        os.write(1, b".")
        time.sleep(0.05)
time.sleep(0.02)
os.write(1, b"parent\n")
os._exit(0)
