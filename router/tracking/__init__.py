"""Events from pages and e-mails: a small HTTP listener beside the router, before the same way into the log."""
