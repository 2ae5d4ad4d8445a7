"""run_tests.py counts what really ran: what cmocka, TAP, silent programs and pytest print, and what crashes hide."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run_tests  # noqa: E402

# As cmocka 1.1.5 prints it: results on stdout, the summary on stderr.
CMOCKA = """[==========] Running 3 test(s).
[ RUN      ] one
[       OK ] one
[ RUN      ] two
[  FAILED  ] two
[ RUN      ] three
[  SKIPPED ] three
[==========] 3 test(s) run.
"""
SUMMARY = "[  ERROR   ] --- 0x1 != 0x2\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] two\n\n 1 FAILED TEST(S)\n"


def counted(result="OK", stdout="", stderr="", returncode=0):
    tally = run_tests.count_program({"name": "p", "result": result, "stdout": stdout, "stderr": stderr,
                                     "returncode": returncode})
    return tally.passed, [name for name, _ in tally.failed], [name for name, _ in tally.skipped]


def test_cmocka_tests_one_by_one():
    assert counted("FAIL", CMOCKA, SUMMARY, 1) == (1, ["p: two"], ["p: three"])


def test_two_groups_with_the_same_names():
    good = "[==========] Running 1 test(s).\n[ RUN      ] one\n[       OK ] one\n"
    assert counted("OK", good + good) == (2, [], [])


def test_crash_in_a_cmocka_test():
    cut = "[==========] Running 2 test(s).\n[ RUN      ] one\n[       OK ] one\n[ RUN      ] two\n"
    assert counted("FAIL", cut, "", -6) == (1, ["p: two"], [])


def test_failure_after_all_tests_passed():
    """A leak found at exit, or a group that could not be set up, fails the program though no test failed."""
    good = "[==========] Running 1 test(s).\n[ RUN      ] one\n[       OK ] one\n"
    assert counted("FAIL", good, "LeakSanitizer: detected memory leaks", 23) == (1, ["p"], [])
    setup = "[==========] Running 1 test(s).\n[  FAILED  ] GROUP SETUP\n[  ERROR   ] tests\n"
    assert counted("FAIL", setup, "", 1) == (0, ["p"], [])


def test_tap():
    assert counted("FAIL", "1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no root\n", "", 1) == (1, ["p: b"], ["p: c"])


def test_a_suite_that_counts_by_itself():
    out = "ok      a.c (0.02 s)\nFAILED  b.c: the program escaped: x\n1 passed, 1 failed, 0 skipped\n"
    assert counted("FAIL", out, "", 1) == (1, ["p: b.c"], [])
    assert counted("OK", "ok a\n2 passed, 0 failed, 1 skipped\n") == (2, [], ["p: (unnamed)"])
    assert counted("FAIL", "ok a\n2 passed, 0 failed\n", "", 1) == (2, ["p"], [])


def test_silent_programs():
    assert counted("OK") == (1, [], [])
    assert counted("TIMEOUT", returncode=-15) == (0, ["p"], [])
    assert counted("SKIP", "needs root\n", returncode=77) == (0, [], ["p"])


def test_junit(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite><testcase classname="t" name="a"/><testcase classname="t" name="b">'
                      '<failure message="no"/></testcase><testcase classname="t" name="c"><skipped message="root"/>'
                      '</testcase><testcase classname="t" name="d"><error message="left behind"/></testcase>'
                      '</testsuite></testsuites>')
    tally = run_tests.count_junit(str(report))
    assert tally.passed == 1
    assert tally.failed == [("t::b", "no"), ("t::d", "left behind")]
    assert tally.skipped == [("t::c", "root")]


def test_the_last_line():
    tally = run_tests.Tally()
    tally.passed = 3
    assert tally.line() == "3 passed, 0 failed"
    tally.skipped.append(("a", ""))
    tally.failed.append(("b", ""))
    assert tally.line() == "3 passed, 1 failed, 1 skipped"
