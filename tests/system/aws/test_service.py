"""The service stack on a moto server: networks, routes, groups, templates, load balancer, roles."""
import base64
import ipaddress

import pytest

import templates

WORLD = "0.0.0.0/0"


@pytest.fixture(params=["dev", "production"])
def stack(request):
    return request.getfixturevalue(request.param)


def test_it_is_complete(stack):
    assert stack.told["StackStatus"] == "CREATE_COMPLETE"
    wanted = {name for name, r in stack.stubbed["Resources"].items()
              if "Condition" not in r or stack.values.condition(r["Condition"])}
    missing = wanted - set(stack.physical)
    assert missing <= {"AlarmsByMail"}, missing  # moto creates no resource for a subscription
    assert stack.outputs()["Url"].startswith("https://" if stack.name == "evalx-production" else "http://")


def test_subnets_are_in_two_zones(stack):
    subnets = {}
    for name in ("PublicSubnetA", "PublicSubnetB", "AppSubnetA", "AppSubnetB", "DataSubnetA", "DataSubnetB"):
        found = stack.client("ec2").describe_subnets(SubnetIds=[stack.physical[name]])["Subnets"][0]
        subnets[name] = found
        assert ipaddress.ip_network(found["CidrBlock"]).subnet_of(ipaddress.ip_network("10.0.0.0/16"))
        assert not found["MapPublicIpOnLaunch"]
    for kind in ("Public", "App", "Data"):
        assert subnets[f"{kind}SubnetA"]["AvailabilityZone"] != subnets[f"{kind}SubnetB"]["AvailabilityZone"]


def routes_of(stack, subnet):
    """moto does not show the associations of a route table, so the table is looked up in the template."""
    tables = [each["RouteTableId"] for each in stack.properties("AWS::EC2::SubnetRouteTableAssociation").values()
              if each["SubnetId"] == stack.physical[subnet]]
    assert len(tables) == 1, f"{subnet} has {len(tables)} route tables"
    table = stack.client("ec2").describe_route_tables(RouteTableIds=tables)["RouteTables"][0]
    return {route.get("DestinationCidrBlock"): route for route in table["Routes"]}


def test_routes(stack):
    for zone in "AB":
        assert routes_of(stack, f"PublicSubnet{zone}")[WORLD]["GatewayId"] == stack.physical["InternetGateway"]
        nat = "NatB" if zone == "B" and stack.name == "evalx-production" else "NatA"
        assert routes_of(stack, f"AppSubnet{zone}")[WORLD]["NatGatewayId"] == stack.physical[nat]
        assert WORLD not in routes_of(stack, f"DataSubnet{zone}"), "data has no way out"
    for nat, subnet in (("NatA", "PublicSubnetA"), ("NatB", "PublicSubnetB")):
        if nat in stack.physical:
            found = stack.client("ec2").describe_nat_gateways(NatGatewayIds=[stack.physical[nat]])["NatGateways"][0]
            assert found["SubnetId"] == stack.physical[subnet]
    assert ("NatB" in stack.physical) == (stack.name == "evalx-production")


def let_in(stack, group):
    """{(first port, source)}; the source is the name of a group in the template, or an address range."""
    found = stack.client("ec2").describe_security_groups(GroupIds=[stack.physical[group]])["SecurityGroups"][0]
    names = {physical: name for name, physical in stack.physical.items()}
    rules = set()
    for rule in found["IpPermissions"]:
        rules |= {(rule.get("FromPort"), names[pair["GroupId"]]) for pair in rule["UserIdGroupPairs"]}
        rules |= {(rule.get("FromPort"), each["CidrIp"]) for each in rule["IpRanges"]}
    return rules


def test_security_groups(stack):
    assert let_in(stack, "BalancerSecurityGroup") == {(80, "203.0.113.0/24"), (443, "203.0.113.0/24")}
    assert let_in(stack, "ApiSecurityGroup") == {(3000, "BalancerSecurityGroup")}
    assert let_in(stack, "WorkerSecurityGroup") == set()
    assert let_in(stack, "RedisSecurityGroup") == {(6379, "ApiSecurityGroup"), (6379, "WorkerSecurityGroup")}


