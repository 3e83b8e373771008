"""What the image is made from. It cannot be built in a test: that needs a container engine."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "k8s/fallback/Dockerfile"])
def test_the_dockerfile_is_clean(dockerfile: str) -> None:
    """Nothing is found by hadolint."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / dockerfile], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_gets_every_package() -> None:
    """What the wheel is made of is copied in, and let through by .dockerignore."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = (ROOT / "Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for package in packages["packages"]:
        assert f"COPY {package} {package}\n" in copied
        assert f"!{package}" in allowed


def test_the_image_holds_what_serves_compiled() -> None:
    """A container that may write nothing would compile itself at every start, for longer than it takes to recover."""
    made = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1]
    removed, _, after = made.rpartition("__pycache__")
    assert removed
    for server in ("router.main", "shard.main"):
        assert server in after
    assert "PYTHONDONTWRITEBYTECODE" not in made
