"""check_prose.py: that each rule catches a bad document, and leaves a good one alone."""
import pytest

import check_prose

LONG = " ".join(["word"] * 36)


def rules(path, text):
    return [rule for _path, _line, rule, _what in check_prose.check_file(path, text)]


@pytest.mark.parametrize("rule, path, text", [
    ("long-sentence", "docs/a.md", f"The {LONG}.\n"),
    ("long-sentence", "docs/a.md", f"- An item.\n- The {LONG}.\n"),
    ("mean-sentence", "README.md", ("The " + " ".join(["word"] * 24) + ".\n\n") * 3),
    ("phrase", "docs/a.md", "A page for who has never seen it.\n"),
    ("phrase", "src/a/b.c", "/* The walls stand. */\n"),
    ("phrase", "man/evalx.1", "It says so itself, for ever.\n"),
])
def test_a_bad_document_is_caught(rule, path, text):
    assert rule in rules(path, text)


@pytest.mark.parametrize("path, text", [
    ("docs/a.md", "A short sentence. Another one (in brackets). A third: with a colon.\n"),
    ("docs/a.md", f"| {LONG} | in a table |\n"),
    ("docs/a.md", f"```\n{LONG} {LONG}\n```\n"),
    ("docs/a.md", f"Text.\n\n    {LONG} {LONG}\n"),
    ("docs/a.md", f"See [a page](https://example.org/{'x' * 400}).\n"),
    ("docs/guide/LANGUAGES.md", f"The {LONG}.\n"),
    ("src/a/b.c", f"/* The {LONG}. */\n"),
])
def test_a_good_document_is_left_alone(path, text):
    assert rules(path, text) == []


def test_a_finding_names_its_line():
    findings = list(check_prose.check_file("docs/a.md", f"# Head\n\nFine.\n\nThe {LONG}.\n"))
    assert [(path, line) for path, line, _rule, _what in findings] == [("docs/a.md", 5)]
