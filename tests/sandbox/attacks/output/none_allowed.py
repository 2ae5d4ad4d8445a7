# attack: Says one byte where none is allowed.
# limits: {"output_bytes": 0}
# expect: output_limit stdout="" stderr=""
print(end="x")
