// attack: Two threads wait for each other for ever.
// limits: {"cpu_time_ms": 3000, "wall_time_ms": 800}
// expect: time_limit wall<=3000
public class Main {
    static final Object a = new Object(), b = new Object();

    static void hold(Object first, Object second) {
        synchronized (first) {
            try {
                Thread.sleep(100);
            } catch (InterruptedException e) {
                return;
            }
            synchronized (second) {
                System.out.println("no deadlock");
            }
        }
    }

    public static void main(String[] args) {
        new Thread(() -> hold(a, b)).start();
        hold(b, a);
    }
}
