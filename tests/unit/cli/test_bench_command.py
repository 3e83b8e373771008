"""`trunkshow bench` as a person or a script meets it, against a router that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from scripted_router import ScriptedRouter, scripted_router

from cli.bench import usage
from cli.bench.options import BenchOptions
from cli.main import run
from trunkshow.errors import PermissionDenied, Unavailable
from trunkshow.v1 import recommendation_pb2 as pb

EMPTY = pb.RecommendResponse(receipt=pb.Receipt(rung=pb.RUNG_POPULAR))
BOTH = ["--carousels", "for-you,popular", "--n", "2", "--seconds", "0.3"]


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedRouter]:
    for name in ("TRUNKSHOW_TARGET", "TRUNKSHOW_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    with scripted_router() as router:
        yield router


@pytest.fixture
def people(tmp_path: Path) -> str:
    path = tmp_path / "users.txt"
    path.write_text("ann\n\n bob \ncid\n", encoding="utf-8")
    return str(path)


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """The exit code and the report of a run."""
    try:
        code = run(["bench", *arguments, "--json"])
    except SystemExit as left:  # what was measured was wrong
        code = int(left.code or 0)
    return code, json.loads(capsys.readouterr().out)


def test_an_open_loop_is_told_in_full(router: ScriptedRouter, people: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 0.3 s at 100 a second: what was asked for, for whom, and on which rung; a carousel of one is short."""
    code, told = measured(capsys, "--target", router.target, "--users", people, "--rate", "100", *BOTH)
    loop = told["stretches"]["open loop"]
    assert (code, told["passed"], told["users"], told["snapshot_version"]) == (0, True, 3, "v1")
    assert loop["answered"] == loop["short"] > 0 and loop["latency_from"] == "due"
    assert loop["rungs"] == {"SNAPSHOT": loop["answered"]}
    assert sum(row["calls"] for row in loop["histogram"]) == loop["answered"]
    assert {one.request.user_id for one in router.seen if hasattr(one.request, "user_id")} == {"ann", "bob", "cid"}


def test_without_a_rate_the_peak_is_found_and_half_of_it_asked(
    router: ScriptedRouter, people: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = measured(capsys, "--target", router.target, "--users", people, *BOTH)
    peak, loop = told["stretches"]["peak"], told["stretches"]["open loop"]
    assert loop["rate"] == pytest.approx(peak["requests_per_s"] / 2) and peak["latency_from"] == "sent"


def test_an_empty_slate_fails_the_run(router: ScriptedRouter, people: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its status is OK, and its latency fine."""
    router.answers["Recommend"] = EMPTY
    code, told = measured(capsys, "--target", router.target, "--users", people, "--callers", "2", *BOTH)
    loop = told["stretches"]["closed loop"]
    assert (code, told["passed"], loop["wrong"]) == (1, False, loop["answered"])
    assert loop["complaints"][0] == "an empty slate, of rung RUNG_POPULAR"


def test_a_failed_call_fails_the_run(router: ScriptedRouter, people: str, capsys: pytest.CaptureFixture[str]) -> None:
    router.answers["Recommend"] = Unavailable("not now")
    code, told = measured(capsys, "--target", router.target, "--users", people, "--rate", "20", *BOTH)
    assert code == 1 and set(told["stretches"]["open loop"]["failed"]) == {"UNAVAILABLE"}


def test_a_batch_is_told_per_user(router: ScriptedRouter, people: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Seven users a call."""
    _, told = measured(capsys, "--target", router.target, "--users", people, "--callers", "1", "--batch", "7", *BOTH)
    loop = told["stretches"]["closed loop"]
    assert loop["answered"] == 7 * sum(row["calls"] for row in loop["histogram"]) == loop["short"] > 0


def test_who_is_let_in_by_a_key_shows_it_with_every_call(router: ScriptedRouter, people: str) -> None:
    run(["bench", "--target", router.target, "--users", people, "--rate", "20", "--api-key", "k-1", *BOTH, "--json"])
    asked = [one for one in router.seen if isinstance(one.request, pb.RecommendRequest)]
    assert asked and all(one.metadata["x-api-key"] == "k-1" for one in asked)


def test_a_cluster_is_measured_by_tls_as_it_is_asked(
    people: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the authority that its certificate comes from; without, nothing is measured and one line says so."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("127.0.0.1")
    chain = b"".join(part.bytes() for part in own.cert_chain_pems)
    with scripted_router(credentials=grpc.ssl_server_credentials([(own.private_key_pem.bytes(), chain)])) as router:
        asked = ["--target", router.target, "--users", people, "--rate", "20", *BOTH]
        code, told = measured(capsys, *asked, "--tls-ca", str(tmp_path / "ca.pem"))
        assert code == 0 and told["stretches"]["open loop"]["answered"] > 0
        assert run(["bench", *asked]) == 2


def test_who_may_not_see_the_cluster_may_measure_it(
    router: ScriptedRouter, people: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The router's own process is found all the same: it listens on this machine. Of the shards nothing is known."""
    router.answers["GetClusterStatus"] = PermissionDenied("operators only")
    code, told = measured(capsys, "--target", router.target, "--users", people, "--rate", "20", *BOTH)
    assert (code, told["snapshot_version"], told["weighed"]) == (0, "", ["router"])


def test_a_person_sees_figures_a_picture_and_the_command_again(
    router: ScriptedRouter, people: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the same stands in the file."""
    report = tmp_path / "report.md"
    asked = ["--target", router.target, "--users", people, "--rate", "100", "--markdown", str(report)]
    assert run(["bench", *asked, *BOTH]) == 0
    shown, written = capsys.readouterr().out, report.read_text(encoding="utf-8")
    for word in ("p99.9", "SNAPSHOT 100.00%", "this command", "from when a request was due"):
        assert word in shown
    assert "█" in shown
    assert "trunkshow bench --target" in shown and "trunkshow bench --target" in written
    assert "| open loop |" in written and "SNAPSHOT 100.00%" in written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say whom to ask for"),
        (["--users", "/nowhere/users.txt"], "--users /nowhere/users.txt"),
        (["--rate", "5", "--callers", "5"], "exclude one another"),
        (["--seconds", "0"], "--seconds"),
        (["--batch", "0"], "--batch"),
        (["--markdown", "/nowhere/report.md"], "there is no folder /nowhere"),
        (["--n", "101"], "--n"),
        (["--rate", "1000000", "--seconds", "3600"], "choose less of one"),
    ],
)
def test_what_makes_no_measurement_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRUNKSHOW_STORE", raising=False)
    assert run(["bench", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_file_that_names_nobody_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "users.txt"
    path.write_text("\n  \n")
    assert run(["bench", "--users", str(path)]) == 2
    assert "names nobody" in capsys.readouterr().err


def test_nobody_answers_is_one_line(people: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--target", "127.0.0.1:1", "--users", people]) == 2
    assert "no router answered" in capsys.readouterr().err


def test_the_command_again_names_no_secret() -> None:
    assert "k-1" not in BenchOptions(access=BenchOptions().access.__class__(api_key="k-1")).again()


def test_processes_elsewhere_are_not_taken_for_ones_here(router: ScriptedRouter) -> None:
    """Same port, another machine (TEST-NET-1)."""
    port = router.target.rpartition(":")[2]
    assert usage.listening({"router": f"192.0.2.1:{port}"}) == {}
    assert list(usage.listening({"router": f"127.0.0.1:{port}"})) == ["router"]
