"""When a session counts as ended, and when it has begun again."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from agent.epu.endings import Endings
from agent.epu.homes import Home
from agent.epu.remembered import NOTHING, Ending, Remembered
from domains.cryoem.manifests import EpuSession

GRID = UUID(int=1)
HOUR = 3600.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, GRID, EpuSession(epu_id="1", name="s", started_at=None))


def said(endings: Endings, now: float) -> list[str]:
    """Return the reasons of what is due, which is said then."""
    due = endings.due(now, [])
    for ending in due:
        endings.said(ending)
    return [message.reason for message, _ in due.values()]


def test_a_silent_session_ends_once(home: Home):
    endings = Endings(idle_seconds=6 * HOUR)
    endings.discovered(home, NOTHING, 0.0)
    endings.reported(GRID, 5, HOUR)
    assert said(endings, 7 * HOUR - 1) == []
    assert said(endings, 7 * HOUR) == ["no new files for 6 h"]
    assert said(endings, 70 * HOUR) == []


def test_a_session_that_goes_on_ends_again_under_another_id(home: Home):
    endings = Endings(idle_seconds=HOUR)
    endings.discovered(home, NOTHING, 0.0)
    endings.reported(GRID, 5, 0.0)
    [(first, _)] = endings.due(HOUR, []).values()
    [ending] = endings.due(HOUR, [])
    endings.said(ending)
    endings.reported(GRID, 9, 2 * HOUR)
    assert endings.due(2 * HOUR, []) == {}
    [(second, _)] = endings.due(3 * HOUR, []).values()
    assert first.message_id != second.message_id


def test_a_session_does_not_end_while_its_files_are_on_their_way(home: Home, tmp_path: Path):
    endings = Endings(idle_seconds=HOUR)
    endings.discovered(home, NOTHING, 0.0)
    assert endings.due(HOUR, [tmp_path / "Metadata/GridSquare_1.dm"]) == {}
    assert endings.due(HOUR, [tmp_path.parent / "Atlas.dm"]) != {}


def test_nothing_ends_unless_it_is_set_up(home: Home):
    endings = Endings()
    endings.discovered(home, NOTHING, 0.0)
    assert said(endings, 1e9) == []


def test_a_marker_ends_a_session_at_once_and_its_rewriting_again(home: Home, tmp_path: Path):
    endings = Endings(marker="done.txt")
    endings.discovered(home, NOTHING, 0.0)
    endings.reported(GRID, 5, 0.0)
    assert said(endings, 1.0) == []
    marker = tmp_path / "done.txt"
    marker.write_text("")
    os.utime(marker, (10, 10))
    assert said(endings, 1.0) == ["done.txt was written"]
    endings.reported(GRID, 6, 2.0)
    assert said(endings, 2.0) == []
    os.utime(marker, (20, 20))
    assert said(endings, 3.0) == ["done.txt was written"]


def test_what_was_said_before_a_restart_is_not_said_again(home: Home):
    endings = Endings(idle_seconds=HOUR)
    endings.discovered(home, Remembered((), Ending(GRID, 0), last_news=0.0), 0.0)
    assert said(endings, 9 * HOUR) == []


def test_silence_counts_over_a_restart(home: Home):
    endings = Endings(idle_seconds=HOUR)
    endings.discovered(home, Remembered((), None, last_news=100.0), 2 * HOUR)
    assert said(endings, 2 * HOUR) == ["no new files for 1 h"]


def test_two_agents_say_the_same_ending_with_the_same_id(home: Home):
    ids = set()
    for at in (0.0, 500.0):
        endings = Endings(idle_seconds=HOUR)
        endings.discovered(home, NOTHING, at)
        endings.reported(GRID, 1_700_000_000_000_000_000, at)
        [(message, _)] = endings.due(2 * HOUR, []).values()
        ids.add(message.message_id)
        assert message.last_file_at is not None
    assert len(ids) == 1
