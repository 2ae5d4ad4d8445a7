"""The longest Collatz chain that starts below the number on standard input."""
limit = int(input())
lengths = {1: 1}
for start in range(2, limit):
    n, chain = start, []
    while n not in lengths:
        chain.append(n)
        n = n // 2 if n % 2 == 0 else 3 * n + 1
    for back, m in enumerate(reversed(chain), 1):
        lengths[m] = lengths[n] + back
best = max(range(1, limit), key=lengths.__getitem__)
print(best, lengths[best])
