# attack: Forks for ever and swallows every exception.
# limits: {"cpu_time_ms": 300, "wall_time_ms": 2000, "processes": 32}
# expect: time_limit cpu<=600
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
