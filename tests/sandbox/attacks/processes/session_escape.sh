# attack: A process in a session of its own waits until the run is over and then writes to the host's folder.
# limits: {"wall_time_ms": 3000}
# expect: accepted stdout="left\n" wall<=1000
setsid bash -c 'sleep 0.2; echo ESCAPED > @CANARY@/open/late; echo ESCAPED > /tmp/late' >/dev/null 2>&1 </dev/null &
echo left
