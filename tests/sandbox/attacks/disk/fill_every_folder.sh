# attack: Fills all writable folders with files below the file limit; together they stay within one limit.
# limits: {"memory_bytes": 536870912, "file_bytes": 4194304, "cpu_time_ms": 4000}
# expect: accepted stdout="refused\n"
for folder in /box /tmp /dev/shm; do
    for n in $(seq 60); do
        head -c 4m /dev/zero >"$folder/$n" || break
    done
done 2>/dev/null
total=$(du -sm --total /box /tmp /dev/shm | tail -1 | cut -f1)
if [ "$total" -gt @DISK_MIB@ ]; then echo "ESCAPED: $total MiB"; else echo refused; fi
