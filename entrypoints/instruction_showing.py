"""What `athanor agent instructions` shows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from agent.epu.state import StateFolder
from agent.instructions.journal import Journal, Note
from core.clock import as_text
from entrypoints import showing

_COLUMNS = ("noted_at", "number", "instruction_type", "state", "tries", "told", "outcome")


def look(states: Sequence[StateFolder], limit: int) -> list[dict[str, Any]]:
    """Return the latest instructions of some agents, the newest first.

    Raises:
        StorageUnavailable: A journal cannot be read.
    """
    notes: list[Note] = []
    for state in states:
        if state.journal_path.exists():
            with Journal.peek(state.journal_path) as journal:
                notes += journal.latest(limit)
    notes.sort(key=lambda note: note.noted_at, reverse=True)
    return [_as_json(note) for note in notes[:limit]]


def show(found: Sequence[dict[str, Any]]) -> None:
    """Show instructions as a table."""
    rows = [
        tuple(
            {**one, "number": one["sequence_number"], "outcome": one["result"] or one["reason"]}[
                column
            ]
            for column in _COLUMNS
        )
        for one in found
    ]
    showing.print_table("Instructions", _COLUMNS, rows, empty="No agent here was ever instructed.")


def _as_json(note: Note) -> dict[str, Any]:
    one, ended = note.instruction, note.ended
    return {
        "instruction_id": one.instruction_id,
        "session_id": one.session_id,
        "agent_id": one.agent_id,
        "instruction_type": one.instruction_type,
        "sequence_number": one.sequence_number,
        "priority": one.priority,
        "payload": one.payload,
        "noted_at": as_text(datetime.fromtimestamp(note.noted_at, UTC)),
        "state": str(note.stage) if ended is None else ended.status,
        "tries": note.tries,
        "result": ended and ended.result,
        "reason": note.refused or (ended and ended.reason),
        "processing_time_ms": ended and ended.took_ms,
        "told": note.stage == "told" and note.refused is None,
    }
