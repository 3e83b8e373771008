"""Clients that ask shards themselves, one hop less, and the router wherever that is not the plain case.

    with DirectClient("127.0.0.1:7450") as client:
        slate = client.recommend("user-17")
        print(slate.receipt.direct)     # False the first time: where the user lives was not known yet

They have the methods, values and errors of `trunkshow.client.Client` and `AsyncClient`, and one whole promise: whatever
happens on the short way, the router answers within the same deadline. docs/direct.md says what it takes, and what goes
which way. Behind them are grpcio and protobuf alone.
"""

from trunkshow.direct.async_client import AsyncDirectClient
from trunkshow.direct.client import DirectClient
from trunkshow.direct.ways import Ways

__all__ = ["AsyncDirectClient", "DirectClient", "Ways"]
