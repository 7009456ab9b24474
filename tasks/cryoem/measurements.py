"""Record what image processing measured on micrographs, judge it, and tell who listens."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from prefect import task
from prefect.runtime import flow_run
from sqlmodel import Session

from blocks.resources import current
from core.clock import utcnow
from core.errors import MessageRejected
from domains.cryoem.metrics import CTF, MOTION, PARTICLES
from domains.cryoem.quality import is_good
from models.cryoem import athena, measurements, messages, values
from models.cryoem.emitted import Emitted, emit_all
from models.cryoem.instructions import live
from models.cryoem.intake import MEASUREMENTS, SCORES
from models.cryoem.judging import Judged
from models.cryoem.messages import Measurement
from models.cryoem.values import SUBMIT_VALUES
from models.inbox import Received
from tasks.draining import Drained
from tasks.inbox import Outcome, drain_inbox
from tasks.retrying import RETRIES

#: Metric → the event that tells of its being judged.
_REGISTERED: Final = {
    MOTION: "motion_correction.registered",
    CTF: "ctf.registered",
    PARTICLES: "particle_picking.registered",
}


class MeasurementHandler:
    """Records a batch of measurements of one grid."""

    def __init__(self, *, publish: bool, tell_athena: bool = True) -> None:
        """Take whether what is judged is published, and whether Athena is told."""
        self._publish = publish
        self._tell_athena = tell_athena

    def __call__(self, session: Session, batch: Sequence[Received]) -> Outcome:
        """Record, judge, weigh the models, and say so."""
        items = [(message, _parse(message)) for message in batch]
        now = utcnow()
        recorded = measurements.record(session, items, now=now)
        told = [_registered(one) for one in recorded.judged] if self._publish else []
        bells = emit_all(session, told, publish=self._publish)
        if self._tell_athena:
            grids = values.put(session, recorded.judged, now=now)
            known = athena.registered_among(session, grids)
            bells += [(SUBMIT_VALUES, str(grid)) for grid in sorted(known)]
        return Outcome(
            done=recorded.done,
            waiting=recorded.waiting,
            news=live.measured(session, recorded.micrographs),
            bells=[*bells, *((SCORES, str(grid)) for grid in recorded.weighed)],
            notes={"measurements": recorded.values, "judged": len(recorded.judged)},
        )


def _parse(message: Received) -> Measurement:
    parsed = messages.parse_json(message.text)
    if not isinstance(parsed, Measurement):
        raise MessageRejected(f"event_type: {message.kind} is no measurement")
    return parsed


def _registered(judged: Judged) -> Emitted:
    sample = judged.sample
    return Emitted(
        _REGISTERED[sample.metric],
        {
            "micrograph_uuid": sample.micrograph,
            "quality": is_good(judged.quality),
            "metric_name": sample.metric,
        },
        str(sample.grid),
        cause=str(sample.message),
        caused_at=sample.received_at,
    )


@task(name="record measurements", **RETRIES)
async def drain_measurements(grid_uuid: UUID, *, linger_seconds: float | None = None) -> Drained:
    """Record the grid's measurements as they come in, judge them and weigh the models."""
    here = current()
    return await drain_inbox(
        here,
        flow=MEASUREMENTS,
        key=str(grid_uuid),
        handler=MeasurementHandler(
            publish=here.settings.rabbitmq.publishes,
            tell_athena=here.settings.athena.measured_values,
        ),
        flow_run_id=flow_run.id,
        linger_seconds=linger_seconds,
    )
