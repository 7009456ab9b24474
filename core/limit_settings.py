"""Settings of what the HTTP API takes of anybody, and what it tells browsers."""

from ipaddress import ip_network

from pydantic import Field, field_validator

from core.section import Section


class LimitSettings(Section):
    """What the HTTP API takes: how much, how fast, and from where."""

    requests_per_second: float = Field(
        default=3_000.0,
        ge=0,
        description="Requests taken of one caller in the long run (of one address, where nobody "
        "is asked who they are); 0 for any number.",
    )
    requests_burst: int = Field(
        default=6_000, ge=1, description="Requests that one caller may send all at once."
    )
    login_per_minute: float = Field(
        default=60.0, gt=0, description="Requests for tokens taken from one address."
    )
    refusals_per_minute: float = Field(
        default=300.0,
        gt=0,
        description="Requests without rights (401, 403) taken from one address before all of its "
        "requests are refused for a while.",
    )
    small_body_bytes: int = Field(
        default=64 * 1024, ge=1024, description="Largest body of requests about access, in bytes."
    )
    log_body_bytes: int = Field(
        default=2 * 1024 * 1024, ge=1024, description="Largest upload of an agent's log, in bytes."
    )
    body_seconds: float = Field(
        default=20.0, gt=0, description="A body may take so long to come in, and longer when large."
    )
    body_bytes_per_second: int = Field(
        default=16 * 1024, ge=1, description="How fast a large body must come in at least."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(),
        description="Web sites whose pages may call the API from a browser, each as "
        "https://host[:port]; none by default.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks of proxies whose X-Forwarded-For and -Proto are "
        "believed; none by default.",
    )
    hsts_seconds: int = Field(
        default=31_536_000,
        ge=0,
        description="Where it is reached by https, browsers are told to keep to that for so long; "
        "0 tells them nothing.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            ip_network(one, strict=False)
        return given

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            scheme, separator, host = one.partition("://")
            if scheme not in {"http", "https"} or not separator or not host or "/" in host:
                raise ValueError(f"{one} is no origin: write it as https://host[:port]")
        return given
