"""The path of a metric: the binary exports it, the agent forwards it, and an alarm, policy or the dashboard uses it.

No step reports a mistake: an alarm on a metric that nobody sends never fires.  Therefore each metric in service.yaml
must result from the rules of the agent and the /metrics page of the real binary.
"""
import json
import os
import re

import pytest
import yaml

import templates

CLOUDWATCH = os.path.join(templates.DEPLOY, "cloudwatch")
# Metrics that AWS itself sends: for each namespace, the metrics and dimensions that are used here.
OF_AWS = {
    "AWS/ApplicationELB": {
        ("LoadBalancer",): {"RequestCount", "HTTPCode_Target_4XX_Count", "HTTPCode_Target_5XX_Count",
                            "HTTPCode_ELB_5XX_Count"},
        ("LoadBalancer", "TargetGroup"): {"UnHealthyHostCount"},
    },
    "AWS/AutoScaling": {("AutoScalingGroupName",): {"GroupInServiceInstances", "GroupDesiredCapacity"}},
    "AWS/EC2": {("AutoScalingGroupName",): {"CPUUtilization"}},
    "AWS/ElastiCache": {("CacheClusterId", "CacheNodeId"): {"EngineCPUUtilization", "DatabaseMemoryUsagePercentage"}},
}


def agent():
    with open(os.path.join(CLOUDWATCH, "amazon-cloudwatch-agent.json"), encoding="utf-8") as file:
        return json.load(file)


