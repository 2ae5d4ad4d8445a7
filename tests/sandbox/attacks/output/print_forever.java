// attack: Prints without end through a buffered stream.
// limits: {"output_bytes": 65536, "cpu_time_ms": 3000}
// expect: output_limit
public class Main {
    public static void main(String[] args) {
        for (long n = 0;; n++)
            System.out.println(n);
    }
}
