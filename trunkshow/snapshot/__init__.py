"""The snapshot's format in one place: what the builder writes is defined next to what the shards read."""
