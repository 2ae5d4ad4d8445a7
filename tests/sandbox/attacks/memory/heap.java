// attack: Catches OutOfMemoryError and keeps what it has.
// limits: {"memory_bytes": 268435456, "cpu_time_ms": 1500}
// expect: memory_limit|time_limit|runtime_error memory<=268435456
import java.util.ArrayList;
import java.util.List;

public class Main {
    public static void main(String[] args) {
        List<byte[]> hoard = new ArrayList<>();
        for (;;) {
            try {
                hoard.add(new byte[1 << 20]);
            } catch (OutOfMemoryError e) {
                Thread.yield();
            }
        }
    }
}
