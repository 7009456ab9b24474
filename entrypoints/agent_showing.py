"""What `athanor agent` shows: where every file stands, and what waits to be sent."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from agent.epu.agent import Report
from agent.epu.spool import Spool
from agent.epu.state import StateFolder
from agent.epu.status import WatchStatus
from core.errors import StorageUnavailable
from entrypoints import showing


def line(report: Report) -> str:
    """Return progress in one line, for a terminal's status."""
    said = files_line(report.watched)
    depth = report.depth
    if depth.messages:
        said += f", {depth.messages:,} on their way"
    if depth.dead:
        said += f", {depth.dead:,} refused"
    if report.trouble:
        said += f"; {escape(report.trouble)}"
    if report.watched.paused:
        said += f"; reading pauses: {escape(report.watched.paused)}"
    return said


def files_line(status: WatchStatus) -> str:
    """Return where the files stand in one line."""
    said = f"{status.seen:,} files seen, {status.sent:,} reported, {status.failed:,} failed"
    if not status.waiting_files:
        return said
    oldest = status.waiting_files[0]
    return (
        f"{said}, {status.waiting:,} waiting, {escape(oldest.path.name)} since "
        f"{oldest.age_seconds:.0f} s: {escape(oldest.reason)}"
    )


def watched_as_json(status: WatchStatus) -> dict[str, Any]:
    """Return where the files stand, for programs."""
    return {
        "seen": status.seen,
        "sent": status.sent,
        "waiting": status.waiting,
        "failed": status.failed,
        "by_kind": dict(status.kinds),
        "sessions": {str(folder): str(grid) for folder, grid in status.sessions.items()},
        "waiting_files": [
            {"path": str(file.path), "reason": file.reason, "age_seconds": file.age_seconds}
            for file in status.waiting_files
        ],
        "failures": [
            {"path": failure.path, "reason": failure.reason} for failure in status.failures
        ],
    }


def report_as_json(report: Report) -> dict[str, Any]:
    """Return how an agent stands at its end, for programs."""
    return {
        **watched_as_json(report.watched),
        "unsent": report.depth.messages,
        "refused": report.depth.dead,
        "trouble": report.trouble,
    }


def look(state: StateFolder, *, reachable: Mapping[str, str | None]) -> dict[str, Any]:
    """Return how the agent of a folder stands, whether it runs or not.

    Args:
        state: Where it keeps its state.
        reachable: What is wrong with each API, None for nothing.
    """
    now = time.time()
    said = state.read_status() or {}
    running = state.is_in_use()
    api = str(said.get("api", ""))
    return {
        **said,
        "state_folder": str(state.path),
        "running": running,
        "not_running_since": None if running else said.get("written_at"),
        "waiting_files": [
            {**file, "age_seconds": now - file["since"]} for file in said.get("waiting_files", [])
        ],
        "spool": {**said.get("spool", {}), **_spool(state, now)},
        "api_reachable": api in reachable and reachable[api] is None,
        "api_trouble": reachable.get(api),
    }


def _spool(state: StateFolder, now: float) -> dict[str, Any]:
    try:
        with Spool.peek(state.spool_path) as spool:
            depth, refused = spool.depth(), spool.dead(100)
    except StorageUnavailable as error:
        return {"messages": None, "refused": None, "trouble": str(error)}
    return {
        "messages": depth.messages,
        "bytes": depth.bytes,
        "oldest_age_seconds": None if depth.oldest is None else now - depth.oldest,
        "refused": depth.dead,
        "refused_messages": [asdict(one) for one in refused],
    }


def show(found: Mapping[str, Any]) -> None:
    """Show how one agent stands."""
    now = time.time()
    files, spool, sending = found.get("files", {}), found["spool"], found.get("sending", {})
    showing.print_fields(
        f"Agent of {found.get('folder', found['state_folder'])}",
        (
            ("running", _running(found, now)),
            ("reports to", _api(found)),
            ("latest new file", _ago(found.get("last_event_at"), now)),
            ("reading", f"pauses: {why}" if (why := found.get("reading_paused")) else "goes on"),
            ("files", {key: files[key] for key in files if key != "by_kind"}),
            ("reported", files.get("by_kind")),
            ("spool", _depth(spool)),
            ("latest answer", _ago(sending.get("last_answer_at"), now)),
            ("sending", sending.get("trouble")),
            ("instructions", _instructed(found.get("instructions"))),
            ("state", found["state_folder"]),
        ),
    )
    _table("Sessions", ("folder", "grid"), found.get("sessions", []))
    _table("Waiting", ("path", "age_seconds", "reason"), found["waiting_files"])
    _table("Failed", ("path", "reason"), found.get("failures", []))
    _table(
        "Refused by the API (athanor agent retry)",
        ("kind", "path", "reason"),
        spool.get("refused_messages", []),
    )


def show_trouble(report: Report, console: Console) -> None:
    """Show what could not be read or sent."""
    troubles = [("Failed", one.path, one.reason) for one in report.watched.failures]
    troubles += [("Refused", one.path or one.kind, one.reason) for one in report.refused]
    for what, path, reason in troubles:
        console.print(
            f"[red]{what}:[/red] {escape(str(path))}: {escape(reason)}",
            highlight=False,
            soft_wrap=True,
        )
    if report.depth.messages:
        console.print(
            f"[red]Not sent:[/red] {report.depth.messages:,} messages wait in the spool for the "
            f"next agent: {escape(report.trouble or 'the API was too slow')}",
            highlight=False,
            soft_wrap=True,
        )


def _table(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    shown = [
        tuple(
            showing.seconds(row[name]) if name == "age_seconds" else row.get(name)
            for name in columns
        )
        for row in rows
    ]
    if shown:
        showing.print_table(
            title, [name.removesuffix("_seconds") for name in columns], shown, empty=""
        )


def _running(found: Mapping[str, Any], now: float) -> str:
    if found["running"]:
        return f"since {_ago(found.get('began_at'), now)}, process {found.get('pid', 'unknown')}"
    since = found["not_running_since"]
    return "not running" if since is None else f"not running since {_ago(since, now)}"


def _api(found: Mapping[str, Any]) -> str:
    if found["api_reachable"]:
        return f"{found.get('api')}, which answers"
    return f"{found.get('api')}: {found['api_trouble'] or 'not asked'}"


def _instructed(said: Mapping[str, Any] | None) -> str:
    if not said:
        return "receives none"
    troubles = {said["trouble"], *said["sessions"].values()} - {None}
    counts = ", ".join(f"{number:,} {state}" for state, number in said["instructions"].items())
    return (
        f"as {said['agent_id']} for {len(said['sessions'])} sessions, driver {said['driver']}: "
        f"{counts or 'none yet'}" + "".join(f"; {trouble}" for trouble in sorted(troubles))
    )


def _depth(spool: Mapping[str, Any]) -> str:
    if spool["messages"] is None:
        return str(spool["trouble"])
    limit = spool.get("max_bytes")
    said = f"{spool['messages']:,} messages, {spool['bytes']:,} bytes"
    said += f" of at most {limit:,}" if limit else ""
    if spool["oldest_age_seconds"] is not None:
        said += f", the oldest {showing.seconds(spool['oldest_age_seconds'])} old"
    return said + (f"; {spool['refused']:,} refused" if spool["refused"] else "")


def _ago(moment: float | None, now: float) -> str:
    return "never" if moment is None else f"{showing.seconds(now - moment)} ago"
