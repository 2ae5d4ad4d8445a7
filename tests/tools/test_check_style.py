"""Each rule of check_style.py catches a bad file, and a good file passes them all."""
import pytest

import check_style

HEAD = "/* thing: what it is for. */\n"


def rules_of(path, text):
    return {finding[2] for finding in check_style.check_text(path, text)}


def function(lines):
    return "int thing_do(void)\n{\n" + "    ;\n" * (lines - 2) + "}\n"


BAD = [
    ("file-length", "src/model/thing.c", HEAD + "\n" * 600),
    ("file-length", "tests/integration/test_thing.py", "\n" * 601),
    ("function-length", "src/model/thing.c", HEAD + function(81)),
    ("line-length", "src/model/thing.c", HEAD + "int a;" + " " * 120 + "int b;\n"),
    ("tab", "src/model/thing.c", HEAD + "\tint a;\n"),
    ("trailing-blank", "src/model/thing.c", HEAD + "int a; \n"),
    ("unfinished", "src/model/thing.c", HEAD + "/* TO" "DO: the rest */\n"),
    ("unfinished", "docs/guide/API.md", "FIX" "ME\n"),
    ("head-comment", "src/model/thing.c", "#include <stdio.h>\n"),
    ("pragma-once", "src/model/thing.h", HEAD),
    ("include-direction", "src/base/thing.c", HEAD + '#include "model/limits.h"\n'),
    ("include-direction", "src/model/thing.c", HEAD + '#include "queue/queue.h"\n'),
    ("include-direction", "src/queue/thing.c", HEAD + '#include "sandbox/sandbox.h"\n'),
    ("include-direction", "src/sandbox/thing.c", HEAD + '#include "metrics/metrics.h"\n'),
    ("include-direction", "src/metrics/thing.c", HEAD + '#include "queue/queue.h"\n'),
    ("include-direction", "src/metrics/thing.c", HEAD + '#include "queue/async_store.h"\n'),
    ("include-direction", "src/worker/thing.c", HEAD + '#include "api/api.h"\n'),
    ("include-direction", "src/api/thing.c", HEAD + '#include "worker/worker.h"\n'),
    ("include-direction", "src/api/thing.c", HEAD + '#include "cli/cli.h"\n'),
    ("include-path", "src/api/thing.c", HEAD + '#include "../base/error.h"\n'),
    ("own-header", "src/model/thing.c", HEAD + '#include <stdio.h>\n#include "model/thing.h"\n'),
    ("library", "src/http/route.c", HEAD + "#include <microhttpd.h>\n"),
    ("library", "src/worker/worker.c", HEAD + "#include <hiredis/hiredis.h>\n"),
    ("library", "src/queue/redis/connection.c", HEAD + "#include <openssl/ssl.h>\n"),
    ("library", "src/queue/redis/connection.c", HEAD + "#include <sqlite3.h>\n"),
    ("library", "src/model/language.c", HEAD + "#include <jansson.h>\n"),
    ("library", "src/api/api.c", HEAD + "#include <curl/curl.h>\n"),
    ("library", "src/sandbox/stage.c", HEAD + "#include <seccomp.h>\n"),
    ("library", "src/http/server.c", HEAD + "#include <wslay/wslay.h>\n"),
    ("contract", "src/model/thing.h", HEAD + "#pragma once\n\nstruct a;\n\n"
                                     "int other_do(int a,\n             int b);\n"),
] + [("banned", "src/model/thing.c", HEAD + f"int a = {name}(x);\n")
     for name in check_style.BANNED + check_style.BANNED_IN_SRC]


@pytest.mark.parametrize("rule,path,text", BAD, ids=[f"{i}-{bad[0]}" for i, bad in enumerate(BAD)])
def test_bad_file_is_caught(rule, path, text):
    assert rule in rules_of(path, text)


