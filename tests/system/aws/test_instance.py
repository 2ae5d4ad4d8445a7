"""The behaviour of an instance: evalx-aws alone, and the first boot with the user data of the launch templates."""
import base64
import datetime
import importlib.machinery
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

import templates

COMMAND = os.path.join(templates.DEPLOY, "aws", "evalx-aws")
HERE = os.path.dirname(os.path.abspath(__file__))
ARN = templates.STUBBED["AWS::SecretsManager::Secret"]["Ref"]
METADATA = {
    "meta-data/instance-id": "i-0123456789abcdef0",
    "meta-data/placement/region": templates.REGION,
    "meta-data/iam/security-credentials/": "role",
    "meta-data/iam/security-credentials/role": json.dumps(
        {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "example/key", "Token": "session-token"}),
}


def load_command():
    loader = importlib.machinery.SourceFileLoader("evalx_aws", COMMAND)
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("evalx_aws", loader))
    loader.exec_module(module)
    return module


def test_signatures_are_those_of_botocore(monkeypatch):
    auth = pytest.importorskip("botocore.auth")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    url, body = "https://secretsmanager.us-east-1.amazonaws.com/", b'{"SecretId": "x"}'
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_a, **_k: now.replace(tzinfo=None), raising=False)
    request = AWSRequest("POST", url, headers={**headers}, data=body)
    auth.SigV4Auth(Credentials("ASIA", "secret/key", "token"), "secretsmanager", "us-east-1").add_auth(request)
    stamp = request.context.get("timestamp") or request.headers["X-Amz-Date"]
    ours = load_command().sign("POST", url, headers, body, "secretsmanager", "us-east-1",
                               ("ASIA", "secret/key", "token"), datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    assert ours["Authorization"] == request.headers["Authorization"]
    assert ours["x-amz-security-token"] == request.headers["X-Amz-Security-Token"]


def prepare(folder, **secrets):
    (folder / "metadata.json").write_text(json.dumps(METADATA), encoding="utf-8")
    (folder / "secrets.json").write_text(json.dumps(secrets), encoding="utf-8")


def calls(folder):
    path = folder / "calls"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def instance(tmp_path):
    """run(arguments): runs evalx-aws with a stand-in for the metadata and for the services (or moto for the latter)."""
    harness = pytest.importorskip("harness")
    ports = harness.free_port(), harness.free_port()
    prepare(tmp_path, **{ARN: "s3cret", "/evalx/keys": "name:0123"})
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "endpoint.py"), str(tmp_path),
                               *(f"127.0.0.1:{port}" for port in ports)], stdin=subprocess.DEVNULL)

    def run(*arguments, status=0, services=None, **env):
        found = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120, env={
            "PATH": os.environ["PATH"], "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{ports[0]}",
            "AWS_ENDPOINT_URL": services or f"http://127.0.0.1:{ports[1]}", **env})
        assert found.returncode == status, found.stderr
        return found.stdout + found.stderr

    run.metadata, run.services = (f"http://127.0.0.1:{port}" for port in ports)
    harness.wait_until("the stand-in listens", lambda: listens(ports[1]))
    yield run
    server.kill()
    server.wait()


def test_a_parameter_is_written_to_a_file(instance, tmp_path):
    path = tmp_path / "keys"
    instance("fetch-parameter", "/evalx/keys", str(path))
    assert path.read_text(encoding="utf-8") == "name:0123\n" and path.stat().st_mode & 0o777 == 0o600
    [call] = calls(tmp_path)
    assert (call["service"], call["action"], call["session"]) == ("ssm", "GetParameter", "session-token")
    instance("fetch-parameter", "/evalx/other", str(path), status=1)
    assert path.read_text(encoding="utf-8") == "name:0123\n", "the existing file is kept"


def test_a_parameter_of_moto(instance, moto, tmp_path):
    import boto3
    boto3.client("ssm", endpoint_url=moto, region_name=templates.REGION).put_parameter(
        Name="/evalx/moto", Value="one\ntwo\n", Type="SecureString")
    instance("fetch-parameter", "/evalx/moto", str(tmp_path / "keys"), services=moto)
    assert (tmp_path / "keys").read_text(encoding="utf-8") == "one\ntwo\n"


def test_a_signal(instance, tmp_path):
    instance("signal", "evalx-dev", "ApiGroup", "0")
    instance("signal", "evalx-dev", "ApiGroup", "7")
    told = [(c["service"], c["fields"]["StackName"], c["fields"]["LogicalResourceId"], c["fields"]["UniqueId"],
             c["fields"]["Status"]) for c in calls(tmp_path)]
    assert told == [("cloudformation", "evalx-dev", "ApiGroup", "i-0123456789abcdef0", status)
                    for status in ("SUCCESS", "FAILURE")]


def test_wrong_usage_is_reported(instance):
    assert "fetch-secret" in instance("fetch", status=2)
    assert "does not answer" in instance("wait-healthy", "0", status=1)


# ---- the first boot ----

