"""That a snapshot which was opened can be served from: shown before anybody is."""

from __future__ import annotations

from router.served.views import View
from trunkshow.snapshot.manifest import SnapshotRefused
from trunkshow.snapshot.store import StoreError
from trunkshow.v1 import recommendation_pb2 as pb


def proved(view: View) -> View:
    """A view that has shown that it can make the last rung, which also brings its pages into memory.

    Raises:
        SnapshotRefused: it cannot.
    """
    request = pb.RecommendRequest(user_id="-")
    try:
        view.find("-")
        need = view.resident.need(request, segment=-1)
        view.resident.complete(view.wanted(request, impersonal=True), (), {}, need)
    except (OSError, MemoryError, StoreError):  # of this machine, maybe, or of the store: it is tried again
        view.snapshot.close()
        raise
    except Exception as error:
        view.snapshot.close()
        raise SnapshotRefused(f"snapshot {view.version} opens, but makes no slate: {error!r}") from error
    return view
