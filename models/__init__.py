"""Tables, messages and API schemas; the inbox and outbox."""

from models import base as base  # names constraints, so it goes before any table
