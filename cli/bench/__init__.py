"""`trunkshow bench`: how fast a running cluster answers, and how fast anything else that speaks gRPC does.

`arrivals` draws when who is asked for, `driver` asks, `judging` says what a reply is worth, `outcome` is what came of
it, as a value. `usage` weighs processes of this machine. `command` and `report` are the command line's.
"""
