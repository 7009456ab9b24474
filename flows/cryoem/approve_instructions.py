"""A person is asked about the instructions of a session that need approval."""

from prefect import flow
from prefect.flow_runs import asuspend_flow_run

from tasks.cryoem.approvals import Judged
from tasks.cryoem.approving import carry_out, report_judged, see_what_waits


@flow(name="approve-instructions")
async def approve_instructions(session_id: str, through: int | str) -> Judged | None:
    """Ask about a session's instructions up to a number, and do as the person says.

    Whoever launches it by hand gives a number; Prefect's automations know text only.

    While it waits the run is suspended: it takes no worker's place and outlives all workers.
    Resumed, it begins again, and the same question has its answer then.
    """
    judged, through = None, int(through)
    waiting = await see_what_waits(session_id, through)
    if waiting.lines:
        answer = await asuspend_flow_run(wait_for_input=waiting.form(), key=f"through-{through}")
        judged = await carry_out(waiting, answer)
    await report_judged(session_id, through, judged)
    return judged
