// attack: The runtime's own HTTP client, at the service that runs it and at the cloud's metadata.
// limits: {"cpu_time_ms": 5000, "wall_time_ms": 8000}
// expect: accepted stdout="refused\n"
import java.net.URL;

public class Main {
    public static void main(String[] args) {
        int won = 0;
        for (String place : new String[] { "http://127.0.0.1:@API_PORT@/healthz", "http://169.254.169.254/latest/meta-data/",
                                           "ftp://127.0.0.1:@TCP_PORT@/", "file:///etc/shadow", "http://[::1]:@API_PORT@/" }) {
            try (var stream = new URL(place).openStream()) {
                stream.read();
                won++;
                System.out.println("ESCAPED: " + place);
            } catch (Exception e) {
                continue;
            }
        }
        if (won == 0)
            System.out.println("refused");
    }
}