@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    """boot(stack, role): the folder with the results of the first boot of this role, which runs once."""
    done = {}

    def boot(stack, role):
        if (stack.name, role) in done:
            return done[stack.name, role]
        harness = pytest.importorskip("harness")
        if os.geteuid() != 0:
            pytest.skip("namespaces and an overlay need root")
        if not os.access(harness.BINARY, os.X_OK):
            pytest.skip("evalx is not built")
        folder = tmp_path_factory.mktemp(f"{stack.name}-{role}")
        prepare(folder, **{ARN: "A-password-of-ElastiCache-1", "/evalx/keys": "me:" + "0" * 64})
        (folder / "password").write_text("A-password-of-ElastiCache-1", encoding="utf-8")
        template = stack.client("ec2").describe_launch_template_versions(
            LaunchTemplateId=stack.physical[f"{role.capitalize()}Template"])["LaunchTemplateVersions"][0]
        script = base64.b64decode(template["LaunchTemplateData"]["UserData"])
        (folder / "user-data").write_bytes(script)
        begin = time.monotonic()
        found = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", f"{HERE}/first_boot.sh",
             str(folder), role], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
            env={**os.environ, "EVALX_BINARY": harness.BINARY, "EVALX_SOURCE": templates.ROOT})
        if "mount" in found.stderr and not (folder / "status").exists():
            pytest.skip(f"no overlay of the root here: {found.stderr.strip()[-200:]}")
        assert (folder / "status").exists(), found.stderr
        print(f"{role}: {time.monotonic() - begin:.1f} s")
        done[stack.name, role] = folder
        return folder

    return boot


def text_of(folder, name):
    return (folder / name).read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("role", ["api", "worker"])
@pytest.mark.parametrize("which", ["dev", pytest.param("production", marks=pytest.mark.slow)])
def test_first_boot(booted, request, which, role):
    stack = request.getfixturevalue(which)
    folder = booted(stack, role)
    said = text_of(folder, "out") + text_of(folder, "local/evalx.log")
    assert text_of(folder, "status") == "0\n", said
    # evalx serves: it read its settings, reached Redis over TLS by its name, and logged in with the password.
    assert ("msg=\"listening" if role == "api" else "msg=\"working") in said, said
    assert text_of(folder, "fetched") == "A-password-of-ElastiCache-1"
    assert "A-password" not in said and "A-password" not in text_of(folder, "local/calls")
    modes = text_of(folder, "modes").splitlines()
    assert "640 root:evalx /etc/evalx/evalx.env" in modes
    assert "600 root:root /run/evalx-secrets/redis-password" in modes
    assert "700 root:root /run/evalx-secrets" in modes
    assert ("600 evalx:evalx /etc/evalx/api-keys" in modes) == (which == "production" and role == "api")
    # It reported to the stack, with its instance id.
    reports = [c for c in calls(folder) if c["action"] == "SignalResource"]
    assert [(r["fields"]["StackName"], r["fields"]["LogicalResourceId"], r["fields"]["Status"]) for r in reports] == [
        (stack.name, f"{role.capitalize()}Group", "SUCCESS")]


@pytest.mark.parametrize("role", ["api", "worker"])
def test_first_boot_starts_units_and_agent(booted, dev, role):
    folder = booted(dev, role)
    done = text_of(folder, "local/calls").splitlines()
    assert done[0] == "systemctl enable --now evalx.service evalx-lifecycle.service"
    assert done[1] == ("amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s "
                       "-c file:/etc/evalx/amazon-cloudwatch-agent.json")
    with open(folder / "etc" / "prometheus.yaml", encoding="utf-8") as file:
        assert templates.yaml.safe_load(file)["scrape_configs"][0]["static_configs"][0]["labels"] == {"fleet": "dev"}
    logs = json.loads((folder / "etc" / "amazon-cloudwatch-agent.json").read_text(encoding="utf-8"))["logs"]
    assert logs["metrics_collected"]["prometheus"]["log_group_name"] == "/evalx/dev/prometheus"
    assert logs["logs_collected"]["files"]["collect_list"][0]["log_group_name"] == "/evalx/dev/system"


def test_a_terminated_worker_drains_first(booted, dev):
    folder = booted(dev, "worker")
    done = text_of(folder, "local/calls").splitlines()
    assert done[-1].startswith("systemctl stop evalx.service")
    last = calls(folder)[-1]
    assert (last["service"], last["action"]) == ("autoscaling", "CompleteLifecycleAction")
    assert last["fields"] == {"AutoScalingGroupName": "evalx-dev-worker", "LifecycleHookName": "evalx-dev-drain",
                              "InstanceId": "i-0123456789abcdef0", "LifecycleActionResult": "CONTINUE",
                              "Version": "2011-01-01"}


# ---- termination of an instance ----

@pytest.mark.parametrize("why", ["group", "spot"])
def test_it_drains_and_keeps_the_hook_waiting(instance, tmp_path, monkeypatch, why):
    """A drain that takes longer than a heartbeat; a spot instance is warned before its group ends it."""
    command = load_command()
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho \"$*\" >>{tmp_path}/stops\nsleep 1\n", encoding="utf-8")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    for name, value in {"EVALX_AWS_GROUP": "the-group", "EVALX_AWS_HOOK": "the-hook", "AWS_REGION": templates.REGION,
                        "AWS_ENDPOINT_URL": instance.services}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "METADATA", instance.metadata)
    monkeypatch.setattr(command, "POLL_S", 0.1)
    monkeypatch.setattr(command, "HEARTBEAT_S", 0.2)
    watch = command.LifecycleDrain(command.Metadata())
    assert watch.termination_reason() is None
    state, spot = "meta-data/autoscaling/target-lifecycle-state", "meta-data/spot/instance-action"
    (tmp_path / "metadata.json").write_text(json.dumps(
        METADATA | ({state: "Terminated"} if why == "group" else {spot: "{}", state: "InService"})), encoding="utf-8")
    if why == "spot":
        later = threading.Timer(1.5, lambda: (tmp_path / "metadata.json").write_text(
            json.dumps(METADATA | {spot: "{}", state: "Terminated"}), encoding="utf-8"))
        later.start()
    watch.run()
    assert (tmp_path / "stops").read_text(encoding="utf-8") == "stop evalx.service\n"
    actions = [call["action"] for call in calls(tmp_path)]
    assert actions[-1] == "CompleteLifecycleAction" and actions.count("CompleteLifecycleAction") == 1
    assert actions.count("RecordLifecycleActionHeartbeat") >= 2
