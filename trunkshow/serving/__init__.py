"""What every server of the cluster is made of: start, health, drain, statuses, deadline, telemetry."""
