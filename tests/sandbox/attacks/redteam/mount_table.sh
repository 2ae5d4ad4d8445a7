# attack: The mount table of a box names nothing of the host: no path of its own, no folder of evalx, no device of a disk.
# expect: accepted stdout="refused\n"
if grep -E '@CANARY@|lowerdir=/[^p]|upperdir|/dev/(sd|vd|nvme|mapper)' /proc/self/mountinfo /proc/self/mounts; then
    echo "ESCAPED: the host's mounts"
elif grep -qv ':/$' /proc/self/cgroup; then
    echo "ESCAPED: $(cat /proc/self/cgroup)"
else
    echo refused
fi
