"""What Kubernetes would be given: rendered by kustomize, checked against the schemas of three Kubernetes versions."""

from __future__ import annotations

import copy
import functools
import importlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cli import nats
from cli.main import _parse
from trunkshow.eventlog.opening import parse

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "k8s"
RENDERED = ("base", "overlays/development", "overlays/production", "build-once", "build-workers")
VERSIONS = ("1.33", "1.35", "1.37")
SERVERS = {"StatefulSet", "Deployment"}
WORKLOADS = {*SERVERS, "CronJob", "Job"}

kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders the manifests, is not here"
)
pytestmark = kubectl


def render(folder: str) -> list[dict[str, Any]]:
    """What kustomize makes of a folder: made once, and each test has it for itself."""
    return copy.deepcopy(_rendered(folder))


@functools.cache
def _rendered(folder: str) -> list[dict[str, Any]]:
    done = subprocess.run(["kubectl", "kustomize", str(K8S / folder)], capture_output=True, text=True, check=True)
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


@pytest.fixture(scope="module", params=RENDERED)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return render(request.param)


def pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The pods' specs, with their labels."""
    for one in objects:
        if one["kind"] in WORKLOADS:
            holder = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
            yield holder["template"]


def of_kind(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)


@pytest.fixture(scope="module")
def schemas() -> Iterator[None]:
    """A file of schemas is read once, and not for every object."""
    with pytest.MonkeyPatch.context() as changed:
        read = functools.cache(kubernetes_validate.utils.schema_contents)
        changed.setattr(kubernetes_validate.utils, "schema_contents", read)
        yield


@pytest.mark.usefixtures("schemas")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(objects: list[dict[str, Any]], version: str) -> None:
    """Strictly: an unknown field is an error."""
    for one in objects:
        kubernetes_validate.validate(one, version, strict=True)


def test_no_pod_can_become_more_than_it_is(objects: list[dict[str, Any]]) -> None:
    """Not root, no capabilities, a read-only root file system, no token of the API server's, the default seccomp."""
    for pod in pods(objects):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}


