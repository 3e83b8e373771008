"""Kept slates take no more room than they are given, and those that nobody asks for go first."""

from __future__ import annotations

from shard.kept import AGE_S_MAX, KEPT_BYTES_MAX, OVERHEAD_BYTES, Kept, KeptSlates
from trunkshow.v1 import recommendation_pb2 as pb


def slate(size: int = 400, user: str = "u") -> Kept:
    """One whose carousels have so many bytes."""
    return Kept("v1", user, 0, pb.RUNG_SNAPSHOT, pb.RUNG_SNAPSHOT, bytes(size), 0.0, 1, 0)


def room_for(slates: int, size: int = 400) -> KeptSlates:
    """With requests of one byte."""
    return KeptSlates(slates * (size + 1 + OVERHEAD_BYTES))


def test_what_nobody_asked_for_longest_goes_first() -> None:
    """Asking is what counts, not keeping."""
    kept = room_for(2)
    kept.keep(b"a", slate())
    kept.keep(b"b", slate())
    assert kept.find(b"a") is not None
    kept.keep(b"c", slate())
    assert [kept.find(request) is not None for request in (b"a", b"b", b"c")] == [True, False, True]
    assert kept.bytes == 2 * (400 + 1 + OVERHEAD_BYTES)


def test_what_is_too_old_to_be_sent_again_goes_as_others_come() -> None:
    """Else a shard would hold the slates of snapshots that are closed, up to its limit."""
    kept = room_for(100)
    for moment, request in enumerate((b"a", b"b", b"c")):
        kept.keep(request, slate()._replace(made_at=float(moment)))
    assert kept.find(b"a") is not None  # and is asked for later than others
    kept.keep(b"d", slate()._replace(made_at=AGE_S_MAX + 1.5))
    assert [kept.look(request) is not None for request in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    kept.keep(b"e", slate()._replace(made_at=2 * AGE_S_MAX + 3))
    assert [kept.look(request) is not None for request in (b"a", b"c", b"d", b"e")] == [False, False, False, True]
    assert kept.bytes == 400 + 1 + OVERHEAD_BYTES


def test_one_that_is_made_anew_takes_the_old_ones_place() -> None:
    """And its bytes."""
    kept = room_for(2)
    kept.keep(b"a", slate(400))
    kept.keep(b"a", slate(100))
    assert (len(kept), kept.bytes) == (1, 100 + 1 + OVERHEAD_BYTES)
    kept.drop(b"a")
    kept.drop(b"a")
    assert (len(kept), kept.bytes) == (0, 0)


def test_a_slate_that_is_too_large_is_not_kept() -> None:
    """Nor anything where there is no room at all; what was kept for the same request is not right any more."""
    kept = room_for(1000)
    kept.keep(b"a", slate())
    kept.keep(b"a", slate(KEPT_BYTES_MAX))
    assert kept.find(b"a") is None
    nothing = KeptSlates(0)
    nothing.keep(b"a", slate(0))
    assert (len(nothing), nothing.bytes) == (0, 0)


def test_of_one_user_all_slates_go() -> None:
    """And of nobody else."""
    kept = room_for(4)
    for request, user in ((b"a", "u"), (b"b", "v"), (b"c", "u")):
        kept.keep(request, slate(user=user))
    kept.forget("u")
    assert [kept.find(request) is not None for request in (b"a", b"b", b"c")] == [False, True, False]
    assert kept.bytes == 400 + 1 + OVERHEAD_BYTES
