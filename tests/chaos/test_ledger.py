"""The ledger: what was sent and answered, what the log holds and what slates know, held against one another."""

from __future__ import annotations

from collections.abc import Sequence

from cli.chaos.ledger import Account, Ledger

ANN, BOB = "ann", "bob"
SENT = {"a1": ANN, "a2": ANN, "b1": BOB}


def told(*, stands: Sequence[str] = ("a1", "a2", "b1"), acknowledged: Sequence[str] = ("a1", "a2", "b1")) -> Ledger:
    """Three events that were sent; those that were acknowledged, and those that stand in the log."""
    ledger = Ledger()
    ledger.sent(SENT)
    ledger.acknowledged(acknowledged)
    for one in stands:
        ledger.stands(one, SENT[one])
    return ledger


def account(ledger: Ledger, ann: Sequence[int] = (2, 2), bob: Sequence[int] = (1, 1)) -> Account:
    """When two routers gave slates that know so many events."""
    return ledger.account(ledger.turn(), {ANN: ann, BOB: bob}, 1.0)


def test_all_is_well_where_everything_is_everywhere() -> None:
    """Once each."""
    found = account(told())
    assert (found.events, found.tries, found.recorded, found.acknowledged, found.users) == (3, 3, 3, 3, 2)
    assert (found.lost, found.twice, found.strange, found.fresh_s) == (0, 0, 0, 1.0)


def test_sent_again_and_found_again_counts_once() -> None:
    """A log holds it twice where it was appended twice; an id is one event."""
    ledger = told()
    ledger.failed(["a1"], "unanswered")
    ledger.sent({"a1": ANN})
    ledger.acknowledged(["a1"])
    ledger.stands("a1", ANN)
    found = account(ledger)
    assert (found.events, found.tries, found.unanswered, found.recorded, found.twice) == (3, 4, 1, 3, 0)


def test_what_was_acknowledged_and_is_not_in_the_log_is_lost() -> None:
    """What was not acknowledged is not."""
    assert account(told(stands=("a1", "b1")), ann=(1, 1)).lost == 1
    assert account(told(stands=("a1", "b1"), acknowledged=("a1", "b1")), ann=(1, 1)).lost == 0


def test_a_fresh_slate_of_one_router_that_lacks_an_event_has_lost_it() -> None:
    """Though the other one's has it; a user who got no fresh slate tells nothing."""
    assert account(told(), ann=(2, 1)).lost == 1
    ledger = told()
    assert ledger.account(ledger.turn(), {BOB: [1]}, None).lost == 0


def test_a_slate_with_more_events_than_were_recorded_counts_some_twice() -> None:
    """In any router's."""
    assert account(told(), ann=(2, 3)).twice == 1


def test_an_event_that_nobody_sent_is_strange() -> None:
    """As is one of another user; it is told once."""
    ledger = told()
    ledger.stands("c1", ANN)
    ledger.stands("b1", ANN)
    assert account(ledger, ann=(4, 4)).strange == 2
    assert account(ledger, ann=(4, 4)).strange == 0


def test_events_belong_to_the_fault_during_which_they_were_first_sent() -> None:
    """Sent again later they count there; it is settled once each was acknowledged, or breaks the contract."""
    ledger = Ledger()
    ledger.sent({"a1": ANN, "b1": BOB})
    before = ledger.turn()
    ledger.sent({"a1": ANN, "a2": ANN})
    ledger.acknowledged(["a1", "a2"])
    assert not ledger.is_settled(before)
    ledger.rejected(["b1"])
    assert ledger.is_settled(before)
    found = ledger.account(before, {}, 1.0)
    assert (found.events, found.tries, found.acknowledged, found.rejected) == (2, 3, 1, 1)


def test_accounts_add_up() -> None:
    """To the sums, and the longest time; to none where one was not seen."""
    one, other = Account(events=1, tries=2, lost=1, fresh_s=1.0), Account(events=2, tries=2, fresh_s=3.0)
    assert Account.sum([one, other]) == Account(events=3, tries=4, lost=1, fresh_s=3.0)
    assert Account.sum([one, Account(fresh_s=None)]).fresh_s is None
    assert Account.sum([]) == Account()


def test_who_was_told_that_they_are_forgotten_is_known_to_no_slate() -> None:
    """Whatever the log holds; until then nothing is known of who asked."""
    ledger = told()
    cohort = ledger.turn()
    ledger.asks_to_be_forgotten(ANN)
    assert not ledger.is_settled(cohort)
    for known in (2, 0, 1):
        found = ledger.account(cohort, {ANN: (known, 2)}, 1.0)
        assert (found.lost, found.twice, found.forgotten, found.remembered) == (0, 0, 0, 0)
    ledger.forgotten(ANN)
    assert ledger.is_settled(cohort)
    assert [ledger.is_behind(ANN, known) for known in ((0, 0), (0, 1))] == [False, True]
    kept, gone = (ledger.account(cohort, {ANN: known, BOB: (1, 1)}, 1.0) for known in ((0, 2), (0, 0)))
    assert [(one.lost, one.twice, one.forgotten, one.remembered) for one in (kept, gone)] == [
        (0, 0, 1, 1),
        (0, 0, 1, 0),
    ]


def test_what_is_not_folded_in_is_in_the_log_alone() -> None:
    """An impression counts as recorded; no slate must know of it."""
    ledger = told(stands=("a1", "b1"))
    ledger.stands("a2", ANN, folds=False)
    found = account(ledger, ann=(1, 1))
    assert (found.recorded, found.lost, found.twice) == (3, 0, 0)
