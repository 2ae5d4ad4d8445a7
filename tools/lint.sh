#!/bin/sh
# lint: the checks that need no run of evalx.  Prints a plain count of checks; the exit status is 1 if one failed.
# shellcheck disable=SC2317 # the checks are called through check()
set -u
. tools/common.sh
failures=0
passed=0

check()
{
    name=$1
    shift
    if "$@"; then
        say "ok: $name"
        passed=$((passed + 1))
    else
        echo "FAILED:  lint: $name"
        failures=$((failures + 1))
    fi
}

scripts()
{
    if [ -d .git ] && command -v git >/dev/null; then
        git ls-files -- '*.sh' dev .ci/run deploy/images/evalx-images 'deploy/libexec/*' \
            deploy/aws/fetch-secret deploy/aws/lifecycle-drain ':!tests/sandbox/attacks' ':!demo'
    else
        find dev .ci/run tools tests bench deploy -path tests/sandbox/attacks -prune -o \
            \( -name '*.sh' -o -name dev -o -name run -o -name evalx-images -o \
            -path 'deploy/libexec/*' -o -name fetch-secret -o -name lifecycle-drain \) -print
    fi
}

compiles()
{
    # Parsed in memory, so that no __pycache__ appears beside the sources.
    /usr/bin/python3 - <<'END'
import ast, pathlib, sys
bad = 0
for folder in ("tools", "tests", "bench", "demo", "deploy"):
    for path in sorted([*pathlib.Path(folder).rglob("*.py"), *pathlib.Path(folder).rglob("evalx-aws")]):
        if "attacks" in path.parts:  # some are broken on purpose
            continue
        try:
            ast.parse(path.read_text(encoding="utf-8"), str(path))
        except SyntaxError as error:
            print(f"{path}:{error.lineno}: {error.msg}")
            bad = 1
sys.exit(bad)
END
}

# The sources that meson compiles.  They are built first, because some include generated headers.
tidy()
{
    build_in "$build"
    /usr/bin/python3 - "$build" <<'END' | xargs -r -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" 2>"$build/tidy.log"
import json, os, sys
files = {os.path.relpath(os.path.join(e["directory"], e["file"]))
         for e in json.load(open(sys.argv[1] + "/compile_commands.json"))}
print("\n".join(sorted(f for f in files if f.startswith("src/") and f.endswith(".c"))))
END
}

# With -O3 the compiler sees more, and warns of more.
release()
{
    (build_in "$build-release" --buildtype=release -Dtests=false)
}

# clang-format 14 decides the layout of all C sources, except programs for the sandbox and fuzz inputs.
layout()
{
    git ls-files '*.c' '*.h' | grep -Ev '^(demo|languages|tests/sandbox/attacks|tests/fuzz/corpus)/' |
        xargs clang-format --dry-run -Werror
}

spelling()
{
    git ls-files | grep -Ev '^(LICENSE|languages/tests/|tests/sandbox/attacks/|tests/fuzz/corpus/)|\.svg$' |
        xargs codespell
}

# Undefined and unused names in Python.
names()
{
    git ls-files '*.py' | grep -Ev '^(demo|languages|tests/sandbox/attacks)/' | xargs /usr/bin/python3 -m pyflakes
}

pycheck()
{
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/tools
}

check "house style" /usr/bin/python3 tools/check_style.py
check "clang-format" layout
check "spelling" spelling
check "prose of documents and comments" /usr/bin/python3 tools/check_prose.py
# shellcheck disable=SC2046 # a list of names without blanks
check "shell scripts" shellcheck -x $(scripts)
check "python files parse" compiles
check "python names" names
check "demo/batch.json belongs to its sources" /usr/bin/python3 tools/make_demo.py --check
check "clang-tidy" tidy
check "a release build without warnings" release
# After the build that clang-tidy needs: some tests run evalx.
check "tests of tools and runners" pycheck
echo "$passed passed, $failures failed"
exit $((failures > 0))
