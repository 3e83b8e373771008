"""What trends: much more than was expected of an item, at that hour of that day, and not just a little of nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from trunkshow.stream.decayed import HOUR_S, Decayed
from trunkshow.stream.seasons import Seasons
from trunkshow.stream.surges import SHAPE, credible_surges
from trunkshow.stream.surging import Surges
from trunkshow.stream.trend import RULES, WEIGHTS, TrendingRules
from trunkshow.stream.trending import Trending
from trunkshow.v1 import events_pb2

CLICK, ORDER, HIDE = (
    events_pb2.INTERACTION_CLICK,
    events_pb2.INTERACTION_ORDER,
    events_pb2.INTERACTION_HIDE,
)
MONDAY_S = (19_675 + 4) * 86_400.0
DAY_S = 86_400.0


def shop(days: int = 8, items: int = 20, per_hour: int = 6, rules: TrendingRules = RULES) -> Surges[int]:
    """Every item is clicked on steadily, but at night, half as often on the first ones; ends on a morning at ten."""
    surges = Surges[int](rules, WEIGHTS, rules.items_max)
    for hour in range(days * 24 + 10):
        if hour % 24 >= 7:
            for item in range(items):
                for number in range(per_hour // (2 if item < items // 2 else 1)):
                    at_s = MONDAY_S + hour * HOUR_S + (number + 0.5) * HOUR_S / per_hour
                    surges.record(item, CLICK, at_s, at_s)
    return surges


NOW_S = MONDAY_S + (8 * 24 + 10) * HOUR_S


def burst(surges: Surges[int], item: int, clicks: int, at_s: float = NOW_S) -> None:
    """Clicks within ten minutes."""
    for number in range(clicks):
        moment = at_s + 600 * number / clicks
        surges.record(item, CLICK, moment, moment)


def test_in_a_steady_shop_nothing_trends() -> None:
    """Not even in the morning, when there is more than a moment ago."""
    surges = shop()
    assert surges.top(NOW_S, 10) == []
    assert surges.top(NOW_S - 2 * HOUR_S, 10) == []


def test_a_surge_is_found_and_explained() -> None:
    """With how often, and how often it was expected."""
    surges = shop()
    burst(surges, 3, 40)
    (trend,) = surges.top(NOW_S + 600, 10)
    assert trend.item == 3
    assert trend.best in trend.windows
    assert trend.best.surge == max(one.surge for one in trend.windows) > 3
    assert trend.best.observed > 10 * trend.best.expected
    assert trend.best.counts.keys() == {CLICK}
    assert trend.best.counts[CLICK] > 20


def test_what_is_always_popular_does_not_trend() -> None:
    """The same number of clicks is a surge for one item, and usual for another."""
    surges = shop()
    for number in range(9 * 24 * 60):
        at_s = NOW_S + 60 * number
        surges.record(77, CLICK, at_s, at_s)
        if number % 30 == 0:
            surges.record(3, CLICK, at_s, at_s)
    for item in (3, 77):
        burst(surges, item, 20, NOW_S + 9 * DAY_S)
    assert [trend.item for trend in surges.top(NOW_S + 9 * DAY_S + 600, 10)] == [3]


def test_a_few_events_of_an_unknown_item_are_no_trend() -> None:
    """One or two clicks where next to nothing was expected."""
    surges = shop()
    burst(surges, 77, 2)
    assert surges.top(NOW_S + 600, 10) == []


def test_the_same_at_an_hour_when_it_is_usual_is_none() -> None:
    """The lunch rush of an item that has one every day."""
    surges = Surges[str](RULES, WEIGHTS, 100)
    for day in range(12):
        for hour in range(24):
            for name, count in (("soup", 60 if hour == 12 else 2), ("bread", 20)):
                for number in range(count):
                    at_s = MONDAY_S + day * DAY_S + hour * HOUR_S + number * HOUR_S / count
                    surges.record(name, CLICK, at_s, at_s)
    began = MONDAY_S + 12 * DAY_S
    for name, hour in (("lunch", 12), ("night", 3)):
        at = began + hour * HOUR_S
        burst_of = [(at + 30 * number, "soup") for number in range(60)]
        found = []
        if name == "night":
            for moment, item in burst_of:
                surges.record(item, CLICK, moment, moment)
            found = surges.top(at + 1800, 3)
        assert [trend.item for trend in found] == (["soup"] if name == "night" else [])


def test_a_surge_that_is_over_is_dropped() -> None:
    """Within two hours, and not listed for as long as the longest half-life remembers it."""
    surges = shop()
    burst(surges, 3, 400)
    assert [trend.item for trend in surges.top(NOW_S + 600, 10)] == [3]
    assert surges.top(NOW_S + 2.5 * HOUR_S, 10) == []


def test_nothing_is_said_before_a_day_was_seen() -> None:
    """What a day is like is not known yet."""
    surges = Surges[int](RULES, WEIGHTS, 100)
    burst(surges, 1, 100, MONDAY_S)
    assert surges.top(MONDAY_S + 600, 10) == []


def test_events_in_any_order_and_copies_of_none() -> None:
    """Late by minutes, or out of order, an event counts the same; a hide does not count."""
    one, other = shop(), shop()
    times = [NOW_S + 10 * number for number in range(40)]
    for at_s in times:
        one.record(3, CLICK, at_s, NOW_S + 600)
    for at_s in reversed(times):
        other.record(3, CLICK, at_s, NOW_S + 600)
        other.record(4, HIDE, at_s, NOW_S + 600)
    (first,), (second,) = one.top(NOW_S + 600, 5), other.top(NOW_S + 600, 5)
    assert first.item == second.item
    assert first.best.surge == pytest.approx(second.best.surge)


def test_items_are_bounded_and_the_popular_ones_stay() -> None:
    """Ten times as many as there is room for pass by."""
    rules = TrendingRules(items_max=200)
    surges = shop(days=2, rules=rules)
    for number in range(2000):
        at_s = NOW_S + number
        surges.record(1000 + number, CLICK, at_s, at_s)
    assert surges.top(NOW_S + 2000, 1) == []
    assert len(surges) <= 200
    burst(surges, 3, 100, NOW_S + 2000)
    assert [trend.item for trend in surges.top(NOW_S + 2600, 1)] == [3]


def test_a_year_of_silence_is_no_work_of_a_year() -> None:
    """Whoever comes back finds no trends, and a surge then is one."""
    surges = shop()
    burst(surges, 3, 400)
    later_s = NOW_S + 365 * DAY_S
    assert surges.top(later_s, 10) == []
    burst(surges, 3, 40, later_s)
    assert [trend.item for trend in surges.top(later_s + 600, 10)] == [3]


def test_segments_have_their_own_trends() -> None:
    """A segment's own, and nobody else's; one beyond the limit gets everybody's."""
    trending = Trending[int](TrendingRules(segments_max=1))
    for hour in range(30):
        for number in range(60):
            at_s = MONDAY_S + hour * HOUR_S + number * 60
            trending.record(number % 3, ORDER, at_s, at_s, segment=0 if number % 10 == 0 else -1)
    now_s = MONDAY_S + 30 * HOUR_S
    for number in range(40):
        trending.record(1, ORDER, now_s + number, now_s + number, segment=0)
        trending.record(8, ORDER, now_s + number, now_s + number, segment=5)
    everybodys = trending.top(now_s + 60, 5)
    assert {trend.item for trend in everybodys} == {1, 8}
    assert [trend.item for trend in trending.top(now_s + 60, 5, segment=0)] == [1]
    assert trending.top(now_s + 60, 5, segment=5) == everybodys


