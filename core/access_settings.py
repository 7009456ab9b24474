"""Settings of who may use the HTTP API."""

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from core.permissions import Role
from core.section import Section


class OidcSettings(Section):
    """A facility's OpenID Connect issuer, whose tokens are taken beside our own."""

    issuer: str | None = Field(
        default=None, description="The issuer's URL, as its tokens say it; unset takes none."
    )
    audience: str | None = Field(
        default=None, description="Audience that its tokens must name: how it calls this API."
    )
    jwks_url: str | None = Field(
        default=None, description="Where its public keys are; unset asks the issuer's discovery."
    )
    algorithms: tuple[
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
        ...,
    ] = Field(default=("RS256", "ES256"), min_length=1, description="Signatures that are accepted.")
    leeway_seconds: float = Field(
        default=30.0, ge=0, le=300, description="How far its clock may be off ours."
    )
    keys_seconds: float = Field(
        default=600.0, gt=0, description="Its public keys are asked for anew after so long."
    )
    keys_pause_seconds: float = Field(
        default=10.0,
        ge=0,
        description="They are asked for at most so often, whatever key a token names.",
    )
    name_claim: str = Field(
        default="preferred_username",
        description="Claim with the caller's name, with dots where it is nested.",
    )
    role_claim: str = Field(
        default="roles", description="Claim with the caller's role or roles; the highest counts."
    )
    roles: dict[str, Role] = Field(
        default={},
        description='Its roles in ours, as {"beamline-staff": "engineer"}; ours are themselves.',
    )
    default_role: Role | None = Field(
        default=None, description="Role of who has none of these; unset refuses them."
    )
    organisations_claim: str = Field(
        default="organisations",
        description="Claim with the organisations whose sessions the caller sees.",
    )


class AccessSettings(Section):
    """Who may use the HTTP API."""

    mode: Literal["auto", "open", "required"] = Field(
        default="auto",
        description="`required` asks every caller for a token; `open` asks nobody, and only "
        "where the API listens on loopback; `auto` is open on loopback and else required.",
    )
    signing_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="What our own tokens are signed by: 32 random characters or more, the same "
        "for all API processes; unset makes a key in the home folder.",
    )
    access_minutes: float = Field(
        default=10.0, gt=0, le=1440, description="How long an access token of ours is good for."
    )
    login_hours: float = Field(
        default=168.0, gt=0, description="After so long a person gives the password again."
    )
    remember_seconds: float = Field(
        default=5.0,
        ge=0,
        description="For so long another process may not know yet that somebody was shut out.",
    )
    failures_per_minute: int = Field(
        default=10, ge=1, description="Wrong passwords or secrets taken from one address."
    )
    public_metrics: bool = Field(
        default=False, description="Show /metrics without a token, to Prometheus for example."
    )
    visit_pattern: str = Field(
        default="",
        description="Regular expression whose group `organisation` tells from the folder of a "
        "session whose it is, where its sender does not; empty tells nothing.",
    )
    oidc: OidcSettings = OidcSettings()

    @field_validator("visit_pattern")
    @classmethod
    def _names_an_organisation(cls, given: str) -> str:
        try:
            found = re.compile(given).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if given and "organisation" not in found:
            raise ValueError("has no group (?P<organisation>…)")
        return given
