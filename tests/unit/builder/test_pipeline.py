"""A build from end to end: what it reports, what it must not see, and what it makes of almost nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import DAY_MS, START_MS, Built, Event, Shop

from builder import evaluating, pipeline
from builder.errors import BuildError
from builder.evaluate import NothingToEvaluate
from builder.pipeline import BuildSettings, PartitionsOutOfRange, build
from trunkshow.models.ials import ImplicitALS
from trunkshow.models.protocol import Arrays, Training
from trunkshow.snapshot.folder_store import FolderStore
from trunkshow.snapshot.reader import Snapshot
from trunkshow.snapshot.states import State
from trunkshow.snapshot.store import PointerMoved, open_store

SMALL = BuildSettings(partitions=3, factors=8)
CUT = START_MS + 70 * DAY_MS
CUT_TABLE = '[evaluation]\ncut = "2024-03-11"'  # 70 days after the first of January 2024


def small() -> Shop:
    """A shop that is built in a fraction of a second."""
    return datasets.clustered(users=60, items=48, events_per_user=12)


def checksums(report: pipeline.BuildReport) -> dict[str, str]:
    """Of every file of a snapshot."""
    return {path: file.sha256 for path, file in report.manifest.files.items()}


def built_from(shop: Shop, folder: Path, settings: BuildSettings = SMALL, **written: Any) -> pipeline.BuildReport:
    """Write a shop and build it."""
    return build(datasets.write(shop, folder / "data", **written), folder / "store", settings)


# ---- what is reported


def test_the_report_has_what_machines_read(built: Built) -> None:
    """Every key that is promised."""
    report = built.report.to_json()
    assert {
        "version", "events", "users", "items", "partitions", "metrics", "partitioning", "index_recall", "seconds",
        "peak_rss_bytes",
    } <= report.keys()  # fmt: skip
    assert {"recall@20", "ndcg@20"} == report["metrics"]["model"].keys() == report["metrics"]["popularity"].keys()
    assert {"locality", "largest_to_mean", "catalogue_share", "coverage"} <= report["partitioning"].keys()


def test_the_report_counts_what_was_read(built: Built) -> None:
    """Events, users, items and partitions."""
    report = built.report.to_json()
    counted = (report["events"], report["users"], report["items"], report["partitions"])
    assert counted == (len(set(built.shop.events)), 400, 300, 4)


def test_the_model_beats_popularity(built: Built) -> None:
    """By half at least, where tastes differ as they do here."""
    metrics = built.report.manifest.metrics
    for name in ("recall@20", "ndcg@20"):
        assert metrics["model"][name] > 1.5 * metrics["popularity"][name]


def test_the_index_finds_what_exact_search_finds(built: Built) -> None:
    """Recall@20 of at least 0.99, on users who did not decide what the partitions list."""
    assert built.report.to_json()["index_recall"] >= 0.99


def test_partitions_are_within_the_bound(built: Built) -> None:
    """And the report's ratio is the one of its counts."""
    sizes = built.report.manifest.counts["users_per_partition"]
    ratio = max(sizes) / np.mean(sizes)
    assert built.report.manifest.partitioning["largest_to_mean"] == pytest.approx(ratio)
    assert ratio <= 1.25


def test_partitions_follow_taste(built: Built) -> None:
    """Nearest neighbours share a partition far more often than the one in four of chance."""
    assert built.report.manifest.partitioning["locality"] > 0.8


def test_both_hashes_are_reported(built: Built) -> None:
    """The one that was taken, and the other with its measures."""
    measures = built.report.manifest.partitioning
    (other,) = measures["alternatives"]
    assert {measures["hash"], other["hash"]} == {"sign", "spherical"}
    assert measures["locality"] >= other["locality"]


def test_every_stage_is_timed_and_told(built: Built) -> None:
    """From reading to publishing."""
    stages = ["read", "number", "evaluate", "fit", "partition", "write", "publish"]
    assert list(built.report.seconds) == stages
    assert [what for what, done, of in built.told if what in stages and done == of] == stages


