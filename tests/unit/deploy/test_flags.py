"""The manifests' containers are started with flags and variables that the command line takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from test_manifests import RENDERED, of_kind, pods, render

from builder.dataset import load_dataset
from builder.export.rows import name_of
from cli.main import _parse
from shard.config import ShardConfig
from trunkshow.online.newcomers import NEWCOMERS_MAX, UNSETTLED_MAX
from trunkshow.online.weights import SHARES

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders the manifests, is not here"
)

OF_THE_POD = {"POD_NAME": "trunkshow-shard-0", "POD_NAMESPACE": "trunkshow"}


def expanded(argument: str, given: dict[str, str]) -> str:
    """As kubelet does it."""
    for name, value in (OF_THE_POD | given).items():
        argument = argument.replace(f"$({name})", value)
    return argument


def variables(objects: list[dict[str, Any]]) -> dict[str, str]:
    """What the containers' envFrom gives them."""
    return next(
        one["data"]
        for one in objects
        if one["kind"] == "ConfigMap"
        and one["metadata"]["name"].startswith("trunkshow-")
        and "dataset.toml" not in one["data"]
    )


@pytest.mark.parametrize("folder", RENDERED[1:3])
def test_every_container_can_start(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each container's arguments are parsed by the real command line, in its environment."""
    objects = render(folder)
    given = variables(objects)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    parsed = [
        _parse([expanded(argument, given) for argument in container["args"]])
        for pod in pods(objects)
        for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
        if "command" not in container  # NATS' own, whose configuration test_manifests has the server check
    ]
    assert len(parsed) == 4


EVENT, IMPRESSION, USERS_WINDOWS, ITEMS_WINDOWS, NEWCOMER, UNSETTLED = 300, 8, 2_560, 20_480, 160, 250
"""Bytes at most, as docs/operations.md has them."""

OF_THE_DEMO, IDS = 460 << 20, 200 << 20


def test_a_shards_limits_fit_into_its_memory() -> None:
    """All of them reached at a time, as they are by all shards at about the same time, and a fifth to spare."""
    shard = of_kind(render("base"), "StatefulSet", "trunkshow-shard")
    (container,) = shard["spec"]["template"]["spec"]["containers"]
    given = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"] if "=" in argument)
    default = ShardConfig(store="s3://trunkshow/snapshots")

    def most(name: str) -> int:
        return int(given.get(name.replace("_", "-"), getattr(default, name)))

    online = (
        most("online_events_max") * EVENT
        + most("online_impressions_max") * IMPRESSION
        + most("feature_users_max") * USERS_WINDOWS
        + most("feature_items_max") * ITEMS_WINDOWS
    )
    limit = container["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    previous = most("previous_mib_max") << 20
    newcomers = 3 * (NEWCOMERS_MAX * NEWCOMER + UNSETTLED_MAX * UNSETTLED)  # current, previous, candidate
    assert OF_THE_DEMO + previous + online + newcomers + IDS < 0.8 * (int(limit.removesuffix("Gi")) << 30)


def test_the_builder_can_read_its_dataset_file(tmp_path: Path) -> None:
    """The file in the config map is one that the builder takes."""
    maps = [one["data"] for one in render("base") if one["kind"] == "ConfigMap"]
    file = tmp_path / "dataset.toml"
    file.write_text(next(data["dataset.toml"] for data in maps if "dataset.toml" in data))
    dataset = load_dataset(file)
    assert [source.path for source in dataset.events] == ["/data/events/*.parquet"]
    assert {name_of(kind) for kind in SHARES} <= dataset.interactions.keys()


@pytest.mark.parametrize("folder", ["base", "overlays/development", "overlays/production", "build-once"])
def test_what_was_recorded_is_in_the_next_build(folder: str, tmp_path: Path) -> None:
    """The job exports the log that routers write to, on a volume that stays, to where the dataset file reads it."""
    objects = render(folder)
    spec = next(pod["spec"] for pod in pods(objects) if "initContainers" in pod["spec"])
    (export,), (build,) = spec["initContainers"], spec["containers"]
    assert export["args"] == ["export-events", "--log=$(TRUNKSHOW_ROUTER_LOG)", "--out=/export"]
    assert {"name": "export", "persistentVolumeClaim": {"claimName": "trunkshow-export"}} in spec["volumes"]
    assert {"name": "export", "mountPath": "/export"} in export["volumeMounts"]
    assert {"name": "export", "mountPath": "/export", "readOnly": True} in build["volumeMounts"]
    of_the_base = next(one["data"] for one in render("base") if "dataset.toml" in one.get("data", {}))
    file = tmp_path / "dataset.toml"
    file.write_text(of_the_base["dataset.toml"])
    assert load_dataset(file).export == "/export"
    if folder == "overlays/production":  # its servers ask for a certificate
        assert {"name": "tls", "mountPath": "/tls", "readOnly": True} in export["volumeMounts"]


@pytest.mark.parametrize("folder", RENDERED[1:3])
def test_a_shard_has_time_to_hand_over(folder: str) -> None:
    """The grace before SIGKILL is longer than preStop, what handing over may take, and the drain together."""
    shard = of_kind(render(folder), "StatefulSet", "trunkshow-shard")
    spec = shard["spec"]["template"]["spec"]
    container = spec["containers"][0]
    (leave,) = (argument.partition("=")[2] for argument in container["args"] if argument.startswith("--leave-s="))
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = ShardConfig(store="s3://trunkshow/snapshots").drain_s
    assert spec["terminationGracePeriodSeconds"] > before + float(leave) + drain_s
