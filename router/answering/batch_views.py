"""What a batch goes by: what was served when it began, until something of that was taken back.

A page sees one set of snapshots to its end, which is soon. A batch has seconds, in which a version may turn out to be
spoilt and be rolled back, and what is rolled back is to be in no answer any more. So

1. a batch goes by the snapshots of its beginning, whatever is promoted meanwhile, as long as all of them are served;
2. once one of them is served no more, it goes by what is served then;
3. an answer that was made of one that is gone does not go out, also where it only waits for a slow caller.

What is asked and made instead is `router.answering.batch`'s to say; which snapshots are served, `router.served`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from router.served import route
from router.served.keeper import Lease
from router.served.views import Views
from trunkshow.errors import InvalidArgument
from trunkshow.v1 import recommendation_pb2 as pb

NOTHING: frozenset[str] = frozenset()


class BatchViews:
    """The snapshots of one batch; all of them stay open until `close`.

    Args:
        lease: what is served, as of when it is called.
    """

    def __init__(self, lease: Callable[[], Lease]) -> None:
        self._lease = lease
        self._leased = ExitStack()
        self._views = self._leased.enter_context(lease())
        self._first = self._views
        self._seen = self._views
        self._used = _versions(self._views)
        self._gone = NOTHING

    @property
    def now(self) -> Views:
        """What is to be gone by (rules 1 and 2)."""
        if self.gone and not self.gone.isdisjoint(_versions(self._views)):
            self._views = self._leased.enter_context(self._lease())
            self._used |= _versions(self._views)
        return self._views

    @property
    def gone(self) -> frozenset[str]:
        """Versions that this batch went by, and that are served no more."""
        served = self._lease().views
        if served is not self._seen:
            self._seen, self._gone = served, self._used - _versions(served)
        return self._gone

    def admit(self, request: pb.RecommendRequest) -> bool:
        """Whether what a request names is known to what is gone by now; to that of the beginning it is."""
        views = self.now
        if views is self._first:
            return True
        try:
            route.check(request, views)
        except InvalidArgument:
            return False
        return True

    def took_back(self, slate: bytes) -> bool:
        """Whether a serialised RecommendResponse is of a version that is served no more (rule 3)."""
        if not self.gone:  # nearly always: nothing has to be read
            return False
        return pb.RecommendResponse.FromString(slate).receipt.snapshot_version in self.gone

    def close(self) -> None:
        """Whoever asks has gone."""
        self._leased.close()


def _versions(views: Views) -> frozenset[str]:
    return frozenset(view.version for view in views)
