"""evalx prepare: prepared files of a language are used only while they are up to date, and programs behave the same
with and without them."""
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

from assembly import pieces
import cpp_programs
import harness

TOY = """id = toy
name = Toy
version = 1
image = host
source = main.sh
run = /usr/bin/bash {source} {prepared}/file {args}
env = PATH=/usr/bin:/bin
needs = /usr/bin/bash

[prepare]
depends = DEPENDS
script =
  |SCRIPT

[hello]
code = echo hello
stdout = hello
"""
SAY = 'echo "$# $(cat "$1" 2>/dev/null)"'
UID_BASE = 1_910_000_000


class Toy:
    """A test language that runs the host's bash, with separate folders of images and languages."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.images, self.languages = os.path.join(folder, "images"), os.path.join(folder, "languages")
        self.depends = os.path.join(folder, "compiler")
        os.mkdir(self.images)
        os.mkdir(self.languages)
        self.change("1")
        self.script("echo made > file")
        self.source = os.path.join(folder, "x.sh")
        with open(self.source, "w", encoding="ascii") as file:
            file.write(SAY)

    def change(self, text):
        with open(self.depends, "w", encoding="ascii") as file:
            file.write(text)

    def script(self, script):
        with open(os.path.join(self.languages, "toy.conf"), "w", encoding="ascii") as file:
            file.write(TOY.replace("DEPENDS", self.depends).replace("SCRIPT", script))

    def evalx(self, *words, more_env=None, **options):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("EVALX_", "REDIS_"))}
        env.update(EVALX_LANGUAGES=self.languages, EVALX_IMAGES=self.images, EVALX_UID_BASE=str(UID_BASE),
                   EVALX_DATA=os.path.join(self.folder, "data"), **(more_env or {}))
        return subprocess.run([self.binary, *words], env=env, capture_output=True, text=True, check=False,
                              timeout=60 * harness.SLOWNESS, cwd=self.folder, **options)

    def prepare(self, *words, more_env=None):
        done = self.evalx("prepare", *words, more_env=more_env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def says(self, more_env=None):
        done = self.evalx("run", "--language", "toy", self.source, more_env=more_env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def prepared(self):
        folder = os.path.join(self.images, ".prepared", "host")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


@pytest.fixture
def toy(evalx_binary, folder):
    return Toy(evalx_binary, folder)


def test_prepared_once_and_used_while_it_is_up_to_date(toy):
    assert toy.says() == "0"  # the argument with {prepared} is omitted
    assert re.search(r"^toy +prepared after \d+\.\d s", toy.prepare())
    assert toy.says() == "1 made"
    first = toy.prepared()
    assert len(first) == 1 and re.fullmatch(r"toy-[0-9a-f]{16}", first[0])
    assert re.search(r"^toy +is prepared$", toy.prepare("toy"), re.M)
    toy.change("another compiler")
    assert toy.says() == "0"
    toy.prepare()
    assert toy.says() == "1 made" and len(toy.prepared()) == 1 and toy.prepared() != first  # the old one was removed
    toy.script("echo anew > file")
    assert toy.says() == "0"
    assert "prepared after" in toy.prepare() and toy.says() == "1 anew"
    assert "prepared after" in toy.prepare("--again") and toy.says() == "1 anew"


def test_prepared_files_depend_on_the_settings_that_the_script_reads(toy):
    off = {"EVALX_CPP_TEMPLATES": "false"}
    toy.prepare()
    assert toy.says() == toy.says(off) == "1 made"  # this script does not read it
    toy.script('echo "$EVALX_CPP_TEMPLATES" > file')
    toy.prepare()
    assert toy.says() == "1 1" and toy.says(off) == "0"
    assert "prepared after" in toy.prepare(more_env=off)
    assert toy.says(off) == "1 0" and toy.says() == "0"


def test_a_server_uses_it_and_stops_when_it_is_out_of_date(toy, start_evalx):
    toy.prepare()
    server = start_evalx({"EVALX_LANGUAGES": toy.languages, "EVALX_IMAGES": toy.images})

    def says():
        return server.client().run([{"language": "toy", "version": "*", "code": SAY}])["results"][0]["stdout"].strip()

    assert says() == "1 made"
    toy.change("an upgrade under a running server")
    assert says() == "0"


def test_prepared_files_belong_to_root_and_are_regular(toy):
    toy.script("mkdir -p a/b; echo made > file; cp file a/b/c; chmod 777 file a; ln -s /etc/shadow link; "
               "ln -s /etc folder; mkfifo fifo; chmod 4755 a/b/c")
    toy.prepare()
    top = os.path.join(toy.images, ".prepared", "host", toy.prepared()[0])
    found = {}
    for path, folders, files in os.walk(top):
        for name in [*folders, *files, "."]:
            status = os.lstat(os.path.join(path, name))
            assert status.st_uid == status.st_gid == 0 and status.st_mode & 0o7022 == 0
            assert stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
            found[os.path.relpath(os.path.join(path, name), top)] = status
    assert sorted(found) == [".", "a", "a/b", "a/b/c", "file"]
    assert toy.says() == "1 made"


def test_a_failing_script_leaves_nothing_and_is_reported(toy):
    toy.script("echo half > file; echo no room >&2; exit 3")
    done = toy.evalx("prepare")
    assert done.returncode == 1 and "FAILS" in done.stdout and "exit code 3" in done.stdout and "no room" in done.stdout
    assert toy.prepared() == [] and toy.says() == "0"
    toy.script("echo made > file; sleep 100")
    with open(os.path.join(toy.languages, "toy.conf"), "a", encoding="ascii") as file:
        file.write("\n[prepare_limits]\nwall_time_ms = 300\n")
    done = toy.evalx("prepare")
    assert done.returncode == 1 and "time_limit" in done.stdout and toy.prepared() == []


def test_files_with_which_hello_prints_more_are_discarded(toy):
    path = os.path.join(toy.languages, "toy.conf")
    with open(path, encoding="ascii") as file:
        text = file.read().replace("code = echo hello", "code = echo hello; cat \"$1\" >&2")
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    done = toy.evalx("prepare")
    assert done.returncode == 1 and "hello: expected no stderr, got made" in done.stdout, done.stdout
    assert toy.prepared() == []


def test_a_script_file_gets_the_compile_command_and_may_print(toy):
    path = os.path.join(toy.languages, "toy.conf")
    with open(path, encoding="ascii") as file:
        text = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(text.replace("script =\n  |echo made > file\n", "script_file = toy\n")
                   .replace("run = ", "binary = b\ncompile = /usr/bin/cp -p {source} {binary}\nrun = "))
    done = toy.evalx("prepare")
    assert done.returncode != 0 and "prepare/toy" in done.stderr
    os.mkdir(os.path.join(toy.languages, "prepare"))
    with open(os.path.join(toy.languages, "prepare", "toy"), "w", encoding="ascii") as file:
        file.write('echo "$@" > file\necho "note: a word" >&2\necho "another" >&2\n')
    done = toy.prepare()
    assert re.search(r"^ +note: a word$", done, re.M) and "another" not in done
    assert toy.says() == "1 /usr/bin/cp -p {source} {binary}"


def test_prepare_refuses_with_a_reason(toy):
    done = toy.evalx("prepare", "klingon")
    assert done.returncode == 2 and "klingon" in done.stderr
    # the user nobody could not read the build folder of this test
    shutil.copy(toy.binary, os.path.join(toy.folder, "evalx"))
    toy.binary = os.path.join(toy.folder, "evalx")
    done = toy.evalx("prepare", user="nobody", group="nogroup", extra_groups=[])
    assert done.returncode == 1 and "sudo" in done.stderr
    os.makedirs(os.path.join(toy.images, ".prepared", "host"))
    os.chmod(os.path.join(toy.images, ".prepared", "host"), 0o777)
    done = toy.evalx("prepare")
    assert done.returncode == 1 and "must belong to root" in done.stdout


# ---- C++ with precompiled headers ----

BODY = """
using namespace std;
template <class T> T twice(T x) { return x + x; }
int main()
{
    string s; long n = 0;
    while (cin >> s) n += twice((long)s.size());
    cout << n << ' ' << sizeof(WHAT) << ' ' << __LINE__ << endl;
}
"""
# The text before BODY, the value of WHAT, and whether g++ may use the precompiled header.
HEADS = {
    "plain": ("#include <iostream>", "int", True),
    "comment": ("/* a */ // b\n\n#include <iostream>", "int", True),
    "own_macros": ("#define ll long long\n#define REP(i, n) for (int i = 0; i < n; i++)\n#include <iostream>", "ll",
                   True),
    "conditional": ("#ifdef LOCAL\n#include \"debug.h\"\n#else\n#include <iostream>\n#endif", "int", True),
    "twice": ("#include <iostream>\n#include <iostream>\n#include <vector>", "vector<int>", True),
    "quoted": ("#include \"iostream\"", "int", True),
    "pragma_after": ("#include <iostream>\n#pragma GCC optimize(\"O3\")", "int", True),
    "optimize": ("#pragma GCC optimize(\"O3,unroll-loops\")\n#include <iostream>", "int", False),
    "target": ("#pragma GCC target(\"avx2\")\n#include <iostream>", "int", False),
    "debug": ("#define _GLIBCXX_DEBUG\n#include <iostream>\n#include <vector>", "vector<int>", False),
    "old_abi": ("#define _GLIBCXX_USE_CXX11_ABI 0\n#include <iostream>", "string", False),
    "keyword": ("#define explicit explicit\n#include <iostream>", "int", False),
    "name_of_theirs": ("#define npos elsewhere\n#include <iostream>", "int", False),
    "c_first": ("#include <stdio.h>\n#include <iostream>", "FILE *", False),
    "token_first": ("int first;\n#include <iostream>", "first", False),
    "all": ("#include <bits/stdc++.h>", "regex", True),
    "all_after_some": ("#include <iostream>\n#include <bits/stdc++.h>", "regex", True),
    "all_optimize": ("#pragma GCC optimize(\"O3\")\n#include <bits/stdc++.h>", "regex", False),
}


CPP_OPTIONS = ["-std=gnu++20"]


def prepared(evalx_binary, language, compiler, languages=os.path.join(harness.ROOT, "languages")):
    """The real language file, prepared: (folder of images, the prepared folder)."""
    if not os.access(compiler, os.X_OK):
        pytest.skip(f"there is no {compiler}")
    folder = harness.make_folder()
    env = {**os.environ, "EVALX_LANGUAGES": languages, "EVALX_IMAGES": folder,
           "EVALX_UID_BASE": str(UID_BASE)}
    done = subprocess.run([evalx_binary, "prepare", language], env=env, capture_output=True, text=True, check=False,
                          timeout=300 * harness.SLOWNESS)
    assert done.returncode == 0, done.stdout + done.stderr
    host = os.path.join(folder, ".prepared", "host")
    yield folder, os.path.join(host, os.listdir(host)[0])
    harness.remove_folder(folder)


@pytest.fixture(scope="module")
def prepared_cpp(evalx_binary):
    yield from prepared(evalx_binary, "cpp", "/usr/bin/g++")


@pytest.fixture(scope="module")
def prepared_java(evalx_binary):
    yield from prepared(evalx_binary, "java", "/usr/bin/javac")


def refused_by_gcc(name):
    """Even without precompiled headers, GCC 13 fails to compile <string> after a pragma that names a target."""
    return name == "target" and subprocess.run(["g++", "-dumpversion"], capture_output=True, text=True,
                                               check=True).stdout.split(".")[0].strip() == "13"


def compile_to(folder, name, options, more=()):
    """(assembly or None, compiler messages) of main.cpp in the folder; the assembly is NAME.s."""
    done = subprocess.run(["g++", *more, "-O2", *options, "-S", "-o", name + ".s", "main.cpp"], cwd=folder,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, done.stderr
    with open(os.path.join(folder, name + ".s"), encoding="utf-8") as file:
        return file.read(), done.stderr


def write_main(folder, text):
    with open(os.path.join(folder, "main.cpp"), "w", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_the_same_program_with_compiled_headers(prepared_cpp, folder, name):
    if refused_by_gcc(name):
        pytest.skip("g++ 13 refuses it without compiled headers, too")
    head, what, taken = HEADS[name]
    write_main(folder, head + BODY.replace("WHAT", what))
    with_headers, said = compile_to(folder, "prepared", CPP_OPTIONS, ["-H", "-isystem" + prepared_cpp[1]])
    plain, _ = compile_to(folder, "plain", CPP_OPTIONS)
    assert ("\n! " in "\n" + said) == taken, said[:2000]
    assert plain is not None and pieces(with_headers) == pieces(plain)
    assert taken or with_headers == plain


def runs(folder, name):
    subprocess.run(["g++", "-o", name, name + ".s"], cwd=folder, check=True)
    done = subprocess.run(["./" + name], cwd=folder, input="a-12 3\nb 4 a\n5 6\n", capture_output=True, text=True,
                          check=False, timeout=10 * harness.SLOWNESS)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", [*sorted(cpp_programs.WELL), *(f"algorithms {name}" for name in cpp_programs.AFTER)])
def test_the_same_code_whenever_templates_were_instantiated(prepared_cpp, folder, name):
    """The functions have the same instructions.  Their order differs, and g++'s inlining depends on the order: in some
    programs it decides differently about a call, so a few functions may differ."""
    program, _, after = name.partition(" ")
    write_main(folder, "#include <bits/stdc++.h>\n" + cpp_programs.AFTER.get(after, "") + cpp_programs.WELL[program])
    options = [*CPP_OPTIONS, "-DLOCAL=1"] if program == "constants" else CPP_OPTIONS
    with_headers, said = compile_to(folder, "prepared", options, ["-isystem" + prepared_cpp[1]])
    plain, said_plain = compile_to(folder, "plain", options)
    assert plain is not None, said_plain
    assert with_headers is not None and said == said_plain
    one, other = pieces(with_headers), pieces(plain)
    different = (one - other).total() + (other - one).total()
    print(f"{name}: {different} of {one.total()} pieces differ")
    assert different <= one.total() / 10, "\n".join([*(one - other), "---", *(other - one)])[:5000]
    assert runs(folder, "prepared") == runs(folder, "plain")


@pytest.mark.parametrize("name", sorted(cpp_programs.ILL))
def test_the_same_messages_for_a_broken_program(prepared_cpp, folder, name):
    write_main(folder, "#include <bits/stdc++.h>\n" + cpp_programs.ILL[name])
    with_headers, said = compile_to(folder, "prepared", [*CPP_OPTIONS, "-Wall"], ["-isystem" + prepared_cpp[1]])
    plain, said_plain = compile_to(folder, "plain", [*CPP_OPTIONS, "-Wall"])
    assert said == said_plain and "main.cpp:" in said
    assert (with_headers is None) == (plain is None) == (name != "warned")


def prepare_iostream(evalx_binary, folder, found, instead, more_env=None):
    """The output of evalx prepare for C++ with a word of its script replaced, and only the small header."""
    if not os.access("/usr/bin/g++", os.X_OK):
        pytest.skip("there is no g++")
    shutil.copytree(os.path.join(harness.ROOT, "languages"), os.path.join(folder, "languages"), dirs_exist_ok=True)
    script = os.path.join(folder, "languages", "prepare", "g++.sh")
    with open(script, encoding="utf-8") as file:
        text = file.read()
    assert text.count(found) == 1
    with open(script, "w", encoding="utf-8") as file:
        file.write(text.replace(found, instead).replace("in bits/stdc++.h iostream", "in iostream"))
    env = {**os.environ, "EVALX_LANGUAGES": os.path.join(folder, "languages"), "EVALX_UID_BASE": str(UID_BASE),
           "EVALX_IMAGES": os.path.join(folder, "images"), **(more_env or {})}
    done = subprocess.run([evalx_binary, "prepare", "cpp"], env=env, capture_output=True, text=True, check=False,
                          timeout=300 * harness.SLOWNESS)
    assert done.returncode == 0 and "prepared after" in done.stdout, done.stdout + done.stderr
    host = os.path.join(folder, "images", ".prepared", "host")
    assert {"iostream", "iostream.gch"} <= set(os.listdir(os.path.join(host, os.listdir(host)[0])))
    return done.stdout


def test_headers_are_precompiled_without_the_plugin(evalx_binary, folder):
    """A compiler without plugin headers: a wrapper of g++ that prints a wrong plugin folder."""
    for found, instead in (("include=$(", "include=/none #"), ("int plugin_init(", "int plugin_init(nonsense "),
                           ("at_eof = 1;", "abort();")):
        said = prepare_iostream(evalx_binary, folder, found, instead)
        assert re.search(r"^ +note: without .*plugin", said, re.M), said


def test_the_plugin_can_be_switched_off(evalx_binary, folder):
    """With the plugin off, a plugin that cannot be compiled is not tried, and no package is recommended."""
    said = prepare_iostream(evalx_binary, folder, "int plugin_init(", "int plugin_init(nonsense ",
                            {"EVALX_CPP_TEMPLATES": "false"})
    assert "note:" not in said, said


def test_compiled_headers_in_a_box(prepared_cpp, start_evalx):
    """From source to result, with and without `prepare`: the same verdicts, output and compiler messages."""
    server = {"prepared": start_evalx({"EVALX_IMAGES": prepared_cpp[0]}, name="prepared"),
              "plain": start_evalx({"EVALX_IMAGES": os.path.join(prepared_cpp[0], "none")}, name="plain")}
    names = [name for name in sorted(HEADS) if not name.startswith("all_") and not refused_by_gcc(name)]
    batch = [{"language": "cpp", "version": "*", "code": head + BODY.replace("WHAT", what), "stdin": "a bcd\n"}
             for head, what, _ in map(HEADS.get, names)]
    batch.append({"language": "cpp", "version": "*",
                  "code": "#include <bits/stdc++.h>\nint main() { std::set<std::mutex> s; s.insert(1); }"})
    results = {key: one.client().run(batch, seconds=120)["results"] for key, one in server.items()}
    for one, other in zip(results["prepared"], results["plain"]):
        assert [one[key] for key in ("status", "exit_code", "stdout", "stderr")] == [
            other[key] for key in ("status", "exit_code", "stdout", "stderr")]
    assert [one["status"] for one in results["plain"]] == ["accepted"] * (len(batch) - 1) + ["compile_error"]
    assert json.dumps(results["prepared"]).count("/prepared/") == 0


MAIN = """import java.util.*;
import java.util.stream.*;
public class Main {
    public static void main(String[] args) {
        System.out.println(IntStream.range(0, 5).boxed().map(x -> x * x).collect(Collectors.toList()));
        System.err.print(new Scanner(System.in).next());
    }
}
"""


def test_class_archives_are_used_and_invisible(prepared_java, start_evalx, folder):
    server = start_evalx({"EVALX_IMAGES": prepared_java[0]})
    result = server.client().run([{"language": "java", "version": "*", "code": MAIN, "stdin": "word"}])["results"][0]
    assert (result["status"], result["stdout"], result["stderr"]) == ("accepted", "[0, 1, 4, 9, 16]\n", "word")
    with open(os.path.join(folder, "Main.java"), "w", encoding="ascii") as file:
        file.write(MAIN)
    for archive, command in (("javac", ["javac", "-J-XX:SharedArchiveFile={}", "-J-Xlog:class+load",
                                        "-J-XX:+UseSerialGC",
                                        "-d", ".", "Main.java"]),
                             ("java", ["java", "-XX:SharedArchiveFile={}", "-Xlog:class+load", "-XX:+UseSerialGC",
                                       "-cp", ".", "Main"])):
        done = subprocess.run([word.replace("{}", f"{prepared_java[1]}/{archive}.jsa") for word in command], cwd=folder,
                              input="word", capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout.count("shared objects file (top)") > 20, done.stdout[-1000:]


RUBY = """
p $LOADED_FEATURES.reject { |path| path.start_with?("/prepared/") }, ARGV, $0, __FILE__, $PROGRAM_NAME, ENV.to_h
p Gem::VERSION, Gem.path, Gem.loaded_specs.keys, defined?(DidYouMean), defined?(ErrorHighlight), $VERBOSE, $DEBUG
p RubyVM::InstructionSequence.respond_to?(:load_iseq), Object.constants.sort, self.to_s, binding.local_variables
require "json"
require "set"
puts JSON.dump({ "a" => [1, 2.5] }), gets
gem "json"
begin
  gem "there-is-no-such"
