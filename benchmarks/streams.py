"""From a commit to 64 agents and 200 pages of one API process: how long news take.

    python -m benchmarks.streams [--agents 64] [--pages 200] [--rate 10] [--seconds 20] [URL]

The API is a process of its own, on PostgreSQL. This one holds all streams, makes instructions
straight in the database as a worker does, and acknowledges each over HTTP in two steps. What
counts is the way from the commit to the agent that the instruction is for, and to every page.
Without a URL: a private PostgreSQL that ends with the benchmark.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from api.app import create_app
from api.server import ApiServer
from benchmarks.services import PrivatePostgres
from blocks.resources import opened_doorbell
from core.clock import utcnow
from core.settings import Settings
from domains.cryoem.instructions import Mode
from entrypoints.ports import free_port
from models import migrations
from models.cryoem.instructions import making, sessions
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.sessions import NewSession
from models.database import Database

#: Milliseconds from the commit, for 95 of 100.
LIMIT = 300.0
_START_SECONDS = 60.0
_PATIENCE = 30.0
#: Of the warm-up: not counted.
_FIRST = 20


@dataclass
class Seen:
    """When what was committed, and when it was seen."""

    committed: dict[str, float] = field(default_factory=dict)
    agents: dict[str, float] = field(default_factory=dict)
    pages: dict[str, list[float]] = field(default_factory=dict)
    again: int = 0


def main() -> int:
    """Measure; return 0 when the limit is kept, else 1."""
    parser = argparse.ArgumentParser(description="How long news take to agents and pages.")
    parser.add_argument("--agents", type=int, default=64)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=10.0, help="instructions a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("url", nargs="?", metavar="URL")
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(_serve(chosen.url, chosen.serve))
        return 0
    with ExitStack() as stack:
        url = chosen.url or stack.enter_context(PrivatePostgres()).create("athanor")
        database = Database(url)
        stack.callback(database.close)
        migrations.upgrade(database)
        port = free_port()
        api = subprocess.Popen([sys.executable, "-m", __spec__.name, "--serve", str(port), url])
        stack.callback(api.wait, 30)
        stack.callback(api.terminate)
        seen = asyncio.run(_measure(database, f"http://127.0.0.1:{port}", chosen))
    return _report(seen, chosen)


async def _serve(url: str, port: int) -> None:
    """Serve the API alone, until it is terminated."""
    database = Database(url)
    settings = Settings(database_url=url)
    async with opened_doorbell(database) as doorbell:
        app = create_app(settings, database=database, doorbell=doorbell, launcher=None)
        server = ApiServer(app, host="127.0.0.1", port=port)
        await server.start()
        await server.wait()


async def _measure(database: Database, url: str, chosen: argparse.Namespace) -> Seen:
    names = [
        (await database.write(sessions.open_session, _session(number), now=utcnow())).session_id
        for number in range(chosen.agents)
    ]
    seen = Seen()
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE, limits=limits) as client:
        await _until_it_answers(client)
        acks: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        agents = [
            asyncio.create_task(_agent(url, f"agent-{number}", name, seen, acks))
            for number, name in enumerate(names)
        ]
        pages = [asyncio.create_task(_page(url, seen)) for _ in range(chosen.pages)]
        answering = [asyncio.create_task(_acknowledge(client, acks)) for _ in range(8)]
        await _until_all_stream(client, chosen)
        await _make(database, names, seen, chosen)
        await _until_all_is_seen(seen, chosen)
        for task in (*agents, *pages, *answering):
            task.cancel()
        await asyncio.gather(*agents, *pages, *answering, return_exceptions=True)
    return seen


def _session(number: int) -> NewSession:
    return NewSession(agent_id=f"agent-{number}", mode=Mode.AUTO)


async def _make(
    database: Database, names: list[str], seen: Seen, chosen: argparse.Namespace
) -> None:
    """Make instructions at a steady rate, for one session after the other."""
    began = time.perf_counter()
    for number in range(int(chosen.rate * chosen.seconds) + _FIRST):
        await asyncio.sleep(max(began + number / chosen.rate - time.perf_counter(), 0))
        new = NewInstruction(
            type="microscope.control.skip_gridsquares",
            payload={"gridsquare_ids": [str(n) for n in range(20)], "reason": "thick ice"},
            created_by="benchmark",
            expires_in=600,
        )
        name = names[number % len(names)]
        (made,) = await database.write(making.make, name, [new], now=utcnow())
        if number >= _FIRST:
            seen.committed[str(made.id)] = time.perf_counter()


async def _agent(
    url: str, agent: str, name: str, seen: Seen, acks: "asyncio.Queue[tuple[str, str, str]]"
) -> None:
    async for line in _lines(url, f"/agent/{agent}/session/{name}/instructions/stream"):
        if b'"type":"instruction"' in line:
            ident = json.loads(line)["instruction_id"]
            seen.again += ident in seen.agents
            seen.agents.setdefault(ident, time.perf_counter())
            acks.put_nowait((agent, name, ident))


async def _page(url: str, seen: Seen) -> None:
    async for line in _lines(url, "/frontend/events/stream?event_types=instruction.lifecycle"):
        if b'"status":"pending"' in line:
            ident = json.loads(line)["instruction_id"]
            seen.pages.setdefault(ident, []).append(time.perf_counter())


async def _acknowledge(
    client: httpx.AsyncClient, acks: "asyncio.Queue[tuple[str, str, str]]"
) -> None:
    while True:
        agent, name, ident = await acks.get()
        for status in ("received", "processed"):
            path = f"/agent/{agent}/session/{name}/instructions/{ident}/ack"
            (await client.post(path, json={"status": status})).raise_for_status()


async def _lines(url: str, path: str):  # noqa: ANN202 (an async generator of bytes)
    """Yield the data of a stream's events; plain sockets, as a client must not be what is slow."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=2**20)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"{path}: {status!r}")
        while line := await reader.readline():
            if line.startswith(b"data: "):
                yield line[6:]
    finally:
        writer.close()


