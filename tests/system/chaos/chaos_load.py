"""chaos_load: the load of ./dev chaos: clients that know what was accepted and what the right answer is.

Every program reads a key that no other submission has, and prints it together with its input.  So a lost, repeated or
swapped result cannot look right.  A submission counts as accepted only if the client has seen its 200.  A client reads
each result again later, and it must be the same to the last byte: a second finish would change it.
"""
import http.client
import random
import socket
import threading
import time

OUTSTANDING_MAX = 12
SLOW_READERS = 4
PATIENCE_SECONDS = 5.0

C_PROGRAM = """
#include <stdio.h>
int main(void)
{
    unsigned long long n, key, sum = 0; /* %(variant)d */
    if (scanf("%%llu %%llu", &n, &key) != 2)
        return 1;
    for (unsigned long long i = 1; i <= n; i++)
        sum += i * i;
    printf("%%llu %%llu\\n", sum, key);
    return 0;
}
"""
PYTHON_PROGRAM = """
import time
n, key = input().split()
time.sleep(%(sleep)s)
print(sum(i * i for i in range(1, int(n) + 1)), key)
"""
BASH_PROGRAM = """
read -r n key
sum=0
for ((i = 1; i <= n; i++)); do sum=$((sum + i * i)); done
echo "$sum $key"
"""
LARGE_PROGRAM = """
n, key = input().split()
print(sum(i * i for i in range(1, int(n) + 1)), key * 4000)
"""
ONE = [{"language": "bash", "version": "*", "code": "echo one"}]
BROKEN_PROGRAM = "int main(void) { return missing_%(variant)d; }\n"


class Submission:
    """An accepted submission: the results it must have, and what was seen of it."""

    def __init__(self, token, wanted):
        self.token = token
        self.wanted = wanted        # (verdict, stdout) of each test
        self.cancel_asked = False   # it may end as cancelled
        self.cancelled = False      # the server reported it as cancelled
        self.ended = None           # the answer, as first seen

    def wrong(self):
        """A description of what is wrong with its end, or None."""
        found = self.ended
        if found is None:
            return "accepted and not ended"
        if found["status"] == "Failed":
            return None if found.get("error") == "cancelled" and self.cancel_asked else f"failed: {found}"
        if self.cancelled:
            return f"was cancelled, and is {found['status']}"
        results = found["results"]
        if found["status"] != "Completed" or len(results) != len(self.wanted):
            return f"{found['status']} with {len(results)} results of {len(self.wanted)}"
        for (verdict, stdout), result in zip(self.wanted, results):
            if result["status"] != verdict or result["stdout"] != stdout:
                return f"wanted {verdict} {stdout!r}, got {result}"
        return None


def make_request(rng, key):
    """(path, body, wanted) of a submission that nobody else makes."""
    kind = rng.choices(["python", "bash", "c", "broken", "large"], [35, 39, 21, 3, 2])[0]
    inputs = [(rng.randrange(1, 120), f"{key}{i:03d}") for i in range(rng.choice([1, 1, 2, 4, 7]))]
    values = {"variant": rng.randrange(12), "sleep": rng.choice([0, 0, 0, 0.3, 1.2])}
    language = {"broken": "c", "large": "python"}.get(kind, kind)
    code = {"python": PYTHON_PROGRAM, "bash": BASH_PROGRAM, "c": C_PROGRAM, "broken": BROKEN_PROGRAM,
            "large": LARGE_PROGRAM}[kind] % values
    # A verdict must not depend on how slow this machine is while things are stopped and restarted.
    first = {"language": language, "version": "latest", "code": code, "timeout": 30, "memory_limit": "256m"}
    priority = rng.choice([None, None, "high", "normal", "low"])
    if priority:
        first["priority"] = priority
    if kind == "broken":
        wanted = [("compile_error", "")] * len(inputs)
    else:
        times = 4000 if kind == "large" else 1
        wanted = [("accepted", f"{n * (n + 1) * (2 * n + 1) // 6} {one * times}\n") for n, one in inputs]
    stdins = [f"{n} {one}\n" for n, one in inputs]
    if rng.random() < 0.3:
        return "/execute", {**first, "tests": [{"stdin": stdin} for stdin in stdins]}, wanted
    return "/execute/batch", [{**first, "stdin": stdins[0]}] + [{"stdin": stdin} for stdin in stdins[1:]], wanted


