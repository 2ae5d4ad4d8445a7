"""Is the year a leap year?  The rule for centuries is missing, so the answer for 1900 is wrong."""
year = int(input())
print("leap" if year % 4 == 0 else "common")
