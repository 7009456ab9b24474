"""What is dead is tried again by command, and whoever asks hears what happens."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from entrypoints.ports import free_port
from models.base import DeliveryState
from models.database import Database
from models.drain import Drain
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from tests.acceptance.cli.conftest import GRID, Athanor
from tests.acceptance.commands import Ended
from tests.acceptance.commands import athanor as in_a_process

KIND = "foilhole.model_prediction"


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{home / 'athanor.db'}")) as opened:
        yield opened


def kill_predictions(database: Database) -> None:
    """Make the predictions of the session dead, as if they had failed too often."""
    with database.transaction() as session:
        session.execute(
            update(InboxMessage)
            .where(
                col(InboxMessage.kind) == "foilhole.model_prediction", col(InboxMessage.key) != ""
            )
            .values(state=DeliveryState.DEAD, attempts=5, error="gave up after 5 attempts")
        )
        session.execute(update(Drain).values(state="idle"))


def retry(home: Path, *arguments: object, what: str = "messages") -> Ended:
    """Run the command where no Prefect server answers."""
    return in_a_process(
        what,
        "retry",
        *map(str, arguments),
        environment={
            "ATHANOR_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        },
    )


def test_a_dry_run_changes_nothing(athanor: Athanor) -> None:
    before = athanor("messages", "list", "--json").json
    would = athanor("messages", "retry", "--state", "dead", "--all", "--dry-run", "--json").json
    assert len(would["would_retry"]) == 2
    assert athanor("messages", "list", "--json").json == before


def test_all_dead_messages_of_a_kind_are_left_to_the_sweep_where_prefect_is_away(
    athanor: Athanor, home: Path, database: Database
) -> None:
    kill_predictions(database)
    ended = retry(home, "--all", "--kind", KIND)
    assert ended.code == 0
    assert "Prefect's server is not reachable: the sweep" in ended.output
    pending = athanor("messages", "list", "--state", "pending", "--json").json["items"]
    assert [(one["key"], one["attempts"], one["error"]) for one in pending] == [
        (str(GRID), 0, None)
    ] * 6


def test_each_message_that_stays_as_it_was_is_told_with_the_reason(
    athanor: Athanor, home: Path
) -> None:
    (*_, dead) = athanor("messages", "list", "--state", "dead", "--json").json["items"]
    (done, *_) = athanor("messages", "list", "--state", "done", "--json").json["items"]
    nowhere = str(uuid4())
    ended = retry(home, dead["id"], done["id"], nowhere, "--json")
    (told,) = ended.json["retried"]
    assert (told["state"], "prediction_value" in told["reason"]) == ("dead", True)
    assert ended.json["not_retryable"] == [done["id"], nowhere]
    assert (ended.code, nowhere in ended.sentence) == (1, True)


def test_all_refused_decisions_are_sent_again(
    athanor: Athanor, home: Path, database: Database
) -> None:
    dead = athanor("decisions", "list", "--json").json["items"]
    with database.transaction() as session:
        session.execute(update(OutboxMessage).values(state=DeliveryState.DEAD, error="refused"))
    would = athanor("decisions", "retry", "--all", "--dry-run", "--json").json["would_retry"]
    assert {one["id"] for one in dead} == set(would)

    nowhere = str(uuid4())
    ended = retry(home, dead[0]["id"], nowhere, "--json", what="decisions")
    (told,) = ended.json["retried"]
    assert (told["id"], told["state"]) == (dead[0]["id"], "pending")
    assert ended.json["not_retryable"] == [nowhere]
    assert (ended.code, nowhere in ended.sentence) == (1, True)
    ended = retry(home, "--all", what="decisions")
    assert ended.code == 0
    assert "Prefect's server is not reachable: the sweep" in ended.output
    states = {one["state"] for one in athanor("decisions", "list", "--json").json["items"]}
    assert states == {"pending"}


@pytest.mark.parametrize("what", ["messages", "decisions"])
def test_it_says_that_there_is_nothing_to_try(athanor: Athanor, home: Path, what: str) -> None:
    ended = retry(home, "--all", *(("--kind", "no.such") if what == "messages" else ()), what=what)
    assert (ended.code, "There is nothing to" in ended.output) == (0, True)


@pytest.mark.parametrize("arguments", [[], [str(uuid4()), "--all"], ["--all", "--state", "done"]])
def test_ids_or_all_must_be_given(athanor: Athanor, arguments: list[str]) -> None:
    assert athanor("messages", "retry", *arguments).code == 2
