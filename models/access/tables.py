"""Tables of users, of who is signed in, of machine clients and of API keys.

Secrets are nowhere in them: passwords are hashed with argon2, and what Athanor itself made up
(refresh tokens, clients' secrets, keys) is too long to be guessed, so SHA-256 hides it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Field, SQLModel

from models.base import json_field


class Grantee(SQLModel):
    """What users, clients and keys are given."""

    role: str
    created_at: datetime


class AccessUser(Grantee, table=True):
    """A person with a password of their own; those of a facility's issuer have no row."""

    __tablename__ = "access_user"  # pyright: ignore[reportAssignmentType]

    uuid: UUID = Field(primary_key=True)
    name: str = Field(unique=True)
    password_hash: str
    #: Names of the organisations whose sessions they see; NULL for those of all.
    organisations: Any = json_field(nullable=True)
    password_changed_at: datetime
    last_login_at: datetime | None = None
    disabled_at: datetime | None = None


class Login(SQLModel, table=True):
    """One signing in of a user: the family of all refresh tokens that came of it."""

    __tablename__ = "login"  # pyright: ignore[reportAssignmentType]

    uuid: UUID = Field(primary_key=True)
    user_uuid: UUID = Field(foreign_key="access_user.uuid", index=True)
    created_at: datetime
    #: The family's end, however often it was refreshed.
    expires_at: datetime = Field(index=True)
    revoked_at: datetime | None = None
    #: `signed out`, `reuse`, `password` or `disabled`.
    revoked_for: str | None = None


class RefreshToken(SQLModel, table=True):
    """One refresh token; it is used once, and a second use ends its family."""

    __tablename__ = "refresh_token"  # pyright: ignore[reportAssignmentType]

    #: SHA-256, in hexadecimal.
    token_hash: str = Field(primary_key=True)
    login_uuid: UUID = Field(foreign_key="login.uuid", index=True)
    issued_at: datetime
    used_at: datetime | None = None


class MachineClient(Grantee, table=True):
    """A program that gets tokens for its own name and secret (OAuth's client credentials)."""

    __tablename__ = "machine_client"  # pyright: ignore[reportAssignmentType]

    name: str = Field(primary_key=True)
    #: SHA-256, in hexadecimal.
    secret_hash: str
    #: Permissions that it is limited to; NULL for all of its role.
    scopes: Any = json_field(nullable=True)
    #: As a user's.
    organisations: Any = json_field(nullable=True)
    last_used_at: datetime | None = None
    disabled_at: datetime | None = None


class ApiKey(Grantee, table=True):
    """A key that is sent as a bearer token, by an agent for example."""

    __tablename__ = "api_key"  # pyright: ignore[reportAssignmentType]

    #: How the key begins, which people may see.
    prefix: str = Field(primary_key=True)
    #: SHA-256 of the whole, in hexadecimal.
    key_hash: str = Field(unique=True)
    #: Who uses it, for people and the audit.
    name: str
    #: As a client's.
    scopes: Any = json_field(nullable=True)
    #: As a user's.
    organisations: Any = json_field(nullable=True)
    created_by: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
