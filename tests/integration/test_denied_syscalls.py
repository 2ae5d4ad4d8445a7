"""denied_syscalls=error and =kill: ordinary programs run alike with both; a denied syscall ends a program with =kill.

All tests use `evalx run` and need root.  Runtimes that are not installed are skipped with the reason.
"""
import base64
import json
import os
import platform
import shutil
import subprocess

import pytest

import harness

SETTINGS = ("error", "kill")

# What runtimes do besides computing: threads, children, files, sockets without a network, memory, timers, limits.
C_PROGRAM = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static void *add(void *sum) { __atomic_fetch_add((int *)sum, 1, __ATOMIC_SEQ_CST); return 0; }
int main(void)
{
    pthread_t threads[8];
    int sum = 0;
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], 0, add, &sum);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    if (fork() == 0) { execl("/bin/true", "true", (char *)0); _exit(9); }
    int status; wait(&status);
    struct rlimit limit; getrlimit(RLIMIT_NOFILE, &limit); setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_CORE, &limit); setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    cpu_set_t set; sched_getaffinity(0, sizeof set, &set); sched_setaffinity(0, sizeof set, &set);
    int netlink = socket(16, SOCK_RAW, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
    char *big = mmap(0, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    big[1 << 20] = 1; madvise(big, 1 << 24, MADV_HUGEPAGE);
    FILE *f = tmpfile(); fputs("x", f); fclose(f);
    printf("%d %d %d %d\n", sum, WEXITSTATUS(status), netlink < 0, local > 2);
    return system("exit 0");
}
"""
PYTHON_PROGRAM = r"""
import asyncio, multiprocessing, os, resource, socket, subprocess, sys, tempfile, threading
def twice(n):
    return 2 * n
if __name__ == "__main__":
    total = []
    threads = [threading.Thread(target=total.append, args=(i,)) for i in range(8)]
    [t.start() for t in threads]; [t.join() for t in threads]
    with multiprocessing.Pool(2) as pool:
        pooled = sum(pool.map(twice, range(10)))
    told = subprocess.run([sys.executable, "-c", "print(42)"], capture_output=True, text=True).stdout.strip()
    async def both():
        process = await asyncio.create_subprocess_exec("/bin/echo", "loop", stdout=subprocess.PIPE)
        return (await process.communicate())[0].decode().strip()
    looped = asyncio.run(both())
    resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"x")
    a, b = socket.socketpair()
    a.send(b"!"); b.recv(1)
    print(len(total), pooled, told, looped, len(os.sched_getaffinity(0)) > 0)
