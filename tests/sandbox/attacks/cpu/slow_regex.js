// attack: A regular expression of exponential time, which no interrupt of the runtime can end.
// limits: {"cpu_time_ms": 300, "wall_time_ms": 5000}
// expect: time_limit cpu<=450
console.log(/^(a+)+$/.test("a".repeat(60) + "b"));
