"""What every shard does, the fake one of the router tests and the real one: the comments of shard.proto, as claims.

What it does where it cannot do all that it is asked, `test_shard_short_contract` has.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from subjects import BATCH_MAX, ELSEWHERE, HELD, NEXT, WANTED, Starting, Subject, refusal

from trunkshow.bundles import each
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

# --- Predict ---


async def test_a_slate_has_the_carousels_asked_for_in_order(shard: Subject) -> None:
    """Each with something to show, at the snapshot's rung."""
    slate = await shard.slate(shard.asking())
    assert [(one.id, one.rung, bool(one.items)) for one in slate.carousels] == [
        (wanted, pb.RUNG_SNAPSHOT, True) for wanted in WANTED
    ]


async def test_a_slates_receipt_says_what_it_was_made_from(shard: Subject) -> None:
    """The version that was asked for, the rung, and how long it took."""
    receipt = (await shard.slate(shard.asking())).receipt
    assert (receipt.snapshot_version, receipt.rung) == (shard.version, pb.RUNG_SNAPSHOT)
    assert [stage.name for stage in receipt.stages] == ["predict"]


async def test_an_unknown_user_is_an_answer_in_which_everything_is_missing(shard: Subject) -> None:
    """The call succeeds; the router serves the stranger."""
    answer = await shard.predict(shard.asking("nobody"))
    assert [(lost.carousel, lost.reason) for lost in answer.missing] == [
        (wanted, pb.REASON_USER_UNKNOWN) for wanted in WANTED
    ]


async def test_a_slate_of_an_unknown_user_has_a_version_and_no_carousels(shard: Subject) -> None:
    """There is nothing to show, but still a slate that parses."""
    slate = await shard.slate(shard.asking("nobody"))
    assert (list(slate.carousels), slate.receipt.snapshot_version) == ([], shard.version)


@pytest.mark.parametrize(
    ("wrapped", "asked"),
    [
        ({"items_per_carousel": 201}, {}),
        ({"context_item_ids": ["i"] * 101}, {}),
        ({"exclude_item_ids": ["i"] * 5001}, {}),
        ({}, {"carousels": ["popular"] * 21}),
        ({}, {"partitions": HELD[:1] * 1025}),
    ],
    ids=["items", "context items", "excluded items", "carousels", "partitions"],
)
async def test_more_than_a_router_asks_is_refused(
    shard: Subject, wrapped: dict[str, Any], asked: dict[str, Any]
) -> None:
    """Whoever asks: a client whom a router vouches for is checked by nobody else."""
    request = pb.RecommendRequest(user_id=shard.user, **wrapped).SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shard.predict(shard.asking(**({"request": request} | asked)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_vector_stands_for_its_user(shard: Subject) -> None:
    """Whoever was folded in is not looked for, in however many partitions."""
    answer = await shard.predict(shard.asking("nobody", partitions=HELD, vector=shard.vector))
    assert pb.REASON_USER_UNKNOWN not in [lost.reason for lost in answer.missing]


@pytest.mark.parametrize(
    "asked",
    [{"snapshot_version": "another"}, {"partitions": [ELSEWHERE]}, {"partitions": [HELD[0], ELSEWHERE]}],
    ids=["another snapshot", "a partition that is elsewhere", "one of two that is elsewhere"],
)
async def test_what_is_not_held_is_refused_as_a_precondition(shard: Subject, asked: dict[str, Any]) -> None:
    """The router asks another replica."""
    refused = await refusal(shard.predict(shard.asking(**asked)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_MISMATCH")


async def test_a_partition_that_is_loading_is_not_held_yet(shard: Subject) -> None:
    """Only warm partitions can be asked for, and these as soon as they are."""
    refused = await refusal(shard.predict(shard.asking(partitions=[NEXT])))
    await shard.load_next()
    answer = await shard.predict(shard.asking("nobody", partitions=[NEXT]))
    assert (refused.code, len(answer.missing)) == (grpc.StatusCode.FAILED_PRECONDITION, len(WANTED))


async def test_bytes_that_are_no_prediction_are_refused_by_name(shard: Subject) -> None:
    """The caller sent something else."""
    refused = await refusal(shard.predict(b"\xff\xff\xff"))
    assert (refused.code, refused.field, refused.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "request",
        "MALFORMED_REQUEST",
    )


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"request": b"\xff\xff\xff"}, "request"), ({"partitions": []}, "partitions")],
    ids=["bytes that are no request", "no partition"],
)
async def test_a_prediction_that_cannot_be_made_sense_of_names_its_field(
    shard: Subject, asked: dict[str, Any], field: str
) -> None:
    """As the contract writes it."""
    refused = await refusal(shard.predict(shard.asking(**asked)))
    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


