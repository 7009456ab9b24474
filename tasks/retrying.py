"""How tasks are tried again: only what may heal, with growing pauses and jitter."""

from typing import Any, Final

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff
from sqlalchemy.exc import DBAPIError

from core.errors import (
    AthenaOutcomeUnknown,
    AthenaUnavailable,
    BrokerUnavailable,
    LeaseLost,
    NotificationUnsent,
    StorageUnavailable,
)

#: What another try may meet healed. A refusal (400, 404) or a fault of ours stays one.
MAY_HEAL: Final = (
    AthenaUnavailable,
    AthenaOutcomeUnknown,
    BrokerUnavailable,
    StorageUnavailable,
    LeaseLost,
    NotificationUnsent,
    DBAPIError,
    TimeoutError,
)


async def may_heal(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failed task is worth another try."""
    error = state.data if isinstance(state.data, BaseException) else None
    if error is None:
        error = await state.aresult(raise_on_failure=False)
    return isinstance(error, MAY_HEAL)


#: Four more tries over about 8 s: long enough for a restart or a hiccup, short enough for a
#: person to see the run fail. The sweep launches another later.
RETRIES: Final[dict[str, Any]] = {
    "retries": 4,
    "retry_delay_seconds": exponential_backoff(backoff_factor=0.5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_heal,
}
