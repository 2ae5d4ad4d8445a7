#!/usr/bin/python3
"""The demo: demo.py BINARY starts evalx on a free loopback port with a new data folder, submits demo/batch.json with
`evalx submit --wait`, and compares each verdict with demo/expected.  The exit status is 0 only if all are right.  The
server and the folder are removed afterwards, also after Ctrl-C."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
START = float(os.environ.get("dev_started", time.time()))
READY_SECONDS = 20
STOP_SECONDS = 20


def say(text):
    print(f"[{int(time.time() - START):4d} s] {text}", flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_ready(server, url):
    begin = time.monotonic()
    while time.monotonic() - begin < READY_SECONDS:
        if server.poll() is not None:
            raise RuntimeError(f"evalx ended with status {server.returncode}")
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return time.monotonic() - begin
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise RuntimeError(f"evalx was not ready after {READY_SECONDS} s")


def submit(binary, url):
    """Prints the output of `evalx submit` as it arrives, and returns the token in it."""
    command = [binary, "submit", "--wait", "--server", url, "demo/batch.json"]
    say("$ evalx submit --wait demo/batch.json")
    token = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL) as client:
        for line in client.stdout:
            print("    " + line, end="", flush=True)
            found = re.search(r"\b[0-9A-Z]{26}\b", line)
            token = token or (found and found.group(0))
    # Exit status 3: all have ended, and not all are "accepted", as expected here.
    if not token or client.returncode != 3:
        raise RuntimeError(f"evalx submit ended with status {client.returncode} and token {token}")
    return token


def check(url, token):
    """Number of verdicts that are not the expected ones."""
    with urllib.request.urlopen(f"{url}/submissions/{token}", timeout=10) as answer:
        results = json.load(answer)["results"]
    with open("demo/expected", encoding="utf-8") as file:
        expected = [line.split(maxsplit=2) for line in file]
    if len(results) != len(expected):
        raise RuntimeError(f"{len(results)} results for {len(expected)} programs")
    wrong = 0
    for result, (verdict, source, name) in zip(results, expected):
        if result["status"] != verdict:
            wrong += 1
            say(f"WRONG: {source} ({name.strip()}) ended as {result['status']}, not {verdict}: {json.dumps(result)}")
    say(f"{len(results) - wrong} of {len(results)} verdicts are right")
    return wrong


def stop(server):
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise RuntimeError(f"evalx did not stop within {STOP_SECONDS} s of SIGTERM") from None


def main(argv):
    binary = os.path.abspath(argv[1])
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="evalx-demo-")
    os.chmod(folder, 0o755)
    url = f"http://127.0.0.1:{free_port()}"
    env = {**os.environ, "EVALX_LISTEN": url[len("http://"):], "EVALX_DATA": os.path.join(folder, "data"),
           "EVALX_LANGUAGES": os.path.join(ROOT, "languages")}
    for name in ("REDIS_HOST", "EVALX_STORE", "EVALX_CONFIG"):
        env.pop(name, None)
    os.mkdir(env["EVALX_DATA"])
    server = None
    try:
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8") as log:
            say(f"starting evalx at {url}")
            # In a new session, so that only this script gets Ctrl-C, and stops the server in order.
            server = subprocess.Popen([binary], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      start_new_session=True)
            try:
                say(f"ready after {wait_ready(server, url) * 1000:.0f} ms")
                wrong = check(url, submit(binary, url))
                stop(server)
                say("evalx stopped")
            except (RuntimeError, OSError, ValueError, KeyError) as error:
                say(f"demo failed: {error}")
                log.seek(0)
                print("--- log of evalx\n" + log.read()[-8000:], flush=True)
                return 1
        return 1 if wrong else 0
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if server is not None and server.poll() is None:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
