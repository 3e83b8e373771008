"""The model of what is right finds every kind of wrong; the cluster's own answers are held against it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Built

from cli.chaos import versions
from cli.chaos.model import Facts, Oracle
from cli.chaos.visitors import Visitors
from trunkshow.v1 import recommendation_pb2 as pb

USER = "user-0003"


@pytest.fixture(scope="module")
def oracle(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Knows the clustered shop."""
    folder = tmp_path_factory.mktemp("oracle")
    version = built.report.manifest.version
    versions.remember(built.store / "snapshots" / version, version, folder)
    return Oracle(folder)


@pytest.fixture(scope="module")
def facts(built: Built, oracle: Oracle) -> Facts:
    """Of the clustered shop."""
    found = oracle.of(built.report.manifest.version)
    assert found is not None
    return found


def showable(facts: Facts, count: int) -> list[str]:
    """Items that the user may be shown."""
    seen = facts.seen(USER)
    return [item for row, item in enumerate(facts.ids) if row not in seen and facts.available[row]][:count]


def right(facts: Facts) -> pb.RecommendResponse:
    """An answer with nothing wrong in it."""
    one, two, three = showable(facts, 3)
    return pb.RecommendResponse(
        carousels=[
            pb.Carousel(id="for-you", rung=pb.RUNG_SNAPSHOT, items=[pb.Item(item_id=one), pb.Item(item_id=two)]),
            pb.Carousel(id="popular", rung=pb.RUNG_SNAPSHOT, items=[pb.Item(item_id=three)]),
        ],
        receipt=pb.Receipt(rung=pb.RUNG_SNAPSHOT, snapshot_version=facts.version),
    )


def test_a_right_answer_is_right(oracle: Oracle, facts: Facts) -> None:
    """Nothing is found where nothing is wrong."""
    assert oracle.wrong(pb.RecommendRequest(user_id=USER), right(facts)) == []


def seen_item(facts: Facts) -> str:
    """Something that the user had, and that is available."""
    return next(facts.ids[row] for row in facts.seen(USER) if facts.available[row])


def spoil(change: Callable[[Facts, pb.RecommendRequest, pb.RecommendResponse], object]) -> object:
    """A way of being wrong."""
    return change


WRONGS: dict[str, object] = {
    "never was": spoil(lambda f, q, a: setattr(a.receipt, "snapshot_version", "1999")),
    "does not exist": spoil(lambda f, q, a: a.carousels[0].items.add(item_id="no such item")),
    "not allowed by the filters": spoil(lambda f, q, a: q.filters.categories.append("nothing of the kind")),
    "was excluded": spoil(lambda f, q, a: q.exclude_item_ids.append(a.carousels[0].items[0].item_id)),
    "or is in hand": spoil(lambda f, q, a: q.context_item_ids.append(a.carousels[0].items[0].item_id)),
    "already had": spoil(lambda f, q, a: a.carousels[0].items.add(item_id=seen_item(f))),
    "stand in it twice": spoil(lambda f, q, a: a.carousels[1].items.append(a.carousels[0].items[0])),
    "is empty": spoil(lambda f, q, a: a.carousels[1].ClearField("items")),
    "could be shown": spoil(lambda f, q, a: a.ClearField("carousels")),
    "has 2 items": spoil(lambda f, q, a: setattr(q, "items_per_carousel", 1)),
    "was not asked for": spoil(lambda f, q, a: q.carousels.append("for-you")),
    "is not the first carousel's": spoil(lambda f, q, a: setattr(a.receipt, "rung", pb.RUNG_POPULAR)),
    "stands twice": spoil(lambda f, q, a: a.receipt.reasons.extend([pb.REASON_FOLDED_IN] * 2)),
    "were asked": spoil(lambda f, q, a: setattr(a.receipt, "partitions_answered", 1)),
    "has the score": spoil(lambda f, q, a: setattr(a.carousels[0].items[0], "score", float("nan"))),
}


@pytest.mark.parametrize("words", list(WRONGS))
def test_every_wrong_is_found(oracle: Oracle, facts: Facts, words: str) -> None:
    """And told in words of its own."""
    request, answer = pb.RecommendRequest(user_id=USER), right(facts)
    change: Callable[..., object] = WRONGS[words]  # type: ignore[assignment]
    change(facts, request, answer)
    assert any(words in wrong for wrong in oracle.wrong(request, answer))


