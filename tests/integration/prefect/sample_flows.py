"""Flows that tests deploy."""

import asyncio
from contextvars import ContextVar
from pathlib import Path

from prefect import flow, task

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


@task
async def wait_long() -> None:
    await asyncio.sleep(120)


@flow
async def never_end(started: str) -> None:
    """Create the file `started`, then wait in a task."""
    await asyncio.to_thread(Path(started).touch)
    await wait_long()


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
