# attack: Waits for a signal nobody sends.
# limits: {"wall_time_ms": 300}
# expect: time_limit wall<=500
import signal

signal.pause()
