"""`athanor simulate …`, as a person types it."""

import os
import signal
import subprocess
import sys

import httpx
import pytest
from typer.testing import CliRunner

from agent.epu.read import read_manifest
from core.errors import ConfigurationError
from domains.cryoem.manifests import EpuSession
from entrypoints.commands.simulate import app
from simulators.epu.recipe import Recipe
from tests.support import PATIENCE


def test_a_session_can_be_written_without_a_decision_service(tmp_path):
    result = CliRunner().invoke(
        app,
        ["epu", str(tmp_path), "--write-only", "--squares=2", "--holes=20", "--name=trial"],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    assert "6 micrographs, 0 squares skipped, 2 squares without a decision" in result.output
    session = read_manifest(tmp_path / "trial" / "EpuSession.dm")
    assert isinstance(session, EpuSession)
    grid = Recipe.load(tmp_path).grow()
    assert [square.square_id for square in session.squares] == [s.square_id for s in grid.squares]
    assert session.started_at == grid.started_at


def test_more_squares_than_holes_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="5 are too few for 6 squares"):
        CliRunner().invoke(
            app,
            ["epu", str(tmp_path), "--write-only", "--squares=6", "--holes=5"],
            catch_exceptions=False,
        )


def test_a_model_asks_for_a_session_first(tmp_path):
    with pytest.raises(ConfigurationError, match="athanor simulate epu"):
        CliRunner().invoke(app, ["predictor", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize("command", [[], ["athena"], ["epu"], ["predictor"]])
def test_each_command_explains_itself(command):
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes differently")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_simulated_service_says_where_it_is_and_ends_when_asked(tmp_path, number):
    code = "from entrypoints.commands.simulate import app; app()"
    command = [sys.executable, "-c", code, "athena", "--port", "0", "--forget"]
    environment = {**os.environ, "ATHANOR_HOME": str(tmp_path), "COLUMNS": "200"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as service:
        assert service.stderr is not None
        line = service.stderr.readline()
        address = line.split(" at ")[1].split(". ")[0]
        assert httpx.get(f"{address}/api/v1/Version").is_success
        service.send_signal(number)
        assert service.wait(PATIENCE) == 0
    assert list(tmp_path.iterdir()) == []
