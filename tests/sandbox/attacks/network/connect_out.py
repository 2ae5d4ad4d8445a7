# attack: Connects to the internet, to private networks, to the cloud's metadata, by TCP.
# network: "loopback"
# limits: {"wall_time_ms": 3000}
# expect: accepted stdout="refused\n" wall<=1500
import socket

won = []
for host, port in (("169.254.169.254", 80), ("8.8.8.8", 53), ("1.1.1.1", 443), ("10.0.0.1", 22), ("192.168.0.1", 80),
                   ("172.17.0.1", 2375), ("127.0.0.1", @TCP_PORT@), ("127.0.0.1", @API_PORT@), ("0.0.0.0", @API_PORT@)):
    with socket.socket() as link:
        link.settimeout(0.3)
        try:
            link.connect((host, port))
            won.append((host, port))
        except OSError:
            pass
print("ESCAPED:" + str(won) if won else "refused")
