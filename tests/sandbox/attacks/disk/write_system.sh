# attack: Writes to, removes from and renames in every folder of the system it can see.
# expect: accepted stdout="refused\n"
won=
for folder in / /usr /usr/bin /usr/lib /etc /bin /lib /lib64 /dev /proc /proc/self /sys /var /root /home /opt /run; do
    if touch "$folder/evalx-attack" 2>/dev/null; then won="$won touch:$folder"; fi
    if mkdir "$folder/evalx-attack.d" 2>/dev/null; then won="$won mkdir:$folder"; fi
done
rm -f /usr/bin/env /etc/passwd /bin /etc/ld.so.cache 2>/dev/null && won="$won rm"
mv /usr/bin/env /usr/bin/env2 2>/dev/null && won="$won mv"
ln -s /etc/shadow /usr/evalx-attack 2>/dev/null && won="$won ln"
: 2>/dev/null >>/etc/passwd && won="$won append"
if [ -n "$won" ]; then echo "ESCAPED:$won"; else echo refused; fi
