"""Holds and what there is, over HTTP."""

from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from core.clock import utcnow
from models.audit import AuditEntry
from models.database import Database
from models.retention.tables import SessionRemoval
from tests.session_fixtures import SmallSession

ON_ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ON_ONE
async def test_a_session_is_held_and_released_and_the_audit_knows(
    client: httpx.AsyncClient, played: SmallSession, database: Database
) -> None:
    path = f"/sessions/{played.grid}/hold"
    assert (await client.get(path)).status_code == 404
    held = await client.put(path, json={"reason": "inquiry 7"})
    assert held.status_code == 200, held.text
    assert (held.json()["reason"], held.json()["held_by"]) == ("inquiry 7", "anyone")
    assert (await client.put(path, json={"reason": "inquiry 8"})).json()["reason"] == "inquiry 8"
    assert (await client.get(path)).json()["reason"] == "inquiry 8"
    assert (await client.delete(path)).json()["reason"] == "inquiry 8"
    assert (await client.delete(path)).status_code == 404

    with database.reading() as session:
        rows = session.scalars(
            select(AuditEntry)
            .where(col(AuditEntry.entity) == "session_hold")
            .order_by(col(AuditEntry.seq))
        ).all()
    assert [(one.method, (one.after or {}).get("reason")) for one in rows] == [
        ("PUT", "inquiry 7"),
        ("PUT", "inquiry 8"),
        ("DELETE", None),
    ]


@ON_ONE
async def test_what_cannot_be_held_is_refused(
    client: httpx.AsyncClient, played: SmallSession, database: Database
) -> None:
    path = f"/sessions/{played.grid}/hold"
    assert (await client.put(f"/sessions/{uuid4()}/hold", json={"reason": "x"})).status_code == 404
    for body in ({}, {"reason": ""}, {"reason": "a\0b"}, {"reason": "x" * 1_001}, {"reason": 7}):
        assert (await client.put(path, json=body)).status_code == 422, body
    assert (await client.put("/sessions/x/hold", json={"reason": "x"})).status_code == 422
    with database.transaction() as session:
        session.add(SessionRemoval(grid_uuid=played.grid, name="trial", began_at=utcnow()))
    refused = await client.put(path, json={"reason": "late"})
    assert refused.status_code == 409
    assert "being deleted already" in refused.json()["detail"]


async def test_what_there_is_and_what_would_go_is_told(
    client: httpx.AsyncClient, played: SmallSession
) -> None:
    told = (await client.get("/retention", params={"policy": "development"})).json()
    rows = {one["table"]: one["rows"] for one in told["sizes"]}
    assert (rows["hole"], rows["square"], told["due"]["policy"]) == (6, 2, "development")
    assert told["due"]["dry_run"] is True
    assert told["due"]["sessions"] == []
    assert told["database_bytes"] > 0
    assert (await client.get("/retention")).json()["due"]["policy"] == "scientific"
    assert (await client.get("/retention", params={"policy": "none"})).status_code == 422
