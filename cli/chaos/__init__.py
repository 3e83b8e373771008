"""`trunkshow chaos`: break a local cluster on purpose, while it is asked, and say what became of the answers.

Five things are kept apart: `visitors` and `driver` make the traffic, `model` says what is right, `faults` what goes
wrong, `run` when, and `verdict` and `report` what came of it. Everything that is drawn is drawn from one seed before
the run, so that a run can be done again from its seed and its commit.
"""