def test_every_user_lives_in_the_partition_that_the_directory_names(built: Built, snapshot: Snapshot) -> None:
    """With the history that the events tell, newest first."""
    partitions = [snapshot.open_partition(number) for number in range(snapshot.partitions)]
    for user in map(datasets.user_id, range(400)):
        home = snapshot.directory.find(user)
        assert home is not None
        record = partitions[home.partition].user(user)
        assert record is not None
        events = sorted((event for event in built.shop.events if event.user == user), key=lambda one: -one.time_ms)
        newest_first = list(dict.fromkeys(event.item for event in events))
        assert [snapshot.catalogue.id(row) for row in record.items.tolist()] == newest_first
    for opened in partitions:
        opened.close()


def test_a_users_vector_is_their_fold_in(snapshot: Snapshot) -> None:
    """What is stored is what serving would compute, to half precision."""
    shelf = snapshot.open_partition(0)
    for user in shelf.sample_users(5):
        record = shelf.user(user)
        assert record is not None
        solved = snapshot.ials.equations.solve(record.items, record.weights)
        assert np.abs(record.vector - solved).max() <= np.abs(solved).max() / 1024
    shelf.close()


# ---- the same bytes


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> pipeline.BuildReport:
    """Of the small shop, built as it is."""
    return built_from(small(), tmp_path_factory.mktemp("plain"))


def test_the_same_input_gives_the_same_bytes(plain: pipeline.BuildReport, tmp_path: Path) -> None:
    """Every file of two builds has the same checksum, and the manifests differ in name and time alone."""
    other = built_from(small(), tmp_path)
    assert checksums(plain) == checksums(other)
    unnamed = [replace(report.manifest, version="", created_at="") for report in (plain, other)]
    assert unnamed[0] == unnamed[1]


def test_the_order_of_the_rows_does_not_matter(plain: pipeline.BuildReport, tmp_path: Path) -> None:
    """Events, items and users shuffled give the same bytes."""
    shop, order = small(), random.Random(5)
    shuffled = Shop(*(tuple(order.sample(rows, len(rows))) for rows in (shop.events, shop.items, shop.segments)))
    assert checksums(plain) == checksums(built_from(shuffled, tmp_path))


def test_the_format_of_the_files_does_not_matter(plain: pipeline.BuildReport, tmp_path: Path) -> None:
    """CSV and Parquet of the same rows give the same bytes."""
    assert checksums(plain) == checksums(built_from(small(), tmp_path, form="parquet"))


def test_another_seed_gives_another_snapshot(plain: pipeline.BuildReport, tmp_path: Path) -> None:
    """The seed is used."""
    assert checksums(plain) != checksums(built_from(small(), tmp_path, replace(SMALL, seed=1)))


# ---- nothing after the cut


class Witness(ImplicitALS):
    """The factor model, which remembers what each fit was given and what it gave."""

    fits: tuple[tuple[Training, Arrays], ...] = ()

    @classmethod
    def fit(cls, training: Training) -> Arrays:
        """As ever."""
        given = super().fit(training)
        cls.fits = (*cls.fits, (training, given))
        return given


def evaluated(shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch, extra: str) -> tuple[Any, Mapping[str, Any]]:
    """The bytes that the evaluated model was fitted to and those that came of it; and the metrics."""
    monkeypatch.setattr(evaluating, "ImplicitALS", Witness)
    monkeypatch.setattr(Witness, "fits", ())
    report = built_from(shop, folder, extra=extra)
    (training, given), *_ = Witness.fits
    matrix = training.matrix
    seen = [matrix.data, matrix.indices, matrix.indptr, training.users, training.items, training.times,
            training.weights, training.segments, training.categories, training.created, training.available]  # fmt: skip
    return [array.tobytes() for array in (*seen, *given.values())], report.manifest.metrics


def after_the_cut() -> tuple[Event, ...]:
    """Other people, known and unknown, who buy other things, known and unknown."""
    draw = random.Random(2)
    return tuple(
        Event(
            draw.choice(["aaa", "zzz", datasets.user_id(draw.randrange(60))]),
            draw.choice(["aaa", "zzz", datasets.item_id(draw.randrange(48))]),
            CUT + draw.randrange(20 * DAY_MS),
            draw.choice(["purchase", "return"]),
        )
        for _ in range(300)
    )


