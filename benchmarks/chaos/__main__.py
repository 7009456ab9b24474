"""Messages by the thousand through crashes: `python -m benchmarks.chaos [--seed N]`.

Private PostgreSQL and RabbitMQ servers, a Prefect server, the API, sensors, workers and a
simulated Athena are started, killed and restarted while messages of every type come in, some
twice, some malformed, most before what they refer to. Then the end state is held against a
reference model (`benchmarks.chaos.reference`).
"""

import argparse
import secrets
import sys
from pathlib import Path

from benchmarks.chaos.lines import table
from benchmarks.chaos.plan import make_plan
from benchmarks.chaos.run import Options, Report, run
from benchmarks.facility import end_on_sigterm


def main() -> int:
    """Run; return 0 when nothing is lost, doubled or wrong."""
    end_on_sigterm()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="of all that is random; printed")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--sensors", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=240, help="over which messages come")
    parser.add_argument("--faults", type=int, default=24)
    parser.add_argument("--logs", type=Path, help="folder in which the processes' logs stay")
    chosen = parser.parse_args()
    seed = secrets.randbelow(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}, {chosen.sensors} sensors, {chosen.workers} workers", flush=True)
    options = Options(
        sensors=chosen.sensors,
        workers=chosen.workers,
        seconds=chosen.seconds,
        faults=chosen.faults,
        keep_logs=chosen.logs,
    )
    plan = make_plan(seed, messages=chosen.messages)
    report = run(plan, options, say=lambda line: print(line, flush=True))
    show(seed, report)
    return 1 if report.lost or report.doubled or report.wrong else 0


def show(seed: int, report: Report) -> None:
    """Print the table, then the figures."""
    print(table(report.lines))
    starts = ", ".join(f"{name} {number}" for name, number in report.starts.items())
    print(f"starts: {starts}")
    print(
        f"seed {seed}: {report.published} published in {report.seconds:.0f} s, "
        f"at rest {report.rest_seconds:.1f} s after the last"
    )
    print(
        f"{report.messages} messages, {report.dead_letters} dead letters, "
        f"{report.decisions} decisions"
    )
    print(f"lost {report.lost}, doubled {report.doubled}, wrong {report.wrong}")


if __name__ == "__main__":
    sys.exit(main())
