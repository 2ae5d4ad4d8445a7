# attack: An endless loop in an interpreter.
# limits: {"cpu_time_ms": 250, "wall_time_ms": 5000}
# expect: time_limit cpu>=250 cpu<=400
while True:
    pass
