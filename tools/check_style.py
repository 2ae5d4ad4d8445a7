#!/usr/bin/python3
"""Checks the rules of docs/design/STYLE.md that can be checked automatically.

Usage: check_style.py [ROOT].  Prints "path:line: rule: what is wrong" and ends with 1 if anything was found.
Each rule is a small function over one file; tests/tools/test_check_style.py shows that each catches a bad file.
A rule here must be right every time: what needs judgement belongs to review.
"""
import os
import re
import subprocess
import sys

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 80
LINE_COLUMNS_MAX = 120

# The folders that each folder may include from, besides itself.
INCLUDES = {
    "base": set(),
    "run": {"base"},
    "config": {"base"},
    "model": {"base", "run", "config"},
    "codec": {"base", "run", "config", "model"},
    "sandbox": {"base", "run", "config", "model"},
    "sandboxd": {"base", "run"},
    "queue": {"base", "run", "config", "model"},
    "metrics": {"base", "run", "config", "model"},
    "http": {"base"},
    "worker": {"base", "run", "config", "model", "codec", "sandbox", "queue", "metrics"},
    "api": {"base", "run", "config", "model", "codec", "queue", "metrics", "http"},
    "daemon": {"base", "run", "config", "model", "codec", "sandbox", "queue", "metrics", "http", "worker", "api"},
    "cli": {"base", "run", "config", "model", "codec", "sandbox", "queue", "metrics", "http", "worker", "api",
            "daemon"},
}
# Single headers that may be included in spite of the table above: the protocol of the root side.
INCLUDES_ALSO = {("sandboxd", "sandbox/protocol.h"), ("sandboxd", "sandbox/archive.h"),
                 ("sandboxd", "sandbox/image_layers.h")}

# The files that may include a library.  Any other file that includes it would spread its types.
LIBRARIES = {
    "microhttpd.h": r"http/(server|response)\.c",
    "hiredis/": r"queue/(redis|shards)/\w+\.[ch]",
    "sqlite3.h": r"queue/sqlite/\w+\.[ch]",
    "jansson.h": r"(\w+/\w*json\.[ch]|cli/\w+\.[ch])",
    "openssl/": r"queue/redis/tls\.c",
    "curl/": r"cli/\w+\.[ch]",
    "seccomp.h": r"(sandboxd/seccomp\w*\.[ch]|daemon/seccomp\w*\.[ch]|sandbox/slot_client\.c)",
    "wslay/": r"http/websocket\w*\.[ch]",
}

BANNED = ("strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll gmtime localtime ctime asctime "
          "alloca tmpnam tempnam mktemp").split()
BANNED_IN_SRC = ["system", "popen", "signal"]  # a test may use them on itself
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED + BANNED_IN_SRC) + r")\s*\(")
# Programs for the sandbox are written as hostile users or beginners would write them.
PROGRAMS = re.compile(r"(demo|tests/sandbox/attacks)/|.*/corpus/")
# Written in two parts, so that this file does not match itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# Former names of identifiers and files, which had several meanings.  docs/GLOSSARY.md lists the current terms.  Plain
# English words are not rejected.
OLD_IDENTIFIERS = re.compile(r"""(?x)
    (desk|clerk|crew|warden|claimer|finisher|asker|guardian|newcomer|intake)(_\w+)?
    | (HELD|SHELF|THRESHOLD|STAGE|BUNDLE|LANE|PLACE|PROOF)_\w+
    | (held|shelf|threshold|stage|bundle|lane|ahead|warm|hub|proof|proofs|waits)_\w+
    | \w+_(shelf|threshold|bundle|lane|lanes)
    | box_(open|close|run|cancel|job|outcome|outcome_done) | was_warm | likely_warm
    | slot_(driver|native|isolate|facts) | refused_calls?(_\w+)? | sandbox_driver\w*
    | (host|cgroup|store|token|sqlite|redis)_place\w* | place_(open|field|element|end|start|name)
    | (store|redis|sqlite|shards)_(hand_back|sweep) | promise_(begun|made|kept)
    | layers_(open|close|have|stat|open_prepared) | message_(send|receive|receive_some) | scope_(close|free)
    | keeper_(main|open|close|us) | watch_(tell|tell_end|open|close|add|remove) | wait_(new|go|forget|answer)
    | admit_operator | clone_onto_stack | unpack_but""")
OLD_FILES = re.compile(r"(?x) (\w+_)? (desk|held|crew|claimer|finisher|warden|guardian|shelf|threshold|ahead|warm|stage"
                       r"|walls|bundle|lanes|moves|asking|waiting|proof|admit|slot_driver|refused_calls)(_\w+)?"
                       r"\.(c|h|py|lua)")
