"""The event log as Parquet files that the builder reads: the loop closes."""