@pytest.mark.parametrize("include_unavailable", [False, True])
def test_what_may_be_shown_is_the_same_by_columns_as_row_by_row(facts: Facts, include_unavailable: bool) -> None:
    """An empty slate is judged by columns, a shown item by its row."""
    name, (codes, values) = next(iter(facts.attributes.items()))
    narrow = pb.Filters(
        categories=facts.category_names[:2],
        attributes=[pb.AttributeFilter(name=name, values=[values[codes[0]], "nobody has this"])],
        include_unavailable=include_unavailable,
    )
    for filters in (pb.Filters(), narrow, pb.Filters(categories=["nothing is of this"])):
        one_by_one = [row for row in range(len(facts.ids)) if facts.available[row] and facts.allows(row, filters)]
        assert facts.allowed(filters).tolist() == one_by_one


def test_a_lower_rung_without_a_reason_is_wrong(oracle: Oracle, facts: Facts) -> None:
    """Nothing is silent."""
    answer = right(facts)
    answer.carousels[0].rung = answer.receipt.rung = pb.RUNG_SEGMENT
    assert any("no reason" in wrong for wrong in oracle.wrong(pb.RecommendRequest(user_id=USER), answer))


def test_an_unavailable_item_is_wrong_unless_asked_for(oracle: Oracle, facts: Facts) -> None:
    """In the personal carousels; popular lists never show one."""
    gone = next(item for row, item in enumerate(facts.ids) if not facts.available[row])
    personal, popular = right(facts), right(facts)
    personal.carousels[0].items.add(item_id=gone)
    popular.carousels[1].items.add(item_id=gone)
    anything = pb.RecommendRequest(user_id=USER, include_seen=True, filters=pb.Filters(include_unavailable=True))
    assert oracle.wrong(pb.RecommendRequest(user_id=USER, include_seen=True), personal)
    assert oracle.wrong(anything, personal) == []
    assert any("not available" in wrong for wrong in oracle.wrong(anything, popular))


def test_a_restocked_copy_is_a_version_of_its_own(built: Built, facts: Facts, tmp_path: Path) -> None:
    """Other items are in stock in it, and its manifest says what its files are."""
    source = built.store / "snapshots" / facts.version
    manifest = versions.restocked(source, tmp_path / "copy", "later", seed=1)
    copy = Facts(tmp_path / "copy")
    assert manifest.version == copy.version == "later"
    assert copy.available != facts.available
    assert Facts(source).available == facts.available


@pytest.mark.parametrize("rung", [pb.RUNG_SNAPSHOT, pb.RUNG_PREVIOUS, pb.RUNG_STAND_IN])
def test_a_carousel_is_held_against_the_version_that_the_receipt_names(
    built: Built, facts: Facts, tmp_path: Path, rung: pb.Rung
) -> None:
    """Whichever rung it is of, and although it was right in another version that was served."""
    source = built.store / "snapshots" / facts.version
    versions.remember(source, facts.version, tmp_path)
    versions.restocked(source, tmp_path / "later", "later", seed=1)
    oracle = Oracle(tmp_path)
    later = oracle.of("later")
    assert later is not None
    sold_out = next(item for row, item in enumerate(facts.ids) if later.available[row] and not facts.available[row])
    answer = right(facts)
    answer.carousels[1].CopyFrom(pb.Carousel(id="people-like-you", rung=rung, items=[pb.Item(item_id=sold_out)]))
    request = pb.RecommendRequest(user_id=USER, include_seen=True)
    assert f"people-like-you: {sold_out} is not allowed by the filters" in oracle.wrong(request, answer)


def test_visitors_come_again_from_their_seed(facts: Facts) -> None:
    """The same calls in the same order; other ones from another seed."""

    def first(seed: int) -> list[bytes]:
        calls = Visitors(facts, seed, pool=40).calls()
        return [next(calls).request.SerializeToString(deterministic=True) for _ in range(60)]

    assert first(1) == first(1) != first(2)
