"""What a shard should hold, and what it may give up: pure functions of the pointer, the membership and routers' words.

Every shard decides for itself, over the same values (`shard.scene`); nobody coordinates (docs/adr/0011-holdings.md).

What it should hold, in the order in which it is opened:

1. Of the current version: the partitions of which it is one of the first `replicas` in rendezvous order, then the
   stand-ins of those of which it is the next. Shards that leave, and who is no member, are not counted.
2. Of the candidate: the same.
3. Of the previous version: the same, as long as its files, those that all of its partitions share, and what is kept of
   versions that made way fit into the limit together.

What it holds and should not is surplus. It says so, and goes on serving it, until one of these has been met for
`LINGER_S`: an answer under way, a batch above all, is of the snapshot that it began with. Shards then close it one
after the other (`TURN_S`). Routers' words count that are
fresh and were said `SETTLE_S` after the piece became surplus, so that whoever else gives it up has said so as well; all
must agree, and there must be one.

4. A partition of a served version that others should hold now: as many others have it as should, or after
   `handover_s` at least one has. The last copy that is known stays, whatever the time.
5. A version that made way, and what of the previous one is beyond the limit: every partition of the current version is
   on as many shards as should have it, or after `handover_s` on one at least. What was serving goes on serving, and no
   want of room ends that. A version that made way before a later one took root, which was everywhere for `ROOTED_S`,
   is needed no more: at a swap there are two versions, and not three. Where promotions overtake one another nothing
   takes root, and of the versions that the pointer does not name any more at most `MADE_WAY_MAX` are kept: first those
   of which this shard has its whole share, since users may be served from them, and of these the newest.
6. A version that must not be served (refused, poisoned, withdrawn): at once.
7. Stand-ins: by rule 5, and where others should hold them now after `handover_s` in any case.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from shard.heard import Word
from shard.scene import Kind, Peers, Piece, Plan, Scene, Sizes
from trunkshow.snapshot.lifecycle import Pointer
from trunkshow.snapshot.states import State

LINGER_S = 2.0
"""A router that looks at the pointer a little later still asks for what is no longer served, and so does one whose
answers are under way when the last shard has opened what they make way for: a batch has two seconds."""

TURN_S = 1.0
"""Between a shard's turn to close something and the next one's. All of them hear at one moment that a version is needed
no more; to close it takes a shard a tenth of a second, in which a slate must be had from another."""

TURNS = 8
"""Where there are more shards, some have the same turn: what is given up must not be held for long."""

SETTLE_S = 1.5
"""From reporting something to a word that knows of it: a router's period, and the way there and back."""

MADE_WAY_MAX = 3
"""Versions that a shard keeps beside those that the pointer names, while promotions come faster than they get warm."""

ROOTED_S = 5.0
"""For which a version was everywhere before it is relied on: by then every router has moved its traffic there."""

UNSERVED = frozenset({State.REFUSED, State.POISONED, State.PUSHED})


def planned(scene: Scene, before: Plan) -> Plan:
    """What to hold and what to close.

    Args:
        scene: as things are.
        before: the plan before: since when something was surplus, and not needed.
    """
    now = scene.now
    spread = _spread(scene, before.spread)
    outlived = _outlived(scene, spread, before.outlived)
    wanted = wanted_of(scene, outlived)
    surplus = {piece: before.surplus.get(piece, now) for piece in sorted(set(scene.open) - set(wanted))}
    crowd = outlived.intersection(_those_that_made_way(scene)) | _one_too_many(scene)
    idle = {
        piece: before.idle.get(piece, now)
        for piece, since in surplus.items()
        if piece.version in crowd or _may_close(piece, since, scene)
    }
    linger_s = LINGER_S + TURN_S * (scene.peers.place % TURNS)
    close = tuple(piece for piece, since in idle.items() if now - since >= linger_s)
    return Plan(wanted, surplus, idle, close, spread, outlived)


def wanted_of(scene: Scene, outlived: frozenset[str] = frozenset()) -> tuple[Piece, ...]:
    """What this shard should hold (rules 1 to 3); versions that were outlived take no room: they go."""
    pointer, peers = scene.pointer, scene.peers
    wanted: list[Piece] = []
    for version in filter(None, (pointer.current, pointer.candidate)):
        wanted += _share(version, scene.sizes.get(version), peers)
    sizes = scene.sizes.get(pointer.previous)
    if sizes is not None:
        room = scene.limits.previous_bytes_max - sizes.shared - _kept_of_those_that_made_way(scene, outlived)
        for piece in _share(pointer.previous, sizes, peers):
            room -= sizes.of_piece(piece)
            if room < 0:
                break
            wanted.append(piece)
    return tuple(wanted)


def versions_of(pointer: Pointer, plan: Plan, known: Collection[str]) -> list[str]:
    """The versions that should be open; the previous one not where it is known that nothing of it is wanted."""
    previous = pointer.previous
    wanted = previous not in known or any(piece.version == previous for piece in plan.wanted)
    return [one for one in (pointer.current, pointer.candidate, previous if wanted else "") if one]


def handed_over(scene: Scene, since: float) -> bool:
    """Whether a shard that has been leaving since then is needed no more: as many others have what it has as should."""
    words = _said_after(scene, since)
    staying = scene.peers.staying - {scene.peers.own}
    if not staying:
        return True
    served = {scene.pointer.current, scene.pointer.candidate}
    if not _settled(scene, since, scene.peers.replicas, own=False):
        served.add(scene.pointer.previous)
    enough = min(scene.peers.replicas, len(staying))
    mine = [piece for piece in scene.open if piece.kind is Kind.HOME and piece.version in served]
    return bool(words) and all(_others(piece, words) >= enough for piece in mine)


