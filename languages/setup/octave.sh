#!/bin/sh
# octave.sh SOURCE ARGUMENT...: runs an Octave script.  A statement before the first function makes the file a script.
line=$(grep -n -m 1 -v -E '^[[:space:]]*([%#].*)?$' "$1")
case ${line#*:} in
function*) sed -i "${line%%:*}s/^/1; /" "$1" ;;
esac
exec octave-cli --quiet --no-init-file --no-history "$@"