"""
NODE_PROGRAM = r"""
const { Worker } = require("worker_threads");
const { execFileSync } = require("child_process");
const fs = require("fs"), os = require("os"), net = require("net");
fs.writeFileSync("/tmp/x", "file");
os.networkInterfaces === undefined; os.cpus(); os.totalmem();
try { os.networkInterfaces(); } catch (e) { }
const server = net.createServer().on("error", () => { });
server.listen("/tmp/socket", () => server.close());
const worker = new Worker("require('worker_threads').parentPort.postMessage(21 * 2)", { eval: true });
worker.on("message", n => {
    const told = execFileSync("/bin/echo", ["child"]).toString().trim();
    setTimeout(() => fs.promises.readFile("/tmp/x", "utf8").then(t => console.log(n, told, t)), 5);
});
"""
JAVA_PROGRAM = r"""
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
public class Main {
    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        Future<Integer> future = pool.submit(() -> IntStream.range(0, 100000).parallel().map(i -> i % 7).sum());
        List<byte[]> kept = new ArrayList<>();
        for (int i = 0; i < 400; i++) { byte[] b = new byte[100000]; if (i % 10 == 0) kept.add(b); }
        System.gc();
        Process child = new ProcessBuilder("/bin/echo", "child").start();
        String told = new String(child.getInputStream().readAllBytes()).trim();
        Path file = Files.createTempFile("x", "y");
        Files.writeString(file, "file");
        try { Collections.list(java.net.NetworkInterface.getNetworkInterfaces()); } catch (Exception e) { }
        System.out.println(future.get() + " " + told + " " + Files.readString(file) + " " + kept.size());
        pool.shutdown();
    }
}
"""
GO_PROGRAM = r"""
package main
import ("fmt"; "net"; "os"; "os/exec"; "runtime"; "sync"; "time")
func main() {
    var wait sync.WaitGroup
    var lock sync.Mutex
    sum := 0
    for i := 0; i < 200; i++ { wait.Add(1); go func(n int) { defer wait.Done(); b := make([]byte, 1<<16); b[0] = 1
        time.Sleep(time.Millisecond); lock.Lock(); sum += n; lock.Unlock() }(i) }
    wait.Wait()
    runtime.GC()
    told, err := exec.Command("/bin/echo", "child").Output()
    if err != nil { fmt.Println(err) }
    net.Interfaces()
    net.Dial("tcp", "127.0.0.1:1")
    os.WriteFile("/tmp/x", []byte("file"), 0600)
    text, _ := os.ReadFile("/tmp/x")
    fmt.Print(sum, " ", string(told), string(text), "\n")
}
"""
PROGRAMS = {
    "c": ("p.c", C_PROGRAM, "8 0 1 1\n"),
    "python": ("p.py", PYTHON_PROGRAM, "8 90 42 loop True\n"),
    "javascript": ("p.js", NODE_PROGRAM, "42 child file\n"),
    "java": ("Main.java", JAVA_PROGRAM, "299995 child file 40\n"),
}


@pytest.fixture
def run(evalx_binary, folder):
    """run(language, file name, source, setting, stdin=b""): the result that `evalx run --json` prints."""
    if os.geteuid() != 0:
        pytest.skip("sandboxes need root")
    base = {key: value for key, value in os.environ.items() if not key.startswith(("EVALX_", "REDIS_"))}
    base.update(EVALX_DATA=os.path.join(folder, "data"), EVALX_LANGUAGES=os.path.join(harness.ROOT, "languages"),
                EVALX_UID_BASE=str(1_900_000_000))

    def call(language, name, source, setting, stdin=b""):
        listed = json.loads(subprocess.run([evalx_binary, "languages", "--json"], env=base, capture_output=True,
                                           check=True).stdout)
        if not next(entry for entry in listed if entry["id"] == language)["available"]:
            pytest.skip(f"{language} is not installed")
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        done = subprocess.run([evalx_binary, "--set", f"denied_syscalls={setting}", "run", "--json", "--language",
                               language, "--stdin", "-", path], input=stdin, env=base, capture_output=True,
                              timeout=60 * harness.SLOWNESS, check=False)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("language", PROGRAMS)
def test_runtimes_work_in_both_settings(run, language, setting):
    name, source, expected = PROGRAMS[language]
    result = run(language, name, source, setting)
    assert (result["status"], result["stdout"]) == ("accepted", expected), result


@pytest.fixture(scope="module")
def go_program(tmp_path_factory):
    """A Go program compiled on this host, as base64."""
    go = shutil.which("go")
    if go is None or os.geteuid() != 0:
        pytest.skip("no Go toolchain on PATH" if go is None else "sandboxes need root")
    folder = tmp_path_factory.mktemp("go")
    with open(os.path.join(folder, "p.go"), "w", encoding="utf-8") as file:
        file.write(GO_PROGRAM)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "GOPROXY": "off",
                   "GOCACHE": os.path.join(folder, "go-cache")}
    subprocess.run([go, "build", "-ldflags=-s -w", "-o", "p", "p.go"], cwd=folder, env=environment, check=True,
                   timeout=240 * harness.SLOWNESS)
    with open(os.path.join(folder, "p"), "rb") as file:
        return base64.b64encode(file.read())


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_go_program_works_in_both_settings(run, go_program, setting):
    """A small program in the box reads the Go program from stdin and starts it."""
    start = ("import base64, os, sys\nopen('p', 'wb').write(base64.b64decode(sys.stdin.buffer.read()))\n"
             "os.chmod('p', 0o755)\nos.execv('./p', ['p'])\n")
    result = run("python", "start.py", start, setting, stdin=go_program)
    assert (result["status"], result["stdout"]) == ("accepted", "19900 child\nfile\n"), result


# System call numbers, because libc has no function for some.  They differ between architectures; the names do not.
REFUSED = ("mount", "ptrace", "unshare", "keyctl", "bpf", "perf_event_open")
CALL = """
import ctypes, platform, sys
numbers = {{"x86_64": {{"mount": 165, "ptrace": 101, "unshare": 272, "keyctl": 250, "bpf": 321,
                       "perf_event_open": 298}},
           "aarch64": {{"mount": 40, "ptrace": 117, "unshare": 97, "keyctl": 219, "bpf": 280,
                        "perf_event_open": 241}}}}
