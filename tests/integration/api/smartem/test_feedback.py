"""What image processing tells through HTTP is a message like any other."""

import json
import math
from typing import Any

import httpx
from sqlmodel import select

from domains.cryoem import ids
from models.cryoem.messages import parse
from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.smartem.prediction_views import CtfEstimationRegisteredRequest
from models.database import Database
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from tasks.cryoem.client_messages import take_verdict
from tasks.cryoem.measurements import drain_measurements
from tests.integration.models.measured import photographed
from tests.session_fixtures import Here, RecordingLauncher

COMPLETED = [
    ("motion_correction/completed", {"total_motion": 21.5, "average_motion": 0.5}),
    ("ctf_estimation/completed", {"ctf_max_res": 3.5}),
]
REGISTERED = [
    ("motion_correction/registered", {"quality": True}, "motioncorrection"),
    ("ctf_estimation/registered", {"quality": False}, "ctfmaxresolution"),
    ("ctf_estimation/registered", {"quality": False, "metric_name": "own"}, "own"),
]


async def test_measurements_are_worked_on(
    client: httpx.AsyncClient, database: Database, here: Here, launcher: RecordingLauncher
):
    site = photographed(database, [[11]])
    micrograph = ids.micrograph_uuid(site.grid, "FoilHole_11")
    for path, body in COMPLETED:
        answer = await client.post(f"/micrographs/{micrograph}/{path}", json=body)
        assert (answer.status_code, answer.json()) == (202, {"published": True})
    assert set(launcher.launched) == {("ingest-measurements", str(site.grid))}
    await drain_measurements.fn(site.grid)
    with database.reading() as session:
        found = {row.name: row.value for row in session.exec(select(CurrentMeasurement))}
    assert found == {
        "total_motion": 21.5,
        "average_motion": 0.5,
        "ctf_max_resolution_estimate": 3.5,
    }


async def test_what_others_judged_is_kept(client: httpx.AsyncClient, database: Database):
    site = photographed(database, [[11]])
    micrograph = ids.micrograph_uuid(site.grid, "FoilHole_11")
    for path, body, metric in REGISTERED:
        answer = await client.post(f"/micrographs/{micrograph}/{path}", json=body)
        assert (answer.status_code, answer.json()) == (202, {"published": True})
        with database.reading() as session:
            row = session.exec(select(InboxMessage).order_by(InboxMessage.seq.desc())).first()
        said: Any = parse(row.payload)
        assert (said.micrograph_uuid, said.quality, said.metric_name) == (
            micrograph,
            body["quality"],
            metric,
        )


async def test_what_others_judged_is_published(database: Database, here: Here):
    site = photographed(database, [[11]])
    micrograph = ids.micrograph_uuid(site.grid, "FoilHole_11")
    asked = CtfEstimationRegisteredRequest(quality=True, metric_name=None)
    for _ in range(2):
        await take_verdict(here.resources, micrograph, asked, publish=True)
    with database.reading() as session:
        rows = session.exec(select(OutboxMessage)).all()
    said = {
        "event_type": "ctf.registered",
        "micrograph_uuid": str(micrograph),
        "quality": True,
        "metric_name": "ctfmaxresolution",
    }
    assert [(row.flow, row.payload) for row in rows] == [("publish-messages", said)] * 2
    assert here.launched == [("publish-messages", str(site.grid))]


async def test_what_is_no_feedback_is_refused(client: httpx.AsyncClient, database: Database):
    site = photographed(database, [[11]])
    micrograph = ids.micrograph_uuid(site.grid, "FoilHole_11")
    for path, body, *_ in [*COMPLETED, *REGISTERED]:
        unknown = await client.post(f"/micrographs/{site.grid}/{path}", json=body)
        assert unknown.status_code == 404, path
        for wrong in (None, "much", -1, math.inf):
            changed = dict.fromkeys(body, wrong)
            refused = await client.post(
                f"/micrographs/{micrograph}/{path}",
                content=json.dumps(changed),
                headers={"content-type": "application/json"},
            )
            assert refused.status_code == 422, (path, wrong)
    with database.reading() as session:
        assert session.exec(select(InboxMessage)).all() == []
