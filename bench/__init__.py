"""What is fast, and next to what. Every program prints a table, or with `--json` one value; RESULTS.md keeps both.

    python -m bench             what follows down to the opening, and the aims: `make bench`
    python -m bench.ladder      what each step costs between a bare echo and a router, at its peak and at half of it
    python -m bench.recall      recall of the whole serving path against exact search
    python -m bench.memory      what a user costs a shard in memory
    python -m bench.opening     how long a generation takes to open, and what others notice
    python -m bench.passes      what a router's own work costs per slate, without gRPC
    python -m bench.accuracy    recall, NDCG, coverage and novelty on three data sets, beside other libraries and models
    python -m bench.served      recall and NDCG of what a shard answers on Gowalla, and what a blended answer costs
    python -m bench.index       time and recall of vector index kinds, by size
    python -m bench.ingest      rows per second and memory of reading ten million events
    python -m bench.fresh       from an event to its effect, beside 2,000 events and 200 requests a second
    python -m bench.hearing     what an event of the log costs a shard, part by part, and a router
    python -m bench.replays     what it costs to read the log again for a version that comes
    python -m bench.trending    planted surges found in a replay, beside counts and plainer scores
    python -m bench.peers       what users would use instead, beside a shard of ours, at equal recall
    python -m bench.intent      next-item hit@20 within sessions, without and with the present intent
    python -m bench.growth      what grows with users, items, partitions and shards: points, charts, costs per unit

Machines differ and share their cores, so a claim here is a ratio of two things measured in one run, in turns, and
the median over the turns. Nothing here is imported by the product.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # before gRPC is imported: it tells every connection that ended