async def _until_it_answers(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            (await client.get("/health")).raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


async def _until_all_stream(client: httpx.AsyncClient, chosen: argparse.Namespace) -> None:
    wanted = {f"athanor_agent_streams {chosen.agents}.0", f"athanor_page_streams {chosen.pages}.0"}
    async with asyncio.timeout(_START_SECONDS):
        while True:
            if wanted <= set((await client.get("/metrics")).text.splitlines()):
                return
            await asyncio.sleep(0.2)


async def _until_all_is_seen(seen: Seen, chosen: argparse.Namespace) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        agents = seen.committed.keys() <= seen.agents.keys()
        if agents and all(len(seen.pages.get(i, ())) >= chosen.pages for i in seen.committed):
            return
        await asyncio.sleep(0.1)


def _report(seen: Seen, chosen: argparse.Namespace) -> int:
    to_agents = [
        (seen.agents[i] - at) * 1e3 for i, at in seen.committed.items() if i in seen.agents
    ]
    to_pages = [
        (one - at) * 1e3 for i, at in seen.committed.items() for one in seen.pages.get(i, ())
    ]
    print(
        f"{chosen.agents} agents, {chosen.pages} pages, {chosen.rate:g} instructions/s for "
        f"{chosen.seconds:g} s; one API process, {os.cpu_count()} cores for all"
    )
    kept = True
    for what, values, wanted in (
        ("agents", to_agents, len(seen.committed)),
        ("pages", to_pages, len(seen.committed) * chosen.pages),
    ):
        values.sort()
        p50, p95, worst = (_at(values, share) for share in (0.5, 0.95, 1.0))
        kept = kept and p95 <= LIMIT and len(values) == wanted
        print(
            f"  to {what:6} {len(values)} of {wanted}: "
            f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, slowest {worst:.0f} ms"
        )
    print(
        f"  sent again: {seen.again}; limit {LIMIT:.0f} ms at p95: {'kept' if kept else 'missed'}"
    )
    return 0 if kept else 1


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)] if values else float("inf")


if __name__ == "__main__":
    sys.exit(main())
