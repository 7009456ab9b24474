"""What the routes of access take and give."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.caller import CallerKind
from core.permissions import Permission, Role
from models.paging import View

_Text = Annotated[str, Field(max_length=8_192)]


class TokenWanted(BaseModel):
    """How somebody signs in (OAuth 2)."""

    grant_type: Literal["password", "refresh_token", "client_credentials"] = Field(
        default="password", description="What is sent to prove who it is."
    )
    username: _Text | None = Field(default=None, description="Of a person.")
    password: _Text | None = Field(default=None, description="Of a person.")
    refresh_token: _Text | None = Field(
        default=None, description="For more tokens without a password."
    )
    client_id: _Text | None = Field(default=None, description="Name of a machine client.")
    client_secret: _Text | None = Field(default=None, description="Of a machine client.")
    scope: _Text = Field(
        default="", description="Permissions to limit a client's token to, with spaces between."
    )


class Tokens(View):
    """What to send from now on (OAuth 2)."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["bearer"] = Field(default="bearer", description="How it is sent.")
    expires_in: int = Field(description="Seconds until it is worthless.")
    refresh_token: str | None = Field(
        default=None, description="Gets the next tokens, once; for people only."
    )
    scope: str = Field(description="Permissions that it gives, with spaces between.")


class Me(View):
    """Who is asking."""

    name: str = Field(description="As approvals and the audit name them.")
    kind: CallerKind = Field(description="`anyone` where the API asks nobody who they are.")
    role: Role = Field(description="viewer, operator, engineer or admin.")
    permissions: list[Permission] = Field(description="All that they may do.")
    organisations: list[str] | None = Field(
        description="Whose sessions they see; null for those of all."
    )


class KeyView(View):
    """An API key, without what is secret of it."""

    prefix: str = Field(description="How it begins.")
    name: str = Field(description="Who uses it.")
    role: Role = Field(description="What it may do at most.")
    scopes: list[Permission] | None = Field(
        description="Permissions that it is limited to; null for all of its role."
    )
    organisations: list[str] | None = Field(
        description="Whose sessions it sees; null for those of all."
    )
    created_at: datetime = Field(description="When it was made.")
    created_by: str = Field(description="Who made it.")
    expires_at: datetime | None = Field(description="When it becomes worthless; null for never.")
    last_used_at: datetime | None = Field(description="When it was used last, to the minute.")
    revoked_at: datetime | None = Field(description="When it was made worthless.")


class NewKeyView(KeyView):
    """A key that was just made, whole: it is shown this once."""

    key: str = Field(description="Send it as `Authorization: Bearer …`.")


class KeyWanted(BaseModel):
    """The key that is to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=100, description="Who uses it.", examples=["krios-1-agent"]
    )
    role: Role = Field(default=Role.OPERATOR, description="What it may do at most.")
    scopes: Annotated[list[Permission], Field(min_length=1)] | None = Field(
        default=None, description="Permissions to limit it to."
    )
    organisations: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]],
            Field(min_length=1, max_length=1_000),
        ]
        | None
    ) = Field(default=None, description="Whose sessions it sees; null for those of all.")
    days: float | None = Field(
        default=None, gt=0, le=36_500, description="How long it is good for; null for ever."
    )