def test_events_after_the_cut_cannot_change_the_evaluated_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced, added, of new users and new items: the model is the same to the byte, only its metrics differ."""
    shop = small()
    before = tuple(event for event in shop.events if event.time_ms < CUT)
    changed = replace(shop, events=before + after_the_cut())
    model, metrics = evaluated(shop, tmp_path / "one", monkeypatch, CUT_TABLE)
    same_model, other_metrics = evaluated(changed, tmp_path / "other", monkeypatch, CUT_TABLE)
    assert model == same_model
    assert metrics["cut"] == other_metrics["cut"] == "2024-03-11T00:00:00+00:00"
    assert metrics != other_metrics


def test_events_after_a_cut_by_share_cannot_change_the_evaluated_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many events as before, all others: the cut stays, and so does the model."""
    shop, draw = small(), random.Random(4)
    ordered = sorted(shop.events, key=lambda event: event.time_ms)
    first_test_event = int(len(ordered) * 0.8)
    items = [datasets.item_id(number) for number in range(48)] + ["new-1", "new-2"]
    changed = [replace(event, item=draw.choice(items)) for event in ordered[first_test_event:]]
    other = replace(shop, events=(*ordered[:first_test_event], *changed))
    share = "[evaluation]\ntest_share = 0.2"
    model, metrics = evaluated(shop, tmp_path / "one", monkeypatch, share)
    same_model, other_metrics = evaluated(other, tmp_path / "other", monkeypatch, share)
    assert (model, metrics["cut"]) == (same_model, other_metrics["cut"])


def test_events_before_the_cut_do_change_the_evaluated_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The witness would notice."""
    shop = small()
    changed = replace(shop, events=(*shop.events, Event(datasets.user_id(3), datasets.item_id(40), CUT - 1)))
    model, _ = evaluated(shop, tmp_path / "one", monkeypatch, CUT_TABLE)
    assert model != evaluated(changed, tmp_path / "other", monkeypatch, CUT_TABLE)[0]


# ---- almost nothing


def bought(user: str, item: str, day: int, interaction: str = "purchase") -> Event:
    """One event."""
    return Event(user, item, START_MS + day * DAY_MS, interaction)


ONE = BuildSettings(factors=4)


def test_one_user_with_two_purchases_of_one_item_is_enough(tmp_path: Path) -> None:
    """Where items may come back, there is one to ask and one thing to know."""
    shop = Shop((bought("u", "a", 0), bought("u", "a", 1)))
    report = built_from(shop, tmp_path, ONE, serving="repeat = true")
    assert (report.manifest.counts["users"], report.manifest.counts["partitions"]) == (1, 1)
    Snapshot.open(open_store(tmp_path / "store")).open_partition(0).close()


def test_two_users_with_two_items_are_enough(tmp_path: Path) -> None:
    """Where items do not come back, one must tell of the other's."""
    events = (bought("u", "a", 0), bought("u", "b", 1), bought("v", "a", 0), bought("v", "b", 2))
    assert built_from(Shop(events), tmp_path, ONE).manifest.counts["items"] == 2


@pytest.mark.parametrize(
    "events",
    [
        (bought("u", "a", 0),),
        (bought("u", "a", 0), bought("v", "a", 0)),
        (bought("u", "a", 0), bought("u", "b", 1)),
        (bought("u", "a", 0), bought("v", "a", 1)),
        tuple(bought("u", f"i{day}", day, "return") for day in range(10)),
    ],
    ids=["one event", "one moment", "one user, nothing known again", "no user on both sides", "only returns"],
)
def test_what_cannot_be_evaluated_is_refused_with_a_way_out(tmp_path: Path, events: tuple[Event, ...]) -> None:
    """A model that nobody measured is not published; the message names the setting to move."""
    with pytest.raises(NothingToEvaluate, match=r"\[evaluation\] cut or test_share"):
        built_from(Shop(events), tmp_path, ONE)
    assert FolderStore(tmp_path / "store").pointer().current == ""


