"""One moto server for all tests here, and the service stack created on it for each set of parameters."""
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import templates  # noqa: E402

sys.path.insert(0, os.path.join(templates.ROOT, "tests", "integration"))

try:
    import boto3
except ImportError:  # PyPI could not be reached: tests that need it are skipped
    boto3 = None

# boto3 and the aws command must never find the keys of a real account.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION=templates.REGION,
                  AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull, AWS_PAGER="")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out by ./dev test-aws --short")


@pytest.fixture(scope="session")
def moto():
    """The address of a moto server."""
    if boto3 is None:
        pytest.skip("moto is not installed: PyPI could not be reached")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [os.path.join(os.path.dirname(sys.executable), "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, "the moto server does not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


class Stack:
    """service.yaml on the moto server: its resources by their names in the template, and clients to inspect them."""

    def __init__(self, moto, name, parameters):
        self.moto, self.name = moto, name
        self.template = templates.load("service.yaml")
        self.stubbed, self.gone = templates.stub(self.template)
        self.parameters = {"FleetName": name.removeprefix("evalx-"), "ImageId": "ami-0123456789abcdef0",
                           "AllowedCidr": "203.0.113.0/24"} | parameters
        self.client = lambda service: boto3.client(service, endpoint_url=moto, region_name=templates.REGION)
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=name, TemplateBody=templates.yaml.safe_dump(self.stubbed), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()])
        self.told = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        self.physical = {r["LogicalResourceId"]: r["PhysicalResourceId"]
                         for page in pages for r in page["StackResourceSummaries"]}
        self.values = templates.Values(self.template, self.parameters, self.physical, self.attributes())
        self.values.names["AWS::StackName"] = name

    def attributes(self):
        """Attributes that differ from the physical id."""
        found = {}
        balancer, targets = self.physical["Balancer"], self.physical["ApiTargets"]
        found["Balancer", "LoadBalancerFullName"] = balancer.split(":loadbalancer/")[1]
        found["ApiTargets", "TargetGroupFullName"] = targets.split(":")[-1]
        return found

    def outputs(self):
        return {o["OutputKey"]: o["OutputValue"] for o in self.told["Outputs"]}

    def properties(self, kind):
        """The properties of all existing resources of a type, with resolved functions."""
        return {name: self.values.of(r["Properties"]) for name, r in self.template["Resources"].items()
                if r["Type"] == kind and ("Condition" not in r or self.values.condition(r["Condition"]))}


@pytest.fixture(scope="session")
def dev(moto):
    return Stack(moto, "evalx-dev", templates.parameters_of("dev.parameters"))


@pytest.fixture(scope="session")
def production(moto):
    acm = boto3.client("acm", endpoint_url=moto, region_name=templates.REGION)
    certificate = acm.request_certificate(DomainName="evalx.example.com")["CertificateArn"]
    return Stack(moto, "evalx-production", templates.parameters_of("production.parameters") | {
        "CertificateArn": certificate, "ApiKeysParameter": "evalx/keys", "AlarmEmail": "ops@example.com"})
