"""attack: reads hostile programs and their expected results, and compares results with them.  Standard library only.

The first comment of a program describes it (see attacks/README.md).  A request in the folder service/ is JSON.
"""
import json
import os
import re
import shlex

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attacks")
SUFFIXES = {".c": "c", ".s": "assembly", ".cpp": "cpp", ".py": "python", ".js": "javascript", ".java": "java",
            ".sh": "bash"}
# Assembly is compiled as language c, with a source of one line that includes the file.
ASSEMBLY_SOURCE = '__asm__(".include \\"attack.inc\\"");\n'
VERDICTS = {"accepted", "wrong_answer", "compile_error", "runtime_error", "time_limit", "memory_limit", "output_limit",
            "cancelled", "internal_error"}
# A result that contains one of these has failed, whatever was expected: programs print it when an attack succeeded.
ESCAPED = "ESCAPED"

TEXT_KEYS = {"attack", "expect", "language", "after", "beside", "host", "needs", "part", "differ"}
JSON_KEYS = {"limits", "network", "stdin", "args", "files", "copies", "delay"}
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# The default limits, as in run/run.h.
TIMES_BY_DEFAULT = {"cpu_time_ms": 5000, "wall_time_ms": 10000}


class Malformed(Exception):
    """The description of an attack is invalid."""


def read_header(text):
    """The keys of the first comment, each with a list of its values in order."""
    found, last = {}, None
    for line in text.splitlines():
        bare = line.strip()
        if not bare.startswith(("#", "//", "/*", "*")) or bare.startswith(("#include", "#!")):
            break
        bare = re.sub(r"^(#|//|/\*|\*/|\*)\s?", "", bare).strip()
        key, colon, value = bare.partition(":")
        if colon and key in TEXT_KEYS | JSON_KEYS:
            found.setdefault(key, []).append(value.strip())
            last = key
        elif bare not in ("", "/") and last == "attack":
            found["attack"][-1] += " " + bare
    return found


class Expectation:
    """One line `expect:`: verdicts and what else must hold; times are in milliseconds."""

    def __init__(self, line, words, slow):
        self.line, self.slow = line, slow
        self.http, self.verdicts, self.tests = None, set(), []
        for word in shlex.split(fill(line, words)):
            self.add(word)
        if not self.verdicts and self.http is None:
            raise Malformed(f"expects no verdict: {line}")

    def add(self, word):
        match = re.fullmatch(r"(\w+)(!~|<=|>=|=|~)(.*)", word, re.DOTALL)
        if match is None and word == "replaced":
            self.tests.append(("output_replaced", "=", "True"))
        elif match is None:
            names = set(word.split("|"))
            if not names <= VERDICTS:
                raise Malformed(f"no verdict: {word}")
            self.verdicts |= names
        elif match[1] == "http":
            self.http = int(match[3])
        elif match[1] in ("stdout", "stderr", "signal", "exit", "cpu", "wall", "memory", "message", "field"):
            self.tests.append(match.groups())
        else:
            raise Malformed(f"nothing is known about {word}")

    def mismatch(self, result, lenient=False):
        """The mismatch, or None.  Lenient: ignores the figures that a busy machine distorts."""
        if self.http is not None:
            return None if result.get("http") == self.http else f"got {brief(result)}"
        if result.get("status") not in self.verdicts:
            return f"ended as {brief(result)}"
        for name, operator, wanted in self.tests:
            if lenient and name in ("cpu", "wall"):
                continue
            if not self.holds(name, operator, wanted, result):
                return f"{name} {operator} {wanted!r} does not hold: {brief(result)}"
        return None

    def holds(self, name, operator, wanted, result):
        if operator in ("<=", ">="):
            value, limit = self.number(name, wanted, result)
            return value <= limit if operator == "<=" else value >= limit
        value = {"exit": "exit_code"}.get(name, name)
        value = result.get(value)
        text = "" if value is None else str(value)
        wanted = unescape(wanted)
        if name == "signal":
            return text in wanted.split("|")
        if operator == "=":
            return text == wanted
        return (re.search(wanted, text, re.DOTALL) is None) == (operator == "!~")

    def number(self, name, wanted, result):
        if name in ("cpu", "wall"):
            return result[name + "_time"] * 1000, float(wanted) * self.slow
        amount, unit = re.fullmatch(r"(\d+)([kmg]?)", wanted).groups()
        value = result["memory_bytes"] if name == "memory" else len(result.get(name) or "")
        return value, int(amount) * UNITS[unit]


def unescape(text):
    """Replaces backslash escapes as in C.  Everything else, also beyond ASCII, stays as it is."""
    return re.sub(r"\\(n|t|r|0|\\|x[0-9a-f]{2})",
                  lambda m: {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}.get(m[1])
                  or chr(int(m[1][1:], 16)), text)


def brief(result):
    if "http" in result:
        return f"HTTP {result['http']}: {result.get('body', '')[:300]}"
    shown = {key: result.get(key) for key in ("status", "exit_code", "signal", "cpu_time", "wall_time", "memory_bytes",
                                              "message")}
    for key in ("stdout", "stderr"):
        text = result.get(key) or ""
        shown[key] = text if len(text) < 500 else text[:350] + f" ... ({len(text)})"
    return json.dumps(shown)


