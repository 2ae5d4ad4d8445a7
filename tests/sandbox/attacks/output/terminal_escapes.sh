# attack: Characters that steer a terminal, or a log viewer, reach the client as they are and nothing else.
# expect: accepted stdout="\x1b]0;owned\x07\x1b[2J\x1b[8m\r\x9b\n"
printf '\033]0;owned\007\033[2J\033[8m\r\302\233\n'
