"""Shards are asked: which replicas, in what order and against whom, and what is thought of each by its answers."""
