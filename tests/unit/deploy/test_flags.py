"""The manifests' containers are started with flags and variables that the command line takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from test_manifests import RENDERED, of_kind, pods, render

from builder.dataset import load_dataset
from cli.main import _parse
from shard.config import ShardConfig

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders the manifests, is not here"
)

OF_THE_POD = {"POD_NAME": "trunkshow-shard-0", "POD_NAMESPACE": "trunkshow"}


def expanded(argument: str) -> str:
    """As kubelet does it."""
    for name, value in OF_THE_POD.items():
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
    for name, value in variables(objects).items():
        monkeypatch.setenv(name, value)
    parsed = [
        _parse([expanded(argument) for argument in container["args"]])
        for pod in pods(objects)
        for container in pod["spec"]["containers"]
        if "command" not in container  # NATS' own, whose configuration test_manifests has the server check
    ]
    assert len(parsed) == 3


def test_the_builder_can_read_its_dataset_file(tmp_path: Path) -> None:
    """The file in the config map is one that the builder takes."""
    maps = [one["data"] for one in render("base") if one["kind"] == "ConfigMap"]
    file = tmp_path / "dataset.toml"
    file.write_text(next(data["dataset.toml"] for data in maps if "dataset.toml" in data))
    assert [source.path for source in load_dataset(file).events] == ["/data/events/*.parquet"]


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
