"""What users and items did lately, as numbers: asked of the shards that keep them."""
