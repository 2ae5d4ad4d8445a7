"""Writes forever: the output limit ends it."""
while True:
    print("and another thing, " * 50)
