"""deploy.sh: what it prints without an account, and what it does to an account (on a moto server).

moto lacks EC2 Image Builder and the types that templates.py stubs.  The script therefore runs from a copy of deploy/aws
with stubbed templates.  The aws command is the real one, except for `cloudformation deploy`, which is replaced by
create_stack and update_stack, because moto forgets the outputs of a stack that a change set made.
"""
import os
import shutil
import stat
import subprocess
import sys

import pytest

import templates

SCRIPT = os.path.join(templates.DEPLOY, "aws", "deploy.sh")


def run(script, *arguments, env=None, status=0):
    found = subprocess.run(["sh", script, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           env={**os.environ, **(env or {})}, check=False, timeout=300)
    assert found.returncode == status, found.stdout + found.stderr
    return found.stdout + found.stderr


@pytest.mark.parametrize("env_name", ["dev", "production"])
def test_the_cost_is_printed(env_name):
    text = run(SCRIPT, "cost", "--env", env_name)
    assert "without a price" not in text
    low = float(text.split("from ")[1].split(" USD")[0])
    assert (150 < low < 250) if env_name == "dev" else (500 < low < 1000), text


def test_parameters_are_those_of_the_template():
    template = templates.load("service.yaml")
    for name in ("dev.parameters", "production.parameters"):
        assert set(templates.parameters_of(name)) <= set(template["Parameters"])
    assert set(templates.parameters_of("dev.parameters")) == set(templates.parameters_of("production.parameters"))


DEPLOY = """
import os, sys
words = sys.argv[1:]
if words[2:4] != ["cloudformation", "deploy"]:
    os.execv({aws!r}, ["aws", *words])
import boto3
client = boto3.client("cloudformation", region_name=words[1], endpoint_url=os.environ["AWS_ENDPOINT_URL"])
value = lambda option: words[words.index(option) + 1]
given = dict(word.split("=", 1) for word in words[words.index("--parameter-overrides") + 1:])
stacks = [s for s in client.list_stacks()["StackSummaries"] if s["StackStatus"] != "DELETE_COMPLETE"]
is_new = value("--stack-name") not in [s["StackName"] for s in stacks]
if not is_new:  # like the real command: keep parameters that are not named
    for each in client.describe_stacks(StackName=value("--stack-name"))["Stacks"][0]["Parameters"]:
        given.setdefault(each["ParameterKey"], each["ParameterValue"])
with open(value("--template-file"), encoding="utf-8") as file:
    (client.create_stack if is_new else client.update_stack)(
        StackName=value("--stack-name"), TemplateBody=file.read(), Capabilities=[value("--capabilities")],
        Parameters=[{{"ParameterKey": k, "ParameterValue": v}} for k, v in given.items()])
"""


@pytest.fixture
def account(moto, tmp_path):
    """(script, environment): deploy/aws with stubbed templates, and the aws command with moto as its endpoint."""
    folder = tmp_path / "deploy" / "aws"
    shutil.copytree(os.path.join(templates.DEPLOY, "aws"), folder)
    (tmp_path / "languages").mkdir()
    for name in ("service.yaml", "image.yaml"):
        stubbed, _gone = templates.stub(templates.load(name))
        (folder / name).write_text(templates.yaml.safe_dump(stubbed), encoding="utf-8")
    aws = os.path.join(os.path.dirname(sys.executable), "aws")
    assert os.stat(aws).st_mode & stat.S_IXUSR
    command = tmp_path / "bin" / "aws"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n" + DEPLOY.format(aws=aws), encoding="utf-8")
    command.chmod(0o755)
    return str(folder / "deploy.sh"), {"PATH": f"{command.parent}:{os.environ['PATH']}", "AWS_ENDPOINT_URL": moto}


OPTIONS = ("--region", templates.REGION, "--name", "trial", "--yes")


@pytest.mark.slow
def test_from_nothing_to_an_address(account):
    script, env = account
    run(script, "check", *OPTIONS, env=env)
    run(script, "service", *OPTIONS, env=env, status=1)  # --allow is missing
    text = run(script, "service", *OPTIONS, "--allow", "203.0.113.7/32", env=env, status=1)
    assert "there is no image yet" in text
    run(script, "image", *OPTIONS, env=env)
    text = run(script, "service", *OPTIONS, "--allow", "203.0.113.7/32", "--set", "WorkerMin=2", env=env)
    assert "ami-0123456789abcdef0" in text and "http://" in text and "CREATE_COMPLETE" in text
    assert "evalx-trial-worker" in text
    # An update keeps the allowed addresses.  This is a dry run, because moto cannot update a launch template.
    text = run(script, "service", *OPTIONS, "--dry-run", "--image", "ami-0fedcba9876543210", env=env)
    assert "ImageId=ami-0fedcba9876543210" in text and "AllowedCidr=203.0.113.7/32" in text
    # Also a dry run, because moto cannot delete this network.
    text = run(script, "destroy", *OPTIONS, "--all", "--dry-run", env=env)
    assert "delete-stack --stack-name evalx-trial" in text and "s3 rb --force s3://evalx-sources-" in text


@pytest.mark.slow
def test_a_dry_run_changes_nothing(account):
    script, env = account
    text = run(script, "up", *OPTIONS, "--name", "dry", "--dry-run", "--allow", "203.0.113.7/32", env=env)
    assert "+ aws --region us-east-1 cloudformation deploy --stack-name evalx-image" in text
    assert "+ aws --region us-east-1 cloudformation deploy --stack-name evalx-dry" in text
    assert "s3 cp" in text and "USD at rest" in text
    text = run(script, "destroy", *OPTIONS, "--name", "dry", "--all", "--dry-run", env=env)
    assert "delete-stack --stack-name evalx-dry" in text
    import boto3
    client = boto3.client("cloudformation", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=templates.REGION)
    assert not [s for s in client.list_stacks()["StackSummaries"] if s["StackName"] == "evalx-dry"]


def test_allowing_everyone_needs_a_confirmation(account):
    script, env = account
    options = [word for word in OPTIONS if word != "--yes"]
    text = run(script, "service", *options, "--allow", "0.0.0.0/0", "--image", "ami-0123456789abcdef0", env=env,
               status=1)
    assert "allow everyone to run programs there?" in text
