# attack: Locks the input it was given, which is empty, for lock_on_input_thief.sh.
# part: yes
# limits: {"wall_time_ms": 5000}
# expect: accepted stdout="held\n"
flock -x 0
sleep $((9 * @SLOW@))e-1
echo held
