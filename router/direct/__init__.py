"""What clients that ask shards themselves are told."""
