"""The command line as a person or a script meets it: help, wrong input, JSON."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Built
from scripted_router import ScriptedRouter, scripted_router

from cli.addresses import free_address
from cli.ask import RecommendOptions
from cli.main import COMMANDS, run
from cli.output import UsageError
from trunkshow.errors import InvalidArgument
from trunkshow.receipts import Rung

ROOT = Path(__file__).resolve().parents[3]
NAMES = [name for name, *_ in COMMANDS]


@pytest.fixture
def router() -> Iterator[ScriptedRouter]:
    with scripted_router() as router:
        yield router


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("TRUNKSHOW_TARGET", raising=False)
    monkeypatch.delenv("TRUNKSHOW_STORE", raising=False)


@pytest.mark.parametrize("command", NAMES)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of every command exits with 0 and documents --json."""
    assert run([command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`trunkshow --help` lists every command."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in NAMES)


def test_help_does_not_wait_for_heavy_imports() -> None:
    """`trunkshow --help` imports none of the libraries that only building or serving needs."""
    code = (
        "import sys; from cli.main import run; run(['--help']); "
        "heavy = {'faiss', 'polars', 'irspack', 'numpy', 'grpc'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints one line and exits with 0."""
    assert run(["--version"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.fixture
def broken_dataset(tmp_path: Path) -> str:
    path = tmp_path / "dataset.toml"
    path.write_text('name = "x"\nevent = 1\n')
    return str(path)


def wrong_inputs(broken: str, folder: Path) -> dict[str, list[str]]:
    return {
        "no such command": ["biuld"],
        "unknown flag": ["recommend", "bob", "--itms", "a"],
        "missing argument": ["recommend"],
        "not a number": ["recommend", "bob", "--n", "many"],
        "missing dataset": ["build", str(folder / "none.toml"), "--store", str(folder / "store")],
        "broken dataset": ["build", broken, "--store", str(folder / "store")],
        "no factors": ["build", broken, "--store", str(folder / "store"), "--factors", "0"],
        "factors beyond the bound": ["build", broken, "--store", str(folder / "store"), "--factors", "1025"],
        "partitions beyond the bound": ["build", broken, "--store", str(folder / "store"), "--partitions", "65"],
        "seed beyond the bound": ["build", broken, "--store", str(folder / "store"), "--seed", "99999999999"],
        "inspecting a file": ["inspect", broken],
        "cluster on a file": ["up", "--store", broken],
        "fewer items than one": ["recommend", "bob", "--n", "-1"],
        "items beyond the bound": ["similar", "hat", "--n", "99999999999"],
        "deadline that is no number": ["recommend", "bob", "--deadline-ms", "nan"],
        "target that is not text": ["status", "--target", "\udcff"],
        "no target": ["status", "--target", ""],
        "empty store": ["inspect", str(folder)],
        "cluster without a snapshot": ["up", "--store", str(folder)],
        "no shards": ["up", "--store", str(folder), "--shards", "0"],
        "router with wrong settings": ["router", "--store", str(folder), "--shards", "a:1", "--deadline-ms", "0"],
        "address without a port": ["shard", "--store", str(folder), "--listen", "here"],
        "nothing to break": ["chaos", "--seconds", "1"],
        "attribute without a value": ["recommend", "bob", "--attribute", "brand"],
    }


@pytest.mark.parametrize("kind", wrong_inputs("", Path()))
def test_wrong_input_is_one_line_and_exit_code_2(
    kind: str, broken_dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong input of any kind exits with 2, says why in one line on stderr, and prints no traceback."""
    assert run(wrong_inputs(broken_dataset, tmp_path)[kind]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("trunkshow: ")
    assert "Traceback" not in printed.err


def test_the_faults_are_named_to_whoever_asks(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a store to break, and in words that `--fault` takes."""
    assert run(["chaos", "--list"]) == 0
    assert {"steady", "log-killed", "burst"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flag", "value", "allowed"),
    [("--factors", "4000", "1 to 1024"), ("--seed", "-1", "0 to 2147483647"), ("--threads", "0", "1 to 256")],
)
def test_a_number_out_of_range_is_told_its_range(
    flag: str, value: str, allowed: str, broken_dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number that a build refuses is named, with what it may be, before anything is read."""
    assert run(["build", broken_dataset, "--store", "nowhere", flag, value]) == 2
    assert capsys.readouterr().err == f"trunkshow: {flag} {value} is out of range; choose {allowed}\n"


@pytest.mark.parametrize(
    "arguments", [["recommend", "\udcff"], ["similar", "\udcff"], ["recommend", "bob", "--request-id", "\udcff"]]
)
def test_bytes_that_are_not_text_are_refused(
    arguments: list[str], router: ScriptedRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    """An argument of bytes that are no UTF-8 is wrong input; nothing is sent."""
    assert run([*arguments, "--target", router.target]) == 2
    assert "\\udcff" in capsys.readouterr().err
    assert router.seen == []


def test_an_unreachable_router_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that does not answer is wrong input: exit code 2, and the line names its address."""
    monkeypatch.setattr("cli.ask.CONNECT_WITHIN_S", 0.1)
    with scripted_router() as gone:
        target = gone.target
    assert run(["status", "--target", target]) == 2
    assert target in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--listen", "--metrics-listen", "--health-listen"])
def test_an_address_in_use_is_named(
    option: str, router: ScriptedRouter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shard that cannot listen where it should says so in one line."""
    free = [] if option == "--listen" else ["--listen", free_address()]
    assert run(["shard", "--store", str(tmp_path), *free, option, router.target]) == 2
    told = capsys.readouterr().err
    assert router.target in told
    assert told.endswith(f"choose another with {option}\n")


@pytest.mark.parametrize("options", [["--cluster-token", "FILE"], ["--tls-cert", "FILE", "--tls-key", "FILE"]])
def test_credentials_that_are_no_good_end_a_start_in_one_line(options: list[str], built: Built, tmp_path: Path) -> None:
    """And with the exit code of wrong input, so that no supervisor tries it again."""
    (tmp_path / "bad").write_text("not a credential")
    given = [str(tmp_path / "bad") if option == "FILE" else option for option in options]
    command = [sys.executable, "-m", "cli.main", "shard", "--store", str(built.store), "--listen", free_address()]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    (told,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 2
    assert told.startswith(f"trunkshow: {tmp_path / 'bad'}")


def test_a_refused_request_is_one_line(router: ScriptedRouter, capsys: pytest.CaptureFixture[str]) -> None:
    """What the router refuses is said in the router's own words."""
    router.answers["Recommend"] = InvalidArgument("surface: 'moon' is not one of home, product", field="surface")
    assert run(["recommend", "bob", "--surface", "moon", "--target", router.target]) == 2
    assert capsys.readouterr().err == "trunkshow: surface: 'moon' is not one of home, product\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["recommend", "bob"], ("carousels", 0, "items", 0, "item_id", "hat")),
        (["similar", "hat"], ("carousel", "items", 0, "item_id", "cap")),
        (["status"], ("shards", 0, "state", "READY")),
    ],
)
def test_answers_as_json(
    arguments: list[str], expected: tuple[Any, ...], router: ScriptedRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json an answer is one JSON value on stdout, and nothing else is printed."""
    assert run([*arguments, "--target", router.target, "--json"]) == 0
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    *path, leaf = expected
    for key in path:
        value = value[key]
    assert (value, printed.err) == (leaf, "")


def test_a_slate_for_a_person(router: ScriptedRouter, capsys: pytest.CaptureFixture[str]) -> None:
    """A slate shows titles, sources, rungs, items with their reasons, and the receipt; markup in it is not obeyed."""
    assert run(["recommend", "bob", "--target", router.target]) == 0
    shown = capsys.readouterr().out
    for part in ("For you", "ials", "SNAPSHOT", "hat", "Matches your taste", "SHARD_LATE", "3 of 4", "v1", "r-1"):
        assert part in shown
    assert "Goes with [bold]hat[/]" in shown


def test_the_status_for_a_person(router: ScriptedRouter, capsys: pytest.CaptureFixture[str]) -> None:
    """The status shows each shard, whether it is there, what it holds, and what was served."""
    assert run(["status", "--target", router.target]) == 0
    shown = capsys.readouterr().out
    for part in ("10.0.0.1:7451", "READY", "4: 0-3", "3.0 MiB", "10.0.0.2:7451", "unreachable", "4 of 4"):
        assert part in shown


def test_flags_become_the_request(router: ScriptedRouter) -> None:
    """Lists are given with commas, attributes as NAME=A,B."""
    flags = ["--items", "hat,coat", "--carousels", "popular", "--n", "3", "--attribute", "brand=a,b"]
    assert run(["recommend", "bob", *flags, "--target", router.target]) == 0
    asked = router.seen[0].request
    assert (list(asked.context_item_ids), list(asked.carousels)) == (["hat", "coat"], ["popular"])
    assert asked.items_per_carousel == 3
    assert list(asked.filters.attributes[0].values) == ["a", "b"]


def test_the_target_comes_from_the_environment(router: ScriptedRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRUNKSHOW_TARGET names the router where no flag does."""
    monkeypatch.setenv("TRUNKSHOW_TARGET", router.target)
    assert run(["recommend", "bob"]) == 0
    assert router.seen[0].request.user_id == "bob"


def test_building_and_inspecting(built: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`build --json` prints the report alone; `inspect --json` prints the manifest of what it published."""
    store = str(tmp_path / "store")
    arguments = ["build", str(built.dataset), "--store", store, "--partitions", "2", "--factors", "8", "--json"]
    assert run(arguments) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert printed.err == ""
    assert run(["inspect", store, "--json", "--verify"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["version"], manifest["counts"]["partitions"]) == (report["version"], 2)


@pytest.mark.parametrize("store", ["file", "file/below"])
def test_a_store_that_cannot_be_written_to_is_named(
    store: str, built: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the store cannot be a folder a build ends with one line that names it."""
    (tmp_path / "file").touch()
    assert run(["build", str(built.dataset), "--store", str(tmp_path / store), "--json"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"trunkshow: {tmp_path / store} ")
    assert len(said.splitlines()) == 1


def test_a_snapshot_for_a_person(built: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect` shows counts, metrics, partitions and files, and with --verify that every file is whole."""
    assert run(["inspect", str(built.store), "--verify"]) == 0
    shown = capsys.readouterr().out
    for part in (built.report.manifest.version, "recall@20", "popularity", "users in each", "catalogue", "checksum"):
        assert part in shown


def test_up_gives_up_where_a_partition_is_refused(
    built: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged partition ends `up` at once with 2; the line names the shard, the partition, and what its log says."""
    store = tmp_path / "store"
    shutil.copytree(built.store, store)
    (items,) = store.glob("snapshots/*/partitions/*2/items.npy")
    items.write_bytes(b"")
    assert run(["up", "--store", str(store), "--shards", "2", "--listen", "127.0.0.1:0", "--json"]) == 2
    said = capsys.readouterr().err
    assert re.search(r"shard-\d \(127.0.0.1:\d+\) refused partitions 2; shard-\d last said: partition.refused: ", said)
    assert str(store / "logs") in said


@pytest.mark.parametrize("listen", ["0.0.0.0:7450", "[::]:7450", "192.0.2.1:0"])
def test_up_listens_on_this_machine_alone_and_says_so_before_it_starts_anything(
    built: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], listen: str
) -> None:
    """Not even a folder for logs is made."""
    logs = tmp_path / "logs"
    assert run(["up", "--store", str(built.store), "--listen", listen, "--logs", str(logs), "--json"]) == 2
    said = capsys.readouterr()
    assert (said.out, logs.exists()) == ("", False)
    assert f"--listen {listen} is not this machine alone" in said.err


@pytest.mark.parametrize("written", ["STAND_IN", "stand-in"])
def test_a_rung_is_named_as_receipts_show_it_or_as_flags_are(written: str) -> None:
    """Whoever copies it from an answer is understood."""
    assert RecommendOptions(worst_rung=written).lowest() is Rung.STAND_IN


def test_a_rung_that_there_is_not_is_told_with_those_that_there_are() -> None:
    """In one line."""
    with pytest.raises(UsageError, match="nearest is no rung; choose one of FRESH, SNAPSHOT"):
        RecommendOptions(worst_rung="nearest").lowest()
