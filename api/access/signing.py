"""Tokens that Athanor signs itself: short ones, with a key that only its API processes read."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from core.errors import ConfigurationError, NotAuthenticated, StorageUnavailable

#: As our tokens say who made them, and for whom.
ISSUER: Final = "athanor"
#: The only signature that is looked at: what a token itself says of it counts for nothing.
_ALGORITHM = "EdDSA"
_REQUIRED = ("exp", "iat", "iss", "aud", "sub", "jti")


@dataclass(frozen=True)
class Claims:
    """What a token of ours says, once its signature is found good."""

    #: Name of the user or client.
    name: str
    #: The signing in of a user; None for a client.
    login: UUID | None
    #: Permissions that a client asked for; None for all that it may have.
    scopes: Sequence[str] | None
    expires_at: float


class Signer:
    """Makes tokens and checks them."""

    def __init__(self, key_file: Path, *, secret: str | None = None) -> None:
        """Take what to sign by.

        Args:
            key_file: Where the key is; it is read, or made, at the first use.
            secret: What the key follows from instead, the same wherever it is the same.
        """
        self._key_file = key_file
        self._secret = secret

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        if self._secret is not None:
            return _derived(self._secret)
        return _read_or_make(self._key_file)

    def sign_user(self, name: str, login: UUID, *, now: datetime, lasts: timedelta) -> str:
        """Return a token for a user who has signed in."""
        return self._sign({"sub": name, "sid": str(login)}, now, lasts)

    def sign_client(
        self, name: str, scopes: Sequence[str] | None, *, now: datetime, lasts: timedelta
    ) -> str:
        """Return a token for a machine client, with all or some of its permissions."""
        asked = {} if scopes is None else {"scope": " ".join(scopes)}
        return self._sign({"sub": name, **asked}, now, lasts)

    def _sign(self, claims: dict[str, Any], now: datetime, lasts: timedelta) -> str:
        common = {
            "iss": ISSUER,
            "aud": ISSUER,
            "iat": now,
            "exp": now + lasts,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode({**common, **claims}, self._key, _ALGORITHM, {"typ": "at+jwt"})

    def read(self, token: str) -> Claims:
        """Return what a token of ours says.

        Raises:
            NotAuthenticated: It is not of ours, or past its time.
        """
        try:
            said = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=[_ALGORITHM],
                audience=ISSUER,
                issuer=ISSUER,
                options={"require": list(_REQUIRED)},
            )
            login = UUID(said["sid"]) if "sid" in said else None
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError) as error:
            raise NotAuthenticated(f"The token is not good: {error}.") from error
        scopes = said["scope"].split() if "scope" in said else None
        return Claims(said["sub"], login, scopes, float(said["exp"]))


def _derived(secret: str) -> Ed25519PrivateKey:
    """Return the key that follows from a secret, which is too long to be guessed."""
    stretched = HKDF(SHA256(), length=32, salt=None, info=b"athanor access tokens")
    return Ed25519PrivateKey.from_private_bytes(stretched.derive(secret.encode()))


def _read_or_make(path: Path) -> Ed25519PrivateKey:
    try:
        if not path.exists():
            _make(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise StorageUnavailable(
            f"The signing key {path} cannot be read or made: {error.strerror}. Check the rights "
            "of its folder, or give ATHANOR_ACCESS__SIGNING_SECRET instead."
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{path} holds no private key in PEM.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} holds a key of another kind than Ed25519.")
    return key


def _make(path: Path) -> None:
    """Make a key that only its owner reads; of two processes that make one, the first counts."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        # Linked whole: nobody reads half a key, and none is written over.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
