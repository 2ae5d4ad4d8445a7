// attack: The runtime's own unsafe doors: memory by address, processes, exit hooks, files of the host.
// limits: {"cpu_time_ms": 5000, "wall_time_ms": 8000}
// expect: accepted stdout="refused\n"
import java.nio.file.Files;
import java.nio.file.Path;

public class Main {
    public static void main(String[] args) throws Exception {
        StringBuilder won = new StringBuilder();
        for (String name : new String[] { "/etc/shadow", "@CANARY@/secret", "/proc/1/environ", "/root" })
            if (Files.exists(Path.of(name)))
                won.append(name).append(' ');
        if (ProcessHandle.allProcesses().anyMatch(p -> p.pid() != ProcessHandle.current().pid()))
            won.append("processes ");
        Process process = new ProcessBuilder("/bin/sh", "-c", "cat /etc/shadow; id -u").start();
        String said = new String(process.getInputStream().readAllBytes()).trim();
        if (!said.equals("1000"))
            won.append(said);
        System.out.println(won.length() == 0 ? "refused" : "ESCAPED: " + won);
    }
}
