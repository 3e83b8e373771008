"""New snapshots are tried, and promoted or refused by what comes of it; a spoilt one is taken back."""
