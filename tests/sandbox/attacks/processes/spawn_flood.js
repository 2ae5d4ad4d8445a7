// attack: Child processes without end by an event loop.
// limits: {"processes": 24, "cpu_time_ms": 3000, "wall_time_ms": 5000}
// expect: accepted stdout="refused\n"
// expect: runtime_error|time_limit stdout=""
const { spawn } = require("child_process");
let failed = false, running = 0;
for (let i = 0; i < 200; i++) {
    const child = spawn("/usr/bin/sleep", ["60"]);
    child.on("error", () => {
        if (!failed) {
            console.log("refused");
            process.exit(0);
        }
        failed = true;
    });
    child.on("spawn", () => {
        if (++running > 100)
            console.log("ESCAPED");
    });
}
