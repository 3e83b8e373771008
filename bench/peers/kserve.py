"""KServe's model server with a FAISS index in the model: `ModelInfer` of the open inference protocol, over gRPC.

As a program it is the server: KServe's gRPC servicer, data plane and interceptors, on uvloop and this machine alone;
`kserve.ModelServer` would put a REST server beside it, and listen everywhere.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop

from bench.peers import children, graph
from bench.peers.data import TOP, Data
from bench.peers.over_grpc import GrpcSubject
from bench.peers.protocol import Answer

NAME = "items"
_INFER = "/inference.GRPCInferenceService/ModelInfer"
_TURN = "ef"


class Subject(GrpcSubject):
    """One server process, one channel."""

    keeps = "hnsw by product"

    def __init__(self, folder: Path, data: Data) -> None:
        super().__init__(folder, data)
        self._requests = [_request("q", vector) for vector in data.queries]

    async def start(self) -> None:
        """Index the items where that was not done before, and start the server."""
        index = self.folder / "graph.faiss"
        await asyncio.to_thread(graph.make, self.data.items, index)
        channel = await self.serving("bench.peers.kserve", index, {"OMP_NUM_THREADS": "1"})
        self._infer: Any = channel.unary_unary(_INFER)

    async def load(self, *, fresh: bool) -> None:
        """Nothing beside the index."""

    async def turn(self, knob: int) -> None:
        """Have the model search with this efSearch."""
        await self._infer(_request(_TURN, np.array([knob], np.float32)))

    async def ask(self, caller: int, query: int) -> Answer:
        """One inference."""
        reply = _replied(await self._infer(self._requests[query]))
        rows = [int(row) for content in reply.raw_output_contents for row in np.frombuffer(content, np.int64)]
        return rows if len(rows) == TOP else None


def _request(name: str, values: Any) -> bytes:
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

    asked = pb.ModelInferRequest(model_name=NAME, raw_input_contents=[values.tobytes()])
    asked.inputs.add(name=name, shape=[1, len(values)], datatype="FP32")
    data: bytes = asked.SerializeToString()
    return data


def _replied(data: bytes) -> Any:
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

    return pb.ModelInferResponse.FromString(data)


async def serve(index: Path, port: int) -> None:
    """Serve until killed."""
    from kserve import InferOutput, InferResponse, Model, ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as rpc
    from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor, LoggingInterceptor
    from kserve.protocol.grpc.servicer import InferenceServicer
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension

    class Items(Model):  # type: ignore[misc]
        """The search, and what turns it."""

        def __init__(self) -> None:
            super().__init__(NAME)
            self._index = graph.read(index)
            self.ready = True

        async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
            """Rows of the best items."""
            asked = payload.inputs[0]
            values = asked.as_numpy()
            if asked.name == _TURN:
                self._index.hnsw.efSearch = int(values[0, 0])
                values = np.zeros((1, self._index.d), np.float32)
            _, rows = self._index.search(values, TOP)
            found = InferOutput("rows", list(rows.shape), "INT64")
            found.set_data_from_numpy(rows)
            return InferResponse(payload.id or "", NAME, [found])

    models = ModelRepository()
    models.update(Items())
    plane = DataPlane(model_registry=models)
    server = grpc.aio.server(interceptors=(LoggingInterceptor(), ExceptionToStatusInterceptor()))
    rpc.add_GRPCInferenceServiceServicer_to_server(
        InferenceServicer(plane, ModelRepositoryExtension(model_registry=models)), server
    )
    server.add_insecure_port(f"{children.LOOPBACK}:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("port", type=int)
    parsed = parser.parse_args()
    sys.argv = sys.argv[:1]  # KServe reads the command line when it is imported
    uvloop.run(serve(parsed.index, parsed.port))
