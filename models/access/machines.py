"""Machine clients and API keys: made, found and shut out."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select
from sqlmodel import Session, col

from core.errors import BadInput, Conflict, NotFound
from core.permissions import Role
from models.access.grants import known_name, normal_name, read_organisations, read_scopes
from models.access.secrets import KEY_MARK, hash_secret, make_secret, prefix_of
from models.access.tables import ApiKey, MachineClient

#: The last use is written down at most so often: a key may be used a thousand times a second.
USE_NOTED_EVERY: Final = timedelta(minutes=1)


def add_client(
    session: Session,
    name: str,
    role: Role,
    *,
    scopes: Iterable[str] = (),
    organisations: Iterable[str] = (),
    now: datetime,
) -> tuple[MachineClient, str]:
    """Make a machine client; return it and its secret, which nobody can look up later.

    Raises:
        Conflict: There is one of that name.
        BadInput: Name or scopes will not do.
    """
    name = normal_name(name)
    if session.get(MachineClient, name) is not None:
        raise Conflict(f"There is a client {name} already.")
    secret = make_secret("aths_")
    client = MachineClient(
        name=name,
        secret_hash=hash_secret(secret),
        role=role,
        scopes=read_scopes(scopes),
        organisations=read_organisations(organisations),
        created_at=now,
    )
    session.add(client)
    return client, secret


def list_clients(session: Session) -> list[MachineClient]:
    """Return all machine clients, by name."""
    return list(session.scalars(select(MachineClient).order_by(col(MachineClient.name))))


def disable_client(session: Session, name: str, *, now: datetime) -> None:
    """Shut a machine client out.

    Raises:
        NotFound: There is none of that name.
    """
    client = _client(session, name)
    if client is None:
        raise NotFound(f"There is no client {name}. `athanor clients list` shows which there are.")
    client.disabled_at = client.disabled_at or now
    session.add(client)


def active_client(session: Session, name: str) -> MachineClient | None:
    """Return the machine client of that name, unless it is shut out."""
    client = _client(session, name)
    return None if client is None or client.disabled_at is not None else client


def _client(session: Session, name: str) -> MachineClient | None:
    known = known_name(name)
    return session.get(MachineClient, known) if known is not None else None


def add_key(
    session: Session,
    name: str,
    role: Role,
    *,
    scopes: Iterable[str] = (),
    organisations: Iterable[str] = (),
    days: float | None = None,
    created_by: str,
    now: datetime,
) -> tuple[ApiKey, str]:
    """Make an API key; return it and what is to be sent, which nobody can look up later.

    Args:
        session: The transaction.
        name: Who uses it; several keys may share one, while one takes over from another.
        role: What it may do at most.
        scopes: Permissions that it is limited to; all of its role when none is given.
        organisations: Whose sessions it sees; those of all when none is given.
        days: How long it is good for; for ever when not given.
        created_by: Who made it.
        now: The time.

    Raises:
        BadInput: Name, scopes or days will not do.
    """
    if days is not None and not 0 < days <= 36_500:
        raise BadInput("A key is good for more than 0 and at most 36,500 days.")
    secret = make_secret(KEY_MARK)
    key = ApiKey(
        prefix=prefix_of(secret),
        key_hash=hash_secret(secret),
        name=normal_name(name),
        role=role,
        scopes=read_scopes(scopes),
        organisations=read_organisations(organisations),
        created_by=created_by,
        created_at=now,
        expires_at=now + timedelta(days=days) if days is not None else None,
    )
    session.add(key)
    return key, secret


def list_keys(session: Session) -> list[ApiKey]:
    """Return all API keys, the newest first."""
    return list(
        session.scalars(select(ApiKey).order_by(col(ApiKey.created_at).desc(), col(ApiKey.prefix)))
    )


def revoke_key(session: Session, prefix: str, *, now: datetime) -> ApiKey:
    """Make a key worthless.

    Raises:
        NotFound: There is none that begins so.
    """
    # No prefix of ours has another letter; PostgreSQL would not even look for some.
    key = session.get(ApiKey, prefix) if prefix.isascii() and prefix.isprintable() else None
    if key is None:
        raise NotFound(f"There is no key {prefix}. `athanor keys list` shows which there are.")
    key.revoked_at = key.revoked_at or now
    session.add(key)
    return key


def active_key(session: Session, secret: str, *, now: datetime) -> ApiKey | None:
    """Return the key that was sent, unless it is revoked or past its time."""
    return session.scalars(
        select(ApiKey).where(
            col(ApiKey.key_hash) == hash_secret(secret),
            col(ApiKey.revoked_at).is_(None),
            or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > now),
        )
    ).one_or_none()


def is_use_noted(row: ApiKey | MachineClient, *, now: datetime) -> bool:
    """Whether the last use that is written down is recent enough."""
    return row.last_used_at is not None and now - row.last_used_at < USE_NOTED_EVERY


def note_use(
    session: Session, model: type[ApiKey | MachineClient], ident: str, now: datetime
) -> None:
    """Write down that a key or client was used."""
    row = session.get(model, ident)
    if row is not None:
        row.last_used_at = now
        session.add(row)
