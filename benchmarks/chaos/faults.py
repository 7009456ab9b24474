"""When what is broken: in turn, at even distances that the dice shift a little."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

#: In this order, over and over. Names of processes are killed with -9.
TURN = (
    "sensor",
    "worker",
    "restart postgresql",
    "api",
    "prefect",
    "worker",
    "restart rabbitmq",
    "athena down",
    "sensor",
    "crash postgresql",
)


@dataclass(frozen=True)
class Fault:
    """One thing that is broken."""

    #: Seconds after the first message.
    at: float
    what: str


def schedule(seed: int, *, seconds: float, number: int) -> Iterator[Fault]:
    """Yield so many faults over so many seconds."""
    dice = Random(seed)
    apart = seconds / (number + 1)
    for place in range(number):
        yield Fault((place + 1 + dice.uniform(-0.3, 0.3)) * apart, TURN[place % len(TURN)])
