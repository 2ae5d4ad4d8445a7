# attack: Looks for what another run left in folders that may be written to.
# after: files_leave.sh
# copies: 4
# expect: accepted stdout="refused\n"
found=$(find / -xdev -name '*mark*' -not -path '/usr/*' -not -path '/proc/*' 2>/dev/null; ls -A /tmp /dev/shm | grep mark)
if [ -n "$found" ]; then echo "ESCAPED: $found"; else echo refused; fi
