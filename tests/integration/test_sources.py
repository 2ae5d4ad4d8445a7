"""Sources as editors save them, syntax errors of interpreters, and assertions."""
import pytest

import harness


@pytest.fixture(scope="module")
def server():
    with harness.shared_server() as process:
        yield process


def run(server, language, code, **more):
    (result,) = server.client().run([{"language": language, "version": "*", "code": code, **more}])["results"]
    return result


@pytest.mark.parametrize("language, code, stdout", [
    ("bash", "\ufeffif true; then\r\n  echo yes\r\nfi\r\n", "yes\n"),
    ("python", "\ufeffif True:\r\n    print('yes')\r\n", "yes\n"),
    ("c", "\ufeff#include <stdio.h>\r\nint main(void) { puts(\"yes\"); }\r\n", "yes\n"),
])
def test_a_source_with_a_mark_and_line_ends_of_windows_runs(server, language, code, stdout):
    result = run(server, language, code)
    assert (result["status"], result["stdout"], result["stderr"]) == ("accepted", stdout, None)


def test_a_syntax_error_is_the_compile_error_of_all_tests(server):
    results = server.client().run([{"language": "python", "version": "*", "code": "print(",
                                    "tests": [{"stdin": str(i)} for i in range(20)]}])["results"]
    assert [result["status"] for result in results] == ["compile_error"] * 20
    assert [result["test"] for result in results] == list(range(20))
    assert all("SyntaxError" in result["compile_output"] and result["exit_code"] == 1 for result in results)


@pytest.mark.parametrize("code", ["exec('print(')", "import b", "print(1)\nexec('print(')",
                                  "raise SyntaxError('line 1')"])
def test_a_syntax_error_in_other_text_is_a_runtime_error(server, code):
    result = run(server, "python", code, files=[{"name": "b.py", "content": "print("}])
    assert result["status"] == "runtime_error" and "SyntaxError" in result["stderr"]


def test_assertions_are_for_requests_that_want_them(server):
    client = server.client()
    results = client.run([{"language": "c", "version": "*", "code": "int main(void) { return 0; }"},
                          {"assertions": True}, {"assertions": False}])["results"]
    assert [result["status"] for result in results] == ["accepted"] * 3
    answer = client.post("/execute", {"language": "c", "version": "*", "code": "int main;", "assertions": "yes"})
    assert answer.status == 400 and answer.json()["error"]["field"] == "assertions"