def sole_of(scene: Scene, wanted: Iterable[Piece]) -> frozenset[Piece]:
    """Of what is wanted, the current version's partitions that no other shard has, by the least of the words."""
    mine = (piece for piece in wanted if piece.kind is Kind.HOME and piece.version == scene.pointer.current)
    return frozenset(piece for piece in mine if not scene.words or not _others(piece, scene.words))


def missing_of(scene: Scene, wanted: Iterable[Piece]) -> tuple[Piece, ...]:
    """Of what is wanted, the current version's partitions of which nobody is known to have any version.

    First those that this shard is the first to hold, so that shards which start together begin with different ones.
    """
    had = {piece.number for piece in scene.open if piece.kind is Kind.HOME}
    for word in scene.words:
        had |= {number for (_, number), others in word.others.items() if others}
    mine = (piece for piece in wanted if piece.kind is Kind.HOME and piece.version == scene.pointer.current)
    missing = (piece for piece in mine if piece.number not in had)
    return tuple(sorted(missing, key=lambda piece: not scene.peers.is_first(piece.number)))


def _share(version: str, sizes: Sizes | None, peers: Peers) -> list[Piece]:
    if sizes is None:
        return []
    homes = [Piece(version, Kind.HOME, number) for number in range(len(sizes.homes)) if peers.holds(number)]
    stand_ins = [Piece(version, Kind.STAND_IN, number) for number in sorted(sizes.stand_ins) if peers.stands_in(number)]
    return homes + stand_ins


def _those_that_made_way(scene: Scene) -> list[str]:
    """The versions that are held and that the pointer does not name any more, newest first."""
    pointer = scene.pointer
    surplus = {piece.version for piece in scene.open} - {pointer.current, pointer.candidate, pointer.previous}
    return [one for one in reversed(list(pointer.states)) if one in surplus]


def _kept_of_those_that_made_way(scene: Scene, outlived: frozenset[str]) -> int:
    """Bytes of what is held of them, and not on its way out."""
    kept = {one: scene.sizes[one] for one in _those_that_made_way(scene) if one in scene.sizes and one not in outlived}
    pieces = sum(kept[piece.version].of_piece(piece) for piece in scene.open if piece.version in kept)
    return pieces + sum(sizes.shared for sizes in kept.values())


def _spread(scene: Scene, before: tuple[str, float]) -> tuple[str, float]:
    """The current version and since when it is everywhere; none where it is not."""
    current = scene.pointer.current
    if not current or not _settled(scene, -math.inf, scene.peers.replicas):
        return ("", 0.0)
    return before if before[0] == current else (current, scene.now)


def _outlived(scene: Scene, spread: tuple[str, float], before: frozenset[str]) -> frozenset[str]:
    """The versions that nobody needs since a later one took root (rule 5); who is current again begins anew."""
    states = scene.pointer.states
    if spread[0] and scene.now - spread[1] >= ROOTED_S:
        before |= {one for one, state in states.items() if state in {State.PREVIOUS, State.RETIRED}}
    return frozenset(one for one in before if states.get(one) in {State.PREVIOUS, State.RETIRED})


def _one_too_many(scene: Scene) -> frozenset[str]:
    """The versions that made way and are beyond the limit (rule 5)."""
    held, newest_first = set(scene.open), _those_that_made_way(scene)

    def is_whole(version: str) -> bool:
        share = _share(version, scene.sizes.get(version), scene.peers)
        return bool(share) and held.issuperset(piece for piece in share if piece.kind is Kind.HOME)

    worth = sorted(newest_first, key=lambda version: not is_whole(version))
    return frozenset(worth[MADE_WAY_MAX:])


def _may_close(piece: Piece, since: float, scene: Scene) -> bool:
    """Whether one of the rules 4 to 7 is met."""
    pointer, late = scene.pointer, scene.now - since >= scene.limits.handover_s
    if pointer.states.get(piece.version) in UNSERVED:
        return True
    served = piece.version in {pointer.current, pointer.candidate, pointer.previous}
    made_way = _settled(scene, since, scene.peers.replicas) or (late and _settled(scene, since, 1))
    if not served:
        return made_way
    if piece.kind is Kind.STAND_IN:
        return made_way or late
    if piece.version == pointer.previous and made_way and (late or scene.peers.holds(piece.number)):
        return True
    words = _said_after(scene, since)
    enough = max(1, min(scene.peers.replicas, len(scene.peers.staying - {scene.peers.own})))
    return bool(words) and _others(piece, words) >= (1 if late else enough)


def _settled(scene: Scene, since: float, replicas: int, *, own: bool = True) -> bool:
    """Whether every partition of the current version is on so many shards, by every router's word."""
    if not _said_after(scene, since):
        return False
    others, with_own = scene.copies
    return (with_own if own else others) >= max(1, min(replicas, len(scene.peers.staying)))


def _said_after(scene: Scene, since: float) -> tuple[Word, ...]:
    """The words that may be relied on for what is surplus since then; none where one of them is older."""
    settled = all(word.at >= since + SETTLE_S for word in scene.words)
    return scene.words if settled else ()


def _others(piece: Piece, words: tuple[Word, ...]) -> int:
    """How many others hold a partition, by the least of the words."""
    return min(word.others.get((piece.version, piece.number), 0) for word in words)
