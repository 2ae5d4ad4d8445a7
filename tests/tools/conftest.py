"""The tests here import what they test: the scripts of tools/, and the parts of the test runners."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, folder) for folder in ("tools", "tests", "tests/system/chaos")]
