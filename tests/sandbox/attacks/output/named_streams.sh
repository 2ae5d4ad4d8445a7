# attack: None: the streams may be opened again by their names, to write; what was written cannot be read back.
# stdin: "in\n"
# expect: accepted stdout="one\nin\nrefused\n" stderr~"^two\\n"
echo one >/dev/stdout
echo two >/dev/stderr
cat /dev/stdin
if timeout 0.2 head -c 1 </dev/stdout >/tmp/x 2>/dev/null; then echo "ESCAPED: read back"; else echo refused; fi
