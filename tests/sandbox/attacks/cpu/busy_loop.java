// attack: An endless loop under a JIT compiler.
// limits: {"cpu_time_ms": 400, "wall_time_ms": 5000}
// expect: time_limit cpu>=400 cpu<=600
public class Main {
    static volatile long n;

    public static void main(String[] args) {
        for (;;)
            n++;
    }
}