@pytest.mark.parametrize("observed", [3, 4, 20, 500])
@pytest.mark.parametrize("expected", [0.01, 1.0, 40.0])
def test_the_score_is_the_posteriors_quantile(observed: int, expected: float) -> None:
    """Wilson and Hilferty's formula against the exact quantile."""
    exact = stats.gamma.ppf(0.05, SHAPE + observed, scale=1 / (SHAPE + expected))
    assert credible_surges(np.array([float(observed)]), np.array([expected]))[0] == pytest.approx(exact, rel=0.01)


def test_decayed_sums_are_what_they_say() -> None:
    """Also long after the landmark was moved, and whatever the order."""
    rng = np.random.default_rng(3)
    weights = np.array([0.5, 2.0])
    times = np.sort(rng.uniform(0, 100_000, 300)) + 1e9
    kinds = rng.integers(0, 2, 300)
    decayed = Decayed(60.0, 2, weights)
    for at_s, kind in zip(times, kinds, strict=True):  # the span is over a thousand half-lives
        decayed.add(np.array([1]), np.array([kind]), np.array([at_s]), at_s)
    now_s = times[-1] + 30
    worth = weights[kinds] * 0.5 ** ((now_s - times) / 60)
    assert decayed.sums(np.array([0, 1]), now_s) == pytest.approx([0, worth.sum()])
    assert decayed.sizes(np.array([1]), now_s)[0] >= (worth**2).sum() / worth.sum() - 1e-9


