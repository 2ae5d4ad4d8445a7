# attack: Catches MemoryError and carries on; a limit that is told to the program would never end it.
# limits: {"memory_bytes": 67108864, "cpu_time_ms": 2000}
# expect: memory_limit|time_limit memory<=67108864
hoard = []
while True:
    try:
        hoard.append(bytearray(4 << 20))
    except MemoryError:
        pass
