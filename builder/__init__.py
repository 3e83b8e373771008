"""The builder: event files in, a versioned snapshot out.

It reads the sources that a dataset file names, trains, partitions, writes and evaluates, and publishes only
what passed. It never serves: the shards and the router do, and neither imports this package.
"""
