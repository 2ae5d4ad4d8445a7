# attack: Starts every setuid, setgid and capable program of the image; none gives it another user.
# limits: {"cpu_time_ms": 8000, "wall_time_ms": 12000}
# expect: accepted stdout~"^checked [0-9]+\\n$"
count=0
while read -r program; do
    count=$((count + 1))
    case "$program" in
    */su) arguments=(-c id) ;;
    */sudo | */doas) arguments=(-n id) ;;
    */pkexec) arguments=(id) ;;
    */mount) arguments=(-t tmpfs none /tmp) ;;
    *) arguments=(--version) ;;
    esac
    timeout -s KILL 0.2 "$program" "${arguments[@]}" </dev/null >/tmp/out 2>&1 &&
        [ "${program##*/}" = mount ] && echo "ESCAPED: mount" >&3
    grep -q "uid=0" /tmp/out && echo "ESCAPED: $program" >&3
done 3>&1 < <(find /usr/bin /usr/sbin /usr/lib /usr/lib/x86_64-linux-gnu -maxdepth 2 -perm /6000 -type f 2>/dev/null)
echo "checked $count"
