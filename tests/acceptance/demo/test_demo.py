"""`athanor demo` as a newcomer runs it: its figures agree, and nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.support import PATIENCE, wait_for

SQUARES, HOLES = 4, 60


class Demo:
    """One `athanor demo` under way, whose temporary files lie in `folder`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.cli", "demo", *arguments],
                cwd=ROOT,
                # A real Athanor's settings are in the way of nobody's demo.
                env={
                    **os.environ,
                    "TMPDIR": str(self.folder),
                    "ATHANOR_DATABASE_URL": "postgresql://nobody@nowhere.invalid/nothing",
                    "PREFECT_API_URL": "http://nowhere.invalid/api",
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def said(self) -> str:
        return self.err.read_text()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def says(self, text: str) -> None:
        def has_said() -> bool:
            assert self.process.poll() is None, self.said()
            return text in self.said()

        wait_for(has_said, what=f"{text!r}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator:
    started: list[Demo] = []

    def begin(*arguments: str) -> Demo:
        started.append(Demo(tmp_path, *arguments, "--squares", str(SQUARES), "--holes", str(HOLES)))
        return started[-1]

    yield begin
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait(PATIENCE)


def test_its_figures_agree_with_the_truth_and_with_one_another(start):
    demo = start("--json")
    children = wait_for(demo.children, what="Prefect's server")

    assert demo.process.wait(PATIENCE) == 0, demo.said() + demo.out.read_text()
    outcome = json.loads(demo.out.read_text())

    assert outcome["ok"]
    assert outcome["mismatches"] == []
    assert outcome["truth"]["squares"] == SQUARES
    assert outcome["truth"]["holes"] == HOLES
    entities, athena = outcome["entities"], outcome["athena"]
    assert entities["predictions"] == SQUARES + HOLES
    assert {name: entities[name] for name in outcome["truth"]} == outcome["truth"]
    assert athena["areas"] == {"gridsquare": SQUARES, "foilhole": HOLES}
    # On a busy machine all holes may be collected before the first order would be made.
    orders = athena["decisions"].pop("acquisitionOrder", 0)
    assert athena["decisions"] == {"gridSquareSelection": SQUARES, "foilHoleSelection": SQUARES}
    values = athena["values"]
    assert sum(n for value, n in values.items() if value.startswith("gridSquare")) == SQUARES
    assert sum(n for value, n in values.items() if value.startswith("foilHole")) == HOLES
    assert values.get("gridSquareSelection: false", 0) == outcome["squares_skipped"]
    assert entities["micrographs"] == outcome["micrographs_collected"] > 0
    # An order that was not sent yet makes way for the next.
    assert set(outcome["inbox"]) <= {"done"}
    assert set(outcome["outbox"]) <= {"done", "superseded"}
    assert outcome["outbox"]["done"] == orders + 2 * SQUARES
    assert outcome["latency_seconds"]["decisions"] == 2 * SQUARES
    worth = outcome["worth"]
    assert worth["decided"] == outcome["micrographs_collected"]
    assert 0 < worth["decided_good"] <= worth["decided"]
    assert worth["order_adaptive"] > worth["order_epu"] > 0
    assert (
        0 < outcome["latency_seconds"]["p50_seconds"] <= outcome["latency_seconds"]["p95_seconds"]
    )
    assert outcome["flow_runs"]["close-session"] == {"Completed": 1}
    assert all(set(states) == {"Completed"} for states in outcome["flow_runs"].values())

    assert list(demo.folder.iterdir()) == []
    assert not [child for child in children if child.is_running()]
    for noise in ("Traceback", "Warning", "WARNING", "ERROR"):
        assert noise not in demo.said()


@pytest.mark.parametrize("moment", ["starts", "Squares imaged"])
def test_ctrl_c_leaves_nothing_behind(start, moment):
    demo = start()
    demo.says(moment)
    if moment != "starts":
        assert demo.children()
    children = demo.children()

    demo.process.send_signal(signal.SIGINT)

    # A shell says 130 for both: Python may end by the signal itself when it fell into an `exec`,
    # as imports make them for data classes, although it was caught.
    assert demo.process.wait(PATIENCE) in {130, -signal.SIGINT}, demo.said()
    assert list(demo.folder.iterdir()) == []
    assert not [child for child in children if child.is_running()]
    assert "Traceback" not in demo.said()


def test_kept_it_stays_up_until_ctrl_c(start):
    demo = start("--keep", "--json")
    demo.says("until Ctrl-C")
    outcome = json.loads(demo.out.read_text())
    assert demo.children()
    assert Path(outcome["addresses"]["files"]).is_dir()

    demo.process.send_signal(signal.SIGTERM)

    assert demo.process.wait(PATIENCE) == 0, demo.said()
    assert list(demo.folder.iterdir()) == []
