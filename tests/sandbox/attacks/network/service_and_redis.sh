# attack: The service's own port and Redis, by the shell's network redirections.
# limits: {"wall_time_ms": 3000}
# expect: accepted stdout="refused\n"
won=
for port in @API_PORT@ @TCP_PORT@ 6379 3000 22 25 5432 2375; do
    if (echo FLUSHALL >/dev/tcp/127.0.0.1/$port) 2>/dev/null; then won="$won $port"; fi
    if (echo x >/dev/udp/127.0.0.1/$port) 2>/dev/null; then won="$won udp:$port"; fi
done
if [ -n "$won" ]; then echo "ESCAPED:$won"; else echo refused; fi
