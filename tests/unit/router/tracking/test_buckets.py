"""Token buckets, on a clock that the test drives."""

from __future__ import annotations

from router.tracking.buckets import Buckets


def test_a_full_bucket_gives_its_burst_and_then_waits() -> None:
    """For as long as one token takes to come back."""
    buckets = Buckets(per_s=2, burst=3, keys_max=10)
    for _ in range(3):
        assert buckets.wait_s("ann", 0.0) == 0
        buckets.charge("ann", 1, 0.0)
    assert buckets.wait_s("ann", 0.0) == 0.5
    assert buckets.wait_s("ann", 0.5) == 0


def test_a_bucket_may_owe_and_is_waited_for() -> None:
    """One call may take more than was left."""
    buckets = Buckets(per_s=10, burst=5, keys_max=10)
    buckets.charge("ann", 104, 0.0)
    assert buckets.wait_s("ann", 0.0) == 10.0


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """However long nobody came."""
    buckets = Buckets(per_s=1, burst=2, keys_max=10)
    buckets.charge("ann", 1, 0.0)
    buckets.charge("ann", 2, 1000.0)
    assert buckets.wait_s("ann", 1000.0) == 1.0


def test_keys_do_not_know_of_one_another() -> None:
    """One who waits keeps nobody else waiting."""
    buckets = Buckets(per_s=1, burst=1, keys_max=10)
    buckets.charge("ann", 1, 0.0)
    assert (buckets.wait_s("ann", 0.0), buckets.wait_s("bob", 0.0)) == (1.0, 0.0)


def test_so_many_are_kept_and_the_one_charged_longest_ago_goes() -> None:
    """Asking keeps nothing."""
    buckets = Buckets(per_s=1, burst=1, keys_max=2)
    for at, key in enumerate(("ann", "bob", "ann", "cem")):
        buckets.charge(key, 5, at * 0.1)
    buckets.wait_s("dora", 0.4)
    assert len(buckets) == 2
    assert [buckets.wait_s(key, 0.4) > 0 for key in ("ann", "bob", "cem")] == [True, False, True]
