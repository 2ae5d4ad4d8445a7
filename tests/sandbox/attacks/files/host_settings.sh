# attack: In the image "host", finds what /usr reveals about this machine besides languages: settings, sources, units,
# kernel modules, what else is installed.
# needs: host
# expect: accepted stdout="refused\n"
won=0
for path in /usr/local /usr/src /usr/etc /usr/games /usr/lib/systemd /usr/lib/modules /usr/lib/firmware /usr/lib/udev \
    /usr/lib/sysctl.d /usr/lib/tmpfiles.d /usr/lib/dpkg /usr/lib/apt /usr/share/doc /usr/share/man /usr/share/keyrings \
    /usr/share/bash-completion /usr/share/polkit-1 /usr/share/dbus-1 /lib/systemd /lib/modules; do
    if [ -e "$path" ]; then
        echo "ESCAPED: $path"
        won=1
    fi
done
# The names must not be listed either, nor be reached through what hides them.
for folder in /usr /usr/lib /usr/share; do
    for name in "$folder"/* "$folder"/.*; do
        case $name in
        */local | */src | */systemd | */modules | */doc | */man) echo "ESCAPED: $name is listed" && won=1 ;;
        esac
        [ -e "$name" ] || [ -h "$name" ] || { [ "$name" != "$folder/.*" ] && echo "ESCAPED: $name is a remnant" && won=1; }
    done
done
ls /.mask >/dev/null 2>&1 && echo "ESCAPED: the mask can be listed" && won=1
[ "$won" = 1 ] || echo refused
