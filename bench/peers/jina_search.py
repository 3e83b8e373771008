"""What a Jina shard does: search its part of the items. Without deferred annotations, which Jina does not read."""

from pathlib import Path
from typing import Any

import numpy as np
from docarray import BaseDoc, DocList
from docarray.typing import NdArray
from jina import Executor, requests
from pydantic import Field

from bench.peers import graph
from bench.peers.data import TOP

SEARCH, TURN = "/search", "/turn"


class Query(BaseDoc):  # type: ignore[misc]
    """A user's vector."""

    vector: NdArray


class Found(BaseDoc):  # type: ignore[misc]
    """Best items of a part, as rows of the whole, and their scores."""

    rows: list[int] = Field(default_factory=list)
    scores: list[float] = Field(default_factory=list)


class Search(Executor):  # type: ignore[misc]
    """One of several shards; it has every n-th item."""

    def __init__(self, folder: str, **given: Any) -> None:
        super().__init__(**given)
        self._shard, self._shards = self.runtime_args.shard_id, self.runtime_args.shards
        self._index = graph.read(Path(folder) / f"{self._shard}.faiss")

    @requests(on=SEARCH)  # type: ignore[untyped-decorator]
    def search(self, docs: DocList[Query], **given: Any) -> DocList[Found]:
        """The best of this part."""
        scores, rows = self._index.search(np.stack([doc.vector for doc in docs]).astype(np.float32), TOP)
        rows = rows * self._shards + self._shard
        return DocList[Found](
            Found(id=doc.id, rows=some, scores=as_many)
            for doc, some, as_many in zip(docs, rows.tolist(), scores.tolist(), strict=True)
        )

    @requests(on=TURN)  # type: ignore[untyped-decorator]
    def turn(self, docs: DocList[Query], parameters: dict[str, Any], **given: Any) -> DocList[Found]:
        """Search from now on with this efSearch."""
        self._index.hnsw.efSearch = int(parameters["ef"])
        return DocList[Found](Found(id=doc.id) for doc in docs)
