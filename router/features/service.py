"""FeatureService: from bytes to valid keys with a deadline, and back to answers in the order of the request."""

from __future__ import annotations

from router.features.asker import FeatureAsker
from router.features.keys import check, keys_of
from router.served.keeper import Keeper
from router.slates import receipt
from trunkshow.serving.auth import Role
from trunkshow.serving.call import CallView
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.serving.methods import Service
from trunkshow.v1 import features_pb2 as pb

FEATURES = "trunkshow.v1.FeatureService"

ANSWER_MS = 10.0
"""Kept of a call's time for its answer."""


class FeatureService:
    """Answers GetFeatures.

    Args:
        keeper: of the views; they say where users live.
        asker: of shards.
        deadline_ms: where the caller set none or a longer one.
        clock: monotonic.
    """

    def __init__(self, keeper: Keeper, asker: FeatureAsker, deadline_ms: float, clock: Clock = monotonic) -> None:
        self._keeper = keeper
        self._asker = asker
        self._deadline_ms = deadline_ms
        self._clock = clock

    def service(self) -> Service:
        """The methods, for registration."""
        return Service(FEATURES, unary={"GetFeatures": self.get_features}, role=Role.READ)

    async def get_features(self, data: bytes, call: CallView) -> bytes:
        """GetFeatures.

        Raises:
            InvalidArgument: the request breaks its contract.
        """
        request = pb.GetFeaturesRequest.FromString(data)
        check(request)
        until = call.deadline(self._deadline_ms).reserving(ANSWER_MS, self._clock())
        view = self._keeper.now.current  # read now, and not while anybody is waited for, so that it needs no lease

        def home(user_id: str) -> int | None:
            found = view.find(user_id)
            return None if found is None else found.partition

        keys = keys_of(request, home)
        told = await self._asker.ask(keys, view.version, until, call.request_id)
        return pb.GetFeaturesResponse(
            users=[told.features[key] for key in keys if not key.is_item],
            items=[told.features[key] for key in keys if key.is_item],
            request_id=call.request_id,
            attempts=receipt.told(told.attempts),
            elapsed_ms=(self._clock() - call.arrived) * 1000,
        ).SerializeToString()
