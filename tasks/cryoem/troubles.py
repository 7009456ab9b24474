"""What a person should know of: dead messages and failed runs, looked up and put into words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort

from blocks.resources import Resources
from models.dead import DeadLetters, find_dead

#: So many of each are named; of the others there is a number.
_NAMED: Final = 5
#: So many failed runs are looked up.
_MOST_RUNS: Final = 100


@dataclass(frozen=True)
class LostRun:
    """A run that failed or crashed."""

    id: str
    name: str
    state: str
    message: str


@dataclass(frozen=True)
class Troubles:
    """What was found at one moment."""

    dead: DeadLetters
    runs: tuple[LostRun, ...]

    def beyond(self, told: "Troubles") -> bool:
        """Return whether there is more than was told of before."""
        known = {run.id for run in told.runs}
        return self.dead.total > told.dead.total or any(run.id not in known for run in self.runs)


async def find_troubles(here: Resources, *, since: datetime) -> Troubles:
    """Return what is dead by now, and which runs ended badly since then."""
    dead = await here.database.read(find_dead, limit=_NAMED)
    async with get_client() as client:
        # A subflow's failure shows in its parent's.
        found = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(
                    type=FlowRunFilterStateType(any_=[StateType.FAILED, StateType.CRASHED])
                ),
                end_time=FlowRunFilterEndTime.model_validate({"after_": since}),
                parent_task_run_id=FlowRunFilterParentTaskRunId(is_null_=True),
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=_MOST_RUNS,
        )
    runs = [
        LostRun(
            str(run.id), run.name, run.state_name or "", (run.state and run.state.message) or ""
        )
        for run in found
    ]
    return Troubles(dead, tuple(runs))


def as_text(troubles: Troubles) -> str:
    """Return what a person reads in a chat or a mail; markdown that also reads as it is."""
    lines: list[str] = []
    if troubles.dead.total:
        lines.append(
            f"{troubles.dead.total:,} dead messages need you: "
            "`athanor messages list --state dead` and `athanor decisions list --state dead`"
        )
        lines += [f"- {one.kind}: {_short(one.reason)}" for one in troubles.dead.newest]
    if troubles.runs:
        lines += ["", f"{len(troubles.runs)} runs failed:"] if lines else ["Runs that failed:"]
        lines += [
            f"- {run.name} ({run.state}): {_short(run.message)}" for run in troubles.runs[:_NAMED]
        ]
        lines += [f"- … and {more} more" for more in [len(troubles.runs) - _NAMED] if more > 0]
    return "\n".join(lines) or "There are no dead messages, and no run has failed of late."


def _short(text: str, longest: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
