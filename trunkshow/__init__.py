"""Trunkshow's kernel: values and rules that every process shares, and the client.

Importing this package costs grpcio and protobuf alone; the serving side imports its own submodules.
"""

from trunkshow.client import AsyncClient, Client
from trunkshow.errors import InvalidArgument, NotFound, TrunkshowError, Unavailable
from trunkshow.events import Event, Interaction
from trunkshow.items import NewItem

__all__ = [
    "AsyncClient",
    "Client",
    "Event",
    "Interaction",
    "InvalidArgument",
    "NewItem",
    "NotFound",
    "TrunkshowError",
    "Unavailable",
]
