"""A router's parts, put together, and their life from start to close.

What is put together where: what is asked (`RecommendationService`), what is served (`Keeper`, and who
follows the store's pointer, `router.served.pointing`), who is asked (`Following`, `Observer`). Whoever wants to see
requests or answers go by adds itself to `samplers` or to `counters.listeners`; who tries snapshots (`Conductor`) does.
Events go another way (`EventService`), and are nothing to any of these; features are read by one
of their own (`FeatureService`). What the settings mean for each is said in `router.assembly` and `router.logs`.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial

from router import assembly, logs, numbers
from router.answering.counters import Counters
from router.asking.fanout import Fanout
from router.cluster.following import Following
from router.cluster.lines import ShardLines
from router.cluster.observing import Observer
from router.cluster.shard_channel import ShardChannel, ShardChannels
from router.cluster.topology import Topology
from router.cluster.watch import Board, follow
from router.config import RouterConfig
from router.features.service import FeatureService
from router.recommendation import RecommendationService, Sampler
from router.recording.items import ItemRecorder
from router.recording.log_watch import LogWatch
from router.recording.service import EventService
from router.served.pointing import Pointing
from router.served.views import Views
from router.status import Status
from router.trials.conductor import Conductor
from router.trials.recall import Recall
from router.trials.sample import Sample
from trunkshow.eventlog.log import EventLog, ItemLog, Tombstones
from trunkshow.membership import Membership, StaticMembers, source
from trunkshow.online.growth import Growth
from trunkshow.serving import metrics
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.methods import Service
from trunkshow.serving.rounds import rounds
from trunkshow.serving.tasks import Tasks
from trunkshow.snapshot.store import Store, who

CLUSTER = "trunkshow.v1.ClusterService"

TEND_EVERY_S = 0.25
MEMBERS_EVERY_S = 1.0


class Router:
    """Everything that a router process holds.

    Args:
        config: of the process.
        views: to begin with; this closes them.
        store: whose pointer is followed; none is where None.
        clock: monotonic.
        event_log: to record in; this closes it; nothing is recorded where None.
        tasks: what runs beside answering; this begins and closes them.
        tombstones: beside it; this closes them, too.
        item_log: of new items beside it; this closes it, too.

    Attributes:
        keeper: of what is served.
        board: with the newest topology.
        counters: of what was served.
        samplers: shown every valid request.
        limiter: of slates that are made with shards at a time.
        recorder: of events; the one way into the log.
        tasks: what runs beside answering, once it was started.
    """

    def __init__(
        self,
        config: RouterConfig,
        views: Views,
        store: Store | None = None,
        clock: Clock = monotonic,
        event_log: EventLog | None = None,
        tasks: Tasks | None = None,
        tombstones: Tombstones | None = None,
        item_log: ItemLog | None = None,
    ) -> None:
        self.keeper = assembly.keeper_of(views, store)
        self.board = Board(Topology.of(()))
        self.counters = Counters()
        self.samplers: list[Sampler] = []
        self._config = config
        self._patience = assembly.patience_of(config)
        self._clock = clock
        lines = ShardLines(config.to_shards)
        self._channels = ShardChannels((), partial(ShardChannel, lines=lines))
        self.limiter = assembly.limiter_of(config)
        self.fanout = Fanout(self._channels, self.board, observe=self.limiter.observe, clock=clock)
        self._following = Following(self.board, self._channels, self._follow, clock=clock)
        self._pointing = (
            assembly.pointing_of(config, store, self.keeper, self.board, self.advance, clock)
            if store is not None
            else None
        )
        self._status = Status(
            self.keeper, self.store_reachable, self.fanout, self.limiter, self.board, self._channels, self.counters
        )
        watch = LogWatch(event_log) if event_log is not None else None
        self._log, self._log_watch = event_log, watch
        self._status.log_state = lambda: watch.state if watch else None
        told = watch.hear if watch else lambda _: None
        self.recorder = logs.recorder_of(config, event_log, told, lambda: self.counters.requests, clock)
        self._conductor = self._made_conductor(store, self._pointing) if store and self._pointing else None
        mover = partial(who, by=f"router {config.listen}")
        self._recall = Recall(self.keeper, self.board, store.move, mover, clock=clock) if store else None
        self._tombstones, self._item_log = tombstones, item_log
        self._arrivals = arrivals = (
            logs.arrivals_of(config, event_log, tombstones, self.keeper, self.limiter, clock) if event_log else None
        )
        if arrivals is not None:
            self.keeper.arriving = arrivals.forget_all
        self._status.forgotten = lambda: str((arrivals and arrivals.forgotten.watermark) or "")
        self._direct = assembly.direct_of(
            config,
            self.keeper,
            self.board,
            lines,
            unwell=self._ejected,
            forgotten=self._status.forgotten,
        )
        self._recommendation = RecommendationService(
            config,
            self.keeper,
            self.board,
            self.fanout,
            self.limiter,
            assembly.reserve_of(config),
            self.counters,
            self.samplers,
            arrivals=arrivals,
            store_reachable=self.store_reachable,
            clock=clock,
        )
        forgetter = logs.forgetter_of(config, event_log, tombstones, arrivals)
        self._growth = Growth(item_log) if item_log is not None else None
        items = ItemRecorder(item_log, clock=clock)
        self._events = EventService(self.recorder, config.record_deadline_ms, clock, forgetter=forgetter, items=items)
        features = assembly.feature_asker_of(self._channels, self.board, self.fanout, clock)
        self._features = FeatureService(self.keeper, features, config.deadline_ms, clock)
        self.tasks = tasks or Tasks()

    def services(self) -> list[Service]:
        """The methods, for registration."""
        cluster = Service(CLUSTER, unary={"GetClusterStatus": self._status.get_cluster_status})
        direct = [self._direct.service()] if self._direct is not None else []
        return [
            self._recommendation.service(),
            self._events.service(),
            self._features.service(),
            cluster,
            *direct,
        ]

    def store_reachable(self) -> bool:
        """Whether the snapshot store answers; true where none is followed."""
        return self._pointing is None or self._pointing.store_reachable

    async def informed(self) -> None:
        """Begin to hear who is to be forgotten; return once that is known, where it comes before serving."""
        if self._arrivals is not None:
            self.tasks.begin("arrivals", self._arrivals.run())
            if self._config.forgotten_first:
                await self._arrivals.forgotten.whole.wait()

    async def start(self) -> None:
        """Follow every shard; return once each was found or lost for the first time."""
        config = self._config
        membership = Membership(source(config.members) if config.members else StaticMembers(config.shards))
        await membership.poll()
        self._following.renew(membership.members)
        self.board.listeners.append(self.advance)
        metrics.reading("router", lambda: numbers.of(self._status.now()))
        asked = self.fanout
        metrics.reading(
            "asking",
            lambda: numbers.of_asking(asked.tally, asked.infirmary.ejections, asked.failovers.refused),
        )
        # A shard that takes the connection and says nothing is lost after the silence: this always ends.
        await self.board.everyone_answered.wait()
        if self._pointing is not None:
            await self._pointing.begin()
        self.advance()
        self.tasks.begin("tending", rounds(self._tend, TEND_EVERY_S, failed="tending.failed"))
        self.tasks.begin("observer", Observer(self.board, self._channels).run())
        if config.members:
            renewed = partial(self._renewed, membership)
            self.tasks.begin("members", rounds(renewed, MEMBERS_EVERY_S, failed="members.failed"))
        if self._pointing is not None:
            self.tasks.begin("pointer", self._pointing.follow())
        if self._conductor is not None:
            self.tasks.begin("conductor", self._conductor.run())
        if self._recall is not None:
            self.tasks.begin("recall", self._recall.run())
        if self._log_watch is not None:
            self.tasks.begin("log", self._log_watch.run())
        if self._growth is not None:
            self.tasks.begin("items", self._growth.run())
        if self._direct is not None:
            self.tasks.begin("direct", self._direct.run())

    async def close(self) -> None:
        """Cut every line, and close the log and every snapshot."""
        await self.tasks.close()
        if self._pointing is not None:
            await self._pointing.close()
        await self._following.close()
        for log in (self._log, self._tombstones, self._item_log):
            if log is not None:
                await log.close()
        self.keeper.close()

    def advance(self) -> None:
        """Move the traffic of those partitions whose time has come."""
        before = self.keeper.now.moves
        moves = before.advanced(self.board.topology, self._patience, self._clock())
        if moves is not before:
            self.keeper.moved_on(moves)

    def _ejected(self) -> frozenset[str]:
        """Shards that are asked after all others."""
        return frozenset(one for one in self._channels.addresses if self.fanout.infirmary.ejected(one))

    def _follow(self, shard: ShardChannel) -> asyncio.Future[object]:
        return asyncio.ensure_future(follow(shard, self.board, silence_s=self._config.watch_silence_s))

    async def _tend(self) -> None:
        """What is due by the clock."""
        self.advance()
        self._following.tend()
        self.keeper.tidy()
        if self._growth is not None:
            self._growth.only({version: view.snapshot for version, view in self.keeper.opened.items()})
        trends = self.board.topology.trends
        for view in self.keeper.opened.values():
            view.trends.now = trends

    async def _renewed(self, membership: Membership) -> None:
        """Follow whom the membership names now."""
        await membership.poll()
        if membership.members != self._following.members:
            self._following.renew(membership.members)

    def _made_conductor(self, store: Store, pointing: Pointing) -> Conductor:
        sample = Sample(random.random)
        conductor = assembly.conductor_of(
            self._config,
            store,
            pointing,
            sample,
            keeper=self.keeper,
            board=self.board,
            shards=self._channels,
            busy=lambda: self.limiter.busy,
            clock=self._clock,
        )
        self.samplers.append(sample.offer)
        self.counters.listeners.append(conductor.served)
        self._status.candidate = conductor.candidate
        return conductor
