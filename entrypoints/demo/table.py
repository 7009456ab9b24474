"""The table that the demonstration ends with."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from entrypoints.demo.outcome import Outcome, Worth


def show(outcome: Outcome, console: Console) -> None:
    """Print the table, and below it what is not as it should be."""
    table = Table(title="One session, from files to decisions", title_justify="left")
    table.add_column("What", no_wrap=True)
    table.add_column("Figure", justify="right")
    for number, section in enumerate(_sections(outcome)):
        if number:
            table.add_section()
        for name, value in section:
            table.add_row(name, value)
    console.print(table)
    if outcome.mismatches:
        console.print("[red]Not as it should be:[/red]")
        for mismatch in outcome.mismatches:
            console.print(f"  {escape(mismatch)}", highlight=False, soft_wrap=True)
    else:
        console.print("[green]Everything is as the simulated truth says.[/green]")
    _show_worth(outcome.worth, console)


def _show_worth(worth: Worth, console: Console) -> None:
    """Say what deciding was worth, in good micrographs of the same microscope time."""
    console.print(
        f"What deciding was worth: {worth.decided_good} good micrographs of {worth.decided} in "
        f"{worth.minutes:.0f} simulated minutes; EPU's own order on the same grid: "
        f"{worth.own_good} of {worth.own}.",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"Ordered too, in {worth.order_hours:g} simulated hours of another grid: "
        f"{worth.order_adaptive} in the adaptive order, {worth.order_classic} in the classic one, "
        f"{worth.order_epu} in EPU's own.",
        highlight=False,
        soft_wrap=True,
    )


def _sections(outcome: Outcome) -> Iterator[list[tuple[str, str]]]:
    entities = outcome.entities
    yield [
        (f"{name} stored", f"{entities[name]:,}")
        for name in ("tiles", "squares", "holes", "micrographs")
    ]
    yield [
        (f"areas at Athena: {kind}", f"{number:,}") for kind, number in outcome.athena.areas.items()
    ] + [("predictions", f"{entities['predictions']:,}")]
    yield [
        (f"decisions at Athena: {kind}", f"{number:,}")
        for kind, number in outcome.athena.decisions.items()
    ] + [(f"  {value}", f"{number:,}") for value, number in outcome.athena.values.items()]
    latencies = {"": outcome.latency_seconds, **outcome.latency_by_type}
    yield [
        (
            f"  {kind}" if kind else "prediction → Athena, p50 and p95",
            f"{_seconds(latency.p50_seconds)}, {_seconds(latency.p95_seconds)}",
        )
        for kind, latency in latencies.items()
    ]
    yield [
        ("micrographs collected", f"{outcome.micrographs_collected:,}"),
        ("squares skipped", f"{outcome.squares_skipped:,}"),
    ]
    yield [
        (f"runs of {flow}", ", ".join(f"{n} {state.lower()}" for state, n in by_state.items()))
        for flow, by_state in outcome.flow_runs.items()
    ]
    yield [
        ("memory of this process", f"{outcome.memory_resident_bytes / 1e6:,.0f} MB"),
        ("from start to table", f"{outcome.seconds:.0f} s"),
    ]


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f} s"


def show_addresses(outcome: Outcome, console: Console, *, kept: bool) -> None:
    """Say where to look, and for how long there is something to see."""
    for name, address in outcome.addresses.items():
        console.print(f"  {name:<16} {address}", highlight=False, soft_wrap=True)
    if kept:
        console.print("All of it is up until Ctrl-C, which also removes the folder.")
    else:
        console.print("These are gone now; `make demo KEEP=1` leaves them up for a look.")
