"""The shards: the lines to them, what each says that it holds, and what each is told of the others."""