def scrape_config():
    with open(os.path.join(CLOUDWATCH, "prometheus.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


# ---- the rules of the agent ----

def test_the_agent_accepts_its_settings():
    """The agent does not start if its schema rejects a key; these are the keys of its sections."""
    found = agent()
    assert set(found) <= {"agent", "metrics", "logs", "traces"}
    assert "prometheus" not in found["metrics"]["metrics_collected"], "there it is only for Amazon Managed Prometheus"
    assert set(found["metrics"]) <= {"namespace", "append_dimensions", "aggregation_dimensions", "metrics_collected"}
    assert set(found["logs"]) <= {"logs_collected", "metrics_collected", "log_stream_name", "force_flush_interval"}
    prometheus = found["logs"]["metrics_collected"]["prometheus"]
    assert set(prometheus) <= {"cluster_name", "log_group_name", "prometheus_config_path", "emf_processor",
                               "ecs_service_discovery", "disable_metric_extraction"}
    assert prometheus["log_group_name"], "without it the agent does not start on EC2"
    assert prometheus["prometheus_config_path"] == "/etc/evalx/prometheus.yaml"
    emf = prometheus["emf_processor"]
    assert set(emf) <= {"metric_declaration_dedup", "metric_namespace", "metric_unit", "metric_declaration"}
    assert emf["metric_namespace"] == "CWAgent", "else it is CWAgent/Prometheus"
    for each in emf["metric_declaration"]:
        assert set(each) <= {"source_labels", "label_matcher", "label_separator", "metric_selectors", "dimensions"}
        assert each["source_labels"] and each["metric_selectors"], "else the declaration is passed over"
        assert each["dimensions"] and all(each["dimensions"]), "else it is a log record and no metric"
    for each in found["logs"]["logs_collected"]["files"]["collect_list"]:
        assert each["log_group_name"].startswith("/evalx/default/"), "user data puts the fleet's name there"


def test_the_scrape_is_well_formed():
    found = scrape_config()
    assert found["global"] == {"scrape_interval": "30s", "scrape_timeout": "5s"}
    [job] = found["scrape_configs"]
    [static] = job["static_configs"]
    assert static["targets"] == ["127.0.0.1:3000"] and static["labels"] == {"fleet": "default"}


# ---- what arrives in CloudWatch ----

def families(text):
    """{name: (type, [labels of each sample])}; a histogram's parts belong to it."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    found = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? \S+$", text, re.M):
        family = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
        pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
        found.setdefault(family, (kinds.get(family, "untyped"), []))[1].append(pairs)
    return found


def forwarded(text):
    """{(namespace, metric, dimension names)} that the agent makes from a scraped page."""
    [job] = scrape_config()["scrape_configs"]
    extra = {"job": job["job_name"], **job["static_configs"][0]["labels"]}
    emf = agent()["logs"]["metrics_collected"]["prometheus"]["emf_processor"]
    sent = set()
    for name, (kind, samples) in families(text).items():
        kept = all(re.fullmatch(rule["regex"], name) for rule in job["metric_relabel_configs"])
        if not kept or kind not in ("gauge", "counter", "summary"):
            continue
        for labels in samples:
            labels = labels | extra
            for each in emf["metric_declaration"]:
                value = each.get("label_separator", ";").join(labels.get(n, "") for n in each["source_labels"])
                if not re.search(each["label_matcher"], value):
                    continue
                if not any(re.search(selector, name) for selector in each["metric_selectors"]):
                    continue
                sent |= {(emf["metric_namespace"], name, tuple(sorted(names))) for names in each["dimensions"]
                         if set(names) <= set(labels)}
    return sent


def collected():
    """The metrics of the machine: from the plugins of the agent, aggregated over aggregation_dimensions."""
    metrics = agent()["metrics"]
    names = {measurement if measurement.startswith(plugin) else f"{plugin}_{measurement}"
             for plugin, settings in metrics["metrics_collected"].items() for measurement in settings["measurement"]}
    assert set(metrics["append_dimensions"]) == {"AutoScalingGroupName"}
    return {(metrics["namespace"], name, tuple(sorted(names_of))) for name in names
            for names_of in metrics["aggregation_dimensions"]}


def named_metrics(template):
    """{where: (namespace, metric, dimensions {name: value})} of alarms, policies and the dashboard."""
    found = {}
    for name, p in templates.resources_of(template, "AWS::CloudWatch::Alarm").items():
        found[name] = (p["Namespace"], p["MetricName"], {d["Name"]: d["Value"] for d in p["Dimensions"]})
    for name, p in templates.resources_of(template, "AWS::AutoScaling::ScalingPolicy").items():
        custom = p.get("TargetTrackingConfiguration", {}).get("CustomizedMetricSpecification", {})
        for each in custom.get("Metrics", []):
            if "MetricStat" in each:
                metric = each["MetricStat"]["Metric"]
                found[f"{name}.{each['Id']}"] = (metric["Namespace"], metric["MetricName"],
                                                 {d["Name"]: d["Value"] for d in metric["Dimensions"]})
    body = templates.resources_of(template, "AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    for widget in json.loads(body)["widgets"]:
        title = widget["properties"]["title"]
        for number, metric in enumerate(widget["properties"]["metrics"]):
            if isinstance(metric[0], str):
                found[f"{title} {number}"] = (metric[0], metric[1], dict(zip(metric[2::2], metric[3::2])))
            else:
                names, metric = re.search(r"SEARCH\('\{(.*?)\} MetricName=\"(\w+)\"", metric[0]["expression"]).groups()
                found[f"{title} {number}"] = (names.split(",")[0], metric, dict.fromkeys(names.split(",")[1:]))
    return found


def complaints(template, page):
    """The metrics that are used but do not arrive."""
    arrives = forwarded(page) | collected()
    found = []
    for where, (namespace, metric, dimensions) in named_metrics(template).items():
        names = tuple(sorted(dimensions))
        if namespace in OF_AWS:
            if metric not in OF_AWS[namespace].get(names, ()):
                found.append(f"{where}: {namespace} has no {metric} by {names}")
        elif (namespace, metric, names) not in arrives:
            found.append(f"{where}: nobody sends {namespace} {metric} by {names}")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The /metrics of the real binary, as an API server over Redis, before anything was submitted."""
    harness = pytest.importorskip("harness")
    if not os.access(harness.BINARY, os.X_OK):
        pytest.skip("evalx is not built")
    folder = str(tmp_path_factory.mktemp("metrics"))
    redis = harness.Redis(folder).start()
    server = harness.Evalx("api", ["server"], folder, redis.settings())
    try:
        server.start().wait_ready("/healthz")
        return server.client().get("/metrics").text
    finally:
        server.stop()
        redis.stop()


def test_every_named_metric_arrives(page):
    assert complaints(templates.load("service.yaml"), page) == []


def test_no_unused_metric_is_sent(page):
    """Each CloudWatch metric has a monthly price."""
    named = {(namespace, metric, tuple(sorted(dimensions)))
             for namespace, metric, dimensions in named_metrics(templates.load("service.yaml")).values()}
    assert (forwarded(page) | collected()) - named == set()


def test_zeros_are_always_there(page):
    samples = dict(re.findall(r"^(evalx_\S+) (\S+)$", page, re.M))
    for name in ("evalx_queue_depth", "evalx_jobs_running", "evalx_slots", "evalx_workers", "evalx_dead_submissions",
                 'evalx_queue_depth_total{language="python"}',
                 'evalx_queue_depth_total{language="mixed"}'):
        assert samples[name] == "0", name
    assert float(samples["evalx_oldest_wait_seconds"]) == float(samples["evalx_slots_busy"]) == 0


@pytest.mark.parametrize("change", [
    lambda t: t["Resources"]["WorkerStepAlarm"]["Properties"].update(MetricName="evalx_queue_length"),
    lambda t: t["Resources"]["WorkerStepAlarm"]["Properties"].update(Namespace="CWAgent/Prometheus"),
    lambda t: t["Resources"]["NoWorkerAlarm"]["Properties"].update(Dimensions=[{"Name": "job", "Value": "evalx"}]),
    lambda t: t["Resources"]["NoWorkerAlarm"]["Properties"].update(MetricName="evalx_queue_wait_time_seconds"),
    lambda t: t["Resources"]["ApiUnhealthyAlarm"]["Properties"]["Dimensions"].pop(),
    lambda t: t["Resources"]["ApiDiskAlarm"]["Properties"].update(MetricName="used_percent"),
])
def test_a_wrong_name_is_found(page, change):
    template = templates.load("service.yaml")
    change(template)
    assert len(complaints(template, page)) == 1


def test_an_instance_that_every_server_shares_is_not_summed(dev):
    """All API servers send the same value for the same queue: a sum would multiply it by servers and scrapes."""
    for name, alarm in dev.properties("AWS::CloudWatch::Alarm").items():
        if alarm["Namespace"] == "CWAgent":
            assert alarm["Statistic"] == "Maximum", name
        assert "Unit" not in alarm, "a unit names another stream of data"
    for metric in dev.properties("AWS::AutoScaling::ScalingPolicy")["WorkerTracking"]["TargetTrackingConfiguration"][
            "CustomizedMetricSpecification"]["Metrics"]:
        assert "MetricStat" not in metric or metric["MetricStat"]["Stat"] in ("Average", "Maximum")
