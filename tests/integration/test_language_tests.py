"""evalx languages verify: what the sections of language tests mean, and which mistakes in them are named."""
import json
import os

import pytest

import harness
from test_cli import write

SECTIONS = """
[new]
since = 5.2
code = exit 0
[newer]
since = 5.3
code = exit 1
[others]
except = zsh bash
code = exit 1
[live_data]
memory = 64m
percent = 25
code =
  |read n
  |echo $n
[packages]
names = grep sort
  no-such-tool
code = test -x /usr/bin/{package} && echo {package}
[several]
file = a/b
file_code = one
file2 = c
file2_code = two
file3 = d
file3_code = three
code = cat a/b c d
stdout =
  |one
  |two
  |three
"""
HOLDS_DATA = r"|data=$(head -c $((n << 20)) /dev/zero | tr '\0' x); echo $((${#data} >> 20))"


def test_sections_of_language_tests(evalx, folder):
    languages = os.path.join(folder, "languages")
    os.makedirs(os.path.join(languages, "tests"))
    write(languages, "bash.conf", harness.language_on_host("bash"))
    write(os.path.join(languages, "tests"), "bash.conf", SECTIONS)
    env = {"EVALX_LANGUAGES": languages}
    (entry,) = json.loads(evalx("languages", "verify", "--json", "bash", env=env, seconds=120).stdout)
    assert set(entry["cases"]) == {"hello", "new", "live_data", "several"} and entry["packages"] == {}
    # It holds nothing, which memory_bytes tells.
    assert entry["cases"].pop("live_data").startswith("live_data: 16 MiB of data, but memory_bytes is ")
    assert all(passes is True for passes in entry["cases"].values()), entry
    write(os.path.join(languages, "tests"), "bash.conf", SECTIONS.replace("|echo $n", HOLDS_DATA))
    (entry,) = json.loads(evalx("languages", "verify", "--json", "--packages", "bash", env=env, seconds=120).stdout)
    assert all(passes is True for passes in entry["cases"].values()), entry
    assert entry["packages"]["grep"] > 0 and entry["packages"]["sort"] > 0
    assert entry["packages"]["no-such-tool"].startswith("no-such-tool: expected accepted, got runtime_error")
    assert not entry["works"] and entry["reason"] == entry["packages"]["no-such-tool"]


@pytest.mark.parametrize("text, problem", [
    ("[live_data]\npercent = 101\ncode = x\n", "[live_data]: expected a percent"),
    ("[live_data]\nstdin = 1\ncode = x\n", "[live_data]: expected no stdin and no stdout"),
    ("[x]\nsince = new\ncode = x\n", "[x] since: expected a version such as 3.12"),
])
def test_a_mistake_in_language_tests_is_named(evalx, folder, text, problem):
    languages = os.path.join(folder, "languages")
    os.makedirs(os.path.join(languages, "tests"))
    write(languages, "bash.conf", harness.language_on_host("bash"))
    write(os.path.join(languages, "tests"), "bash.conf", text)
    done = evalx("languages", "verify", "bash", env={"EVALX_LANGUAGES": languages})
    assert done.returncode == 1 and problem in done.stderr


def test_hello_must_leave_nothing_else(evalx, folder):
    languages = os.path.join(folder, "languages")
    os.makedirs(languages)
    hello = {"code": "read name; echo Hello, $name; echo warning: old shell >&2", "stdin": "evalx",
             "stdout": "Hello, evalx"}
    write(languages, "bash.conf", harness.language_on_host("bash", hello=hello))
    done = evalx("languages", "verify", "bash", env={"EVALX_LANGUAGES": languages})
    assert done.returncode == 1 and "hello: expected no stderr, got warning: old shell" in done.stdout


def test_languages_verify_reads_tests_that_only_root_can_read(evalx, folder):
    languages = os.path.join(folder, "languages")
    os.makedirs(os.path.join(languages, "tests"))
    write(languages, "bash.conf", harness.language_on_host("bash"))
    write(os.path.join(languages, "tests"), "bash.conf", "[echo]\ncode = echo one\nstdout = two\n")
    os.chmod(languages, 0o700)
    env = {"EVALX_LANGUAGES": languages}
    done = evalx("languages", "verify", "bash", env=env)
    assert done.returncode == 1 and "echo: expected accepted, got wrong_answer" in done.stdout
    write(os.path.join(languages, "tests"), "bash.conf", "[echo]\ncode = echo one\nstdin 3\n")
    done = evalx("languages", "verify", "bash", env=env)
    assert done.returncode == 1 and "tests/bash.conf" in done.stderr and done.stdout == ""