GOOD = [
    ("src/model/thing.c", HEAD + '#include "model/thing.h"\n\n#include <stdio.h>\n' + function(80)),
    ("src/model/thing.c", HEAD + '/* strcpy(a, b) */\nconst char *why = "strcpy(";\nint a = event.signal(3);\n'),
    ("src/model/thing.h", HEAD + "#pragma once\n\nvoid first_of_file(void);\n\nvoid thing_free(void *thing);\n"),
    ("src/model/thing.h", HEAD + "#pragma once\n\n/* Does it. */\nint other_do(int a);\nint other_undo(int a);\n"),
    ("src/model/thing.h", "/* thing: thing_do does it. */\n#pragma once\n\nint thing_do(int a);\n"),
    ("src/sandbox/thing.c", HEAD + "int a = signal(number, SIG_DFL);\n"),
    ("tests/unit/test_thing.c", HEAD + "int a = popen(x);\n"),
    ("src/http/server.c", HEAD + "#include <microhttpd.h>\n"),
    ("src/queue/redis/connection.c", HEAD + "#include <hiredis/hiredis.h>\n"),
    ("src/codec/request_json.c", HEAD + "#include <jansson.h>\n"),
    ("src/cli/submit.c", HEAD + '#include <curl/curl.h>\n#include <jansson.h>\n\n#include "worker/worker.h"\n'),
]


@pytest.mark.parametrize("path,text", GOOD, ids=[str(i) for i in range(len(GOOD))])
def test_good_file_passes(path, text):
    assert check_style.check_text(path, text) == []


def test_path_of_this_machine_is_caught(tmp_path):
    (tmp_path / "notes.md").write_text(f"see {tmp_path}/notes.md\n")
    assert {finding[2] for finding in check_style.check_tree(str(tmp_path))} == {"machine-path"}


def test_programs_for_the_sandbox_are_not_judged(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "bad.c").write_text("int main(void) { strcpy(a, b); }\n")
    assert check_style.check_tree(str(tmp_path)) == []


def write_tree(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_sandboxd_dependencies_are_followed_to_any_depth(tmp_path):
    """The include that is wrong is two headers away, and each of these headers may be included."""
    write_tree(tmp_path, {
        "src/sandboxd/slot.c": HEAD + '#include <stdio.h>\n#include "sandbox/protocol.h"\n',
        "src/sandbox/protocol.h": HEAD + '#pragma once\n#include "base/error.h"\n',
        "src/base/error.h": HEAD + '#pragma once\n#include "model/result.h"\n',
        "src/model/result.h": HEAD + "#pragma once\n",
    })
    assert [(path, rule, "src/model/result.h" in what)
            for path, _, rule, what in check_style.check_sandboxd_dependencies(str(tmp_path))] == [
                ("src/sandboxd/slot.c", "sandboxd-dependency", True)]


@pytest.mark.parametrize("header,is_allowed", [
    ("base/error.h", True), ("run/run.h", True), ("sandbox/protocol.h", True), ("sandbox/archive.h", True),
    ("sandbox/image_layers.h", True), ("sandboxd/slot.h", True), ("sandbox/sandbox.h", False),
    ("model/result.h", False),
    ("config/config.h", False),
])
def test_sandboxd_includes_little(tmp_path, header, is_allowed):
    write_tree(tmp_path, {"src/" + header: HEAD + "#pragma once\n",
                          "src/sandboxd/slot.c": HEAD + f'#include "{header}"\n'})
    assert (list(check_style.check_sandboxd_dependencies(str(tmp_path))) == []) == is_allowed


def test_main_fails_on_findings_only(tmp_path, capsys):
    (tmp_path / "good.md").write_text("good\n")
    assert check_style.main(["check_style.py", str(tmp_path)]) == 0
    (tmp_path / "bad.c").write_text("int a;\n")
    assert check_style.main(["check_style.py", str(tmp_path)]) == 1
    assert "bad.c:1: head-comment" in capsys.readouterr().out