def test_hours_carry_the_whole_weight() -> None:
    """Of a stream of one event per hour, the decayed sum is the mean life in hours."""
    hours, weights_h = Decayed(3600.0, 1, np.ones(1)).hours(0, 1e9)
    assert weights_h.sum() == pytest.approx(1 / np.log(2), rel=1e-3)
    assert np.all(np.diff(hours) == 1)


def test_the_forecast_learns_the_week_of_the_shop_and_the_hours_of_an_item() -> None:
    """From three weeks: evenings, Sundays, and an item that is for breakfast."""
    rng = np.random.default_rng(1)
    seasons, rows = Seasons(3), np.arange(3)
    seasons.meet(rows)
    first = int(MONDAY_S // HOUR_S)

    def rates(hour: int) -> np.ndarray:
        evening = 2.0 if hour % 24 >= 18 else 0.8
        sunday = 3.0 if (hour // 24 + 3) % 7 == 6 else 1.0
        breakfast = 4.0 if hour % 24 in (7, 8) else 0.5
        return np.array([50 * evening * sunday, 5 * evening * sunday, 10 * breakfast * sunday])

    for hour in range(first, first + 4 * 7 * 24):
        seasons.learn(hour, rng.poisson(rates(hour)).astype(float))
    ahead = np.arange(first + 4 * 7 * 24, first + 5 * 7 * 24)
    true = np.array([rates(int(hour)) for hour in ahead]).T
    error = np.abs(seasons.rates(rows, ahead) - true).mean(axis=1) / true.mean(axis=1)
    assert error.max() < 0.25


def test_an_item_of_few_events_has_its_mean_in_the_shops_rhythm() -> None:
    """Two events at the same hour are no season of its own."""
    seasons, rows = Seasons(2), np.arange(2)
    seasons.meet(rows)
    for hour in range(14 * 24):
        seasons.learn(hour, np.array([20.0, 1.0 if hour in (36, 60) else 0.0]))
    rates = seasons.rates(np.array([1]), np.arange(14 * 24, 15 * 24))[0]
    assert rates.max() < 2 * rates.min()


def test_what_comes_late_is_learned_as_if_it_had_come_in_time() -> None:
    """Out of a lane of a log that is read after another, say: else half of everything would seem to be a surge."""
    together, apart = Surges[str](RULES, WEIGHTS, 100), Surges[str](RULES, WEIGHTS, 100)
    events = [(f"i{n % 20}", NOW_S + n * 300.0) for n in range(12 * 24 * 3)]
    for item, at_s in events:
        together.record(item, CLICK, at_s, at_s)
    lanes = [[one for one in events if int(one[0][1:]) % 2 == lane] for lane in (0, 1)]
    for lane in lanes:
        for item, at_s in lane:
            apart.record(item, CLICK, at_s, at_s)
    until_s = events[-1][1]
    assert apart.top(until_s, 10) == together.top(until_s, 10) == []
    rows = {item: (together._row[item], apart._row[item]) for item, _ in events}
    for one, other in rows.values():
        assert apart._seasons.totals[other] == pytest.approx(together._seasons.totals[one], rel=0.1)
