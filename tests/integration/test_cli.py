"""The command line: help, usage errors, exit statuses, JSON, programs run locally, and requests to a server."""
import json
import os
import re
import pty
import shutil
import subprocess
import threading

import pytest

import harness

COMMANDS = ("server", "worker", "run", "submit", "status", "queue", "dead", "languages",
            "prepare", "check", "version", "help")
TOKEN = re.compile(r"^[0-9A-HJKMNP-TV-Z]{26}$")

SOURCES = {
    "c": ("double.c", '#include <stdio.h>\nint main(void){int n;scanf("%d",&n);printf("%d\\n",2*n);return 0;}\n'),
    "cpp": ("double.cpp", "#include <iostream>\nint main(){int n;std::cin>>n;std::cout<<2*n<<std::endl;}\n"),
    "python": ("double.py", "print(2 * int(input()))\n"),
    "javascript": ("double.js", "console.log(2 * parseInt(require('fs').readFileSync(0)))\n"),
    "java": ("Double.java", "public class Main{public static void main(String[] a){"
                            "System.out.println(2*new java.util.Scanner(System.in).nextInt());}}\n"),
    "bash": ("double.sh", "read n; echo $((2 * n))\n"),
}


def write(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    return path


def available(evalx):
    return {entry["id"] for entry in json.loads(evalx("languages", "--json").stdout) if entry["available"]}


@pytest.fixture
def on_terminal(evalx_binary, folder):
    """on_terminal(*words): what a terminal shows of evalx, and the exit status."""

    def call(*words, env=None):
        base = {key: value for key, value in os.environ.items() if not key.startswith(("EVALX_", "REDIS_"))}
        base.update(EVALX_LANGUAGES=os.path.join(harness.ROOT, "languages"), EVALX_UID_BASE=str(1_900_000_000),
                    EVALX_IMAGES=os.path.join(folder, "no-images"), **(env or {}))
        ours, theirs = pty.openpty()
        child = subprocess.Popen([evalx_binary, *words], env=base, stdin=subprocess.DEVNULL, stdout=theirs,
                                 stderr=theirs, cwd=folder)
        os.close(theirs)
        shown = b""
        with open(ours, "rb", buffering=0) as terminal:
            try:
                while part := terminal.read(4096):
                    shown += part
            except OSError:  # EIO: the other end is closed
                pass
        return shown.decode(), child.wait(60 * harness.SLOWNESS)

    return call


# ---- help and usage ----

def test_help_names_every_command(evalx):
    for words in (["help"], ["--help"], ["-h"]):
        done = evalx(*words)
        assert done.returncode == 0 and done.stderr == ""
        for command in COMMANDS:
            assert re.search(rf"^  {command} ", done.stdout, re.M), command


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(evalx, command):
    done = evalx(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: evalx {command}")
    assert not re.search(r"^  --\S*(==|\[\w)", done.stdout, re.M), "a value is written --name VALUE or --name[=VALUE]"
    assert evalx("help", command).stdout == done.stdout


@pytest.mark.parametrize("words, said", [
    (["frobnicate"], "frobnicate"),
    (["--frobnicate"], "--frobnicate"),
    (["run", "--frobnicate", "x"], "--frobnicate"),
    (["run"], "FILE"),
    (["status"], "TOKEN"),
    (["status", "a", "b"], "unexpected"),
    (["version", "x"], "unexpected"),
    (["languages", "x"], "unexpected"),
    (["run", "x.py", "--timeout"], "--timeout"),
    (["version", "--json=yes"], "--json"),
    (["version", "--set", "listen"], "KEY=VALUE"),
    (["--set"], "--set"),
    (["submit", "--wait=soon", "x.py"], "--wait"),
    (["submit", "--wait=0", "x.py"], "--wait"),
    (["submit", "--stdin", "x", "batch.json"], "--stdin"),
    (["help", "frobnicate"], "frobnicate"),
    (["version", "--set", "no_such=1"], "no_such"),
    (["status", "--set", "slots=many", "x"], "slots"),
    (["queue", "--set", "=1"], "there is no setting"),
    (["--set", "lissten=:80", "help"], "did you mean listen?"),
    (["check", "--set", "listen=:70000"], "listen"),
    (["check", "--set", "listen=::1:80"], "[ADDRESS6]:PORT"),
    (["server", "--set", "drain_seconds=-1"], "drain_seconds"),
    (["server", "--set", "queue_max=99999999999999999999"], "queue_max"),
    (["server", "--set", "max_body_bytes=16mb"], "max_body_bytes"),
    (["server", "--set", "slots="], "slots"),
    (["server", "--set", "data="], "data"),
    (["run", "x.py", "--timeout", "soon"], "--timeout"),
    (["submit", "x.py", "--timeout", "0"], "--timeout"),
    (["submit", "x.py", "--memory", "-1m"], "--memory"),
    (["submit", "x.unknown"], "--language"),
    (["submit", "x.py", "--server", "ftp://x"], "ftp://x"),
    (["status", "nonsense"], "not a token"),
    (["dead", "show", "nonsense"], "not a token"),
    (["dead", "frobnicate"], "frobnicate"),
    (["languages", "verify", "klingon"], "klingon"),
    (["prepare", "klingon"], "klingon"),
])
def test_usage_errors_exit_2_with_a_reason(evalx, folder, words, said):
    write(folder, "x.py", "print(1)")
    write(folder, "x.unknown", "")
    done = evalx(*words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("evalx: ")
    assert said in done.stderr.splitlines()[0]


def test_version(evalx):
    shown = re.fullmatch(r"evalx (\d+\.\d+\.\d+) \(([0-9a-f]{12}(?:-dirty)?|unknown)\)\n", evalx("version").stdout)
    assert shown, evalx("version").stdout
    assert evalx("--version").stdout == evalx("version").stdout
    assert json.loads(evalx("version", "--json").stdout) == {"name": "evalx", "version": shown[1], "commit": shown[2]}


def test_manual_and_completion_know_every_option(evalx):
    with open(os.path.join(harness.ROOT, "man", "evalx.1"), encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    with open(os.path.join(harness.ROOT, "completions", "evalx.bash"), encoding="utf-8") as file:
        completion = file.read()
    for command in COMMANDS:
        assert command in manual
        for option in re.findall(r"^  (--[a-z]+)", evalx(command, "--help").stdout, re.M):
            assert option in manual, option
            assert option in completion, option


def test_completion_completes(evalx_binary):
    script = os.path.join(harness.ROOT, "completions", "evalx.bash")

    def complete(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        shell = f". '{script}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _evalx; "
        shell += 'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert complete("evalx", "su") == ["submit"]
    assert complete("evalx", "run", "--ti") == ["--timeout"]
    assert complete("evalx", "status", "--") == ["--wait", "--server", "--json", "--config", "--set", "--help"]


# ---- settings ----

def test_settings_show_value_and_source(evalx, folder):
    config = write(folder, "evalx.conf", "drain_seconds = 7\nslots = 3\n")
    done = evalx("--set", "slots=5", "--config", config, "check", "--config", "--json", env={"MAX_REQUESTS": "9"})
    assert done.returncode == 0, done.stderr
    text = evalx("--set", "slots=5", f"--config={config}", "check", "--config", env={"MAX_REQUESTS": "9"}).stdout
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    for key, value, source in (("drain_seconds", "7", "file"), ("slots", "5", "flag"),
                               ("max_requests", "9", "environment"), ("lease_ms", "15000", "default")):
        assert re.search(rf"\b{value}\b", lines[key]), lines[key]
        assert source.split()[0] in lines[key], lines[key]
    assert "5" in json.dumps(json.loads(done.stdout))


def test_the_old_name_of_a_setting_works_with_a_warning(evalx, start_evalx):
    old = {"EVALX_WARM": "false"}
    assert re.search(r"^prestart +false +environment$", evalx("check", "--config", env=old).stdout, re.M)
    log = start_evalx(old).log()
    assert log.count("deprecated") == 1
    assert "level=warn" in log and "setting warm (EVALX_WARM) is deprecated: use prestart (EVALX_PRESTART)" in log


@pytest.mark.parametrize("words, env, said", [
    (["--config", "/nonexistent.conf"], {}, "/nonexistent.conf"),
    ([], {"EVALX_LISTEN": "nowhere"}, "nowhere"),
])
def test_invalid_settings_are_refused_by_name(evalx, words, env, said):
    for command in ("server", "languages"):
        done = evalx(*words, command, env=env)
        assert done.returncode == 1
        assert said in done.stderr


def test_an_unknown_variable_is_told_with_the_nearest_name(evalx):
    done = evalx("check", "--config", env={"EVALX_LISSTEN": ":80", "EVALX_NOSUCH": "1", "EVALX_EMPTY": "",
                                           "EVALX_SERVER": "x", "EVALX_WARM": "1"})
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if "level=warn" in line]
    assert len(warnings) == 2, warnings
    assert any("EVALX_LISSTEN is no setting" in line and "did you mean EVALX_LISTEN?" in line for line in warnings)
    assert any("EVALX_NOSUCH is no setting" in line and "mean" not in line for line in warnings)


@pytest.mark.parametrize("text, said", [
    ("slots = 1\n# twice\nslots = 2\n", ":3: slots is set twice, here and on line 1"),
    ("warm = 1\nwarm = 1\n", ":2: warm is set twice, here and on line 1"),
    ("lissten = :80\n", ":1: there is no setting \"lissten\" (did you mean listen?)"),
    ("klingon = 1\n", ":1: there is no setting \"klingon\"; "),
    ("slots =\n", ":1: slots"),
    ("[section]\n", ""),
])
def test_a_wrong_settings_file_is_refused_with_the_line(evalx, folder, text, said):
    config = write(folder, "wrong.conf", text + "" if "[" not in text else text + "slots = 1\n")
    done = evalx("--config", config, "check", "--config")
    assert done.returncode == 1 and said in done.stderr, done.stderr
    # The remedy works although the file is wrong.
    remedy = re.search(r"`(\S+) help settings`", done.stderr)
    if "there is no setting" in said:
        shown = subprocess.run([remedy[1], "help", "settings"], capture_output=True, text=True, check=True,
                               env={"EVALX_CONFIG": config}).stdout
        assert re.search(r"^listen = 127\.0\.0\.1:3000\n    EVALX_LISTEN\n    address", shown, re.M)


def test_a_settings_file_that_everyone_can_write_is_refused(evalx, folder):
    config = write(folder, "open.conf", "slots = 1\n")
    os.chmod(config, 0o666)
    done = evalx("--config", config, "check", "--config")
    assert done.returncode == 1 and "chmod o-w" in done.stderr
    assert "Is a directory" in evalx("--config", folder, "check").stderr or "regular" in \
        evalx("--config", folder, "check").stderr


def test_secrets_are_not_shown(evalx):
    secrets = {"REDIS_PASSWORD": "hidden-word", "EVALX_STORE": "redis://user:other-hidden@127.0.0.1:1"}
    done = evalx("check", "--config", env=secrets)
    assert done.returncode == 0
    assert "hidden" not in done.stdout + done.stderr
    assert "(set)" in done.stdout


# ---- languages and check ----

def test_languages_lists_all_languages(evalx):
    listed = json.loads(evalx("languages", "--json").stdout)
    assert {"c", "cpp", "python", "javascript", "java", "bash"} <= {entry["id"] for entry in listed}
    for entry in listed:
        assert entry["available"] == (entry["reason"] is None)
        assert set(entry) >= {"id", "name", "version", "image", "available", "missing", "reason", "aliases", "versions",
                              "of", "source", "compile", "run", "env", "limits", "hello"}
    table = evalx("languages").stdout.splitlines()
    assert len(table) == len(listed) + 1


def test_a_missing_language_names_the_missing_file(evalx, folder):
    languages = os.path.join(folder, "languages")
    os.mkdir(languages)
    write(languages, "bash.conf", harness.language_on_host("bash", needs=["/usr/bin/no-such-shell"]))
    env = {"EVALX_LANGUAGES": languages}
    (entry,) = json.loads(evalx("languages", "--json", env=env).stdout)
    assert entry["available"] is False and entry["missing"] == "/usr/bin/no-such-shell"
    assert entry["reason"] == "/usr/bin/no-such-shell does not exist"
    assert "/usr/bin/no-such-shell" in evalx("languages", env=env).stdout
    done = evalx("run", write(folder, "x.sh", "echo"), env=env)
    assert done.returncode == 1 and "not installed" in done.stderr
    # For an image that was not built, the message names the command that builds it.
    write(languages, "bash.conf", harness.language_on_host("bash", image="shell-5"))
    (entry,) = json.loads(evalx("languages", "--json", env=env).stdout)
    assert entry["available"] is False and entry["missing"] is None
    reason = re.fullmatch(r"image shell-5 is not installed: (/.*/evalx-images) build shell-5", entry["reason"])
    assert reason and os.access(reason[1], os.X_OK), "it can be copied into a shell"
    done = evalx("languages", "verify", env=env)
    assert done.returncode == 1 and "no language is installed" in done.stderr


def test_languages_verify_runs_each_hello(evalx):
    done = evalx("languages", "verify", "--json", seconds=300)  # some seventy programs, most of them compiled
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert {entry["id"] for entry in report} == available(evalx)
    assert all(entry["works"] and entry["seconds"] > 0 for entry in report)
    assert re.match(r"^bash +works \((\d+) of \1, hello \d+ ms\)$", evalx("languages", "verify", "sh").stdout.strip())
    done = evalx("languages", "verify", "klingon")
    assert done.returncode == 2 and "klingon" in done.stderr


def test_check_tries_the_sandbox(evalx):
    done = evalx("check", "--json")
    report = json.loads(done.stdout)
    points = {point["point"]: point for point in report["points"]}
    assert done.returncode == 0 and report["ok"] is True, report
    assert {"version", "user", "data", "languages", "sandbox", "cgroup", "run", "store"} <= set(points)
    assert points["cgroup"]["text"] in ("v1", "v2")
    assert "evalx can run here" in evalx("check").stdout


def test_check_names_what_fails_and_the_remedy(evalx):
    done = evalx("check", "--json", env={"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(harness.free_port())})
    points = {point["point"]: point for point in json.loads(done.stdout)["points"]}
    assert done.returncode == 1
    assert points["store"]["ok"] is False and "REDIS_HOST" in points["store"]["remedy"]
    assert points["sandbox"]["ok"] is True
    done = evalx("check", env={"EVALX_LANGUAGES": "/nonexistent"})
    assert done.returncode == 1 and "FAIL  languages" in done.stdout


def test_without_root_it_says_what_to_do(evalx, evalx_binary, folder):
    source = write(folder, "x.sh", "echo")
    # Other users may be unable to enter the clone, but they can enter this folder.
    binary = shutil.copy(evalx_binary, folder)
    languages = shutil.copytree(os.path.join(harness.ROOT, "languages"), os.path.join(folder, "languages"))
    nobody = {"executable": binary, "user": "nobody", "group": "nogroup", "extra_groups": [],
              "env": {"EVALX_LANGUAGES": languages}}
    for words in (["run", source], ["server"], ["languages", "verify"]):
        done = evalx(*words, **nobody)
        assert done.returncode == 1, words
        assert "root" in done.stderr and "sudo" in done.stderr, done.stderr
    done = evalx("check", **nobody)
    assert done.returncode == 1 and "FAIL  sandbox" in done.stdout


def test_a_worker_without_redis_says_what_it_needs(evalx):
    done = evalx("worker")
    assert done.returncode == 1 and "REDIS_HOST" in done.stderr


# ---- run ----

@pytest.mark.parametrize("language", sorted(SOURCES))
def test_run_each_language(evalx, folder, language):
    if language not in available(evalx):
        pytest.skip(f"{language} is not installed on this machine")
    name, code = SOURCES[language]
    done = evalx("run", write(folder, name, code), "--stdin", "-", stdin=b"21\n")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_run_has_the_exit_status_of_the_program(evalx, folder):
    for code, status in (("exit 0", 0), ("exit 7", 7), ("kill -SEGV $$", 128 + 11)):
        done = evalx("run", write(folder, "x.sh", code))
        assert done.returncode == status, done.stderr
    done = evalx("run", write(folder, "x.sh", "while :; do :; done"), "--timeout", "0.2")
    assert done.returncode == 124 and "time_limit" in done.stderr


@pytest.mark.parametrize("code, said", [
    ("kill -SEGV $$", "runtime_error: signal 11 (Segmentation fault), exit code 139"),
    ("exit 7", "runtime_error: exit code 7"),
    ("kill -KILL $$", "runtime_error: signal 9 (Killed), exit code 137"),
])
def test_run_says_how_a_program_crashed(evalx, folder, code, said):
    assert evalx("run", write(folder, "x.sh", code)).stderr.splitlines()[-1] == f"evalx: {said}"


EVIL = "printf '\\033[2J\\302\\233\\342\\200\\256evil\\a\\377 \\342\\202\\254\\n' | tee /dev/stderr; exit 1"


def test_run_passes_bytes_to_a_pipe_and_escapes_them_on_a_terminal(evalx_binary, evalx, on_terminal, folder):
    source = write(folder, "x.sh", EVIL)
    env = {"EVALX_LANGUAGES": os.path.join(harness.ROOT, "languages"), "EVALX_IMAGES": folder + "/none",
           "PATH": os.environ["PATH"]}
    done = subprocess.run([evalx_binary, "run", source], env=env, capture_output=True, check=False)
    assert done.stdout == b"\033[2J\302\233\342\200\256evil\a\377 \342\202\254\n"
    shown, status = on_terminal("run", source)
    assert status == 1 and shown.count("\\x1b[2J\\u009b\\u202eevil\\x07\\xff \u20ac") == 2
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", shown)
    shown, _ = on_terminal("run", "--json", source)
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", shown)
    assert json.loads(shown)["stdout"] == json.loads(evalx("run", "--json", source).stdout)["stdout"]


def test_run_passes_arguments_input_and_both_outputs(evalx, folder):
    source = write(folder, "x.sh", 'cat; echo "$# $1 $2" >&2')
    done = evalx("run", source, "--stdin", write(folder, "in", "typed"), "--", "--json", "b c")
    assert (done.returncode, done.stdout, done.stderr) == (0, "typed", "2 --json b c\n")
    assert evalx("run", source).stdout == ""  # without --stdin the program reads nothing
    done = evalx("run", "-", "--language", "bash", stdin=b"echo from stdin")
    assert done.stdout == "from stdin\n"


def test_run_compares_with_the_expected_output(evalx, folder):
    source = write(folder, "x.sh", "echo 42")
    assert evalx("run", source, "--expected", write(folder, "right", "42  \n\n")).returncode == 0
    done = evalx("run", source, "--expected", write(folder, "wrong", "43\n"))
    assert done.returncode == 3 and "wrong_answer" in done.stderr


def test_run_json_is_the_result_of_the_api(evalx, folder):
    done = evalx("run", "--json", write(folder, "x.sh", "echo out; echo err >&2; exit 5"))
    result = json.loads(done.stdout)
    assert done.returncode == 3
    assert (result["status"], result["exit_code"]) == ("runtime_error", 5)
    assert (result["stdout"], result["stderr"], result["language"]) == ("out\n", "err\n", "bash")
    assert result["wall_time"] > 0 and result["memory_bytes"] > 0


def test_run_shows_compiler_messages(evalx, folder):
    if "c" not in available(evalx):
        pytest.skip("c is not installed on this machine")
    done = evalx("run", write(folder, "x.c", "int main(void) { return nothing; }"))
    assert done.returncode == 1 and done.stdout == ""
    assert "nothing" in done.stderr and "compile_error" in done.stderr
    assert folder not in done.stderr and "/box" not in done.stderr
    result = json.loads(evalx("run", "--json", os.path.join(folder, "x.c")).stdout)
    assert result["status"] == "compile_error" and result["exit_code"] != 0 and result["compile_time"] > 0


@pytest.mark.parametrize("words, said, status", [
    (["missing.py"], "missing.py", 1),
    (["x.klingon"], "--language", 2),
    (["x.py", "--language", "klingon"], "klingon", 2),
    (["x.py", "--timeout", "-1"], "timeout", 2),
    (["x.py", "--timeout", "1e9"], "timeout", 2),
    (["x.py", "--memory", "lots"], "--memory", 2),
    (["x.py", "--memory", "1"], "memory_limit", 2),
    (["x.py", "--stdin", "missing"], "missing", 1),
    (["binary.py"], "UTF-8", 1),
    (["x.py", "--", b"\xff"], "argument 1 is not UTF-8", 2),
])
def test_run_refuses_with_a_reason(evalx, folder, words, said, status):
    write(folder, "x.py", "print(1)")
    write(folder, "x.klingon", "qapla'")
    with open(os.path.join(folder, "binary.py"), "wb") as file:
        file.write(b"\xff\xfe\x00")
    done = evalx("run", *words)
    assert done.returncode == status
    assert said in done.stderr, done.stderr
    assert done.stdout == ""


def test_run_leaves_nothing(evalx, folder):
    base = 1_950_000_000
    evalx("run", write(folder, "x.sh", "sleep 1000 & disown; echo started"), env={"EVALX_UID_BASE": str(base)})
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            assert not base <= os.stat(f"/proc/{pid}").st_uid < base + 10000
        except FileNotFoundError:
            pass


# ---- submit and status ----

BATCH = [{"language": "bash", "version": "*", "code": "read n; echo $((2 * n))", "stdin": "1", "expected_output": "2"},
         {"stdin": "4", "expected_output": "8"}]


def test_submit_waits_and_shows_a_table(evalx, embedded, folder):
    batch = write(folder, "batch.json", json.dumps(BATCH))
    done = evalx("submit", "--wait", "--server", embedded.url, batch)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert TOKEN.match(lines[0]) and lines[1] == f"{lines[0]} Completed" and done.stderr == ""
    assert lines[-1] == "2 of 2 accepted"
    assert [line.split()[:3] + line.split()[-1:] for line in lines[3:5]] == [["1", "bash", "accepted", "2"],
                                                                           ["2", "bash", "accepted", "8"]]
    wrong = json.dumps([{**BATCH[0], "expected_output": "3"}])
    done = evalx("submit", "--wait=30", "-", stdin=wrong.encode(), env={"EVALX_SERVER": embedded.url})
    assert done.returncode == 3 and "wrong_answer" in done.stdout and "0 of 1 accepted" in done.stdout


def test_submit_waits_with_the_token_shown_at_once(evalx_binary, embedded, folder):
    source = write(folder, "x.sh", "sleep 20")
    env = {"EVALX_SERVER": embedded.url, "EVALX_LANGUAGES": os.path.join(harness.ROOT, "languages")}
    with subprocess.Popen([evalx_binary, "submit", "--wait", source], env=env, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL) as waiting:
        timer = threading.Timer(15 * harness.SLOWNESS, waiting.kill)
        timer.start()
        token = waiting.stdout.readline().decode().strip()
        timer.cancel()
        assert TOKEN.match(token) and waiting.poll() is None
        client = embedded.client()
        assert client.get(f"/submissions/{token}").json()["status"] in ("Queued", "Processing")
        client.request("DELETE", f"/submissions/{token}")
        client.close()
        waiting.wait(60 * harness.SLOWNESS)


def test_a_terminal_sees_the_state_and_a_pipe_does_not(on_terminal, evalx, embedded, folder):
    source = write(folder, "x.sh", "sleep 2.5; echo done")
    env = {"EVALX_SERVER": embedded.url}
    shown, status = on_terminal("submit", "--wait", source, env=env)
    assert status == 0 and re.search(r"\r(Queued|Processing) for \d+ s ", shown) and "1 of 1 accepted" in shown
    shown, status = on_terminal("submit", "--wait", "--json", source, env=env)
    assert status == 0 and re.search(r"submitted as [0-9A-Z]{26}", shown)
    done = evalx("submit", "--wait", "--json", source, env=env)
    assert done.stderr == "" and json.loads(done.stdout)["status"] == "Completed"


def test_submit_prints_a_token_that_status_knows(evalx, embedded, folder):
    source = write(folder, "x.sh", 'echo "$1"; cat')
    done = evalx("submit", source, "--stdin", write(folder, "in", "typed"), "--server", embedded.url, "--", "word")
    token = done.stdout.strip()
    assert done.returncode == 0 and TOKEN.match(token), done.stderr
    done = evalx("status", token, "--wait", "--json", "--server", embedded.url + "/")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["token"] == token
    assert answer["results"][0]["stdout"] == "word\ntyped"
    assert "accepted" in evalx("status", token, "--server", embedded.url).stdout
    assert json.loads(evalx("submit", "--json", source, "--server", embedded.url).stdout)["status"] == "Queued"


def test_status_of_a_pending_submission(evalx, embedded, folder):
    token = evalx("submit", write(folder, "x.sh", "sleep 3"), "--server", embedded.url).stdout.strip()
    done = evalx("status", token, "--server", embedded.url)
    assert done.returncode == 0 and re.search(r"Queued|Processing", done.stdout)
    done = evalx("status", token, "--wait=1", "--server", embedded.url)
    assert done.returncode == 1 and "still" in done.stderr
    assert evalx("status", token, "--wait=20", "--server", embedded.url).returncode == 0


def test_output_of_programs_cannot_control_the_terminal(evalx, embedded, folder):
    source = write(folder, "x.sh", "printf '\\033[2J\\302\\233\\342\\200\\256evil\\a\\xff \\342\\202\\254\\n'")
    done = evalx("submit", "--wait", source, "--server", embedded.url)
    assert done.returncode == 0, done.stderr
    assert "evil" in done.stdout and "\u20ac" in done.stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)


def test_an_unreachable_server_is_reported_with_a_remedy(evalx, folder):
    done = evalx("submit", "--server", "http://127.0.0.1:1", write(folder, "one.py", "print(1)\n"))
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr and "is evalx running there?" in done.stderr and "--server" in done.stderr


def test_a_port_in_use_is_reported_with_a_remedy(evalx, embedded, folder):
    done = evalx("server", env={"EVALX_LISTEN": embedded.url.split("//")[1], "EVALX_UID_BASE": str(1_950_000_000)})
    assert done.returncode == 1
    assert "Address already in use" in done.stderr and "EVALX_LISTEN=" in done.stderr


def test_refusals_of_the_server_are_shown(evalx, embedded, folder):
    done = evalx("submit", "-", "--server", embedded.url, stdin=b'[{"language": "klingon"}]')
    assert done.returncode == 1 and "400" in done.stderr
    done = evalx("submit", "-", "--server", embedded.url, stdin=b"[")
    assert done.returncode == 1 and "400" in done.stderr
    done = evalx("status", "0" * 26, "--server", embedded.url)
    assert done.returncode == 1 and "404" in done.stderr
    done = evalx("submit", "-", "--server", f"http://127.0.0.1:{harness.free_port()}", stdin=b"[]")
    assert done.returncode == 1 and "127.0.0.1" in done.stderr


def test_programs_run_whatever_the_umask_is(evalx, folder):
    """The folders of a box are open to its program, also if evalx creates files that only its user may read."""
    path = write(folder, "hello.sh", "cat /etc/passwd >/dev/null && echo hello\n")
    done = evalx("run", path, umask=0o077)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
