# attack: A list that grows without end.
# limits: {"memory_bytes": 67108864}
# expect: memory_limit memory<=67108864
hoard = []
while True:
    hoard.append("x" * 100000)
