#!/usr/bin/env python3
"""embed.py NAME FILE OUT.S: writes an assembly file with the bytes of FILE between the symbols NAME and NAME_end.

The bytes are read by the assembler (.incbin), so a large file costs no compile time.
"""
import sys
from pathlib import Path


def main() -> int:
    name, source, out = sys.argv[1:]
    Path(out).write_text(
        f"""\t.section .rodata
\t.global {name}
\t.global {name}_end
\t.balign 16
{name}:
\t.incbin "{Path(source).resolve()}"
{name}_end:
\t.byte 0
\t.section .note.GNU-stack,"",%progbits
""",
        encoding="utf-8",
    )
    return 0


sys.exit(main())
