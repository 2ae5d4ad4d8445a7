"""The load balancer's rules in front of the real evalx: they forward the paths of clients, but not those of operators.

A small HTTP relay applies the rules of service.yaml: it forwards matching paths and answers 404 to all others.
"""
import fnmatch
import http.client
import http.server
import os
import subprocess
import threading

import pytest

import templates

harness = pytest.importorskip("harness")
SCRIPT = os.path.join(templates.DEPLOY, "aws", "deploy.sh")


def patterns():
    rules = templates.resources_of(templates.load("service.yaml"), "AWS::ElasticLoadBalancingV2::ListenerRule")
    return [value for rule in rules.values() for condition in rule["Conditions"]
            for value in condition["PathPatternConfig"]["Values"]]


def relay(port, allowed):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.split("?")[0]  # not decoded, because a load balancer decodes nothing
            if not any(fnmatch.fnmatchcase(path, pattern) for pattern in allowed):
                status, kind, text = 404, "application/json", b'{"error":"not found"}'
            else:
                link = http.client.HTTPConnection("127.0.0.1", port, timeout=70)
                headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
                link.request(self.command, self.path, body or None, headers)
                answer = link.getresponse()
                status, kind, text = answer.status, answer.headers["Content-Type"], answer.read()
                link.close()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = pass_on

        def log_message(self, *_):
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """The address of a relay in front of an engine."""
    if os.geteuid() != 0 or not os.access(harness.BINARY, os.X_OK):
        pytest.skip("evalx is not built, or this is not root, whom the sandbox needs")
    folder = harness.make_folder()
    server = harness.Evalx("server", ["server"], folder)
    server.start().wait_ready()
    front = relay(server.port, patterns())
    threading.Thread(target=front.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{front.server_port}"
    front.shutdown()
    server.stop()
    server.assert_nothing_left()
    harness.remove_folder(folder)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/languages"])
def test_clients_pass(door, path):
    assert harness.Client(door).get(path).status == 200


# evalx decodes a path before it matches it, so an encoded path must not pass the rules either.
@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "/dead", "/dead/x", "/%64ead", "/queue", "/workers",
                                  "/submissions/../metrics", "/submissions/%2e%2e/metrics", "/healthz/../metrics",
                                  "/submissions/..%2fmetrics", "//metrics", "/execute/../dead"])
def test_operators_paths_are_closed(door, path):
    answer = harness.Client(door).get(path)
    assert answer.status in (400, 404), answer.text
    assert "evalx_" not in answer.text and "tokens" not in answer.text


def test_the_test_of_the_fleet_passes(door):
    """deploy.sh test, called as in the manual."""
    found = subprocess.run(["sh", SCRIPT, "test", "--region", templates.REGION], capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, env={**os.environ, "EVALX_URL": door}, check=False, timeout=200)
    if "the aws command is missing" in found.stderr:
        pytest.skip("the aws command is not installed")
    assert found.returncode == 0 and "the fleet works" in found.stderr, found.stderr
