"""Who is asking: known to every line that a request runs through, without being handed on."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal

from core.permissions import Permission, Role

#: A person, a machine client with a secret, an API key; anyone where nobody is asked who they
#: are; Athanor itself: its commands, workers and sensors; and whoever typed this name where
#: nobody looked who they are.
CallerKind = Literal["user", "client", "key", "anyone", "system", "unverified"]


@dataclass(frozen=True)
class Caller:
    """Somebody who asks for something, and what they may do."""

    #: As the audit and approvals name them; unique within a kind.
    name: str
    kind: CallerKind
    role: Role
    #: Those of the role, or fewer: a key may be given a few of them only.
    permissions: frozenset[Permission]
    #: Whose sessions they see (visits or groups); None sees those of all.
    organisations: frozenset[str] | None = field(default_factory=frozenset)

    def may(self, permission: Permission) -> bool:
        """Whether they may do it."""
        return permission in self.permissions

    @property
    def sees_all(self) -> bool:
        """Whether sessions of all organisations are theirs to see."""
        return self.organisations is None


#: Athanor's own processes and commands: who can run them has the database anyway.
SYSTEM: Final = Caller("athanor", "system", Role.ADMIN, frozenset(Permission), None)
#: Whoever asks an API that asks nobody who they are (`access.mode`).
ANYONE: Final = Caller("anyone", "anyone", Role.ADMIN, frozenset(Permission), None)
#: Whoever asks for what everybody may see, where nobody looked who they are.
NOBODY: Final = Caller("nobody", "anyone", Role.VIEWER, frozenset())

_current: ContextVar[Caller] = ContextVar("athanor_caller", default=SYSTEM)


def current_caller() -> Caller:
    """Return who is asking: the request's caller, or Athanor itself outside of requests."""
    return _current.get()


@contextmanager
def asking(caller: Caller) -> Iterator[None]:
    """Let somebody be the caller while the context lasts, in threads started from it too."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
