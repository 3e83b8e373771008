"""What serving learns from the event log between two snapshots, as far as routers and shards must agree on it."""
