"""Who is measured, in which environment, next to which part of ours, and what each leaves to its user.

What a peer does not do is told from its documentation, for recommending to known users; much of it can be built around
a peer, and then has to be.
"""

from __future__ import annotations

from typing import NamedTuple


class Subject(NamedTuple):
    """One of those that are measured.

    Attributes:
        name: for people, and for `--only`.
        module: that has its `Subject`.
        environment: that it runs in, by its file in `requirements/`; empty for ours.
        beside: the part of ours that is compared with it; empty for ours.
        beside_batch: the same for many users in a call; empty where it has no such thing.
        title: what is measured, in full.
        aim: at least so much should ours ÷ it be, requests per second.
        aim_batch: the same for users per second in batches.
        lacks: what it does not do.
        source: the documentation that says so.
    """

    name: str
    module: str
    environment: str
    beside: str
    beside_batch: str
    title: str
    aim: float | None = None
    aim_batch: float | None = None
    lacks: str = ""
    source: str = ""


SHARD, ROUTER = "shard", "router"

OURS = (
    Subject(SHARD, "bench.peers.ours", "", "", "", "Trunkshow, one shard: Predict, and PredictBatch of 50"),
    Subject(
        ROUTER, "bench.peers.our_router", "", "", "", "Trunkshow, router and shard: Recommend, and RecommendBatch of 50"
    ),
)

PEERS = (
    Subject(
        "redis",
        "bench.peers.redis_stack",
        "redis",
        SHARD,
        ROUTER,
        "Redis Stack 7.4, RediSearch: FT.SEARCH KNN in an HNSW index; pipelines of 50",
        aim=0.4,
        aim_batch=1.0,
        lacks=(
            "no history: what the user had is in the answer; filters by indexed fields in the query; no carousels, no "
            "fallback; the user's vector is the caller's to keep, and to make anew after an event"
        ),
        source="redis.io/docs: Query Types, KNN vector search",
    ),
    Subject(
        "giant-cache",
        "bench.peers.giant_cache",
        "redis",
        SHARD,
        ROUTER,
        "lists made beforehand, in Redis 7.4: GET, and MGET of 50",
        lacks=(
            "nothing is computed: no filters but those that lists were made for, no fallback where there is no list, "
            "as fresh as the last job; a list per user, carousel and page is kept, and written anew by every job"
        ),
        source="redis.io/docs: MGET",
    ),
    Subject(
        "pgvector",
        "bench.peers.pgvector",
        "pgvector",
        SHARD,
        "",
        "PostgreSQL 18 with pgvector: prepared ORDER BY <#> LIMIT 10 over an HNSW index",
        aim=1.2,
        lacks=(
            "history and filters as SQL, applied to what the index scan brings (and more is scanned, if asked for, "
            "where too little is left); no carousels, no fallback; the user's vector is the caller's to keep and make "
            "anew"
        ),
        source="pgvector: README, Filtering, Iterative Index Scans",
    ),
    Subject(
        "milvus",
        "bench.peers.milvus",
        "milvus",
        SHARD,
        "",
        "Milvus 2.3.5, the standalone server: Search over an HNSW index, consistency Eventually",
        aim=2.0,
        lacks=(
            "filters as expressions; history as a list of ids in each request; no carousels, no fallback; "
            "the user's vector is the caller's to keep and make anew"
        ),
        source="milvus.io/docs/v2.3.x: Conduct a Hybrid Search; Tune Consistency",
    ),
    Subject(
        "kserve",
        "bench.peers.kserve",
        "kserve",
        SHARD,
        "",
        "KServe's model server, one worker: ModelInfer over gRPC, a FAISS HNSW index in the model",
        aim=2.0,
        lacks=(
            "a server for whatever the model does: history, filters, carousels, fallback and freshness are all to be "
            "written; here it does the search alone"
        ),
        source="kserve.github.io: Deploy Custom Python Serving Runtime with InferenceService",
    ),
    Subject(
        "jina",
        "bench.peers.jina",
        "jina",
        ROUTER,
        "",
        "Jina Flow: gateway, two shards with half of the items each (FAISS HNSW), reduced by a head",
        aim=3.0,
        lacks=(
            "an orchestrator of what executors do: history, filters, carousels, fallback and freshness are all to be "
            "written; here executors do the search alone"
        ),
        source="docs.jina.ai: Scale out with replicas and shards",
    ),
)

ALL = (*OURS, *PEERS)
