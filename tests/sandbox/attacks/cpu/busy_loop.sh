# attack: A loop of the shell, whose every turn starts a process.
# limits: {"cpu_time_ms": 250, "wall_time_ms": 5000}
# expect: time_limit cpu>=250 cpu<=450
while :; do (:); done