libc = ctypes.CDLL(None, use_errno=True)
print("before", flush=True)
answer = libc.syscall(numbers[platform.machine()]["{name}"], 0, 0, 0, 0, 0)
print(answer, ctypes.get_errno())
"""


@pytest.mark.parametrize("name", REFUSED)
def test_a_denied_syscall_returns_eperm_or_ends_the_run(run, name):
    result = run("python", "p.py", CALL.format(name=name), "error")
    assert (result["status"], result["stdout"], result["signal"]) == ("accepted", "before\n-1 1\n", None), result
    result = run("python", "p.py", CALL.format(name=name), "kill")
    assert (result["status"], result["stdout"], result["signal"]) == ("refused_call", "before\n", "SIGSYS"), result
    assert result["exit_code"] == 159
    assert result["message"] == f"{name}: a system call that programs may not make"
    assert f"evalx: {name}:" in result["stderr"]


def test_a_child_or_a_thread_cannot_hide_a_denied_syscall(run):
    """Any process that makes a denied syscall ends the whole run.  Otherwise the parent could hide a killed child."""
    child = "import subprocess\nprint(subprocess.run(['unshare', '-m', 'true']).returncode, flush=True)\n"
    assert run("python", "p.py", child, "error")["stdout"] == "1\n"
    result = run("python", "p.py", child, "kill")
    assert (result["status"], result["stdout"]) == ("refused_call", ""), result
    thread = ("import os, threading, time\n"
              "def ask():\n    import ctypes\n    ctypes.CDLL(None).unshare(0x20000)\n"
              "threading.Thread(target=ask).start()\ntime.sleep(5)\nprint('hidden', flush=True)\n")
    result = run("python", "p.py", thread, "kill")
    assert (result["status"], result["stdout"]) == ("refused_call", ""), result
    assert result["wall_time"] < 4


def test_a_sigsys_raised_by_the_program_is_no_denied_syscall(run):
    for setting in SETTINGS:
        result = run("python", "p.py", "import os\nos.kill(os.getpid(), 31)\n", setting)
        assert (result["status"], result["signal"]) == ("runtime_error", "SIGSYS"), result
        assert result["message"] == "the program raised SIGSYS itself; no system call was refused"


INT_80 = """
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    int status, number = %s;
    puts("before");
    fflush(stdout);
    if (%s)
        return printf("hidden %%d\\n", wait(&status));
    %s
    return 0;
}
"""
FOREIGN = {
    "int_80": ("20", "0", '__asm__ volatile("int $0x80" : "+a"(number) : : "memory");', "getpid"),
    "int_80_of_a_child": ("20", "fork()", '__asm__ volatile("int $0x80" : "+a"(number) : : "memory");', "getpid"),
    "int_80_unknown": ("-1", "0", '__asm__ volatile("int $0x80" : "+a"(number) : : "memory");',
                       "an unknown system call"),
    "x32": ("0x40000000 + 39", "0", "syscall(number);", "getpid"),
    "x32_of_its_own": ("0x40000000 + 521", "0", "syscall(number);", "ptrace"),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no second set of calls")
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", FOREIGN)
def test_a_32_bit_system_call_ends_the_run_with_its_name(run, name, setting):
    number, has_child, call, called = FOREIGN[name]
    result = run("c", "p.c", INT_80 % (number, has_child, call), setting)
    assert (result["status"], result["signal"], result["exit_code"]) == ("runtime_error", "SIGSYS", 159), result
    assert result["message"] == f"{called}: 32-bit system calls are not available"
    assert result["stdout"] == "before\n"


def test_probing_calls_of_libraries_do_not_end_the_run(run):
    """clone3, io_uring, netlink and packet sockets, the core limit, memory placement: they fail, the run continues."""
    tries = ("import ctypes, resource, socket\nlibc = ctypes.CDLL(None, use_errno=True)\n"
             "for number in (435, 425):\n    libc.syscall(number, 0, 0)\n    print(ctypes.get_errno())\n"
             "for family in (16, 17, 40):\n    try: socket.socket(family, socket.SOCK_RAW)\n"
             "    except OSError as e: print(e.errno)\n"
             "try: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nexcept (OSError, ValueError): print('core')\n")
    for setting in SETTINGS:
        assert run("python", "p.py", tries, setting)["stdout"] == "38\n38\n97\n97\n97\ncore\n", setting


@pytest.mark.parametrize("name", ["denied_syscalls", "refused_calls"])  # the latter is its old name
def test_the_setting_is_one_of_two(evalx_binary, name):
    done = subprocess.run([evalx_binary, "--set", f"{name}=maybe", "languages"], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"denied_syscalls = maybe: expected error or kill" in done.stderr
