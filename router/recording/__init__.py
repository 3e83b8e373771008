"""Events in: checked, stamped, and written to the event log; nobody waits for it longer than a deadline."""
