"""The HTTP under the Athena client: pooled connections, time-outs, answers checked, errors ours."""

import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import SecretStr, TypeAdapter, ValidationError

from blocks.athena import failures
from blocks.athena.measuring import measured
from core.errors import AthenaError, ConfigurationError
from models.athena import Record

#: Idle connections kept; httpcore looks at each pair of them with every request.
_MOST_IDLE = 20

T = TypeVar("T")
R = TypeVar("R", bound=Record)

QueryValue = str | int | None | Sequence[str | int]


class Transport:
    """Sends requests to one service; usable in `async with`, or until `aclose()`."""

    def __init__(
        self,
        base_url: str,
        token: SecretStr | str | None = None,
        *,
        verify: bool | ssl.SSLContext = True,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        max_connections: int = 50,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare the connections and open none.

        Args:
            base_url: Address of the service, without `/api/v1`.
            token: Bearer token, where the service stands behind one.
            verify: Check the TLS certificate; or the TLS context to use.
            connect_timeout: Seconds to wait for a connection.
            read_timeout: Seconds to wait for an answer beyond what the request itself asks for.
            max_connections: Most connections at once; each waiting TimedDecision holds one.
            transport: What carries the requests instead of the network, where not httpx's own.

        Raises:
            ConfigurationError: The address is no URL, or the token cannot be a header.
        """
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._http = httpx.AsyncClient(
            base_url=_address(base_url),
            headers={"Accept": "application/json", **_authorization(token)},
            verify=verify,
            limits=httpx.Limits(
                max_connections=max_connections, max_keepalive_connections=_MOST_IDLE
            ),
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        answers: TypeAdapter[T],
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
        waits: float = 0.0,
    ) -> T:
        """Send one request and return its checked answer; 204 reads as `null`.

        Args:
            method: HTTP method.
            path: Path below `/api/v1`.
            answers: What the answer must be.
            query: Query parameters; those that are None are left out.
            body: JSON.
            waits: Seconds that the service is asked to wait before it answers.

        Raises:
            AthenaError: Or the subclass that says whether the request may be sent again.
        """
        with measured(method, path):
            response = await self._send(method, path, query=query, body=body, waits=waits)
            content = (
                response.content if response.status_code != httpx.codes.NO_CONTENT else b"null"
            )
            try:
                # Properties that a later version of the service adds must not stop a session.
                return answers.validate_json(content, strict=True, extra="ignore")
            except ValidationError as exc:
                first = exc.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(step) for step in first["loc"]) or "answer"
                raise AthenaError(
                    f"{method} {path}: {response.status_code} with an answer that does not match "
                    f"the contract: {where}: {first['msg']}",
                    status=response.status_code,
                ) from exc

    async def _do(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
    ) -> None:
        """Send one request whose success says nothing; errors as `_call`."""
        with measured(method, path):
            await self._send(method, path, query=query, body=body)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: bytes | None = None,
        waits: float = 0.0,
    ) -> httpx.Response:
        try:
            response = await self._http.request(
                method,
                f"/api/v1/{path}",
                params={k: v for k, v in (query or {}).items() if v is not None},
                content=body,
                headers={"Content-Type": "application/json"} if body is not None else None,
                timeout=httpx.Timeout(
                    self._read_timeout + waits,
                    connect=self._connect_timeout,
                    pool=self._connect_timeout + self._read_timeout,
                ),
            )
        except tuple(failures.FAILURES) as exc:
            raise failures.from_httpx(exc, method, path) from exc
        if not response.is_success:
            raise failures.from_answer(response, method, path)
        return response


def as_json(record: Record) -> bytes:
    """Return the record as a request body; what is not set is left out."""
    return record.model_dump_json(by_alias=True, exclude_none=True).encode()


def list_as_json(adapter: TypeAdapter[tuple[R, ...]], records: Sequence[R]) -> bytes:
    """Return the records as one request body; what is not set is left out."""
    return adapter.dump_json(tuple(records), by_alias=True, exclude_none=True)


def _address(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise ConfigurationError(f"The address of Athena is no URL: {exc}") from exc
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError(
            f"The address of Athena must begin with http:// or https://, not {url!r}."
        )
    return url


def _authorization(token: SecretStr | str | None) -> dict[str, str]:
    secret = token.get_secret_value() if isinstance(token, SecretStr) else token
    if not secret:
        return {}
    # Checked here because h11 quotes a header that it refuses in its message.
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ConfigurationError("The token of Athena has a character that no bearer token has.")
    return {"Authorization": f"Bearer {secret}"}
