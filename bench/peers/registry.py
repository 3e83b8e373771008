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
        module: of `bench.peers`, with its `Subject`.
        environment: that it runs in, by its file in `requirements/`; empty for ours.
        beside: the part of ours that is compared with it; empty for ours.
        beside_batch: the same for many users in a call; empty where it has no such thing.
        title: what is measured, in full.
        lacks: what it does not do.
        source: the documentation that says so.
    """

    name: str
    module: str
    environment: str
    beside: str
    beside_batch: str
    title: str
    lacks: str = ""
    source: str = ""


SHARD, ROUTER = "shard", "router"

OURS = (
    Subject(SHARD, "ours", "", "", "", "Trunkshow, one shard: Predict, and PredictBatch of 50"),
    Subject(ROUTER, "our_router", "", "", "", "Trunkshow, router and shard: Recommend, and RecommendBatch of 50"),
)

PEERS = (
    Subject(
        "redis",
        "redis_stack",
        "redis",
        SHARD,
        ROUTER,
        "Redis Stack 7.4, RediSearch: FT.SEARCH KNN in an HNSW index; pipelines of 50",
        "no history: what the user had is in the answer; filters by tags and numbers in the query; no carousels, no "
        "fallback; the user's vector is the caller's to keep, and to make anew after an event",
        "redis.io/docs: Vector search concepts",
    ),
    Subject(
        "giant-cache",
        "giant_cache",
        "redis",
        SHARD,
        ROUTER,
        "lists made beforehand, in Redis 7.4: GET, and MGET of 50",
        "nothing is computed: no filters but those that lists were made for, no fallback for whom there is no list, as "
        "fresh as the last job; a list per user, carousel and page is kept, and written anew by every job",
        "redis.io/docs: MGET",
    ),
    Subject(
        "pgvector",
        "pgvector",
        "pgvector",
        SHARD,
        "",
        "PostgreSQL 18 with pgvector: prepared ORDER BY <#> LIMIT 10 over an HNSW index",
        "history and filters as SQL, applied after the index has been scanned; no carousels, no fallback; the user's "
        "vector is the caller's to keep and make anew",
        "github.com/pgvector/pgvector: README, Filtering",
    ),
    Subject(
        "milvus",
        "milvus",
        "milvus",
        SHARD,
        "",
        "Milvus 2.3.5, the standalone server: Search over an HNSW index, consistency Eventually",
        "filters as expressions; history as a list of ids in each request; no carousels, no fallback; "
        "the user's vector is the caller's to keep and make anew",
        "milvus.io/docs/v2.3.x: Conduct a Hybrid Search",
    ),
    Subject(
        "kserve",
        "kserve",
        "kserve",
        SHARD,
        "",
        "KServe's model server, one worker: ModelInfer over gRPC, a FAISS HNSW index in the model",
        "a server for whatever the model does: history, filters, carousels, fallback and freshness are all to be "
        "written; here it does the search alone",
        "kserve.github.io/website: Custom Predictor",
    ),
    Subject(
        "jina",
        "jina",
        "jina",
        ROUTER,
        "",
        "Jina Flow: gateway, two shards with half of the items each (FAISS HNSW), reduced by a head",
        "an orchestrator of what executors do: history, filters, carousels, fallback and freshness are all to be "
        "written; here executors do the search alone",
        "jina.ai/serve: Scale out, Customize polling behaviors",
    ),
)

ALL = (*OURS, *PEERS)
BY_NAME = {one.name: one for one in ALL}
