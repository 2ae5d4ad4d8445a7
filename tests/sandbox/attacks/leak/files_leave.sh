# attack: Leaves a mark in every folder it can write to, for files_find.sh.
# part: yes
# expect: accepted stdout="left\n"
for folder in /box /tmp /dev/shm /var/tmp /run /run/lock /var/lock; do
    mkdir -p "$folder/mark.d" 2>/dev/null
    echo mark >"$folder/evalx-mark" 2>/dev/null
done
echo left
