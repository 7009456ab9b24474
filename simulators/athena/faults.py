"""Faults on demand: slowness, refusals before acting, answers lost after the commit."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulators.athena.wire import Problem

#: Requests under this path are about the simulator, not of the service.
CONTROL = "/simulator"

_MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Faults(BaseModel):
    """How badly the service behaves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency: float = Field(
        default=0.0, ge=0, description="Seconds before each request is acted on."
    )
    error_rate: float = Field(
        default=0.0, ge=0, le=1, description="Share of requests answered 500 or 503 before acting."
    )
    drop_after_commit: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of changes that are made and whose connection is then cut unanswered.",
    )
    seed: int = Field(default=0, description="Seed of the dice.")


@dataclass
class Stats:
    """What the service was asked, by operation, since it started."""

    requests: int = 0
    refused: int = 0
    dropped: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)


def cut_nothing(scope: Scope) -> None:
    """Fail in place of cutting a connection, where there is none."""
    raise ConnectionResetError(f"{scope['method']} {scope['path']}: dropped after commit")


class FaultInjector:
    """The dice, and what they did."""

    def __init__(self, faults: Faults) -> None:
        self.stats = Stats()
        #: Cuts the connection of a request; the server that holds the connections sets it.
        self.cut: Callable[[Scope], None] = cut_nothing
        self.set(faults)

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self._faults

    def set(self, faults: Faults) -> None:
        """Put faults into force, with fresh dice."""
        self._faults = faults
        self._dice = Random(faults.seed)  # noqa: S311 (a repeatable test, no secret)

    def refusal(self) -> Problem | None:
        """Roll for a refusal."""
        if self._dice.random() >= self._faults.error_rate:
            return None
        status = self._dice.choice(
            (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
        )
        return Problem(status, "The simulator was told to fail.")

    def drops(self, method: str) -> bool:
        """Roll for a lost answer."""
        return method in _MUTATING and self._dice.random() < self._faults.drop_after_commit


class FaultMiddleware:
    """Lets requests suffer the faults in force and counts them."""

    def __init__(self, app: ASGIApp, injector: FaultInjector) -> None:
        self._app = app
        self._injector = injector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        injector = self._injector
        injector.stats.requests += 1
        await asyncio.sleep(injector.faults.latency)
        refusal, drops = injector.refusal(), injector.drops(scope["method"])
        if refusal is not None:
            injector.stats.refused += 1
            injector.stats.statuses[refusal.status] += 1
            await refusal.answer()(scope, receive, send)
            return
        answer = _Answer(send, held=drops)
        await self._app(scope, receive, answer.send)
        injector.stats.statuses[answer.status] += 1
        if route := scope.get("route"):
            injector.stats.operations[f"{scope['method']} {route.path}"] += 1
        if drops and answer.status < HTTPStatus.BAD_REQUEST:
            injector.stats.dropped += 1
            injector.cut(scope)
            # A server answers 500 for an application that returns before the connection is gone.
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await answer.release()


class _Answer:
    """An answer on its way, held back where it may be lost."""

    def __init__(self, send: Send, *, held: bool) -> None:
        self._send = send
        self._held: list[Message] | None = [] if held else None
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        if self._held is None:
            await self._send(message)
        else:
            self._held.append(message)

    async def release(self) -> None:
        for message in self._held or ():
            await self._send(message)
