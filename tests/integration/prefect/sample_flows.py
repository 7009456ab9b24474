"""Flows that tests deploy."""

import asyncio
from contextvars import ContextVar
from pathlib import Path

from prefect import flow, pause_flow_run, task
from prefect.context import FlowRunContext

from core.stopping import stop_request

#: What flows in the test's own process find in their context.
NOTEBOOK: ContextVar[list[str]] = ContextVar("notebook")


@task
async def write_down(line: str) -> None:
    NOTEBOOK.get().append(f"task {line}")


@flow
async def note(line: str) -> None:
    NOTEBOOK.get().append(line)


@flow
async def note_in_task(line: str) -> None:
    await write_down(line)


def _append(file: Path, line: str) -> None:
    with file.open("a") as stream:
        stream.write(f"{line}\n")


@flow
async def append_to(file: str, line: str) -> None:
    await asyncio.to_thread(_append, Path(file), line)


@flow
async def fail_the_first_time(line: str) -> None:
    notebook = NOTEBOOK.get()
    notebook.append(line)
    if len(notebook) == 1:
        raise ValueError("the first time never works")


@flow
async def fail_always() -> None:
    raise ValueError("it never works")


@task
async def wait_long() -> None:
    await asyncio.sleep(120)


@flow
async def never_end(started: str) -> None:
    """Create the file `started`, then wait in a task."""
    await asyncio.to_thread(Path(started).touch)
    await wait_long()


@flow
async def end_when_asked(started: str) -> None:
    """Create the file `started`, and end well when asked to."""
    event = asyncio.Event()
    with stop_request().waking(event):
        await asyncio.to_thread(Path(started).touch)
        await event.wait()


@flow
async def end_late(started: str) -> None:
    """As a drain does: come to a safe point and end there, as if interrupted."""
    await end_when_asked.fn(started)
    raise asyncio.CancelledError


@flow(timeout_seconds=0.5)
async def never_end_in_time(started: str) -> None:
    await never_end(started)


@flow
async def end_the_second_time(started: str) -> None:
    """Wait for ever unless the file `started` is there already."""
    if not await asyncio.to_thread(Path(started).exists):
        await never_end(started)


@task
async def first_step(folder: Path) -> None:
    """Work until the run is suspended, unless that was done before."""
    if await asyncio.to_thread((folder / "first").exists):
        return
    await asyncio.to_thread((folder / "first").touch)
    context = FlowRunContext.get()
    assert context
    while not context.flow_run_suspension_request.is_requested():  # noqa: ASYNC110 (no event)
        await asyncio.sleep(0.05)


@task
async def second_step(folder: Path) -> None:
    await asyncio.to_thread((folder / "second").touch)


@flow
async def two_steps(folder: str) -> None:
    await first_step(Path(folder))
    await second_step(Path(folder))


@flow
async def ask_a_person(line: str) -> None:
    await pause_flow_run(timeout=120, poll_interval=1)
    NOTEBOOK.get().append(line)


@flow
async def parent(started: str) -> None:
    await never_end(started)


@flow
async def together(line: str) -> None:
    """Note how many runs of this flow are at work at once."""
    notebook = NOTEBOOK.get()
    notebook.append(line)
    notebook[0] = str(max(int(notebook[0]), sum(not entry.isdigit() for entry in notebook)))
    await asyncio.sleep(0.3)
    notebook.remove(line)


@flow
def not_async() -> None:
    pass
