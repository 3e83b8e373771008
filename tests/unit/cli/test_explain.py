"""What `trunkshow explain-receipt` tells of a receipt."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from cli import explain
from cli.main import run
from cli.output import UsageError
from trunkshow.receipts import Attempt, Effort, ModelFailure, Outcome, Reason, Receipt, Rung, Stage

DOCS = Path(__file__).resolve().parents[3] / "docs" / "receipts.md"

RECEIPT = Receipt(
    request_id="r-17",
    rung=Rung.STAND_IN,
    reasons=(Reason.SHARD_LATE, Reason.MODEL_NONSENSE),
    snapshot_version="v2",
    partitions_asked=1,
    partitions_answered=0,
    elapsed_ms=120.5,
    stages=(Stage("shard", 118.0, 180.0),),
    effort=Effort.REDUCED,
    attempts=(
        Attempt("10.0.0.1:7451", Outcome.LATE, 118.0, Rung.SNAPSHOT, hedge=False),
        Attempt("10.0.0.2:7451", Outcome.ANSWERED, 9.5, Rung.STAND_IN, hedge=True),
    ),
    budget_ms=200.0,
    hedged=True,
    model_failures=(ModelFailure("for-you", "my-model", Reason.MODEL_NONSENSE),),
    watermark="log/0:7",
    events_folded=3,
    watermark_age_ms=41.7,
    kept_age_ms=1520.0,
)


def told(receipt: Receipt) -> str:
    console = Console(width=160, highlight=False)
    with console.capture() as capture:
        for part in explain.story(receipt):
            console.print(part)
    return " ".join(capture.get().split())


def test_the_story_has_every_fact() -> None:
    """Replicas, times, outcomes, budgets, the failed model, and what each reason means and asks for, are all told."""
    shown = told(RECEIPT)
    for fact in (
        "r-17",
        "10.0.0.1:7451",
        "was late",
        "a hedge",
        "118.00 ms",
        "120.5 ms of 200 ms; 80 ms were left",
        "3 events since the snapshot; everything known up to log/0:7, at most 42 ms ago",
        "made 1.5 s before, for the same request; nothing changed that it rests on",
    ):
        assert fact in shown
    assert "my-model cost the carousel for-you a rung: MODEL_NONSENSE" in shown
    assert explain.REASONS[Reason.SHARD_LATE].means in shown
    assert explain.RUNGS[Rung.STAND_IN].do in shown


def test_every_rung_and_reason_has_a_meaning() -> None:
    """Nothing of the contract is without words, but UNSPECIFIED, which says nothing."""
    assert set(explain.RUNGS) == set(Rung) - {Rung.UNSPECIFIED}
    assert set(explain.REASONS) == set(Reason) - {Reason.UNSPECIFIED}
    assert set(explain.OUTCOMES) == set(Outcome)
    assert set(explain.EFFORTS) == set(Effort)


def test_the_docs_say_the_same() -> None:
    """docs/receipts.md has a row for every rung and reason, in the words of the command."""
    text = DOCS.read_text(encoding="utf-8")
    rows = [(one.name, meaning) for table in (explain.RUNGS, explain.REASONS) for one, meaning in table.items()]
    missing = [name for name, (means, do) in rows if f"| `{name}` | {means} | {do} |" not in text]
    assert missing == []


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_receipt_is_read_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], wrapped: bool) -> None:
    """The JSON of a whole answer, or of the receipt alone, comes back as the same receipt."""
    plain = RECEIPT.to_json()
    file = tmp_path / "answer.json"
    file.write_text(json.dumps({"carousels": [], "receipt": plain} if wrapped else plain))
    assert run(["explain-receipt", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["receipt"] == plain


def test_a_receipt_is_read_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file, what another command printed is read."""
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(RECEIPT.to_json())))
    assert run(["explain-receipt"]) == 0
    assert "STAND_IN" in capsys.readouterr().out


def test_what_is_nested_beyond_reason_is_no_receipt() -> None:
    """The parser's own recursion is no reason for a traceback."""
    with pytest.raises(UsageError, match="no receipt"):
        explain.read("[" * 100_000)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"receipt": 3}', '{"rung": "BEST"}', "null"])
def test_what_is_no_receipt_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Anything else ends with one line that says what to give."""
    file = tmp_path / "no.json"
    file.write_text(text)
    assert run(["explain-receipt", str(file)]) == 2
    assert "trunkshow recommend USER --json" in capsys.readouterr().err
