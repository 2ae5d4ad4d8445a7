"""pypi: packages of PyPI, as wheels.  No code of a package runs: a package without a wheel cannot be installed."""
import configparser
import json
import os
import re

from artefact import Artefact
from box import BoxFailure
from common import Failure
from unpack import Target, zip_files

INTERPRETER = re.compile(r"python3\.(\d+)|pypy3")
PIP = "python3-pip-whl"  # pip as one file, which hides no package of the image from itself
RESOLVE = """
pip=$(echo /usr/share/python-wheels/pip-*.whl)
exec "$0" "$pip/pip" --quiet install --dry-run --ignore-installed --only-binary :all: \\
    --no-cache-dir --disable-pip-version-check --report - "$@"
"""


def interpreter(root):
    """The newest Python of an image, or None."""
    found = [name for name in os.listdir(f"{root}/usr/bin") if INTERPRETER.fullmatch(name)]
    return f"/usr/bin/{max(found, key=lambda name: int(name[8:] or 0))}" if found else None


def folder_of(work):
    """Where packages go, as a path without the first slash."""
    python = interpreter(work.root)
    if python is None:
        return "usr/local/lib/pypi"
    shown = work.box.output(python, "-c", "import site; print('\\n'.join(site.getsitepackages()))")
    return next(line for line in shown.splitlines() if line.startswith("/usr/local/"))[1:]


def resolve(work, words):
    python = interpreter(work.root)
    box = work.tool_box(*([PIP] if python else [PIP, "python3"]))
    options = ["--break-system-packages"]
    mirror = work.mirrors.registries.get("pypi")
    if mirror:
        options += ["--index-url", f"{mirror}/simple/"]
    try:
        report = box.output("sh", "-ec", RESOLVE, python or "/usr/bin/python3", *options, *words, network=True,
                            shared=work.scratch)
    except BoxFailure as error:
        raise Failure(f"{error.output}\n{work.name}: pip cannot resolve {' '.join(words)}") from None
    own = f"{work.mirrors.registry('pypi')}/"
    artefacts = []
    for each in json.loads(report)["install"]:
        info = each["download_info"]
        artefacts.append(Artefact("pypi", each["metadata"]["name"], each["metadata"]["version"],
                                  info["url"].removeprefix(own), 0, info["archive_info"]["hashes"]["sha256"]))
    return artefacts


def place_of(path, folder):
    """Where a file of a wheel goes; None for those that no program needs."""
    first, _, rest = path.partition("/")
    if not first.endswith(".data"):
        return f"{folder}/{path}"
    kind, _, rest = rest.partition("/")
    return {"purelib": f"{folder}/{rest}", "platlib": f"{folder}/{rest}", "scripts": f"usr/local/bin/{rest}",
            "data": f"usr/local/{rest}"}.get(kind)


def install_commands(target, python, text):
    """The commands that a package defines by functions."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    for name, value in (parser.items("console_scripts") if parser.has_section("console_scripts") else ()):
        module, _, function = value.partition("[")[0].strip().partition(":")
        top = function.partition(".")[0]
        target.write(f"usr/local/bin/{name}", f"#!{python}\nimport sys\nfrom {module} import {top}\n"
                     f"sys.exit({function}())\n".encode(), True)


def install(work, artefacts):
    python, folder = interpreter(work.root), folder_of(work)
    target = Target(work.root)
    for artefact in artefacts:
        for path, file, is_executable in zip_files(work.store.path(artefact)):
            place = place_of(path, folder)
            if place is None:
                continue
            content = file.read()
            is_script = place.startswith("usr/local/bin/")
            if is_script and content.startswith(b"#!python"):
                content = f"#!{python or '/usr/bin/python3'}".encode() + content[len(b"#!python"):]
            target.write(place, content, is_executable or is_script)
            if python and path.endswith(".dist-info/entry_points.txt"):
                install_commands(target, python, content.decode())
    if python:
        # An image is read-only, so Python could not keep what it compiles.
        work.box.run(python, "-c", f"import compileall; compileall.compile_dir('/{folder}', quiet=2, workers=1)")