TEXT_SUFFIXES = (".c", ".h", ".py", ".sh", ".md", ".build", ".conf", ".lua", ".txt", ".ini", ".json", ".yaml", ".yml")
WELL_KNOWN = ("_init", "_done", "_free", "_close", "_name")
LENGTH_SUFFIXES = (".c", ".h", ".py", ".sh")


def code_only(text):
    """The text with comments and the contents of strings replaced by blanks.  Line breaks are kept."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[-1]
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_length(path, text):
    lines = text.count("\n")
    if path.endswith(LENGTH_SUFFIXES) and lines > FILE_LINES_MAX:
        yield FILE_LINES_MAX + 1, "file-length", f"{lines} lines, at most {FILE_LINES_MAX}: split it by duty"


def check_lines(path, text):
    columns = LINE_COLUMNS_MAX if path.endswith(LENGTH_SUFFIXES) else None
    for number, line in enumerate(text.split("\n"), 1):
        if columns and len(line) > columns:
            yield number, "line-length", f"{len(line)} columns, at most {columns}"
        if "\t" in line and path.endswith((".c", ".h", ".py")):
            yield number, "tab", "a tab: indent with 4 spaces"
        if line != line.rstrip() and not path.endswith(".md"):
            yield number, "trailing-blank", "blanks at the end of the line"


def check_unfinished(_path, text):
    for match in UNFINISHED.finditer(text):
        yield line_of(text, match.start()), "unfinished", f"{match.group(0)}: finish it, or open an issue"


def check_head(path, text):
    if path.endswith((".c", ".h")) and not text.startswith("/*"):
        yield 1, "head-comment", "the file does not open with a comment that says what it is for"
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
        yield 1, "pragma-once", "a header says #pragma once"


def check_functions(path, text):
    """A function's braces are in column 0, so its length can be measured without parsing C."""
    if not path.endswith((".c", ".h")):
        return
    lines = code_only(text).split("\n")
    begin = None
    for i, line in enumerate(lines):
        if line.rstrip() == "{":
            begin = i
        elif line.startswith("}") and begin is not None:
            if i - begin + 1 > FUNCTION_LINES_MAX:
                head = next((l for l in reversed(lines[:begin]) if re.search(r"\w\s*\(", l)), "")
                name = re.search(r"(\w+)\s*\(", head)
                what = name.group(1) if name else "function"
                yield begin + 1, "function-length", f"{what} has {i - begin + 1} lines, at most {FUNCTION_LINES_MAX}"
            begin = None


def check_banned(path, text):
    if not path.endswith((".c", ".h")) or path.endswith("base/banned.h"):
        return
    code = code_only(text)
    for match in BANNED_CALL.finditer(code):
        if match.group(1) in BANNED_IN_SRC and not path.startswith("src/"):
            continue
        if re.match(r"signal\s*\([^;]*,\s*SIG_(DFL|IGN)\)", code[match.start():]):
            continue  # without a handler, it has the same meaning everywhere
        yield line_of(code, match.start()), "banned", f"{match.group(1)}() is banned (base/banned.h, STYLE.md)"


def check_includes(path, text):
    """The include direction between the folders of src/, and the files that may include a library."""
    match = re.fullmatch(r"src/(\w+)/(.+)", path)
    if not match or not path.endswith((".c", ".h")):
        return
    folder, name = match.group(1), match.group(1) + "/" + match.group(2)
    for found in re.finditer(r"^[ \t]*#[ \t]*include[ \t]+[<\"]([^>\"]+)[>\"]", text, re.M):
        line, included = line_of(text, found.start()), found.group(1)
        for library, allowed in LIBRARIES.items():
            if included.startswith(library) and not re.fullmatch(allowed, name):
                yield line, "library", f"{included} is only for {allowed}"
        other = included.split("/")[0] if "/" in included else folder
        if other in INCLUDES and other != folder and other not in INCLUDES.get(folder, set()):
            if (folder, included) not in INCLUDES_ALSO:
                yield line, "include-direction", f"{folder}/ must not include {included}"
        if included.startswith(".."):
            yield line, "include-path", f"{included}: write includes from src/"


def check_own_header(path, text):
    """A .c file includes the header of its name first, which proves that the header is self-contained."""
    match = re.fullmatch(r"src/([\w/]+)\.c", path)
    if not match:
        return
    first = re.search(r"^#include [<\"]([^>\"]+)[>\"]", text, re.M)
    own = match.group(1) + ".h"
    if f'#include "{own}"' in text and first and first.group(1) != own:
        yield line_of(text, first.start()), "own-header", f"include {own} first"


