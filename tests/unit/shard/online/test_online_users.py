"""Whose events went for want of room is not known whole until a snapshot has them; what says so has a limit, too."""

from __future__ import annotations

from shard.online.state import EVENTS_MAX, Event
from shard.online.users import Users, only
from trunkshow.eventlog.watermark import Watermark
from trunkshow.online.positions import Position, Since
from trunkshow.v1 import events_pb2 as pb

BEFORE = Since(Watermark("log", {0: 0}), 0)


def event(number: int) -> Event:
    """One that stands there, and happened then."""
    return Event(number, "item", pb.INTERACTION_CLICK, number, Position("log", 0, number))


def until(number: int) -> Since:
    """A snapshot that has seen so much."""
    return Since(Watermark("log", {0: number}), 1 << 62)


def test_who_was_evicted_is_whole_again_for_a_snapshot_that_has_what_went() -> None:
    """What they did since is kept for it."""
    users = Users(events_max=2)
    for number, user in enumerate(("a", "b", "c"), 1):
        users.add(user, event(number))
    users.drop("b")
    users.add("a", event(4))
    assert [users.is_whole("a", since) for since in (BEFORE, until(1))] == [False, True]
    assert users.of("a") == (event(4),)
    assert users.is_whole("c", BEFORE)


def test_what_went_does_not_come_back_by_a_replay() -> None:
    """It would take the room of somebody else, and be no whole of anything."""
    users = Users(events_max=1)
    users.add("a", event(1))
    users.add("b", event(2))
    users.add("a", event(1))
    assert (users.of("a"), users.of("b")) == ((), (event(2),))


def test_what_stands_in_another_lane_is_no_replay_of_what_went() -> None:
    """Numbers count in their lane alone."""
    users = Users(events_max=1)
    users.add("a", event(5)._replace(at=Position("log", 1, 5)))
    users.add("b", event(6))
    users.add("a", event(7))
    assert users.of("a") == (event(7),)


def test_no_more_is_kept_of_who_was_evicted_than_there_is_room_for() -> None:
    """Of more it is not known who they are: nobody is whole, until a snapshot has all that went."""
    users = Users(events_max=1, evicted_max=3)
    for number in range(1, 11):
        users.add(f"u{number}", event(number))
    assert len(list(users)) == 4
    assert not users.is_whole("stranger", until(5))
    assert users.is_whole("stranger", until(6))
    assert [users.is_whole("u7", since) for since in (until(6), until(7))] == [False, True]


def test_nothing_is_kept_of_who_is_forgotten_or_held_no_more_or_has_everything_in_every_snapshot() -> None:
    """Not so much as their names."""
    users = Users(events_max=1)
    for number, user in enumerate(("forgotten", "elsewhere", "known", "last"), 1):
        users.add(user, event(number))
    users.keep("forgotten", lambda one: one.time_ms > 1)
    assert set(users) == {"elsewhere", "known", "last"}
    list(only(users, lambda user: user != "elsewhere", lambda one: one.time_ms > 3))
    assert list(users) == ["last"]
    assert users.is_whole("known", BEFORE)


def test_events_of_which_none_went_stay_the_same_value() -> None:
    """By it a shard knows that what it folded in is as it was."""
    users = Users(events_max=10)
    users.add("a", event(1))
    users.add("a", event(2))
    before = users.of("a")
    users.keep("a", lambda one: True)
    assert users.of("a") is before
    users.keep("a", lambda one: one.time_ms > 1)
    assert (users.of("a"), users.events) == (before[1:], 1)


def test_who_did_more_than_is_kept_of_one_user_is_not_whole_until_a_snapshot_has_what_went() -> None:
    """What is left is kept; a replay that brings what went once more changes nothing; nobody else is concerned."""
    users = Users(events_max=10 * EVENTS_MAX)
    users.add("b", event(1))
    for number in (*range(1, EVENTS_MAX + 3), 1):
        users.add("a", event(number))
    assert (users.events, [one.time_ms for one in users.of("a")][:1]) == (EVENTS_MAX + 1, [3])
    assert [users.is_whole("a", since) for since in (BEFORE, until(1), until(2))] == [False, False, True]
    assert users.is_whole("b", BEFORE)
    users.keep("a", lambda one: one.time_ms > 2)
    assert users.is_whole("a", BEFORE)


def test_what_went_of_who_did_too_much_is_known_also_when_nothing_is_left_of_theirs() -> None:
    """Whether they were evicted since, or what is left is not wanted any more; but not of who is held no more."""
    for how in ("evicted", "unwanted", "dropped"):
        users = Users(events_max=EVENTS_MAX)
        users.add("a", event(1000))
        for number in range(EVENTS_MAX):  # one that lasts stays, wherever it stands
            users.add("a", event(number)._replace(interaction=pb.INTERACTION_ORDER))
        if how == "evicted":
            users.add("b", event(2000))
        elif how == "unwanted":
            users.keep("a", lambda one: one.time_ms == 1000)
        else:
            users.drop("a")
        assert users.of("a") == ()
        assert [users.is_whole("a", since) for since in (until(999), until(1000))] == [how == "dropped", True], how


def test_who_has_an_event_that_could_not_be_taken_in_is_not_whole_until_a_snapshot_has_it() -> None:
    """Whether anything else is kept of theirs or not; what they do afterwards is."""
    users = Users(events_max=10)
    users.add("a", event(1))
    for user in ("a", "b"):
        users.miss(user, Position("log", 0, 2), 2)
        assert [users.is_whole(user, since) for since in (BEFORE, until(1), until(2))] == [False, False, True]
        users.add(user, event(3))
        assert users.of(user)[-1] == event(3)
        assert not users.is_whole(user, until(1))
    assert users.is_whole("c", BEFORE)
