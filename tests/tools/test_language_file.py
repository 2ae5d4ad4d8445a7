"""language_file and catalogue: what the tools know of languages, and the row it becomes."""
import os
import shutil

import pytest

import catalogue
import language_file

TEXT = """# A comment
[language]
id = x
name = X ; not part of it
version = 1
image = i-{version}
source = main.x
binary = main
compile = /usr/bin/xc -B{prepared}/ -m{memory_mb}
  -o {binary} {source} {files}
run = /box/{binary} -f{if_prepared} -h{heap_mb} --class={main} {args}
env = PATH=/usr/bin
  HOME=/box

[prepare]
script =
  |make

[limits]
memory_bytes = 512m

[hello]
code =
  |# no comment
  |
  |    a ; b
stdin = evalx

[version 2]
[limits]
memory_bytes = 256m
"""


@pytest.fixture(autouse=True)
def built():
    if not os.access(language_file.EVALX, os.X_OK):
        pytest.skip("evalx is not built")


def parsed(tmp_path, text=TEXT):
    (tmp_path / "x.conf").write_text(text, encoding="utf-8")
    return language_file.read_all(str(tmp_path))


def test_values_and_blocks(tmp_path):
    found = parsed(tmp_path)["x"]
    assert found["name"] == "X" and found["env"] == ["PATH=/usr/bin", "HOME=/box"]
    assert found["hello"] == {"code": "# no comment\n\n    a ; b\n", "stdin": "evalx\n", "stdout": ""}


def test_a_version(tmp_path):
    found = parsed(tmp_path)["x-2"]
    assert found["name"] == "X" and found["of"] == "x" and found["image"] == "i-2"


def test_commands_are_filled_in(tmp_path):
    found = parsed(tmp_path)
    assert language_file.command(found["x"], "compile") == ["/usr/bin/xc", "-m512", "-o", "main", "main.x"]
    assert language_file.command(found["x"], "run") == ["/box/main", "-h307", "--class=main"]


def test_a_limit_that_is_not_there(tmp_path):
    found = parsed(tmp_path)
    assert language_file.command(found["x-2"], "run")[1] == "-h153"


def test_no_placeholder_is_left_in_any_language():
    assert len(language_file.read_all()) > 80
    for name, found in language_file.read_all().items():
        words = language_file.command(found, "compile") + language_file.command(found, "run")
        assert words and not [word for word in words if "{" in word], name
        assert found["hello"]["code"].strip(), name


def test_a_file_of_its_own_reads_the_same(tmp_path):
    def whole(folder):
        """Without `latest`, which depends on the versions beside it."""
        return {name: {**entry, "latest": None} for name, entry in language_file.read_all(folder).items()
                if entry["of"] is None}

    expected = whole(os.path.join(language_file.ROOT, "languages"))
    for name, entry in expected.items():
        (tmp_path / (name + ".conf")).write_text(language_file.text(entry), encoding="utf-8")
    assert whole(str(tmp_path)) == expected


def test_a_version_takes_three_lines(tmp_path):
    """As docs/guide/ADDING-A-LANGUAGE.md promises."""
    for name in ("defaults.conf", "python.conf"):
        shutil.copy(os.path.join(language_file.ROOT, "languages", name), tmp_path)
    with open(tmp_path / "python.conf", "a", encoding="utf-8") as file:
        file.write("\n[version 3.16]\nsuite = forky\nimage = python-3.16\n")
    languages = language_file.read_all(str(tmp_path))
    added, known = languages["python-3.16"], language_file.read("python-3.13")
    assert added["version"] == "3.16" and added["image"] == "python-3.16" and added["of"] == "python"
    for key in ("name", "class", "source", "run", "prestart", "cold_if", "env", "needs", "limits", "hello"):
        assert added[key] == known[key], key


def test_a_row_of_the_catalogue():
    entry = {"id": "lua", "cases": {"hello": True, "args": True}, "compile_seconds": 0, "hello_seconds": 0.00234,
             "plain_ms": 12.6, "smallest_memory_bytes": 1 << 20}
    assert catalogue.row(entry) == "| lua | Lua | 5.4 | lua-5.4 | 2 |  | 2.3 | 13 | 1 |  |  |\n"
    assert catalogue.summary([entry]) == ("\n1 versions of 1 languages passed; in 1 of 1 hello takes less time than "
                                          "started plainly.\n")
