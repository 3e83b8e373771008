"""A shard: snapshot in, predictions out, over the partitions that it holds."""
