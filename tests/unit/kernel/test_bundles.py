"""Claims about answers that travel together."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from trunkshow.bundles import ANSWERS_MAX, BYTES_MAX, Bundle, bundles, each, numbered
from trunkshow.v1 import recommendation_pb2 as pb
from trunkshow.v1 import shard_pb2

Numbered = list[tuple[int, bytes]]

ANSWERS = st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.binary(max_size=300)), min_size=1, max_size=20)


def sent(answers: Numbered, *, together: bool) -> list[bytes]:
    """The messages in which these go out, all of them ready."""

    async def messages() -> list[bytes]:
        ready: asyncio.Queue[bytes] = asyncio.Queue()
        for index, slate in answers:
            ready.put_nowait(numbered(index, shard_pb2.PredictResponse(slate=slate).SerializeToString()))
        return [one async for one in bundles(ready, len(answers), together=together)]

    return asyncio.run(messages())


def read(messages: list[bytes]) -> Numbered:
    """What they carry."""
    parsed = map(shard_pb2.PredictBatchResponse.FromString, messages)
    return [(one.index, one.response.slate) for message in parsed for one in each(message)]


@given(ANSWERS)
def test_what_goes_out_together_is_read_as_it_was(answers: Numbered) -> None:
    """In one message, in its order."""
    messages = sent(answers, together=True)
    assert len(messages) == 1
    assert read(messages) == answers


@given(ANSWERS)
def test_who_did_not_allow_it_gets_one_in_a_message(answers: Numbered) -> None:
    """As gRPC's own code would write it."""
    written = [
        shard_pb2.PredictBatchResponse(index=index, response=shard_pb2.PredictResponse(slate=slate))
        for index, slate in answers
    ]
    assert [shard_pb2.PredictBatchResponse.FromString(one) for one in sent(answers, together=False)] == written


def test_slates_and_predictions_are_numbered_alike() -> None:
    """The two messages have the same fields."""
    slate = pb.RecommendResponse(receipt=pb.Receipt(request_id="r"))
    bundle = Bundle(together=True)
    for index in (7, 300):
        bundle.add(numbered(index, slate.SerializeToString()))
    message = pb.RecommendBatchResponse.FromString(bundle.message())
    assert [(one.index, one.response) for one in each(message)] == [(7, slate), (300, slate)]


def test_a_message_has_an_end() -> None:
    """By the number of answers, and by their bytes."""
    many = [(index, b"") for index in range(ANSWERS_MAX + 1)]
    assert [len(read([one])) for one in sent(many, together=True)] == [ANSWERS_MAX, 1]
    large = [(index, b"x" * BYTES_MAX) for index in range(3)]
    assert [len(read([one])) for one in sent(large, together=True)] == [1, 1, 1]


async def test_what_is_ready_does_not_wait_for_what_is_not() -> None:
    """The first goes out while the second is made."""
    ready: asyncio.Queue[bytes] = asyncio.Queue()
    messages = aiter(bundles(ready, 2, together=True))
    ready.put_nowait(numbered(0, b""))
    assert read([await anext(messages)]) == [(0, b"")]
    ready.put_nowait(numbered(1, b""))
    assert read([one async for one in messages]) == [(1, b"")]
