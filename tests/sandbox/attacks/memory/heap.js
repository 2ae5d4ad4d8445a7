// attack: A heap that grows without end; the runtime's own limit or the group's ends it.
// limits: {"memory_bytes": 134217728, "cpu_time_ms": 4000}
// expect: memory_limit memory<=134217728
// expect: runtime_error stderr~"heap" memory<=134217728
const hoard = [];
for (;;)
    hoard.push(new Array(10000).fill(hoard.length));