# --- ReadFeatures ---


async def test_a_shard_without_an_event_log_has_no_features_to_tell_of(shard: Subject) -> None:
    """As with a partition that it does not hold, the router asks another one."""
    refused = await refusal(shard.features(shard_pb2.ReadFeaturesRequest(user_ids=["ann"])))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_EVENT_LOG")


# --- PredictBatch ---


@pytest.mark.parametrize("size", [1, 3, BATCH_MAX])
async def test_a_batch_answers_every_index_once(shard: Subject, size: int) -> None:
    """Up to the most that is allowed, known users and others."""
    answers = await shard.batch([shard.asking("nobody" if number % 2 else "") for number in range(size)])
    assert sorted(one.index for one in answers) == list(range(size))


async def test_a_batch_answers_each_as_predict_would(shard: Subject) -> None:
    """The same carousels, the same missing ones."""
    asked = [shard.asking(), shard.asking("nobody"), shard.asking(carousels=WANTED[:1])]
    alone = [await shard.predict(one) for one in asked]
    together = [one.response for one in sorted(await shard.batch(asked), key=lambda one: one.index)]
    for answers in (alone, together):
        assert [len(pb.RecommendResponse.FromString(one.slate).carousels) for one in answers] == [2, 0, 1]
        assert [len(one.missing) for one in answers] == [0, 2, 0]


async def test_answers_come_together_where_that_is_allowed(shard: Subject) -> None:
    """The same ones, in no more messages."""
    asked = [shard.asking("nobody" if number % 2 else "") for number in range(BATCH_MAX)]
    together = await shard.batch(asked, together=True)
    answers = [one for message in together for one in each(message)]
    assert len(together) < BATCH_MAX
    assert sorted(one.index for one in answers) == list(range(BATCH_MAX))
    by_index = {one.index: one.response for one in answers}
    assert [bool(by_index[index].missing) for index in range(4)] == [False, True, False, True]


@pytest.mark.parametrize("size", [0, BATCH_MAX + 1])
async def test_a_batch_of_none_or_too_many_is_refused(shard: Subject, size: int) -> None:
    """As a whole, and the field is named."""
    refused = await refusal(shard.batch([shard.asking()] * size))
    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, "requests")


async def test_a_shard_says_how_many_it_takes_in_a_batch(shard: Subject) -> None:
    """So that routers ask for no more at a time."""
    assert (await anext(shard.watch())).batch_users_max == BATCH_MAX


async def test_bytes_that_are_no_batch_are_refused_by_name(shard: Subject) -> None:
    """As those that are no prediction."""
    refused = await refusal(shard.batch(b"\xff\xff\xff"))
    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, "request")


@pytest.mark.parametrize(
    "bad",
    [{"snapshot_version": "another"}, {"partitions": [ELSEWHERE]}, {"request": b"\xff"}],
    ids=["another snapshot", "a partition that is elsewhere", "malformed"],
)
async def test_a_bad_request_in_a_batch_does_not_spoil_the_others(shard: Subject, bad: dict[str, Any]) -> None:
    """It is answered with every carousel missing and without a slate; they are answered in full."""
    answers = await shard.batch([shard.asking(), shard.asking(**bad), shard.asking()])
    by_index = {one.index: one.response for one in answers}
    assert [bool(by_index[index].slate) for index in range(3)] == [True, False, True]
    assert [lost.reason for lost in by_index[1].missing] == [pb.REASON_SHARD_FAILED] * len(WANTED)


