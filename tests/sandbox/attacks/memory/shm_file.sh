# attack: Files in /dev/shm are memory and count as such.
# limits: {"memory_bytes": 33554432}
# expect: memory_limit memory<=33554432
head -c 44m /dev/zero >/dev/shm/hoard
echo "ESCAPED: $(stat -c %s /dev/shm/hoard) bytes"
