"""`trunkshow chaos`: break a local cluster on purpose, while it is asked, and say what became of the answers.

Five things are kept apart: `visitors`, `driver` and `recording` make the traffic, `model` and `ledger` say what is
right, `faults` what goes wrong, `run` when, and `verdict` and `report` what came of it. Everything that is drawn is
drawn from one seed before the run, so that a run can be done again from its seed and its commit.
"""

import os

# Before gRPC is loaded, which reads it then: what it does in a child after a fork, of the kind that uvloop does, ends
# one child in fifty before it has become another program, where calls are under way meanwhile.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
