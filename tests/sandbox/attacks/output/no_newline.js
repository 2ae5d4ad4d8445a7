// attack: One line without end, faster than it is read.
// limits: {"output_bytes": 65536, "cpu_time_ms": 3000, "wall_time_ms": 5000, "memory_bytes": 268435456}
// expect: output_limit
const fs = require("fs");
const block = "z".repeat(1 << 16);
for (;;)
    fs.writeSync(1, block);