def fill(value, words):
    """Replaces @NAME@ in texts, also in lists and objects.  A text of one such word may become any value."""
    if isinstance(value, str):
        if value in words and not isinstance(words[value], str):
            return words[value]
        return re.sub(r"@[A-Z_]+@", lambda m: str(words.get(m[0], m[0])), value)
    if isinstance(value, list):
        return [fill(item, words) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, words) for key, item in value.items()}
    return value


class Attack:
    def __init__(self, name):
        self.name = name
        self.group = name.split("/")[0]
        self.path = os.path.join(FOLDER, name)
        self.copies = self.parallel = 1
        self.delay_ms = self.cancel_after_ms = self.kill_after_ms = 0
        self.after = self.beside = self.host = self.kill = None
        self.part = self.differ = False
        self.needs = []
        with open(self.path, encoding="utf-8", newline="") as file:
            text = file.read()
        if name.endswith(".json"):
            self.read_request(json.loads(text))
        else:
            self.read_program(text)
        if not self.sentence:
            raise Malformed(f"{name} does not say what it attacks")
        if not self.expect_lines:
            raise Malformed(f"{name} does not say what it expects")

    def read_request(self, described):
        self.sentence = described["attack"]
        expects = described["expect"]
        self.expect_lines = expects if isinstance(expects, list) else [expects]
        self.request = described["request"]
        for key in ("copies", "parallel", "cancel_after_ms", "kill", "kill_after_ms"):
            setattr(self, key, described.get(key, getattr(self, key)))

    def read_program(self, text):
        header = read_header(text)
        single = {key: values[0] for key, values in header.items()}
        self.sentence = single.get("attack", "")
        self.expect_lines = header.get("expect", [])
        kind = SUFFIXES[os.path.splitext(self.name)[1]]
        language = single.get("language", "c" if kind == "assembly" else kind)
        try:
            given = {key: json.loads(single[key]) for key in JSON_KEYS if key in single}
        except ValueError as error:
            raise Malformed(f"{self.name}: {error}") from None
        files = [{"name": name, "content": content} for name, content in given.get("files", {}).items()]
        if kind == "assembly":
            files.append({"name": "attack.inc", "content": text})
            text = ASSEMBLY_SOURCE
        self.request = {"language": language, "version": "latest", "code": text, "stdin": given.get("stdin", ""),
                        "args": given.get("args", []), "files": files, "limits": given.get("limits", {})}
        if "network" in given:
            self.request["network"] = given["network"]
        self.copies = given.get("copies", 1)
        self.delay_ms = given.get("delay", 0)
        self.host = single.get("host")
        self.part = single.get("part") == "yes"
        self.differ = single.get("differ") == "yes"
        self.needs = single.get("needs", "").split()
        for key in ("after", "beside"):
            if key in single:
                setattr(self, key, f"{self.group}/{single[key]}")

    @property
    def language(self):
        return self.request["language"]

    def is_plain(self):
        """A single program, which may be mixed with others?"""
        return not (self.part or self.after or self.beside or self.host or self.cancel_after_ms or
                    self.kill or self.differ or self.name.endswith(".json"))

    def element(self, words, slow, copy=0):
        """The program's element of a request, with times scaled for a slow machine."""
        element = fill(self.request, {**words, "@COPY@": str(copy)})
        limits = dict(element.get("limits", {}))
        if not self.name.endswith(".json"):
            for key, default in TIMES_BY_DEFAULT.items():
                if key in limits or slow > 1:
                    limits[key] = int(limits.get(key, default) * slow)
        if limits:
            element["limits"] = limits
        else:
            element.pop("limits", None)
        return element

    def judge(self, result, words, slow, copy=0, lenient=False):
        """Why the result is wrong, or None."""
        said = (result.get("stdout") or "") + (result.get("stderr") or "")
        if ESCAPED in said and result.get("status") != "compile_error": # a compiler prints the source
            return f"the program escaped: {brief(result)}"
        if words["@SECRET@"] in json.dumps(result):
            return f"the host's secret is in the result: {brief(result)}"
        reasons = []
        for line in self.expect_lines:
            reason = Expectation(line, {**words, "@COPY@": str(copy)}, slow).mismatch(result, lenient)
            if reason is None:
                return None
            reasons.append(reason)
        return "; ".join(reasons)


def load_all():
    """Every attack by its name, in order."""
    names = []
    for folder, _, files in os.walk(FOLDER):
        for file in files:
            name = os.path.relpath(os.path.join(folder, file), FOLDER)
            if os.path.splitext(name)[1] in (*SUFFIXES, ".json"):
                names.append(name)
    attacks = {name: Attack(name) for name in sorted(names)}
    for attack in attacks.values():
        for other in (attack.after, attack.beside):
            if other is not None and other not in attacks:
                raise Malformed(f"{attack.name} names {other}, which is not there")
        Expectation(attack.expect_lines[0], {}, 1)
    return attacks
