# attack: An empty input must not be one file for all runs: a lock on it would tell who runs beside.
# beside: lock_on_input_victim.sh
# delay: 300
# expect: accepted stdout="refused\n"
if flock -n -x 0; then echo refused; else echo "ESCAPED: the neighbour holds my input"; fi
