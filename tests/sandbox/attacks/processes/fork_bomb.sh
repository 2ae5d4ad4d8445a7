# attack: The classic of shells: two pipes into itself, in the background.
# limits: {"cpu_time_ms": 400, "wall_time_ms": 1500, "processes": 24}
# expect: accepted|runtime_error|time_limit|output_limit
bomb() { bomb | bomb & }
bomb
