"""Log lines are for people, or one JSON object each for machines."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from core.logging import JsonFormatter, bound, configure


def _line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def _record(**values: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "models", "levelname": "INFO", "msg": "stored %s", "args": (3,), **values}
    )


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    noisy = logging.getLogger("httpx")
    kept = (root.handlers[:], root.level, noisy.level)
    yield root
    root.handlers[:] = kept[0]
    root.setLevel(kept[1])
    noisy.setLevel(kept[2])


def test_json_line_holds_sentence_level_logger_and_time() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert _line(_record(created=moment.timestamp())) == {
        "time": "2026-01-01T00:00:00+00:00",
        "level": "INFO",
        "logger": "models",
        "message": "stored 3",
    }


def test_json_line_holds_what_extra_brought() -> None:
    grid = UUID(int=1)
    line = _line(_record(action="stored", grid=grid, numbers=[1, 2]))

    assert (line["action"], line["grid"], line["numbers"]) == ("stored", str(grid), [1, 2])


def test_json_line_holds_the_exception() -> None:
    try:
        raise ValueError("no\nsuch thing")
    except ValueError:
        line = _line(_record(exc_info=sys.exc_info()))

    assert "ValueError: no\nsuch thing" in str(line["exception"])


def test_fields_are_on_each_line_of_their_context_and_on_no_other() -> None:
    with bound(flow_run_id="r", key="k"):
        with bound(key="inner"):
            inner = _line(_record())
        outer = _line(_record(flow_run_id="its own"))

    assert (inner["flow_run_id"], inner["key"]) == ("r", "inner")
    assert (outer["flow_run_id"], outer["key"]) == ("its own", "k")
    assert "key" not in _line(_record())


async def test_fields_reach_the_threads_and_tasks_begun_within_and_none_beside() -> None:
    async def beside(key: str) -> str:
        with bound(key=key):
            await asyncio.sleep(0)
            return str((await asyncio.to_thread(_line, _record()))["key"])

    assert await asyncio.gather(beside("a"), beside("b")) == ["a", "b"]


@pytest.mark.parametrize("as_json", [True, False])
def test_configured_lines_go_to_standard_error(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    configure("WARNING", as_json=as_json)
    logging.getLogger("models").info("quiet")
    logging.getLogger("models").warning("loud", extra={"action": "x"})

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "quiet" not in captured.err
    if as_json:
        assert json.loads(captured.err)["message"] == "loud"
    else:
        assert captured.err.endswith("WARNING models: loud\n")


def test_configuring_twice_says_things_once(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    configure()
    logging.getLogger("models").info("once")

    assert capsys.readouterr().err.count("once") == 1


def test_libraries_that_chatter_are_heard_from_warnings_on(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("DEBUG")
    logging.getLogger("httpx").info("GET /")
    logging.getLogger("httpx").warning("trouble")

    assert "GET /" not in (errors := capsys.readouterr().err)
    assert "trouble" in errors
