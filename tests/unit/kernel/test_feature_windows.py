"""Feature windows: bounded, forgetful, and no wiser than their moment."""

from __future__ import annotations

from itertools import pairwise

from trunkshow.stream.counters import FeatureWindows, Recent
from trunkshow.stream.windows import FUTURE_S_MAX, KINDS, WINDOWS, Event, Features
from trunkshow.v1 import events_pb2

CLICK, LIKE = events_pb2.INTERACTION_CLICK, events_pb2.INTERACTION_LIKE
NOW = 1_700_000_000_000
NOTHING = Features(((0,) * KINDS,) * len(WINDOWS), None, "")


def clicks(features: Features) -> list[int]:
    return [row[CLICK] for row in features.counts]


def test_every_interaction_of_the_wire_has_a_number() -> None:
    """A new one needs room in the counters."""
    assert max(events_pb2.Interaction.values()) < KINDS


def test_each_width_divides_the_next() -> None:
    """Else a bucket would not fall into one of the next window."""
    assert all(after.bucket_s % before.bucket_s == 0 for before, after in pairwise(WINDOWS))


def test_an_event_leaves_the_windows_one_after_the_other() -> None:
    """Five minutes, an hour, a day, a week, a month."""
    recent = Recent()
    recent.record(Event(NOW, CLICK), NOW)
    ages_s = (1, 301, 3601, 86_401, 7 * 86_400 + 1, 30 * 86_400 + 1)
    assert [sum(clicks(recent.features(NOW + age * 1000))) for age in ages_s] == [5, 4, 3, 2, 1, 0]


def test_an_event_of_the_present_second_counts_from_the_next() -> None:
    """So that no feature knows what came after its moment."""
    recent = Recent()
    recent.record(Event(NOW + 400, CLICK, 3.0, "hats"), NOW + 500)
    assert recent.features(NOW + 999) == NOTHING
    assert recent.features(NOW + 1000).last_value == 3.0


def test_an_event_ahead_of_the_clock_waits_for_it() -> None:
    """A phone's clock that is two minutes ahead does not hide what was seen last."""
    recent = Recent()
    recent.record(Event(NOW - 5000, CLICK, 1.0), NOW)
    recent.record(Event(NOW + 120_000, CLICK, 2.0), NOW)
    assert recent.features(NOW).last_value == 1.0
    assert recent.features(NOW + 121_000).last_value == 2.0


def test_what_is_far_ahead_or_long_ago_is_left_out() -> None:
    """The log refuses it, too."""
    recent = Recent()
    recent.record(Event(NOW + (FUTURE_S_MAX + 1) * 1000, CLICK), NOW)
    recent.record(Event(NOW - 31 * 86_400_000, CLICK), NOW)
    assert recent.features(NOW + 3_600_000) == NOTHING


def test_a_rating_is_no_price() -> None:
    """A like's value is five stars, not five euros."""
    recent = Recent()
    recent.record(Event(NOW - 2000, CLICK, 19.9), NOW)
    recent.record(Event(NOW - 1000, LIKE, 5.0), NOW)
    assert recent.features(NOW).last_value == 19.9


def test_memory_is_bounded_by_buckets() -> None:
    """A hundred thousand clicks on one item, a month long, and nobody asks."""
    recent = Recent()
    step = 30 * 86_400_000 // 100_000
    most = 0
    for number in range(100_000):
        now = NOW + number * step
        recent.record(Event(now, CLICK, float(number), str(number % 7)), now)
        most = max(most, len(recent._counts))
    assert most < 500
    assert sum(recent.features(now).counts[-1]) > 96_000  # but for the first day's bucket, everything


def test_who_had_no_event_for_longest_is_forgotten_first() -> None:
    """There is a limit to how many are known."""
    windows = FeatureWindows[str](keys_max=2)
    for key in ("a", "b", "a", "c"):
        windows.record(key, Event(NOW - 1000, CLICK), NOW)
    assert len(windows) == 2
    assert [clicks(windows.features(key, NOW))[0] for key in ("a", "b", "c")] == [2, 0, 1]


def test_who_is_forgotten_is_as_if_never_seen() -> None:
    """Nothing is left of them."""
    windows = FeatureWindows[str](keys_max=2)
    windows.record("a", Event(NOW - 1000, CLICK, 1.0, "hats"), NOW)
    windows.forget("a")
    windows.forget("nobody")
    assert windows.features("a", NOW) == NOTHING


def test_of_who_comes_after_somebody_was_forgotten_it_is_said_since_when_they_are_known() -> None:
    """They may be the one who was forgotten; nothing of theirs is missing after the last event of those."""
    windows = FeatureWindows[str](keys_max=2)
    for key, at in (("a", NOW - 9000), ("b", NOW - 5000), ("c", NOW - 1000), ("a", NOW - 500)):
        windows.record(key, Event(at, CLICK), NOW)
    assert [windows.whole_from_ms(key) for key in ("c", "a", "b")] == [NOW - 8999, NOW - 4999, NOW - 4999]


def test_while_nobody_was_forgotten_nothing_is_missing() -> None:
    """Of anybody, heard of or not."""
    windows = FeatureWindows[str](keys_max=2)
    windows.record("a", Event(NOW - 1000, CLICK), NOW)
    assert [windows.whole_from_ms(key) for key in ("a", "b")] == [0, 0]


def test_who_is_spared_is_kept_while_there_is_somebody_else() -> None:
    """A shard keeps those who live in what it holds."""
    windows = FeatureWindows[str](keys_max=2, spared="a".__eq__)
    for key in ("a", "b", "c", "d"):
        windows.record(key, Event(NOW - 1000, CLICK), NOW)
    assert [windows.features(key, NOW).known for key in ("a", "b", "c", "d")] == [True, False, False, True]


def test_the_limit_holds_where_everybody_is_spared() -> None:
    """Memory comes first."""
    windows = FeatureWindows[int](keys_max=20, spared=lambda key: True)
    for key in range(100):
        windows.record(key, Event(NOW - 1000, CLICK), NOW)
    assert len(windows) == 20


def test_of_what_came_last_only_the_newest_is_kept() -> None:
    """Ten thousand clicks as they happen take no more room than what was asked of them last."""
    recent = Recent()
    for number in range(10_000):
        now = NOW + number * 1000
        recent.record(Event(now, CLICK, float(number), str(number)), now)
    assert recent._value._later is not None
    assert len(recent._value._later) == 1
    assert recent.features(now + 1000).last_value == 9999.0