def test_egress_rules(stack):
    """Read from the template, because moto drops the egress rules of a group."""
    names = {physical: name for name, physical in stack.physical.items()}
    out = {name: {(rule.get("FromPort"), rule.get("CidrIp") or names[rule["DestinationSecurityGroupId"]])
                  for rule in group["SecurityGroupEgress"]}
           for name, group in stack.properties("AWS::EC2::SecurityGroup").items()}
    assert out == {"ApiSecurityGroup": {(6379, "RedisSecurityGroup"), (443, WORLD)},
                   "WorkerSecurityGroup": {(6379, "RedisSecurityGroup"), (443, WORLD)},
                   "BalancerSecurityGroup": {(3000, "ApiSecurityGroup")},
                   "RedisSecurityGroup": {(None, "127.0.0.1/32")}}


def template_of(stack, name):
    found = stack.client("ec2").describe_launch_template_versions(LaunchTemplateId=stack.physical[name])
    return found["LaunchTemplateVersions"][0]["LaunchTemplateData"]


@pytest.mark.parametrize("role", ["Api", "Worker"])
def test_launch_templates(stack, role):
    found = template_of(stack, f"{role}Template")
    assert found["ImageId"] == "ami-0123456789abcdef0"
    options = found["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    assert found["SecurityGroupIds"] == [stack.physical[f"{role}SecurityGroup"]]
    assert found["BlockDeviceMappings"][0]["DeviceName"] == "/dev/sda1"  # Ubuntu's root
    assert found["BlockDeviceMappings"][0]["Ebs"]["Encrypted"]
    assert "KeyName" not in found, "nobody comes in by SSH"
    script = base64.b64decode(found["UserData"]).decode()
    assert script.startswith("#!/bin/sh\n") and len(script) < 16384
    assert f"EVALX_ROLE={role.lower()}\n" in script
    assert "EVALX_STORE=rediss://master.stub-redis.test:6379\n" in script
    assert f"fleet: {stack.parameters['FleetName']}/" in script
    assert "${" not in script, "something was not filled in"
    # The values in the stack must equal those that templates.py resolves.
    wanted = stack.properties("AWS::EC2::LaunchTemplate")[f"{role}Template"]["LaunchTemplateData"]["UserData"]
    assert base64.b64decode(wanted).decode() == script
    assert ("fetch-parameter \"/evalx/keys\"" in script) == (role == "Api" and stack.name == "evalx-production")


@pytest.mark.parametrize("role", ["Api", "Worker"])
def test_groups(stack, role):
    groups = stack.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    wanted = stack.physical[f"{role}Group"]
    found = next(group for group in groups if group["AutoScalingGroupName"] == wanted)
    low, high = (int(stack.parameters[f"{role}{end}"]) for end in ("Min", "Max"))
    assert (found["MinSize"], found["MaxSize"], len(found["Instances"])) == (low, high, low)
    subnets = {stack.physical[f"AppSubnet{zone}"] for zone in "AB"}
    assert set(found["VPCZoneIdentifier"].split(",")) == subnets
    properties = stack.properties("AWS::AutoScaling::AutoScalingGroup")[f"{role}Group"]
    assert "DesiredCapacity" not in properties, "each update would put the fleet back"
    assert properties["AutoScalingGroupName"] == f"{stack.name}-{role.lower()}", "user data and roles name it"
    if role == "Api":
        assert found["TargetGroupARNs"] == [stack.physical["ApiTargets"]]
        assert found["HealthCheckType"] == "ELB" and found["HealthCheckGracePeriod"] >= 120
    else:
        overrides = found["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
        sizes = {each["InstanceType"].split(".")[1] for each in overrides}
        assert len(overrides) == 6 and len(sizes) == 1, "slots are one a processor: the types must be of one size"


def test_load_balancer(stack):
    client = stack.client("elbv2")
    found = client.describe_load_balancers(LoadBalancerArns=[stack.physical["Balancer"]])["LoadBalancers"][0]
    assert found["Scheme"] == "internet-facing"
    assert {zone["SubnetId"] for zone in found["AvailabilityZones"]} == {
        stack.physical["PublicSubnetA"], stack.physical["PublicSubnetB"]}
    targets = client.describe_target_groups(TargetGroupArns=[stack.physical["ApiTargets"]])["TargetGroups"][0]
    assert (targets["Port"], targets["Protocol"], targets["HealthCheckPath"]) == (3000, "HTTP", "/healthz")
    listeners = client.describe_listeners(LoadBalancerArn=stack.physical["Balancer"])["Listeners"]
    kinds = {each["Port"]: each["DefaultActions"][0]["Type"] for each in listeners}
    secure = stack.name == "evalx-production"
    assert kinds == ({80: "redirect", 443: "fixed-response"} if secure else {80: "fixed-response"})


def forwarded(stack):
    """The path patterns that reach API servers through the listener for clients."""
    secure = stack.name == "evalx-production"
    listener = stack.physical["HttpsListener" if secure else "HttpListener"]
    rules = stack.client("elbv2").describe_rules(ListenerArn=listener)["Rules"]
    return [value for rule in rules if rule["Actions"][0]["Type"] == "forward"
            for condition in rule["Conditions"] for value in condition["PathPatternConfig"]["Values"]]


def test_only_clients_paths_are_forwarded(stack):
    found = forwarded(stack)
    assert "/submissions/*" in found and "/execute/batch" in found and "/healthz" in found
    for closed in ("/metrics", "/dead", "/queue", "/workers", "/*", "*"):
        assert closed not in found
    # Each is a route of the binary: the table of src/api/api.c.
    with open(f"{templates.ROOT}/src/api/api.c", encoding="utf-8") as file:
        source = file.read()
    for path in found:
        assert f'"{path}"' in source, path


def statements(stack, role):
    """All permissions of this role.  The template lists the policies of a role, because moto attaches none."""
    mine = stack.properties("AWS::IAM::Role")[f"{role}Role"]
    documents = [policy["PolicyDocument"] for policy in mine["Policies"]] if "Policies" in mine else []
    for policy in stack.properties("AWS::IAM::Policy").values():
        if stack.physical[f"{role}Role"] in policy["Roles"]:
            documents.append(policy["PolicyDocument"])
    assert mine["ManagedPolicyArns"] == [stack.physical["InstancePolicy"]]
    iam, arn = stack.client("iam"), stack.physical["InstancePolicy"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    documents.append(document if isinstance(document, dict) else templates.yaml.safe_load(document))
    return [statement for document in documents for statement in document["Statement"]]


def test_roles_are_split(stack):
    actions = {}
    for role in ("Api", "Worker"):
        actions[role] = set()
        for each in statements(stack, role):
            named = [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
            actions[role] |= set(named)
            assert all("*" not in action for action in named), each
            if any(a.split(":")[0] in ("secretsmanager", "autoscaling", "cloudformation", "logs") for a in named):
                assert each["Resource"] != "*", each
    both = actions["Api"] & actions["Worker"]
    assert "secretsmanager:GetSecretValue" in both and "cloudformation:SignalResource" in both
    assert actions["Worker"] - both == {"autoscaling:CompleteLifecycleAction",
                                        "autoscaling:RecordLifecycleActionHeartbeat"}
    assert actions["Api"] - both == ({"ssm:GetParameter"} if stack.name == "evalx-production" else set())


def test_logs_expire(stack):
    found = {g["logGroupName"]: g for g in stack.client("logs").describe_log_groups()["logGroups"]}
    for kind in ("prometheus", "system"):
        assert found[f"/evalx/{stack.parameters['FleetName']}/{kind}"]["retentionInDays"] >= 1


def test_stubs_are_no_more_than_needed():
    """moto supports none of the stubbed types."""
    parsing = pytest.importorskip("moto.cloudformation.parsing")
    assert [kind for kind in templates.STUBBED if parsing.resource_class_from_type(kind) is not None] == []


def test_resources_that_moto_cannot_create_are_accepted_by_its_api(stack):
    """botocore rejects unknown parameters, and moto's API must accept the others."""
    def clean(properties, *without):
        return {k: v for k, v in properties.items() if k not in without}

    def numbers(node):  # CloudFormation turns strings into numbers, boto3 does not
        if isinstance(node, list):
            return [numbers(item) for item in node]
        if isinstance(node, dict):
            return {k: numbers(v) for k, v in node.items()}
        return int(node) if isinstance(node, str) and node.isdigit() else node

    scaling, watch, cache = stack.client("autoscaling"), stack.client("cloudwatch"), stack.client("elasticache")
    for name, p in stack.properties("AWS::AutoScaling::ScalingPolicy").items():
        scaling.put_scaling_policy(PolicyName=name, **numbers(p))
    for p in stack.properties("AWS::AutoScaling::LifecycleHook").values():
        scaling.put_lifecycle_hook(**p)
    for name, p in stack.properties("AWS::CloudWatch::Alarm").items():
        watch.put_metric_alarm(AlarmName=name, **p)
    group = stack.properties("AWS::ElastiCache::SubnetGroup")["RedisSubnets"]
    cache.create_cache_subnet_group(CacheSubnetGroupName=f"{stack.name}-subnets",
                                    CacheSubnetGroupDescription=group["Description"], SubnetIds=group["SubnetIds"])
    redis = numbers(stack.properties("AWS::ElastiCache::ReplicationGroup")["Redis"])
    assert redis["TransitEncryptionEnabled"] and redis["AuthToken"].startswith("{{resolve:secretsmanager:")
    made = cache.create_replication_group(
        ReplicationGroupId=stack.name, **clean(redis, "CacheParameterGroupName", "CacheSubnetGroupName", "AuthToken"),
        AuthToken="a" * 48, CacheSubnetGroupName=f"{stack.name}-subnets")["ReplicationGroup"]
    assert made["TransitEncryptionEnabled"] and made["AuthTokenEnabled"]
    assert made["MultiAZ"] == ("enabled" if stack.name == "evalx-production" else "disabled")
    secret = stack.properties("AWS::SecretsManager::Secret")["RedisSecret"]["GenerateSecretString"]
    text = stack.client("secretsmanager").get_random_password(**secret)["RandomPassword"]
    assert 16 <= len(text) <= 128 and text.isalnum()


def test_scaling_policies_are_as_agreed(stack):
    policies = stack.properties("AWS::AutoScaling::ScalingPolicy")
    api = policies["ApiTracking"]["TargetTrackingConfiguration"]
    assert api["PredefinedMetricSpecification"]["PredefinedMetricType"] == "ASGAverageCPUUtilization"
    assert api["TargetValue"] == 60
    step = policies["WorkerStep"]
    assert step["StepAdjustments"][0] == {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 80,
                                          "ScalingAdjustment": 2}
    assert step["EstimatedInstanceWarmup"], "without a warm-up it is +2 every minute"
    alarm = stack.properties("AWS::CloudWatch::Alarm")["WorkerStepAlarm"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (20, "GreaterThanThreshold")
    assert alarm["Statistic"] == "Maximum" and "Unit" not in alarm
    assert alarm["AlarmActions"] == [templates.STUBBED["AWS::AutoScaling::ScalingPolicy"]["Ref"]]
    hook = stack.properties("AWS::AutoScaling::LifecycleHook")["WorkerDrain"]
    assert hook["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
    assert hook["DefaultResult"] == "CONTINUE" and hook["HeartbeatTimeout"] >= 120
