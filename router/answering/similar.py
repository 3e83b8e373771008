"""What goes with an item: the router's own copy of the neighbours, no shard asked."""

from __future__ import annotations

from router.served.keeper import Keeper
from router.slates import validate
from trunkshow import carousels
from trunkshow.errors import NotFound
from trunkshow.serving.call import PROCESS, CallView
from trunkshow.serving.deadline import Clock, monotonic
from trunkshow.v1 import recommendation_pb2 as pb


class Similar:
    """Answers SimilarItems.

    Args:
        keeper: of what is served; the current catalogue is asked.
        clock: monotonic.
    """

    def __init__(self, keeper: Keeper, clock: Clock = monotonic) -> None:
        self._keeper = keeper
        self._clock = clock

    async def similar_items(self, data: bytes, call: CallView) -> bytes:
        """SimilarItems.

        Raises:
            InvalidArgument: the request breaks its contract.
            NotFound: the catalogue does not know the item.
        """
        request = pb.SimilarItemsRequest.FromString(data)
        view = self._keeper.now.everybodys  # nothing below waits for anybody, so that it needs no lease
        validate.check_similar(request, view.known)
        row = view.snapshot.catalogue.row(request.item_id)
        if row is None:
            message = f"item_id: the catalogue of snapshot {view.version} does not know {request.item_id!r}"
            raise NotFound(message, field="item_id", reason="ITEM_UNKNOWN")
        filters = request.filters if request.HasField("filters") else None
        carousel = view.resident.similar(row, request.items or carousels.ITEMS_DEFAULT, filters)
        receipt = pb.Receipt(
            request_id=call.request_id,
            rung=carousel.rung,
            reasons=() if carousel.items else (pb.REASON_CAROUSEL_EMPTY,),
            snapshot_version=view.version,
            elapsed_ms=(self._clock() - call.arrived) * 1000,
            router=PROCESS,
        )
        return pb.SimilarItemsResponse(carousel=carousel, receipt=receipt).SerializeToString()
