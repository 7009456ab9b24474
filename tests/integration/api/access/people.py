"""Users, keys and clients as tests make them."""

from collections.abc import Iterable
from typing import Any

import httpx

from core.clock import utcnow
from core.permissions import Role
from models.access import machines, users
from models.database import Database

PASSWORD = "correct horse battery"


async def add_user(database: Database, name: str, role: Role = Role.OPERATOR, **more: Any) -> None:
    await database.write(users.add_user, name, PASSWORD, role, now=utcnow(), **more)


async def add_key(
    database: Database, role: Role = Role.ADMIN, *, scopes: Iterable[str] = (), **more: Any
) -> dict[str, str]:
    """Make a key; return the header that sends it."""
    _, key = await database.write(
        machines.add_key, "robot", role, scopes=scopes, created_by="tests", now=utcnow(), **more
    )
    return bearer(key)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def sign_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> Any:
    answer = await client.post("/auth/token", data={"username": name, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


def require_refused(answer: httpx.Response, status: int) -> str:
    """Check that an answer refuses in the words of a problem document; return its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="athanor"'
    return problem["detail"]
