"""What grows with users, items, partitions and shards: measured one axis at a time, fitted, drawn.

    python -m bench.growth              every point that has not been measured yet, the charts, the fitted costs
    python -m bench.growth.likeness     how like real data the made-up people are

`people` makes the data up, `points` says what is measured, `making` builds a snapshot of it, `serving` asks a router
and shards that serve it, `fitting` turns points into what is `wanted`: costs per unit, `charts` draws them.
"""
