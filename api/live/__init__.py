"""Server-sent events: what agents and pages are told as it happens."""
