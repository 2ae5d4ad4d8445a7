"""CloudFormation templates: read, resolved, and reduced to what a moto server can create.

moto's CloudFormation supports about two thirds of the types in service.yaml.  The others (STUBBED) are removed, and
references to them get made-up values.  If moto supports the API of a removed resource, the resource is created through
that API, so that botocore still checks the name of every parameter.
"""
import base64
import copy
import os
import re

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DEPLOY = os.path.join(ROOT, "deploy")
REGION, ACCOUNT = "us-east-1", "123456789012"

# Type: the value of Ref and of each attribute that a template may refer to.
STUBBED = {
    "AWS::ElastiCache::SubnetGroup": {"Ref": "stub-subnets"},
    "AWS::ElastiCache::ParameterGroup": {"Ref": "stub-parameters"},
    "AWS::ElastiCache::ReplicationGroup": {"Ref": "stub-redis", "PrimaryEndPoint.Address": "master.stub-redis.test",
                                           "PrimaryEndPoint.Port": "6379"},
    "AWS::SecretsManager::Secret": {"Ref": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:stub-AbCdEf"},
    "AWS::AutoScaling::ScalingPolicy": {"Ref": f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:scalingPolicy:stub"},
    "AWS::AutoScaling::LifecycleHook": {"Ref": "stub-hook"},
    "AWS::CloudWatch::Alarm": {"Ref": "stub-alarm"},
    "AWS::ImageBuilder::Component": {"Ref": "stub-component"},
    "AWS::ImageBuilder::InfrastructureConfiguration": {"Ref": "stub-infrastructure"},
    "AWS::ImageBuilder::ImageRecipe": {"Ref": "stub-recipe"},
    "AWS::ImageBuilder::Image": {"Ref": "stub-image", "ImageId": "ami-0123456789abcdef0"},
}


class Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", short_form)


def load(name):
    with open(os.path.join(DEPLOY, "aws", name), encoding="utf-8") as file:
        return yaml.load(file, Loader)


def parameters_of(name):
    """KEY=VALUE lines of a .parameters file."""
    with open(os.path.join(DEPLOY, "aws", name), encoding="utf-8") as file:
        return dict(line.strip().split("=", 1) for line in file if "=" in line and not line.startswith("#"))


def resources_of(template, kind):
    return {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == kind}


def stub(template):
    """(a template that moto can create, the names of the removed resources)"""
    template = copy.deepcopy(template)
    gone = {name: STUBBED[r["Type"]] for name, r in template["Resources"].items() if r["Type"] in STUBBED}

    def replaced(node):
        if isinstance(node, list):
            return [replaced(item) for item in node]
        if not isinstance(node, dict):
            return node
        if node.get("Ref") in gone:
            return gone[node["Ref"]]["Ref"]
        if "Fn::GetAtt" in node and node["Fn::GetAtt"][0] in gone:
            return gone[node["Fn::GetAtt"][0]][node["Fn::GetAtt"][1]]
        if "Fn::Sub" in node:
            value = node["Fn::Sub"]
            text, names = (value[0], value[1]) if isinstance(value, list) else (value, None)
            text = re.sub(r"\$\{(\w+)(?:\.([\w.]+))?\}",
                          lambda m: gone[m[1]][m[2] or "Ref"] if m[1] in gone else m[0], text)
            return {"Fn::Sub": [text, replaced(names)] if names else text}
        return {key: replaced(value) for key, value in node.items()}

    for name in gone:
        del template["Resources"][name]
    for resource in template["Resources"].values():
        after = resource.get("DependsOn", [])
        after = [after] if isinstance(after, str) else after
        resource["DependsOn"] = [name for name in after if name not in gone]
    return replaced(template), sorted(gone)


class Values:
    """The values of a template's functions after the stack has been created."""

    def __init__(self, template, parameters, physical, attributes=None):
        self.template, self.physical, self.attributes = template, physical, attributes or {}
        self.parameters = {name: p.get("Default") for name, p in template["Parameters"].items()} | parameters
        self.names = {"AWS::StackName": "evalx-test", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT,
                      "AWS::Partition": "aws", "AWS::StackId": "stack"}

    def condition(self, name):
        return self.truth(self.template["Conditions"][name])

    def truth(self, node):
        if "Fn::Not" in node:
            return not self.truth(node["Fn::Not"][0])
        if "Condition" in node:
            return self.condition(node["Condition"])
        left, right = (str(self.of(item)) for item in node["Fn::Equals"])
        return left == right

    def ref(self, name):
        if name in self.names:
            return self.names[name]
        if name in self.parameters:
            value = self.parameters[name]
            is_list = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
            return value.split(",") if is_list else value
        kind = self.template["Resources"][name]["Type"]
        return STUBBED[kind]["Ref"] if kind in STUBBED else self.physical[name]

    def attribute(self, name, attribute):
        kind = self.template["Resources"][name]["Type"]
        if kind in STUBBED:
            return STUBBED[kind][attribute]
        return self.attributes.get((name, attribute), f"{self.physical[name]}")

    def of(self, node):
        if isinstance(node, list):
            return [value for value in (self.of(item) for item in node) if value is not None]
        if not isinstance(node, dict):
            return node
        if "Ref" in node:
            return None if node["Ref"] == "AWS::NoValue" else self.ref(node["Ref"])
        if "Fn::GetAtt" in node:
            return self.attribute(*node["Fn::GetAtt"])
        if "Fn::If" in node:
            name, yes, no = node["Fn::If"]
            return self.of(yes if self.condition(name) else no)
        if "Fn::Select" in node:
            return self.of(node["Fn::Select"][1])[int(self.of(node["Fn::Select"][0]))]
        if "Fn::Base64" in node:
            return base64.b64encode(self.of(node["Fn::Base64"]).encode()).decode()
        if "Fn::Sub" in node:
            return self.sub(node["Fn::Sub"])
        return {key: value for key, value in ((k, self.of(v)) for k, v in node.items()) if value is not None}

    def sub(self, value):
        text, own = (value[0], self.of(value[1])) if isinstance(value, list) else (value, {})

        def found(match):
            name, attribute = match[1], match[2]
            if name in own:
                return str(own[name])
            return str(self.attribute(name, attribute) if attribute else self.ref(name))

        return re.sub(r"\$\{([\w:]+)(?:\.([\w.]+))?\}", found, text)
