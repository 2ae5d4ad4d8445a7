"""Static checks of the files in deploy/."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import templates

AWS = os.path.join(templates.DEPLOY, "aws")


def test_cfn_lint_finds_nothing():
    command = os.path.join(os.path.dirname(sys.executable), "cfn-lint")
    if not os.path.exists(command):
        pytest.skip("cfn-lint is not installed")
    found = subprocess.run([command, "--regions", "us-east-1", "eu-central-1", "--include-checks", "W", "E", "--",
                            *sorted(glob.glob(f"{AWS}/*.yaml"))], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_template_fits_in_one_call():
    """For a larger template, `cloudformation deploy` needs a bucket."""
    for path in glob.glob(f"{AWS}/*.yaml"):
        assert os.path.getsize(path) <= 51200, path


def test_the_component_of_the_image_fits():
    data = templates.load("image.yaml")["Resources"]["Component"]["Properties"]["Data"]["Fn::Sub"]
    assert len(data) < 16000
    found = templates.yaml.safe_load(data)
    assert [phase["name"] for phase in found["phases"]] == ["build", "test"]


def test_shell_scripts_are_clean():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    scripts = [f"{AWS}/{name}" for name in ("deploy.sh", "fetch-secret", "lifecycle-drain")]
    found = subprocess.run(["shellcheck", "-x", *scripts], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_user_data_is_clean(dev, production, tmp_path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    for stack in (dev, production):
        for name, script in user_data(stack).items():
            path = tmp_path / f"{stack.name}-{name}.sh"
            path.write_text(script, encoding="utf-8")
            # SC2157, SC2050: tests of values that the stack filled in are tests of constants.
            found = subprocess.run(["shellcheck", "-e", "SC2157,SC2050", str(path)], capture_output=True, text=True,
                                   check=False)
            assert found.returncode == 0, found.stdout


def user_data(stack):
    import base64
    found = stack.properties("AWS::EC2::LaunchTemplate")
    return {name: base64.b64decode(p["LaunchTemplateData"]["UserData"]).decode() for name, p in found.items()}


def test_the_image_has_what_user_data_needs(dev):
    """User data and its units use only files that build_ami.sh installs."""
    found = subprocess.run(["bash", f"{templates.DEPLOY}/build_ami.sh", "--dry-run", "--cloudwatch", "--any-system",
                            "--images", "none"], capture_output=True, text=True, check=False, timeout=120)
    if "would install: /etc/evalx/evalx.env" not in found.stdout:
        pytest.skip("build_ami.sh installs nothing on this machine: " + (found.stdout + found.stderr)[-200:])
    installed = set(re.findall(r"would install: (\S+)", found.stdout))
    wanted = {"/etc/evalx/evalx.env"}
    for script in user_data(dev).values():
        wanted |= set(re.findall(r"/usr/libexec/evalx/[a-z-]+", script))
        wanted |= set(re.findall(r"/etc/evalx/(?!api-keys)[a-z-]+\.(?:json|yaml|env)", script))
        enabled = re.search(r"systemctl enable --now (.*)", script)[1].split()
        wanted |= {f"/etc/systemd/system/{unit}" for unit in enabled}
    wanted |= {"/usr/libexec/evalx/fetch-secret", "/usr/libexec/evalx/lifecycle-drain"}
    assert wanted - installed == set()
    assert "amazon-cloudwatch-agent.deb" in found.stdout


def test_units_are_accepted_by_systemd(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = glob.glob(f"{templates.DEPLOY}/systemd/*.service") + glob.glob(f"{templates.DEPLOY}/systemd/*.target")
    units += glob.glob(f"{AWS}/*.service")
    for unit in units:  # the programs that they start exist only on the image
        with open(unit, encoding="utf-8") as file:
            text = file.read()
        for command in ("/usr/local/bin/evalx", "/usr/libexec/evalx/"):
            text = text.replace(command, "/bin/true " if command.endswith("evalx") else "/bin/true /")
        (tmp_path / os.path.basename(unit)).write_text(text, encoding="utf-8")
    # --man=no: the manual pages exist only on the image too.  The unit path contains only these and the system's units.
    found = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(str(p) for p in tmp_path.iterdir())],
                           capture_output=True, text=True, check=False)
    complaints = [line for line in found.stderr.split("\n") if any(os.path.basename(u) in line for u in units)]
    assert complaints == [] and found.returncode == 0, found.stderr


def test_the_dashboard_is_json():
    body = templates.resources_of(templates.load("service.yaml"), "AWS::CloudWatch::Dashboard")
    for widget in json.loads(body["Dashboard"]["DashboardBody"]["Fn::Sub"])["widgets"]:
        assert widget["x"] + widget["width"] <= 24


def test_each_alarm_has_its_line_in_the_manual():
    alarms = templates.resources_of(templates.load("service.yaml"), "AWS::CloudWatch::Alarm")
    with open(os.path.join(templates.ROOT, "docs", "guide", "OPERATIONS.md"), encoding="utf-8") as file:
        text = file.read()
    assert [name for name in alarms if f"`{name}`" not in text] == []
