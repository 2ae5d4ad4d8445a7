"""The field `network`: what a program reaches with and without a loopback network.

The programs are the sections [loopback] of languages/tests, a client and a server in one program.
"""
import os
import re

import pytest

import harness

LANGUAGES = ("python", "javascript", "go", "java")
NO_SOCKET = r"EAFNOSUPPORT|Address family not supported|Unsupported|address family not supported"


@pytest.fixture(scope="module")
def client():
    with harness.shared_server({"EVALX_IMAGES": "/opt/evalx/chroots"}) as process:
        made = process.client()
        yield made
        made.close()


def program_of(language):
    """The request of the language's loopback test."""
    with open(os.path.join(harness.ROOT, "languages", "tests", language + ".conf"), encoding="utf-8") as file:
        section = file.read().split("\n[loopback]\n")[1].split("\n[")[0]
    lines = section.split("code =\n")[1].splitlines()
    code = "\n".join(line.strip()[1:] for line in lines if line.strip().startswith("|"))
    return {"language": language, "version": "latest", "code": code + "\n", "timeout": 10, "expected_output": "hello"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_reaches_itself_only_if_it_asks(client, language):
    program = program_of(language)
    body = [dict(program, network="loopback"), {"expected_output": "hello"}, {"network": "none"}]
    answer = client.post("/execute/batch?wait=60", body)
    if answer.status == 400 and "not installed" in answer.text:
        pytest.skip(f"{language} is not installed on this host")
    results = answer.json()["results"]
    assert [r["status"] for r in results[:2]] == ["accepted"] * 2, results
    assert results[2]["status"] == "runtime_error"
    assert re.search(NO_SOCKET, results[2]["stderr"]), results[2]["stderr"]


def test_none_is_the_default_and_the_cache_knows_the_network(client):
    program = dict(program_of("python"), cache=True)
    first, second, third = (client.post("/execute?wait=60", dict(program, **more)).json()["results"][0]
                            for more in ({"network": "loopback"}, {"network": "none"}, {}))
    assert (first["status"], second["status"], third["status"]) == ("accepted", "runtime_error", "runtime_error")
    assert not second["result_cached"] and third["result_cached"]


@pytest.mark.parametrize("value", ["", "Loopback", "host", True, 1, ["loopback"], {}])
def test_any_other_network_is_refused(client, value):
    answer = client.post("/execute/batch", [{"language": "bash", "version": "5", "code": "true", "network": value}])
    assert answer.status == 400
    assert answer.json()["error"]["field"] == "[0].network"
