"""What becomes of messages and decisions is counted once and logged once a batch."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import select

from blocks.resources import provide
from core import metrics
from core.clock import as_text
from core.errors import AthenaError
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from tasks.cryoem.submission import drain_decisions
from tasks.intake import MessagesRejected, accept
from tests.integration.api.played import play, predict, register
from tests.session_fixtures import Here, SmallSession

WRONG = {"event_type": "foilhole.model_prediction", "prediction_value": "high"}


class Counted:
    """How much the process's metrics grew since the test began."""

    def __init__(self) -> None:
        self._before = self._now()

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return self._now().get(key, 0.0) - self._before.get(key, 0.0)

    @staticmethod
    def _now() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in metrics.REGISTRY.collect()
            for one in family.samples
        }


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    caplog.set_level(logging.INFO, logger="tasks")
    found: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(vars(record))

    handler = Keep()
    logger = logging.getLogger("tasks")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def said(lines: list[dict[str, Any]], action: str) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("action") == action]


async def test_a_session_is_counted_from_files_to_decisions(here: Here, counted: Counted) -> None:
    session = await play(here, SmallSession())

    received = "athanor_messages_received_total"
    assert counted(received, kind="epu.square", outcome="stored") == 2
    assert counted(received, kind="foilhole.model_prediction", outcome="stored") == 6
    flow = {"flow": "ingest-predictions"}
    assert counted("athanor_messages_handled_total", **flow, outcome="done") == 8
    for stage in ("claimed", "committed"):
        assert counted("athanor_stage_seconds_count", **flow, stage=stage) == 8
    sent = sum(
        counted("athanor_decisions_total", kind=kind, outcome="sent")
        for kind in ("gridSquareSelection", "foilHoleSelection")
    )
    assert sent == len(await here.client.find_decisions(session.grid)) > 0
    for stage in ("sent", "accepted"):
        name = "athanor_stage_seconds_count"
        assert counted(name, flow="submit-decisions", stage=stage) == sent
    seconds = sum(
        counted("athanor_decision_seconds_count", kind=kind)
        for kind in ("gridSquareSelection", "foilHoleSelection")
    )
    assert seconds == sent


async def test_each_row_leads_to_the_lines_of_its_batches(
    here: Here, lines: list[dict[str, Any]]
) -> None:
    await play(here, SmallSession())

    with here.resources.database.reading() as session:
        messages = list(session.scalars(select(InboxMessage)))
        outbox = list(session.scalars(select(OutboxMessage)))
    stored = {line["received_at"]: line for line in said(lines, "messages_stored")}
    done = {line["done_at"]: line for line in said(lines, "batch_done")}
    sent = {line["sent_at"]: line for line in said(lines, "decisions_sent")}
    assert messages
    assert outbox
    for message in messages:
        assert message.done_at is not None
        assert str(message.id) in stored[as_text(message.received_at)]["event_ids"]
        assert str(message.id) in done[as_text(message.done_at)]["event_ids"]
    for row in outbox:
        assert row.sent_at is not None, row.state
        assert str(row.id) in sent[as_text(row.sent_at)]["decision_ids"]


async def test_lines_are_one_a_batch_however_many_messages(
    here: Here, lines: list[dict[str, Any]]
) -> None:
    session = SmallSession(squares=1, holes=60)
    await register(here, session)
    lines.clear()
    await predict(here, session)

    [stored] = said(lines, "messages_stored")
    [done] = said(lines, "batch_done")
    assert (stored["messages"], len(stored["event_ids"])) == (61, 20)
    assert (done["messages"], len(done["event_ids"])) == (61, 20)
    assert done["done"] == 61


async def test_while_batches_are_full_the_page_of_the_run_has_one_line_in_ten(
    here: Here, lines: list[dict[str, Any]]
) -> None:
    session = SmallSession(squares=1, holes=60)
    await register(here, session)
    lines.clear()
    worker = here.resources.settings.worker.model_copy(update={"batch_size": 3})
    settings = here.resources.settings.model_copy(update={"worker": worker})
    with provide(replace(here.resources, settings=settings)):
        await predict(here, session)

    batches = said(lines, "batch_done")
    on_page = [n for n, line in enumerate(batches, 1) if line.get("send_to_api", True)]
    assert [line["messages"] for line in batches] == [*[3] * 20, 1]
    assert on_page == [10, 20, 21]


async def test_repeats_and_what_is_malformed_are_counted_as_such(
    here: Here, counted: Counted
) -> None:
    session = SmallSession()
    await here.send(session.session())
    await here.send(session.session())
    await accept(here.resources, [WRONG], source="test", keep_rejected=True)
    with pytest.raises(MessagesRejected):
        await accept(here.resources, [WRONG], source="test")

    received = "athanor_messages_received_total"
    assert counted(received, kind="epu.session", outcome="stored") == 1
    assert counted(received, kind="epu.session", outcome="repeated") == 1
    assert counted(received, kind="other", outcome="dead") == 1
    assert counted(received, kind="other", outcome="refused") == 1
    dead = sum(
        counted("athanor_dead_letters_total", flow=flow, reason="malformed")
        for flow in ("ingest-predictions", "register-areas", "ingest-measurements", "")
    )
    assert dead == 1


async def test_decisions_that_athena_did_not_take_are_counted_and_tried_again(
    here: Here, counted: Counted
) -> None:
    session = SmallSession()
    await register(here, session)
    await predict(here, session)
    here.set_faults(error_rate=1.0)
    with pytest.raises(AthenaError):
        await drain_decisions.fn(session.grid)

    postponed = sum(
        counted("athanor_decisions_total", kind=kind, outcome="postponed")
        for kind in ("gridSquareSelection", "foilHoleSelection")
    )
    assert postponed > 0
    failed = sum(
        counted("athanor_athena_request_seconds_count", operation=name, outcome=outcome)
        for name in ("POST Decisions", "POST Decision")
        for outcome in ("unavailable", "unknown")
    )
    assert failed == 1
