"""Is the year a leap year?  Forgets the rule of centuries, so 1900 comes out wrong."""
year = int(input())
print("leap" if year % 4 == 0 else "common")
