"""The command line: `trunkshow …`. The only room that knows router, shard and builder; nothing imports it."""
