# attack: Names as long as they get, and longer.
# expect: accepted stdout="refused\n"
import errno
import os

open("/tmp/" + "n" * 255, "w").close()
try:
    open("/tmp/" + "n" * 256, "w").close()
    print("ESCAPED")
except OSError as error:
    print("refused" if error.errno == errno.ENAMETOOLONG else error)
try:
    os.chdir("/" * 5000)
except OSError:
    pass