class Load:
    """Clients in threads.  stop() ends submitting, settle() waits for what was accepted, problems() reports."""

    def __init__(self, urls, clients, seed, make_client):
        self.urls, self.seed, self.make_client = urls, seed, make_client
        self.lock = threading.Lock()
        self.accepted = []
        self.faults = []            # descriptions of what must never happen
        self.counts = {"refused": 0, "broken": 0, "polls": 0, "cancels": 0}
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(i,), daemon=True) for i in range(clients)]
        self.threads += [threading.Thread(target=self.slow_reader, args=(i,), daemon=True) for i in range(SLOW_READERS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                self.faults.append("a client hangs")

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def ask(self, rng, method, path, body=None):
        """One request to one of the servers.  None if its outcome is unknown."""
        link = self.make_client(rng.choice(self.urls), PATIENCE_SECONDS)
        try:
            answer = link.request(method, path, body)
        except (OSError, http.client.HTTPException):
            self.count("broken")
            return None
        finally:
            link.close()
        if answer.status == 503:
            self.count("refused")
            return None
        return answer

    def submit(self, rng, key):
        path, body, wanted = make_request(rng, key)
        answer = self.ask(rng, "POST", path, body)
        if answer is None:
            return None
        if answer.status != 200:
            self.fault(f"{path}: {answer.status} {answer.text[:300]}")
            return None
        submission = Submission(answer.json()["token"], wanted)
        with self.lock:
            self.accepted.append(submission)
        return submission

    def look(self, rng, submission):
        """Polls once; True when it has ended.  A result must never change."""
        answer = self.ask(rng, "GET", f"/submissions/{submission.token}")
        if answer is None:
            return False
        self.count("polls")
        if answer.status != 200:
            self.fault(f"{submission.token} was accepted, and now: {answer.status} {answer.text[:200]}")
            return False
        found = answer.json()
        ended = found["status"] in ("Completed", "Failed")
        if submission.ended is None:
            submission.ended = found if ended else None
        elif found != submission.ended:
            self.fault(f"{submission.token} had ended as {submission.ended}, and now: {found}")
        return ended

    def cancel(self, rng, submission):
        submission.cancel_asked = True
        answer = self.ask(rng, "DELETE", f"/submissions/{submission.token}")
        if answer is None:
            return
        self.count("cancels")
        if answer.status != 200:
            self.fault(f"DELETE of {submission.token}: {answer.status} {answer.text[:200]}")
            return
        found = answer.json()
        if found["status"] not in ("Completed", "Failed"):
            self.fault(f"DELETE of {submission.token} answered {found['status']}")
        submission.cancelled = found["status"] == "Failed" and found.get("error") == "cancelled"

    def slow_reader(self, number):
        """Asks for the same result many times over one connection, and reads a few bytes a second."""
        rng = random.Random(f"{self.seed} slow reader {number}")
        while not self.stopping.wait(0.5):
            with self.lock:
                submission = rng.choice(self.accepted) if self.accepted else None
            if submission is None:
                continue
            host, port = rng.choice(self.urls).split("://")[1].split(":")
            request = f"GET /submissions/{submission.token} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            with socket.socket() as link:
                link.settimeout(PATIENCE_SECONDS)
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                try:
                    link.connect((host, int(port)))
                    link.sendall(request * 20)
                    for _ in range(10):
                        if self.stopping.wait(0.5) or not link.recv(64):
                            break
                except OSError:
                    pass

    def client(self, number):
        rng = random.Random(f"{self.seed} client {number}")
        key, waiting, ended = (number + 1) * 1_000_000, [], []
        try:
            while not self.stopping.is_set():
                if len(waiting) < OUTSTANDING_MAX:
                    key += 1
                    submission = self.submit(rng, key)
                    if submission is None:
                        time.sleep(rng.uniform(0.05, 0.3))
                        continue
                    waiting.append(submission)
                    if rng.random() < 0.07:
                        time.sleep(rng.uniform(0, 0.4))
                        self.cancel(rng, submission)
                else:
                    time.sleep(0.05)
                submission = rng.choice(waiting)
                if self.look(rng, submission):
                    waiting.remove(submission)
                    ended.append(submission)
                if ended and rng.random() < 0.2:
                    self.look(rng, rng.choice(ended))
        except BaseException as error:  # noqa: B902 - a client that ends early would make the load look fine
            self.fault(f"client {number}: {error!r}")
            raise

    def settle(self, seconds):
        """When everything is up: waits until all accepted submissions have ended, then reads each once more."""
        rng = random.Random(self.seed)
        end = time.monotonic() + seconds
        waiting = [submission for submission in self.accepted if submission.ended is None]
        while waiting and time.monotonic() < end:
            waiting = [submission for submission in waiting if not self.look(rng, submission)]
            time.sleep(0.2)
        for submission in self.accepted:
            for _ in range(5):
                if submission.ended is None or self.look(rng, submission):
                    break

    def problems(self):
        wrong = [(submission.token, submission.wrong()) for submission in self.accepted]
        return self.faults + [f"{token}: {why}" for token, why in wrong if why]
