// attack: An endless loop in a runtime with threads of its own.
// limits: {"cpu_time_ms": 300, "wall_time_ms": 5000}
// expect: time_limit cpu>=300 cpu<=450
for (;;);
