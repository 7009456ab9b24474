"""The run itself: real processes, messages, faults, and a look at what is left."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.chaos.compare import compare
from benchmarks.chaos.faults import Fault, schedule
from benchmarks.chaos.lines import Line
from benchmarks.chaos.observe import observe, stored, under_way
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.reference import expect
from benchmarks.chaos.senders import Agent, Publisher
from benchmarks.facility import (
    Facility,
    KeptProcess,
    NotInTime,
    private_facility,
    together,
    wait_for,
)
from benchmarks.services import PrivateRabbit

QUEUE = "smartem_backend"
#: How Athena misbehaves all the while.
_ATHENA_FAULTS = {"latency": 0.03, "error_rate": 0.05, "drop_after_commit": 0.1}
_QUIET_LOOKS = 3
_LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Options:
    """How it is run."""

    sensors: int = 1
    workers: int = 1
    #: Over which messages come and things break.
    seconds: float = 240.0
    faults: int = 24
    athena_down_seconds: float = 20.0
    #: How long everything may take to come to rest after the last message.
    patience: float = 300.0
    #: Where logs of processes stay; None throws them away.
    keep_logs: Path | None = None


@dataclass
class Report:
    """What came of it."""

    lines: list[Line]
    seconds: float
    rest_seconds: float
    published: int
    messages: int
    dead_letters: int
    decisions: int
    #: How often each process was started.
    starts: dict[str, int]

    @property
    def lost(self) -> int:
        """How many things are missing."""
        return sum(len(line.lost) for line in self.lines)

    @property
    def doubled(self) -> int:
        """How many things are there more than once."""
        return sum(len(line.doubled) for line in self.lines)

    @property
    def wrong(self) -> int:
        """How many things are not what they must be."""
        return sum(len(line.wrong) for line in self.lines)


Say = Callable[[str], None]


def run(plan: Plan, options: Options, *, say: Say) -> Report:
    """Send the plan's messages through a facility that breaks; return what came of it.

    Raises:
        NotInTime: It did not come to rest.
        ServiceMissing: PostgreSQL or RabbitMQ is not installed.
    """
    began = time.monotonic()
    with (
        PrivateRabbit() as rabbit,
        private_facility(
            options.keep_logs,
            ATHANOR_RABBITMQ__URL=rabbit.url,
            ATHANOR_WORKER__LEASE_SECONDS="5",
            ATHANOR_WORKER__LINGER_SECONDS="1",
        ) as plant,
    ):
        chaos = Chaos(plan, options, plant, rabbit, say)
        chaos.prepare()
        say(f"{time.monotonic() - began:5.0f} s  everything is up")
        return chaos.play()


class Chaos:
    """One run on services and processes that are there."""

    def __init__(
        self,
        plan: Plan,
        options: Options,
        plant: Facility,
        rabbit: PrivateRabbit,
        say: Say,
    ) -> None:
        """Take what to send, and through what."""
        self._plan = plan
        self._options = options
        self._plant = plant
        self._rabbit = rabbit
        self._say = say
        self._began = 0.0
        self._turns: dict[str, int] = {}

    def prepare(self) -> None:
        """Start all processes; Athena misbehaves from the start."""
        plant, options = self._plant, self._options
        together(plant.athena, plant.prefect)
        plant.run("init")
        plant.sensors(options.sensors)
        together(plant.api, lambda: plant.workers(options.workers))
        self._misbehave()

    def play(self) -> Report:
        """Send, break, wait for rest, compare."""
        plan, options = self._plan, self._options
        rate = len(plan.stream) / options.seconds
        publisher = Publisher(self._rabbit.url, QUEUE, plan.stream, per_second=rate)
        agent = Agent(self._plant.api_url, plan.entities, publisher)
        self._began = time.monotonic()
        calm = options.seconds / options.faults / 4 if options.faults else 0.0
        publisher.start()
        agent.start()
        for fault in schedule(plan.seed, seconds=options.seconds, number=options.faults):
            # What took long to come back gets a moment before the next.
            time.sleep(max(calm, self._began + fault.at - time.monotonic()))
            self._commit(fault)
        publisher.join(options.patience)
        agent.join(options.patience)
        if publisher.is_alive() or agent.is_alive():
            raise NotInTime("The messages could not all be sent.")
        self._plant.set_athena_faults()
        self._note(
            f"all {len(plan.stream)} messages published ({publisher.lost} times without a broker, "
            f"agent refused {agent.refused} times)"
        )
        rest = self._rest()
        self._note("at rest")
        return self._report(rest)

    def _commit(self, fault: Fault) -> None:
        self._note(fault.what)
        match fault.what:
            case "restart postgresql":
                self._plant.postgres.restart()
            case "crash postgresql":
                self._plant.postgres.restart(crash=True)
            case "restart rabbitmq":
                self._rabbit.restart()
            case "athena down":
                athena = self._plant.processes["athena"]
                athena.hold_down()
                time.sleep(self._options.athena_down_seconds)
                athena.let_up()
                wait_for(self._misbehave, seconds=60, what="Athena's return")
            case victim:
                self._next(victim).kill()

    def _next(self, victim: str) -> KeptProcess:
        """Return the one of several alike whose turn it is."""
        alike = [
            process
            for name, process in self._plant.processes.items()
            if name == victim or name.startswith(f"{victim}-")
        ]
        turn = self._turns[victim] = self._turns.get(victim, -1) + 1
        return alike[turn % len(alike)]

    def _misbehave(self) -> bool:
        try:
            self._plant.set_athena_faults(seed=self._plan.seed, **_ATHENA_FAULTS)
        except httpx.TransportError:
            return False
        return True

    def _rest(self) -> float:
        """Wait until nothing is under way, and stays so for some looks; return how long it took."""
        looks = 0
        sent = len(self._plan.messages)

        def quiet() -> bool:
            nonlocal looks
            time.sleep(_LOOK_EVERY)
            left = under_way(self._plant.database_url)
            looks = (
                0 if any(left.values()) or stored(self._plant.database_url) < sent else looks + 1
            )
            return looks >= _QUIET_LOOKS

        try:
            return wait_for(quiet, seconds=self._options.patience, what="rest")
        except NotInTime:
            # What is left undone then shows in the report, by name.
            self._note(f"no rest: {under_way(self._plant.database_url)} left")
            return self._options.patience

    def _report(self, rest: float) -> Report:
        seen = observe(
            self._plant.database_url, self._plant.athena_url, [g.uuid for g in self._plan.grids]
        )
        expected = expect(self._plan.grids, seen.arrived, seen.ledger.weights)
        lines = compare(self._plan, expected, seen)
        starts = {name: process.starts for name, process in self._plant.processes.items()}
        return Report(
            lines=lines,
            seconds=time.monotonic() - self._began,
            rest_seconds=rest,
            published=len(self._plan.stream),
            messages=len(seen.states),
            dead_letters=len(seen.reasons),
            decisions=len(seen.told),
            starts=starts,
        )

    def _note(self, what: str) -> None:
        self._say(f"{time.monotonic() - self._began:5.0f} s  {what}")
