"""Chaos: messages by the thousand through crashes, held against a reference model."""