def check_contracts(path, text):
    """A block of prototypes needs a comment in it or a head comment directly above, or a comment that names a function.

    Pairs whose contract is the house's own (x_free, x_name, ...) need none.
    """
    if not re.fullmatch(r"src/.+\.h", path):
        return
    head = text[:text.find("*/")] if text.startswith("/*") else ""
    body_at = len(head) + 2
    line = text.count("\n", 0, body_at) + 1
    depth = 0
    block, block_line, blocks = [], line, []
    for raw in text[body_at:].split("\n") + [""]:
        if raw.strip() == "" and depth == 0:
            blocks.append((block_line, "\n".join(block)))
            block, block_line = [], line + 1
        else:
            block.append(raw)
            depth = max(0, depth + code_only(raw).count("{") - code_only(raw).count("}"))
        line += 1
    not_one = r"static|struct \w+ \{|enum \w* ?\{|typedef|#|\}|__attribute"
    prototype = re.compile(rf"^(?!{not_one})\w[\w \t*]*?[ *](\w+)\(", re.M)
    first = True
    for at, content in blocks:
        names = prototype.findall(code_only(content))
        told = "/*" in content or first or any(name in head for name in names)
        first = first and not re.sub(r"^#.*$", "", content, flags=re.M).strip()
        if names and not told and not all(name.endswith(WELL_KNOWN) for name in names):
            yield at, "contract", f"{names[0]}() has no comment that states its contract"


def check_old_names(path, text):
    if not path.startswith(("src/", "tests/", "bench/")):
        return
    if OLD_FILES.fullmatch(os.path.basename(path)):
        yield 1, "old-name", f"{os.path.basename(path)}: use the term of docs/GLOSSARY.md"
    if not path.endswith((".c", ".h")):
        return
    code = code_only(text)
    for match in re.finditer(r"[A-Za-z_]\w*", code):
        if OLD_IDENTIFIERS.fullmatch(match.group(0)):
            yield line_of(code, match.start()), "old-name", f"{match.group(0)}: use the term of docs/GLOSSARY.md"


RULES = [check_length, check_lines, check_unfinished, check_head, check_functions, check_banned, check_includes,
         check_own_header, check_contracts, check_old_names]


def check_text(path, text):
    return [(path, *finding) for rule in RULES for finding in rule(path, text)]


def check_machine_paths(path, text, root):
    """The tree must not contain paths of the machine that runs the check."""
    home = os.path.expanduser("~").rstrip("/")
    for own in {root, home}:
        if own.count("/") < 2 and own != home or len(own) < 4:
            continue
        for match in re.finditer(r"(?<![\w.}])" + re.escape(own) + r"/", text):
            yield path, line_of(text, match.start()), "machine-path", f"{own}/ is a path of one machine"
    for match in re.finditer(r"(?<![\w.}/])/(home|Users)/(?!\$|\{|<)\w+/", text):
        yield path, line_of(text, match.start()), "machine-path", f"{match.group(0)} is a path of one machine"


# All files that sandboxd, which keeps root, may consist of, besides system headers.
SANDBOXD_SOURCES = re.compile(r"src/(base/.+|run/.+|sandboxd/.+|sandbox/(protocol|archive|image_layers)\.h)")


def check_sandboxd_dependencies(root):
    """What the preprocessor includes for src/sandboxd, at any depth; check_includes sees only the first level."""
    folder = os.path.join(root, "src", "sandboxd")
    sources = sorted(name for name in os.listdir(folder) if name.endswith(".c")) if os.path.isdir(folder) else []
    for name in sources:
        path = f"src/sandboxd/{name}"
        run = subprocess.run(["cc", "-MM", "-Isrc", path], cwd=root, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            yield path, 1, "sandboxd-dependency", "cc -MM failed: " + (run.stderr.strip().split("\n") or [""])[0]
            continue
        included = run.stdout.split(":", 1)[1].replace("\\\n", " ").split()
        for header in included:
            if header.startswith("src/") and not SANDBOXD_SOURCES.fullmatch(os.path.normpath(header)):
                yield path, 1, "sandboxd-dependency", f"includes {os.path.normpath(header)}, at some depth"


def tracked_files(root):
    """Tracked files and untracked files that git does not ignore; without git (in an exported tree), all files."""
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             check=True, capture_output=True).stdout
        names = [name for name in out.decode().split("\0") if name]
        if names:
            return sorted(set(names))
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith("build") and f not in (".git", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def is_text(path):
    return path.endswith(TEXT_SUFFIXES) or os.path.basename(path) in ("dev", "run", ".clang-format", ".clang-tidy")


def check_tree(root):
    root = os.path.abspath(root)
    findings = []
    for path in tracked_files(root):
        full = os.path.join(root, path)
        if not is_text(path) or not os.path.isfile(full):
            continue
        with open(full, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if not PROGRAMS.match(path):
            findings += check_machine_paths(path, text, root)
            findings += check_text(path, text)
    findings += check_sandboxd_dependencies(root)
    return findings


def main(argv):
    root = argv[1] if len(argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    findings = check_tree(root)
    for path, line, rule, what in findings:
        print(f"{path}:{line}: {rule}: {what}")
    print(f"check_style: {len(findings)} finding{'' if len(findings) == 1 else 's'}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