rescue LoadError => error
  puts error.class, error.message
end
begin
  [1].frist
rescue NoMethodError => error
  puts error.respond_to?(:detailed_message) ? error.detailed_message : error.message
end
$stderr.puts "to stderr"
raise "in the end"
"""


@pytest.fixture(scope="module")
def ruby_of_the_host():
    """A folder of languages with the real language file, which runs the host's ruby."""
    folder = harness.make_folder()
    with open(os.path.join(folder, "ruby.conf"), "w", encoding="utf-8") as file:
        file.write(harness.language_on_host("ruby"))
    yield folder
    harness.remove_folder(folder)


@pytest.fixture(scope="module")
def prepared_ruby(evalx_binary, ruby_of_the_host):
    yield from prepared(evalx_binary, "ruby", "/usr/bin/ruby", ruby_of_the_host)


def test_ruby_loads_what_it_loads_by_itself(prepared_ruby, ruby_of_the_host, start_evalx, folder):
    said = []
    for images in folder, prepared_ruby[0]:
        server = start_evalx({"EVALX_IMAGES": images, "EVALX_LANGUAGES": ruby_of_the_host})
        programs = [{"language": "ruby", "version": "*", "code": code, "stdin": "in\n"}
                    for code in (RUBY, "p $LOADED_FEATURES.last")]
        found = server.client().run(programs)["results"]
        server.stop()
        assert found[0]["status"] == "runtime_error" and "in the end (RuntimeError)" in found[0]["stderr"], found
        said.append([found[0]["stdout"], found[0]["stderr"]])
        assert ("/prepared/" in found[1]["stdout"]) == (images != folder)  # it is used if it exists
    assert said[0] == said[1]
