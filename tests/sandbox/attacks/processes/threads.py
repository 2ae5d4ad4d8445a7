# attack: Threads without end in an interpreter.
# limits: {"processes": 16}
# expect: accepted stdout="refused\n"
import os
import threading

made = 0
try:
    while made < 1000:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        made += 1
    print("ESCAPED:", made, "threads", flush=True)
except RuntimeError:
    print("refused", flush=True)
os._exit(0)