def test_accounts_have_no_tokens(objects: list[dict[str, Any]]) -> None:
    """A service account mounts nothing by default."""
    accounts = [one for one in objects if one["kind"] == "ServiceAccount"]
    assert all(one["automountServiceAccountToken"] is False for one in accounts)


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_only_routers_reach_shards(folder: str) -> None:
    """Every pod is denied everything by default; the shards' port is open to routers' labels alone."""
    objects = render(folder)
    deny = of_kind(objects, "NetworkPolicy", "trunkshow-default-deny")["spec"]
    everybody = deny["podSelector"]["matchLabels"].items()
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert all(everybody <= pod["metadata"]["labels"].items() for pod in pods(objects))
    admitted = [
        source
        for policy in objects
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"].get("ingress", ())
        if any(port["port"] == 7451 for port in rule["ports"])
        for source in rule["from"]
    ]
    assert admitted == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "trunkshow-router"}}}]


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_selectors_find_their_pods(folder: str) -> None:
    """Services, budgets and spread constraints select by labels that the pods have."""
    objects = render(folder)
    labels = [pod["metadata"]["labels"] for pod in pods(objects)]
    selectors = [one["spec"]["selector"] for one in objects if one["kind"] == "Service"]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in objects if one["kind"] == "PodDisruptionBudget"]
    selectors += [
        spread["labelSelector"]["matchLabels"]
        for pod in pods(objects)
        for spread in pod["spec"].get("topologySpreadConstraints", ())
    ]
    assert selectors
    assert all(any(selector.items() <= one.items() for one in labels) for selector in selectors)


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_only_routers_shards_and_exports_reach_the_log(folder: str) -> None:
    """Its servers reach one another, on another port; nobody else has either."""
    objects = render(folder)
    admitted = {
        port["port"]: sorted(source["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for source in rule["from"])
        for policy in objects
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"].get("ingress", ())
        for port in rule["ports"]
        if port["port"] in (4222, 6222, 8222)
    }
    readers = ["trunkshow-builder", "trunkshow-router", "trunkshow-shard"]
    assert admitted == {4222: readers, 6222: ["trunkshow-log"]}
    for name in readers:
        egress = of_kind(objects, "NetworkPolicy", name)["spec"]["egress"]
        log = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "trunkshow-log"}}}
        assert {"to": [log], "ports": [{"port": 4222}]} in egress


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_pages_reach_routers_through_an_ingress_alone(folder: str) -> None:
    """A service leads to the port that routers take pages' events on, open to pods that are labelled as an ingress."""
    objects = render(folder)
    (container,) = of_kind(objects, "Deployment", "trunkshow-router")["spec"]["template"]["spec"]["containers"]
    (port,) = of_kind(objects, "Service", "trunkshow-events")["spec"]["ports"]
    number = next(one["containerPort"] for one in container["ports"] if one["name"] == port["targetPort"])
    assert f"--http-listen=0.0.0.0:{number}" in container["args"]
    router = of_kind(objects, "NetworkPolicy", "trunkshow-router")["spec"]["ingress"]
    admitted = [source for rule in router if {"port": number} in rule["ports"] for source in rule["from"]]
    ingress = {"matchLabels": {"trunkshow.io/ingress": "true"}}
    assert admitted == [{"namespaceSelector": {}, "podSelector": ingress}]


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_everybody_is_told_of_every_server_of_the_log(folder: str) -> None:
    """By the names of its pods, with as many copies as there are servers."""
    objects = render(folder)
    log = of_kind(objects, "StatefulSet", "trunkshow-log")["spec"]
    (settings,) = (
        one["data"] for one in objects if one["kind"] == "ConfigMap" and "TRUNKSHOW_ROUTER_LOG" in one["data"]
    )
    servers = [f"trunkshow-log-{number}.{log['serviceName']}:4222" for number in range(log["replicas"])]
    assert settings["TRUNKSHOW_ROUTER_LOG"] == settings["TRUNKSHOW_SHARD_LOG"] == f"nats://{','.join(servers)}/EVENTS"
    assert settings["TRUNKSHOW_ROUTER_LOG_COPIES"] == str(log["replicas"])
    assert parse(settings["TRUNKSHOW_ROUTER_LOG"]).servers == tuple(servers)


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_the_logs_configuration_is_one_that_the_server_takes(folder: str, tmp_path: Path) -> None:
    """Each server knows itself and the others by the names of its pods."""
    objects = render(folder)
    mounted = next(one["data"] for one in objects if one["kind"] == "ConfigMap" and "nats.conf" in one["data"])
    for name, text in mounted.items():
        (tmp_path / name).write_text(text)
    for name in ("tls.conf", "cluster-tls.conf"):
        if "tls {" in mounted[name]:  # the server reads the certificates, which are secrets
            assert "verify: true" in mounted[name]
            (tmp_path / name).write_text("")
    command = [nats.program(), "-t", "--config", str(tmp_path / "nats.conf")]
    done = subprocess.run(command, env={"POD_NAME": "trunkshow-log-0"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    replicas = of_kind(objects, "StatefulSet", "trunkshow-log")["spec"]["replicas"]
    routes = mounted["cluster.conf"].count("nats-route://")
    assert routes == (replicas if replicas > 1 else 0)


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_the_log_is_kept_and_asked_by_http(folder: str) -> None:
    """Its volumes go by hand alone; probes ask for less from startup to liveness."""
    log = of_kind(render(folder), "StatefulSet", "trunkshow-log")["spec"]
    assert log["persistentVolumeClaimRetentionPolicy"] == {"whenScaled": "Retain", "whenDeleted": "Retain"}
    (container,) = log["template"]["spec"]["containers"]
    asked = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    assert asked == ["/healthz", "/healthz?js-server-only=true", "/healthz?js-enabled-only=true"]


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_probes_are_three_and_grpc(folder: str) -> None:
    """Startup and liveness ask whether the process lives, readiness whether it can answer; all on the health port."""
    for one in render(folder):
        if one["kind"] not in SERVERS or one["metadata"]["name"] == "trunkshow-log":
            continue
        (container,) = one["spec"]["template"]["spec"]["containers"]
        (port,) = (port["containerPort"] for port in container["ports"] if port["name"] == "health")
        asked = {name: container[f"{name}Probe"]["grpc"] for name in ("startup", "readiness", "liveness")}
        assert {probe["port"] for probe in asked.values()} == {port}
        assert [probe.get("service", "") for probe in asked.values()] == ["live", "", "live"]


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_an_eviction_takes_one_pod_at_a_time_and_each_drains(folder: str) -> None:
    """Of routers, shards and the log; they are spread over zones and nodes, and told before SIGTERM comes."""
    objects = render(folder)
    servers = [one for one in objects if one["kind"] in SERVERS]
    assert {one["metadata"]["name"] for one in servers} == {"trunkshow-router", "trunkshow-shard", "trunkshow-log"}
    for one in servers:
        budget = of_kind(objects, "PodDisruptionBudget", one["metadata"]["name"])["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
        spec = one["spec"]["template"]["spec"]
        spread = {constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]}
        assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(container["lifecycle"]["preStop"] for container in spec["containers"])


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_routers_scale_by_themselves(folder: str) -> None:
    """How many there are is the autoscaler's to say, and nobody else's; it goes by the processor that they ask for."""
    objects = render(folder)
    scaler = of_kind(objects, "HorizontalPodAutoscaler", "trunkshow-router")["spec"]
    router = of_kind(objects, "Deployment", "trunkshow-router")["spec"]
    assert (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]) == ("Deployment", "trunkshow-router")
    assert 1 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert "replicas" not in router
    assert all(one["resources"]["requests"]["cpu"] for one in router["template"]["spec"]["containers"])


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_scaling_shards_is_one_act(folder: str) -> None:
    """Membership comes from the headless service, which lists shards that are still loading, and from nowhere else."""
    objects = render(folder)
    service = of_kind(objects, "Service", "trunkshow-shard")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert of_kind(objects, "StatefulSet", "trunkshow-shard")["spec"]["serviceName"] == "trunkshow-shard"
    for one in objects:
        if one["kind"] in SERVERS and one["metadata"]["name"] != "trunkshow-log":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            members = [argument for argument in container["args"] if argument.startswith("--members=")]
            assert members == ["--members=srv:_grpc._tcp.trunkshow-shard.$(POD_NAMESPACE).svc.cluster.local"]


def test_builders_workers_speak_tls_among_themselves_alone() -> None:
    """Whoever reaches a scheduler can run code in its workers: each end has a certificate, and only they are let in."""
    objects = render("build-workers")
    labels = {"trunkshow.io/build": "workers"}
    assert all(labels.items() <= pod["metadata"]["labels"].items() for pod in pods(objects))
    policy = of_kind(objects, "NetworkPolicy", "trunkshow-build")["spec"]
    assert policy["podSelector"] == {"matchLabels": labels}
    for direction, who in (("ingress", "from"), ("egress", "to")):
        (rule,) = policy[direction]
        assert rule[who] == [{"podSelector": {"matchLabels": labels}}]
    (settings,) = (one["data"] for one in objects if one["kind"] == "ConfigMap")
    assert settings["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
    said = [argument for pod in pods(objects) for argument in pod["spec"]["containers"][0]["args"]]
    assert "--protocol=tls" in said
    assert not [argument for argument in said if "tcp://" in argument]
    assert sum("tls://trunkshow-build-scheduler:8786" in argument for argument in said) == 2


def test_builders_workers_can_start() -> None:
    """Dask takes the arguments, and the build's are those of the real command line; all see one shared folder."""
    objects = render("build-workers")
    containers = [container for pod in pods(objects) for container in pod["spec"]["containers"]]
    build = next(one["args"] for one in containers if one["name"] == "builder")
    _parse([*build, "--store=s3://trunkshow/snapshots"])
    assert "--shared=/shared" in build
    mounted = {one["name"] for one in containers if any(at["mountPath"] == "/shared" for at in one["volumeMounts"])}
    assert mounted == {"builder", "worker"}
    for name in ("scheduler", "worker"):
        container = next(one for one in containers if one["name"] == name)
        command = importlib.import_module(f"distributed.cli.dask_{name}").main
        command.make_context(name, list(container["args"]))


@pytest.mark.parametrize("folder", RENDERED[:3])
def test_a_new_router_needs_neither_the_store_nor_a_volume_of_its_own(folder: str) -> None:
    """Its last resort is where the image has it, under no mount, so that a pod waits for nothing."""
    spec = of_kind(render(folder), "Deployment", "trunkshow-router")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (fallback,) = (one.partition("=")[2] for one in container["args"] if one.startswith("--fallback="))
    copied = (K8S / "fallback" / "Dockerfile").read_text().splitlines()[-1]
    assert copied == f"COPY . {fallback}"
    assert not any(fallback.startswith(mount["mountPath"]) for mount in container["volumeMounts"])
    of_the_cluster = {"emptyDir", "secret", "configMap"}
    if folder != "overlays/development":  # whose store is a volume
        assert all(of_the_cluster & volume.keys() for volume in spec["volumes"])
