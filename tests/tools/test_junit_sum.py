"""junit_sum.py counts each test function once, and a run that broke off is never counted as good."""
import json
import os
import subprocess

import junit_sum

WRAPPER = os.path.join(os.path.dirname(os.path.abspath(junit_sum.__file__)), "junit_wrapper.sh")
# As cmocka 1.1.5 writes it.
CMOCKA = """<?xml version="1.0" encoding="UTF-8" ?>
<testsuites>
  <testsuite name="tests" time="0.000" tests="4" failures="2" errors="0" skipped="1" >
    <testcase name="one" time="0.000" >
    </testcase>
    <testcase name="two" time="0.000" >
      <failure><![CDATA[0x1 != 0x2
t.c:8: error: Failure!]]></failure>
    </testcase>
    <testcase name="three" time="0.000" >
      <skipped/>
    </testcase>
  </testsuite>
</testsuites>
"""
GOOD = "<testsuites><testsuite><testcase name='one'/></testsuite></testsuites>"


def folder_of(tmp_path, result="OK", cmocka=None, stdout="", returncode=0, meson=None, status="0"):
    """A folder as a run of meson with one program leaves it."""
    command = [WRAPPER, "/build/test_p", "two words"]
    entry = {"name": "evalx:unit / p", "result": result, "stdout": stdout, "returncode": returncode, "command": command}
    (tmp_path / "meson.json").write_text(json.dumps(entry) + "\n")
    if meson is not None:
        (tmp_path / "meson.xml").write_text(meson)
    if cmocka is not None:
        with open(junit_sum.cmocka_file(str(tmp_path), command), "w", encoding="utf-8") as file:
            file.write(cmocka)
    (tmp_path / "status").write_text(status + "\n")
    return str(tmp_path)


def counted(*arguments, **options):
    counts = junit_sum.count_folder(folder_of(*arguments, **options))
    return counts.passed, [name for name, _ in counts.failed], [name for name, _ in counts.skipped]


def test_cmocka_tests_one_by_one(tmp_path):
    assert counted(tmp_path, "FAIL", CMOCKA, returncode=1, status="1") == (1, ["p::two"], ["p::three"])


def test_the_wrapper_and_the_sum_agree_on_the_file(tmp_path):
    script = "printf %s \"$CMOCKA_XML_FILE\""
    command = [WRAPPER, "sh", "-c", script, "it's", "two words"]
    env = {**os.environ, "EVALX_JUNIT": str(tmp_path)}
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert said == junit_sum.cmocka_file(str(tmp_path), command)


def test_characters_that_xml_does_not_allow(tmp_path):
    assert counted(tmp_path, "FAIL", CMOCKA.replace("0x1", "\x01\x1b"), returncode=1, status="1")[0] == 1


def test_a_program_that_crashes_is_a_failure(tmp_path):
    assert counted(tmp_path, "FAIL", returncode=-6, status="1") == (0, ["p"], [])
    assert counted(tmp_path, "TIMEOUT", returncode=-15, status="1") == (0, ["p"], [])


def test_a_file_cut_short_is_a_failure(tmp_path):
    assert counted(tmp_path, "OK", CMOCKA[:200]) == (0, ["p"], [])


def test_failure_after_all_tests_passed(tmp_path):
    """A leak found at exit, or a group that could not be set up, fails the program though no test failed."""
    assert counted(tmp_path, "FAIL", GOOD, returncode=23, status="1") == (1, ["p"], [])
    empty = "<testsuites><testsuite/></testsuites>"
    assert counted(tmp_path, "FAIL", empty, returncode=1, status="1") == (0, ["p"], [])


def test_tap_programs_are_counted_from_mesons_file(tmp_path):
    meson = ("<testsuites><testsuite name='evalx.p'><testcase name='1 - a'/><testcase name='2 b'><failure/></testcase>"
             "<testcase name='3 c'><skipped/><system-out>no root</system-out></testcase></testsuite>"
             "<testsuite name='evalx'><testcase name='other'/></testsuite></testsuites>")
    expected = (1, ["p::b"], ["p::c"])
    assert counted(tmp_path, "FAIL", meson=meson, status="1") == expected
    assert counted(tmp_path, "FAIL", meson=meson.replace("evalx.p", "evalx.evalx:unit / p"), status="1") == expected


def test_programs_without_single_results(tmp_path):
    assert counted(tmp_path) == (1, [], [])
    folder = folder_of(tmp_path, "SKIP", stdout="first\nskipped: needs root\n", returncode=77)
    assert junit_sum.count_folder(folder).skipped == [("p", "needs root")]


def test_a_run_that_failed_without_a_failed_test(tmp_path):
    assert counted(tmp_path, status="2") == (1, ["the run"], [])
    os.remove(tmp_path / "status")
    counts = junit_sum.count_folder(str(tmp_path))
    assert counts.failed == [("the run", "ended with no exit status")]


def test_pytest(tmp_path):
    (tmp_path / "pytest.xml").write_text(
        '<testsuites><testsuite><testcase classname="t" name="a"/><testcase classname="t" name="b">'
        '<failure message="no"/></testcase><testcase classname="t" name="c"><skipped message="root"/>'
        '</testcase><testcase classname="t" name="d"><error message="left behind"/></testcase>'
        '</testsuite></testsuites>')
    (tmp_path / "status").write_text("1\n")
    counts = junit_sum.count_folder(str(tmp_path))
    assert counts.passed == 1
    assert counts.failed == [("t::b", "no"), ("t::d", "left behind")]
    assert counts.skipped == [("t::c", "root")]


def test_the_last_line_and_the_exit_status(tmp_path, capsys):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir(), bad.mkdir()
    folder_of(good)
    folder_of(bad, "FAIL", CMOCKA, returncode=1, status="1")
    assert junit_sum.main([str(good)]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"
    assert junit_sum.main([str(good), str(bad)]) == 1
    assert capsys.readouterr().out.split("\n")[-4:] == [
        "skipped: bad: p::three", "FAILED:  bad: p::two (0x1 != 0x2)", "2 passed, 1 failed, 1 skipped", ""]
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "status").write_text("0\n")
    assert junit_sum.main([str(empty)]) == 1
