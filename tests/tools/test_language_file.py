"""language_file and catalogue: what the tools read out of language files, and the row it becomes."""
import os

import catalogue
import language_file

TEXT = """# A comment
id = x
name = X ; not part of it
source = main.x
binary = main
compile = /usr/bin/xc -B{prepared}/ -m{memory_mb}
  -o {binary} {source} {files}
run = /box/{binary} -f{if_prepared} -h{heap_mb} --class={main} {args}
env = PATH=/usr/bin
  HOME=/box

[limits]
memory_bytes = 512m

[hello]
code =
  |# no comment
  |
  |    a ; b
stdin = evalx
"""


def parsed(tmp_path, monkeypatch, text=TEXT):
    monkeypatch.setattr(language_file, "ROOT", str(tmp_path))
    os.makedirs(tmp_path / "languages")
    (tmp_path / "languages" / "x.conf").write_text(text, encoding="utf-8")
    return language_file.read("x")


def test_values_and_blocks(tmp_path, monkeypatch):
    found = parsed(tmp_path, monkeypatch)
    assert found[""]["name"] == "X" and found[""]["env"] == "PATH=/usr/bin\nHOME=/box"
    assert found["hello"] == {"code": "# no comment\n\n    a ; b\n", "stdin": "evalx\n"}


def test_commands_are_filled_in(tmp_path, monkeypatch):
    found = parsed(tmp_path, monkeypatch)
    assert language_file.command(found, "compile") == ["/usr/bin/xc", "-m512", "-o", "main", "main.x"]
    assert language_file.command(found, "run") == ["/box/main", "-h307", "--class=main"]


def test_a_limit_that_is_not_there(tmp_path, monkeypatch):
    found = parsed(tmp_path, monkeypatch, TEXT.replace("memory_bytes = 512m", "processes = 9"))
    assert language_file.command(found, "run")[1] == "-h153"


def test_no_placeholder_is_left_in_any_language():
    names = [name[:-5] for name in os.listdir(os.path.join(language_file.ROOT, "languages")) if name.endswith(".conf")]
    assert len(names) > 80
    for name in names:
        found = language_file.read(name)
        words = language_file.command(found, "compile") + language_file.command(found, "run")
        assert words and not [word for word in words if "{" in word], name
        assert found["hello"]["code"].strip(), name


def test_a_row_of_the_catalogue():
    entry = {"id": "lua", "cases": {"hello": True, "args": True}, "compile_seconds": 0, "hello_seconds": 0.00234,
             "plain_ms": 12.6, "smallest_memory_bytes": 1 << 20}
    assert catalogue.row(entry) == "| lua | Lua | 5.4 | lua-5.4 | hello, args |  | 2.3 | 13 | 1 |\n"
    assert catalogue.summary([entry]) == ("\n1 versions of 1 languages passed; in 1 of 1 hello takes less time than "
                                          "started plainly.\n")
