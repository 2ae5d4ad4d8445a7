"""Uses no CPU and never ends: the wall clock ends it."""
import time

time.sleep(3600)
