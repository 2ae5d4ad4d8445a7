"""compile: the time from submit to result of a new program, alternating with compiler and program on the host.

The source text is new each time, so nothing can come from the artifact cache.  Then the same text is submitted again,
and nothing may be compiled.  The results of `evalx prepare` are in a separate folder.
"""
import contextlib
import os
import re
import shutil

from engine import ROOT, Client, request, right, submission, write
from figures import median, p99
from languages import prepared

CPP = """#include <bits/stdc++.h>
using namespace std;
int main()
{
    vector<int> numbers(1000);
    iota(numbers.begin(), numbers.end(), NUMBER);
    map<int, string> names;
    for (int number : numbers)
        names[number % 7] += to_string(number);
    sort(numbers.rbegin(), numbers.rend());
    cout << numbers[999] << " " << names.size() << endl;
}
"""
JAVA = """import java.util.*;
public class Main {
    public static void main(String[] args) {
        List<Integer> numbers = new ArrayList<>();
        for (int i = 0; i < 1000; i++)
            numbers.add(NUMBER + i);
        Collections.sort(numbers, Comparator.reverseOrder());
        Map<Integer, Integer> names = new TreeMap<>();
        for (int number : numbers)
            names.merge(number % 7, 1, Integer::sum);
        System.out.println(numbers.get(999) + " " + names.size());
    }
}
"""
# Name, language, source, command on the host, compiler, aim: how many times faster.
PROGRAMS = [
    ("C++, bits/stdc++.h", "cpp", "main.cpp", CPP, "g++ -O2 -std=gnu++20 -pipe -o main main.cpp && ./main", "g++", 3),
    ("Java", "java", "Main.java", JAVA, "javac Main.java && java Main", "javac", None),
]
FIRST = 1000000


def compiles(port, language):
    """How many programs the worker has compiled so far."""
    with Client(port) as client:
        metrics = client.ask(request("GET", "/metrics"))[1].decode()
    return int(re.search(rf'^evalx_cache_misses_total\{{language="{language}"\}} (\d+)', metrics, re.M).group(1))


def compare(bench, port, program, number):
    """One round: milliseconds of the host, of evalx, and of evalx the second time."""
    _, language, source, code, command, _, _ = program
    code, said = code.replace("NUMBER", str(number)), f"{number} 7\n"
    folder = os.path.join(bench.folder, f"{language}-{number}")
    os.mkdir(folder)
    write(os.path.join(folder, source), code)
    plain = bench.floor_ms(1, "/bin/sh", "-c", f"cd {folder} && {command}")[0]
    shutil.rmtree(folder)
    sent = submission(language, code)
    with Client(port) as client:
        fresh, found = client.run(sent)
        first = right(found, said=said)[0]
        again, found = client.run(sent)
        second = right(found, said=said)[0]
    if first["compile_cached"] or not second["compile_cached"] or second["compile_time"] != 0:
        raise SystemExit(f"bench: {language}: the first must be compiled, the second not: {first} {second}")
    return plain, fresh, again, first["compile_time"] * 1000


def measure(bench, report):
    programs = [row for row in PROGRAMS if shutil.which(row[5])]
    for row in PROGRAMS:
        if row not in programs:
            report.note(f"{row[0]}: {row[5]} is not installed, not measured")
    rows, bars = [], []
    with contextlib.ExitStack() as stack:
        images = prepared(bench, [row[1] for row in programs], os.path.join(ROOT, "languages"))
        fleet = stack.enter_context(bench.fleet("compile", {"EVALX_IMAGES": images}))
        ports = fleet.api.port, fleet.workers[0].port
        for row in programs:
            compare(bench, ports[0], row, FIRST)  # fills the page cache
            before = compiles(ports[1], row[1])
            rounds = bench.many(4, 15)
            plain, fresh, again, compiler = zip(*(compare(bench, ports[0], row, FIRST + 1 + i) for i in range(rounds)))
            compiled = compiles(ports[1], row[1]) - before
            rows.append({"program": row[0], "rounds": rounds, "plain_ms": median(plain), "plain_p99_ms": p99(plain),
                         "evalx_ms": median(fresh), "evalx_p99_ms": p99(fresh), "compile_ms": median(compiler),
                         "again_ms": median(again), "again_p99_ms": p99(again),
                         "plain/evalx": median(plain) / median(fresh), "p99 ratio": p99(plain) / p99(fresh),
                         "compiled": compiled, "submitted": 2 * rounds})
            bars += [(f"{row[0].split(',')[0]}, plain", "floor", median(plain), p99(plain)),
                     (f"{row[0].split(',')[0]}, evalx", "evalx", median(fresh), p99(fresh)),
                     (f"{row[0].split(',')[0]}, the same again", "evalx", median(again), p99(again))]
            report.claim(f"{row[0]}: compiled and run, times as fast as plain", rows[-1]["plain/evalx"], "times",
                         at_least=row[6])
            report.claim(f"{row[0]}: compiled of {rounds} submitted twice, beyond once", compiled - rounds, "compiles",
                         at_most=0)
    report.table("a new program compiled and run, and the same submitted again", rows)
    report.panel("compiled and run", "ms", bars)
