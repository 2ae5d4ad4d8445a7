// attack: The runtime's doors: process.binding, dlopen, the inspector, signals to others, another user.
// expect: accepted stdout="refused\n"
const won = [];
for (const attempt of [
    () => process.setuid(0), () => process.setgroups([0]), () => process.kill(@WORKER_PID@, 9),
    () => process.dlopen({ exports: {} }, "@CANARY@/secret"), () => require("fs").readFileSync("/etc/shadow"),
    () => require("fs").writeFileSync("/usr/evalx-attack", ""), () => require("fs").readFileSync("/proc/1/environ"),
    () => require("fs").symlinkSync("/etc/shadow", "/etc/x"),
]) {
    try {
        attempt();
        won.push(attempt.toString());
    } catch (error) {
        continue;
    }
}
console.log(won.length ? "ESCAPED: " + won : "refused");
