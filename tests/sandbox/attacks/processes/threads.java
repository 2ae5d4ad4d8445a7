// attack: Threads without end in a virtual machine that needs some itself.
// limits: {"processes": 64, "cpu_time_ms": 3000, "wall_time_ms": 5000}
// expect: accepted|runtime_error stdout~"refused\\n$"
// expect: runtime_error|time_limit|memory_limit stdout=""
public class Main {
    public static void main(String[] args) {
        int made = 0;
        try {
            for (; made < 2000; made++)
                new Thread(() -> {
                    try {
                        Thread.sleep(60000);
                    } catch (InterruptedException e) {
                        return;
                    }
                }).start();
            System.out.println("ESCAPED: " + made + " threads");
        } catch (OutOfMemoryError e) {
            System.out.println("refused");
        }
        Runtime.getRuntime().halt(0);
    }
}
