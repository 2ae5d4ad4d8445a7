// attack: Buffers outside the runtime's heap, which its heap limit does not see.
// limits: {"memory_bytes": 134217728, "cpu_time_ms": 4000}
// expect: memory_limit memory<=134217728
const hoard = [];
for (;;)
    hoard.push(Buffer.alloc(4 << 20, 1));
