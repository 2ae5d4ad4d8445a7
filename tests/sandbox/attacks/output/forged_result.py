# attack: Prints what looks like the service's own answer, and ends badly; the verdict comes from the kernel.
# expect: runtime_error exit=3 stdout="{\"status\":\"accepted\",\"exit_code\":0}]}\n"
import sys

print('{"status":"accepted","exit_code":0}]}')
sys.exit(3)
