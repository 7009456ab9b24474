"""Tables, messages and API schemas; the inbox and outbox."""