# --- Watch ---


async def test_a_watcher_hears_at_once(shard: Subject) -> None:
    """What is warm, of which snapshot, without waiting for a change."""
    report = await anext(shard.watch())
    assert [(one.snapshot_version, list(one.warm)) for one in report.generations] == [(shard.version, list(HELD))]


async def test_a_watcher_hears_of_a_change(shard: Subject) -> None:
    """A partition that came up is reported, long before the next sign of life."""
    reports = shard.watch()
    await anext(reports)
    await shard.load_next()
    report = await anext(reports)
    assert [list(one.warm) for one in report.generations] == [[*HELD, NEXT]]


async def test_every_watcher_hears(shard: Subject) -> None:
    """Two routers follow the same shard."""
    both = [shard.watch(), shard.watch()]
    for reports in both:
        await anext(reports)
    await shard.load_next()
    heard = await asyncio.gather(*(anext(reports) for reports in both))
    assert [list(report.generations[0].warm) for report in heard] == [[*HELD, NEXT]] * 2


async def test_a_watcher_hears_signs_of_life(start: Starting) -> None:
    """Periodically, although nothing changes."""
    async with start(0.001) as shard:
        reports = shard.watch()
        heard = [await anext(reports) for _ in range(5)]
    assert {report.state for report in heard} == {heard[0].state}


async def test_a_shard_that_holds_everything_is_ready(shard: Subject) -> None:
    """Once the last of its partitions is warm, and the copies of its neighbours' users."""
    await shard.load_next()
    await shard.load_next()
    assert (await anext(shard.watch())).state == shard_pb2.SHARD_STATE_READY


async def test_a_watcher_hears_of_the_drain(shard: Subject) -> None:
    """At once, and the partitions are still there to be asked."""
    reports = shard.watch()
    await anext(reports)
    shard.drain()
    report = await anext(reports)
    assert (report.state, list(report.generations[0].warm)) == (shard_pb2.SHARD_STATE_DRAINING, list(HELD))


async def test_a_shard_that_drains_says_so_to_whoever_comes_later(shard: Subject) -> None:
    """A router that starts now hears it first thing."""
    shard.drain()
    assert (await anext(shard.watch())).state == shard_pb2.SHARD_STATE_DRAINING


async def test_a_carousel_carries_the_rung_that_was_asked_for(shard: Subject) -> None:
    """The router knows which rung a version is; the shard stamps it."""
    slate = await shard.slate(shard.asking(rung=pb.RUNG_PREVIOUS))
    assert {one.rung for one in slate.carousels} == {pb.RUNG_PREVIOUS}


# --- Observe ---


async def test_what_a_router_sees_is_taken(shard: Subject) -> None:
    """And what is held goes on being served."""
    held = shard_pb2.Held(snapshot_version=shard.version, partitions=[0, 1, 2], others=[1, 0, 2])
    await shard.observe(shard_pb2.ObserveRequest(held=[held], leaving=["somebody"]))
    await shard.observe(shard_pb2.ObserveRequest())
    assert (await shard.slate(shard.asking())).carousels


async def test_a_view_whose_arrays_differ_is_refused(shard: Subject) -> None:
    """Counts without their partitions mean nothing."""
    held = shard_pb2.Held(snapshot_version=shard.version, partitions=[0, 1], others=[1])
    refused = await refusal(shard.observe(shard_pb2.ObserveRequest(held=[held])))
    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, "held")


async def test_bytes_that_are_no_view_are_refused_by_name(shard: Subject) -> None:
    """As those that are no prediction."""
    refused = await refusal(shard.observe(b"\xff\xff\xff"))
    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, "request")
