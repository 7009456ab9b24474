"""Secrets that Athanor makes up, and how they and passwords are kept."""

import functools
import hashlib
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import BadInput

#: How an API key begins: scanners for leaked secrets, and people, know it by that.
KEY_MARK = "athk_"
#: How much of a key its prefix shows: the mark and 8 letters of 43.
_SHOWN = len(KEY_MARK) + 8
#: 256 bits: nobody guesses them, so that a plain hash hides them.
_BYTES = 32
_SHORTEST_PASSWORD = 12
#: Hashing takes longer for longer ones.
_LONGEST_PASSWORD = 1_000

_HASHER = PasswordHasher()


def make_secret(mark: str = "") -> str:
    """Return a new secret that begins with a mark."""
    return mark + secrets.token_urlsafe(_BYTES)


def make_password() -> str:
    """Return a new password that a person can type."""
    # Without letters that look like others; 5 bits each.
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    groups = ("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def hash_secret(secret: str) -> str:
    """Return what is kept of a secret that was made up here."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same_secret(secret: str, kept: str) -> bool:
    """Whether a secret is the one that was kept, in a time that tells nothing."""
    return secrets.compare_digest(hash_secret(secret), kept)


def prefix_of(key: str) -> str:
    """Return the part of a key that may be shown."""
    return key[:_SHOWN]


def hash_password(password: str) -> str:
    """Return what is kept of a password.

    Raises:
        BadInput: It is too short or too long.
    """
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise BadInput(
            f"A password has from {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD:,} characters."
        )
    return _HASHER.hash(password)


def is_password(password: str, kept: str | None) -> bool:
    """Whether a password is the one that was kept.

    Without one (there is no such user) it takes as long, and it is not.
    """
    try:
        _HASHER.verify(kept or _nobodys(), password[:_LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None and len(password) <= _LONGEST_PASSWORD


@functools.cache
def _nobodys() -> str:
    return _HASHER.hash(make_secret())