def test_users_who_are_all_alike_are_spread_over_the_partitions(tmp_path: Path) -> None:
    """Twenty twins in seven partitions, none of them too large."""
    twins = tuple(bought(f"u{user:02d}", f"i{day % 4}", day) for user in range(20) for day in range(5))
    report = built_from(Shop(twins), tmp_path, BuildSettings(7, 4), serving="repeat = true")
    assert max(report.manifest.counts["users_per_partition"]) <= 3


@pytest.mark.parametrize("partitions", [1, 5, 9])
def test_a_partition_without_users_can_be_opened(tmp_path: Path, partitions: int) -> None:
    """Nine users in up to nine partitions; some of these may be empty."""
    shop = datasets.clustered(users=9, items=40, events_per_user=6)
    built_from(shop, tmp_path, BuildSettings(partitions, 4), extra="[evaluation]\ntest_share = 0.3")
    snapshot = Snapshot.open(open_store(tmp_path / "store"))
    opened = [snapshot.open_partition(number) for number in range(partitions)]
    assert sum(one.users for one in opened) == 9


@pytest.mark.parametrize("factors", [1, 100])
def test_any_number_of_factors_builds(tmp_path: Path, factors: int) -> None:
    """One, or more than there are items."""
    report = built_from(small(), tmp_path, BuildSettings(3, factors))
    assert report.manifest.parameters["factors"] == factors


def test_a_user_who_returned_everything_is_built_and_has_no_taste(tmp_path: Path) -> None:
    """They live somewhere, with a vector of zeros."""
    shop = small()
    returner = tuple(bought("returner", datasets.item_id(number), 50, "return") for number in range(3))
    built_from(replace(shop, events=shop.events + returner), tmp_path)
    snapshot = Snapshot.open(open_store(tmp_path / "store"))
    home = snapshot.directory.find("returner")
    assert home is not None
    opened = snapshot.open_partition(home.partition)
    record = opened.user("returner")
    assert record is not None
    assert not record.vector.any()
    opened.close()


# ---- refused


@pytest.mark.parametrize("partitions", [61, 65, 5000])
def test_too_many_partitions_are_refused_with_the_range(tmp_path: Path, partitions: int) -> None:
    """Before anything is trained, and nothing is published."""
    told: list[str] = []
    dataset = datasets.write(small(), tmp_path / "data")
    with pytest.raises(
        PartitionsOutOfRange, match=f"{partitions} partitions cannot be made of 60 users; choose 1 to 60"
    ):
        build(dataset, tmp_path / "store", BuildSettings(partitions), lambda what, done, of: told.append(what))
    assert FolderStore(tmp_path / "store").pointer().current == ""
    assert "evaluate" not in told


def test_wrong_input_publishes_nothing(tmp_path: Path, built: Built) -> None:
    """What was served goes on being served."""
    built_from(small(), tmp_path)
    served = FolderStore(tmp_path / "store").pointer().current
    with pytest.raises(BuildError):
        built_from(Shop((bought("u", "a", 0, "theft"),)), tmp_path)
    assert FolderStore(tmp_path / "store").pointer().current == served


def test_a_build_that_was_overtaken_is_pushed_and_not_served(tmp_path: Path) -> None:
    """The other builder's snapshot stays the current one; nothing is lost, and the message says how to serve it."""
    dataset, store = datasets.write(small(), tmp_path / "data"), tmp_path / "store"
    overtaken_by: list[str] = []

    def overtake(what: str, done: int, of: int) -> None:
        if what == "fit" and not overtaken_by:
            overtaken_by.append("")
            overtaken_by[0] = build(dataset, store, SMALL).manifest.version

    with pytest.raises(PointerMoved, match="trunkshow promote"):
        build(dataset, store, SMALL, overtake)
    pointer = FolderStore(store).pointer()
    assert sorted(pointer.states.values()) == [State.CURRENT, State.PUSHED]
    assert [pointer.current] == overtaken_by
    assert FolderStore(store).versions() == sorted(pointer.states)


def test_a_second_build_becomes_the_current_one_and_the_first_stays(tmp_path: Path) -> None:
    """There is something to go back to."""
    versions = [built_from(small(), tmp_path).manifest.version for _ in range(2)]
    assert FolderStore(tmp_path / "store").versions() == versions
    assert FolderStore(tmp_path / "store").pointer().current == versions[1]
