"""Two sessions of two organisations, played to the end; and callers of either."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from core.caller import Caller, asking
from core.permissions import Permission, Role
from domains.cryoem import ids
from models.visibility import owning
from tests.integration.api.played import play
from tests.session_fixtures import Here, SmallSession


@dataclass(frozen=True)
class Two:
    """A session of organisation `a`, and one of organisation `b`."""

    a: SmallSession
    b: SmallSession


def caller_of(*organisations: str, role: Role = Role.ADMIN) -> Caller:
    return Caller(
        f"somebody of {' and '.join(organisations) or 'nobody'}",
        "user",
        role,
        frozenset(Permission),
        frozenset(organisations),
    )


@contextmanager
def asked_by(*organisations: str) -> Iterator[Caller]:
    caller = caller_of(*organisations)
    with asking(caller):
        yield caller


@pytest.fixture
async def two(here: Here) -> Two:
    made = Two(SmallSession(name="ours"), SmallSession(name="theirs"))
    for organisation, session in (("a", made.a), ("b", made.b)):
        await play(here, session)
        uuids = [session.grid, ids.acquisition_uuid(session.manifest)]
        await here.resources.database.write(owning.give, uuids, organisation)
    return made
