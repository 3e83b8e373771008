"""The event log: what shoppers did, durable, in order, read by whoever keeps up with it."""
