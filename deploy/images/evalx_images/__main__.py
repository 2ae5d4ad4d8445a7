"""evalx-images: builds the read-only images that languages run in."""
import os
import sys

os.umask(0o022)
os.environ["PATH"] += ":/usr/sbin:/sbin"
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from cli import main  # noqa: E402  pylint: disable=wrong-import-position

sys.exit(main(sys.argv[1:]))
