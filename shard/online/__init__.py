"""What users did since the snapshot: the log followed, kept for the users held here, folded into their slates."""
