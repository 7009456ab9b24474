"""Deterministic ids: the same thing gets the same uuid wherever and whenever it is seen."""

from uuid import UUID, uuid5

#: Root of every deterministic id of ours. Changing it would orphan all stored rows.
ATHANOR = UUID("6d1f3c52-8e8a-5c0b-9a3e-7f0f7b9a4d11")


def derived(parent: UUID, *parts: object) -> UUID:
    """Return the UUIDv5 of `parts` under `parent`.

    Parts are joined by the unit separator, which no natural id contains, so that
    ("a", "bc") and ("ab", "c") differ.
    """
    return uuid5(parent, "\x1f".join(str(part) for part in parts))
