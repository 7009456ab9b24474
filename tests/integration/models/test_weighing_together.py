"""Several processes judge one grid at once, and it is as if one had done it."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from models.cryoem.processing_tables import Measurement
from models.cryoem.weight_tables import MetricStatistics
from models.database import Database
from tests.integration.models.measured import history, one_by_one, photographed, predict, weights
from tests.support import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
HOLES = range(100, 190)
PROCESSES = 3
#: Each process takes every third hole, five at a time.
WORKER = """
import sys
from uuid import UUID
from models.database import Database
from tests.integration.models.measured import motion, record

url, grid, mine, processes = sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
database = Database(url)
items = [motion(grid, n, n, n * 37 % 101) for n in range(100 + mine, 190, processes)]
sys.stdin.read(1)
for start in range(0, len(items), 5):
    record(database, items[start : start + 5])
"""


def test_many_processes_keep_one_account(postgres_url: str) -> None:
    database = Database(postgres_url)
    site = photographed(database, [HOLES])
    of_model = {
        "a": {hole: (n % 10) / 10 for n, hole in enumerate(site.holes)},
        "b": {hole: (n % 7) / 7 for n, hole in enumerate(site.holes)},
    }
    for model, values in of_model.items():
        predict(database, values, model)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, postgres_url, str(site.grid), str(n), str(PROCESSES)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("!")
        worker.stdin.flush()
    outcomes = [(worker.communicate(timeout=PATIENCE)[1], worker.returncode) for worker in workers]
    assert [(errors[-500:], code) for errors, code in outcomes] == [("", 0)] * PROCESSES

    with database.reading() as session:
        rows = history(session, site.grid)
        statistics = session.scalars(select(MetricStatistics)).one()
        final = weights(session, site.grid)
        found = session.execute(
            select(col(Measurement.message_seq), col(Measurement.value)).where(
                col(Measurement.name) == "total_motion"
            )
        )
        values = {row.message_seq: row.value for row in found}
    database.close()
    taken = [row for row in rows if row.step and row.model_name == "a"]
    assert [row.step for row in taken] == list(range(1, len(HOLES) + 1))
    assert {row.message_seq for row in taken} == set(HOLES)
    expected, qualities, turns = one_by_one(
        [values[row.message_seq] for row in taken],
        [
            {model: of[site.holes[row.message_seq - HOLES[0]]] for model, of in of_model.items()}
            for row in taken
        ],
        {"a": 0.5, "b": 0.5},
    )
    assert (statistics.count, statistics.mean, statistics.m2) == pytest.approx(
        (expected.count, expected.mean, expected.m2)
    )
    assert [row.quality for row in taken] == pytest.approx(qualities)
    assert [row.weight for row in rows if row.step] == pytest.approx(
        [turn[model] for turn in turns for model in ("a", "b")]
    )
    assert final == pytest.approx(turns[-1])
