"""What users would use instead, measured beside a shard of ours in one run: `python -m bench.peers`.

    registry    who is measured, next to which part of ours, and what each does not do
    install     each peer's own environment, from the versions in `requirements/`
    data        the same items, queries and exact answers for all
    protocol    what a peer is: a file of its own per peer, which runs in the peer's environment
    host        the process in that environment: starts the peer's server, and asks it
    remote      the other end: how a run starts hosts, tells them what to do, and ends them
    sweep       how far a peer's index is turned up, so that all find the same share of the exact answers
    run         what is measured in which order, and the ratios
    report      what a run came to, as JSON; markdown: as tables

One peer is up at a time. Servers listen on this machine alone, unless `registry` says otherwise, and end with the run.
"""
