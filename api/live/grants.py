"""Whether who opened a stream may still have it: asked again with each heartbeat."""

from dataclasses import dataclass
from typing import Final

from fastapi import Request
from sqlalchemy.exc import DBAPIError

from api.access.bearers import Access
from core.caller import Caller, current_caller
from core.errors import NotAuthenticated, NotPermitted, StorageUnavailable

#: Callers who were asked who they are.
_KNOWN: Final = frozenset({"user", "client", "key"})

#: Why a stream ends whose grant does, as its last event says.
ENDED: Final = "access_ended"
MESSAGE: Final = (
    "The token or key that opened this stream is no longer good, or its rights have changed. "
    "Connect again."
)


@dataclass(frozen=True)
class Grant:
    """By what somebody opened a stream."""

    access: Access
    caller: Caller
    #: What they showed; None where nobody is asked.
    token: str | None
    #: Whose streams are counted together: the caller's, or the address's where nobody is asked.
    counted: str

    @classmethod
    def of(cls, request: Request) -> "Grant":
        """Return the grant of a request that the guard let pass."""
        caller, access = current_caller(), request.app.state.access
        if caller.kind not in _KNOWN:
            return cls(access, caller, None, request.client.host if request.client else "unknown")
        token = request.headers["authorization"].partition(" ")[2].strip()
        return cls(access, caller, token, f"{caller.kind} {caller.name}")

    async def lasts(self) -> bool:
        """Return whether it is as good as it was.

        A token is looked up once for all streams that it opened. While the database is away
        nobody was shut out, as far as is known.
        """
        if self.token is None:
            return True
        try:
            return await self.access.bearer(self.token) == self.caller
        except (NotAuthenticated, NotPermitted):
            return False
        except (StorageUnavailable, DBAPIError):
            return True
