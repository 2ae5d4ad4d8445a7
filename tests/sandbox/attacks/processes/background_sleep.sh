# attack: Leaves a sleeper in the background that holds both streams; the answer comes at once all the same.
# limits: {"wall_time_ms": 3000}
# expect: accepted stdout="left\n" wall<=1000
nohup sleep 300 &
disown
echo left
