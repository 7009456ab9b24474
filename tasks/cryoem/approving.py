"""Instructions that wait for a person: shown on one of Prefect's pages, and judged there.

The same can be done through `POST /instructions/{id}/approve` and `reject`. Whoever comes first
decides; a run whose instructions are all judged goes on, and says by whom they were.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import flow_run
from sqlalchemy import func, select
from sqlmodel import Session, col

from blocks.resources import Resources, current
from core.caller import Caller, asking
from core.errors import Conflict
from core.permissions import Permission, Role
from domains.cryoem.instructions import Held, Status
from models import audit
from models.cryoem.instructions.tables import Instruction
from tasks.cryoem import instructing
from tasks.cryoem.approvals import SHOWN, Answer, Judged, Line, Waiting, fate_of, line_of
from tasks.cryoem.instruct_from_decisions import AWAITING
from tasks.retrying import RETRIES

#: The deployment, and its flow, that asks a person.
APPROVE: Final = "approve-instructions"

_GOING_ON: Final = (*(StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED),)


@dataclass(frozen=True)
class Asked:
    """What became of the questions to people."""

    launched: int = 0
    let_go: int = 0


def awaiting(session: Session, session_id: str, through: int | None = None) -> list[Instruction]:
    """Return what waits for a person, in the order in which it was made."""
    statement = select(Instruction).where(
        col(Instruction.session_id) == session_id,
        col(Instruction.status) == Status.PENDING,
        col(Instruction.held) == Held.APPROVAL,
    )
    if through is not None:
        statement = statement.where(col(Instruction.sequence_number) <= through)
    return list(session.scalars(statement.order_by(col(Instruction.sequence_number))))


@task(name="see what waits", **RETRIES)
async def see_what_waits(session_id: str, through: int) -> Waiting:
    """Return the instructions up to a number that wait for a person."""

    def read(session: Session) -> Waiting:
        found = awaiting(session, session_id, through)
        return Waiting(session_id, through, tuple(line_of(one) for one in found))

    return await current().database.read(read)


@task(name="carry out the answer", **RETRIES)
async def carry_out(waiting: Waiting, answer: Answer) -> Judged:
    """Approve or reject what the answer is about; what was judged meanwhile stays as it is."""
    here = current()
    judged = Judged()
    meant = set(answer.only)
    for line in waiting.lines:
        if meant and line.number not in meant:
            continue
        try:
            with _written_down(line, answer):
                if answer.answer == "approve":
                    found = await instructing.approve(here, line.id, by=answer.by)
                    judged.approved += found.judged_by == answer.by
                else:
                    found = await instructing.reject(
                        here, line.id, by=answer.by, reason=answer.reason or None
                    )
                    judged.rejected += found.judged_by == answer.by
        except Conflict as conflict:
            judged.elsewhere[line.number] = str(conflict)
        else:
            if found.judged_by != answer.by:
                judged.elsewhere[line.number] = fate_of(found)
    return judged


@contextmanager
def _written_down(line: Line, answer: Answer) -> Iterator[None]:
    """Have the audit tell of an answer, as one of whoever is named in it.

    Prefect tells us of nobody who they are: the name is what the person typed, and the audit says
    that it is not more.
    """
    who = Caller(
        answer.by, "unverified", Role.OPERATOR, frozenset({Permission.INSTRUCTIONS_APPROVE}), None
    )
    trail = audit.elsewhere("prefect", APPROVE, about=line.id, ident=flow_run.id)
    with asking(who), audit.following(trail):
        yield


@task(name="report what was judged")
async def report_judged(session_id: str, through: int, judged: Judged | None) -> None:
    """Name the run, leave an artifact, and have a person asked about what came meanwhile."""
    here = current()
    told = await here.database.read(_fates, session_id, through)
    done = judged or Judged()
    said = f"{done.approved} approved, {done.rejected} rejected" if judged else "judged elsewhere"
    if flow_run.id is not None:
        async with get_client() as client:
            await client.update_flow_run(UUID(flow_run.id), name=f"{APPROVE} {session_id}: {said}")
    lines = [
        f"Session `{session_id}`, instructions up to number {through}: {said}.",
        "",
        *(f"- number {number}: not by this run. {why}" for number, why in done.elsewhere.items()),
        "",
        "| number | instruction | what became of it |",
        "|---:|---|---|",
        *(f"| {line.number} | {line.text} | {fate} |" for line, fate in told),
    ]
    await acreate_markdown_artifact(
        markdown="\n".join(lines),
        key=f"approvals-{session_id.lower()[:40]}" if _is_key(session_id) else "approvals",
        description="What a person was asked about, and what became of it.",
    )
    left = await here.database.read(_newest_awaiting, session_id)
    if left:
        payload = {"session_id": session_id, "through": str(left)}
        here.emit(AWAITING, f"athanor.session.{session_id}", payload)


@task(name="ask people", **RETRIES)
async def ask_people() -> Asked:
    """See to it that a run asks about what waits, and that no run waits for what is judged.

    The safety net under the event that launches such runs, and the way back from the API.
    """
    here = current()
    sessions = await here.database.read(_awaiting_by_session)
    launched = let_go = 0
    async with get_client() as client:
        asking = await _asking(client)
        for run in asking:
            ident, through = _about(run)
            if run.state is None or not run.state.is_paused() or ident is None:
                continue
            if await here.database.read(_is_judged, ident, through):
                # Its input is not looked at any more: the run only says what became of them.
                data = Answer(answer="approve", by="nobody: all were judged").model_dump()
                await client.resume_flow_run(run.id, run_input=data)
                let_go += 1
    asked = {_about(run)[0] for run in asking}
    for ident, newest in sessions.items():
        if ident not in asked:
            launched += await _launch(here, ident, newest)
    return Asked(launched, let_go)


async def _launch(here: Resources, session_id: str, through: int) -> int:
    if here.launcher is None:
        return 0
    await here.launcher.launch(
        f"{APPROVE}/{APPROVE}",
        {"session_id": session_id, "through": through},
        run_name=f"{APPROVE} {session_id}",
    )
    return 1


async def _asking(client: PrefectClient) -> list[FlowRun]:
    """Return the runs that ask a person, or are about to."""
    return await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[APPROVE])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_GOING_ON)))
        ),
    )


def _about(run: FlowRun) -> tuple[str | None, int]:
    parameters: dict[str, Any] = run.parameters
    return parameters.get("session_id"), int(parameters.get("through", 0))


def _awaiting_by_session(session: Session) -> dict[str, int]:
    """Return the newest number that waits for a person, by session."""
    rows = session.execute(
        select(col(Instruction.session_id), func.max(col(Instruction.sequence_number)))
        .where(col(Instruction.status) == Status.PENDING, col(Instruction.held) == Held.APPROVAL)
        .group_by(col(Instruction.session_id))
    )
    return {ident: newest for ident, newest in rows}  # noqa: C416 (a Row is no pair to dict())


def _newest_awaiting(session: Session, session_id: str) -> int:
    return _awaiting_by_session(session).get(session_id, 0)


def _is_judged(session: Session, session_id: str, through: int) -> bool:
    """Return whether we know the session, and nothing of it up to a number waits any more."""
    known = session.scalar(
        select(col(Instruction.id)).where(col(Instruction.session_id) == session_id).limit(1)
    )
    return known is not None and not awaiting(session, session_id, through)


def _fates(session: Session, session_id: str, through: int) -> list[tuple[Line, str]]:
    """Return what a person had to judge, and what became of it; the latest only."""
    found = session.scalars(
        select(Instruction)
        .where(
            col(Instruction.session_id) == session_id,
            col(Instruction.sequence_number) <= through,
            col(Instruction.judged_at).is_not(None) | (col(Instruction.held) == Held.APPROVAL),
        )
        .order_by(col(Instruction.sequence_number).desc())
        .limit(SHOWN)
    )
    return [(line_of(one), fate_of(one)) for one in found]


def _is_key(text: str) -> bool:
    """Return whether Prefect takes a text as part of an artifact's key."""
    return all(letter.isascii() and (letter.isalnum() or letter == "-") for letter in text)
