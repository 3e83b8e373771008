"""Which snapshots are served, by the store's pointer and what the shards hold; and where a user is looked for."""
