"""`athanor simulate messages …` to a real queue, and to Athanor's API."""

import json
from collections import Counter
from collections.abc import Callable
from random import Random

import httpx
import pytest

from api.app import create_app
from entrypoints.cli import run
from models.cryoem.messages import HolePrediction, parse
from simulators.messages.kinds import KINDS, many
from simulators.messages.send import SendFailed, api_sender, send_all
from simulators.messages.world import make_world
from tests.acceptance.commands import Ended
from tests.rabbitmq_fixtures import Rabbit
from tests.session_fixtures import Here

Simulate = Callable[..., Ended]


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simulate:
    """Run `athanor simulate messages` in this process."""

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        code = run(["simulate", "messages", *map(str, arguments)])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return call


@pytest.fixture
def queue(rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch) -> str:
    """A queue of this test's own, which the settings name."""
    name = rabbit.name()
    monkeypatch.setenv("ATHANOR_RABBITMQ__URL", rabbit.url)
    monkeypatch.setenv("ATHANOR_RABBITMQ__QUEUE", name)
    return name


def test_each_listed_kind_arrives_as_promised(
    simulate: Simulate, rabbit: Rabbit, queue: str
) -> None:
    listed = simulate("list-messages")
    for kind in KINDS:
        assert kind in listed.output
        done = simulate(kind.replace("_", "-"))
        assert done.code == 0, done.errors
    taken = rabbit.take(queue)
    assert [json.loads(body)["event_type"] for _, body in taken] == list(KINDS)
    for properties, body in taken:
        message = parse(json.loads(body))
        assert properties.delivery_mode == 2
        assert properties.message_id == message.message_id


def test_so_many_as_asked_for_arrive_with_what_was_given(
    simulate: Simulate, rabbit: Rabbit, queue: str
) -> None:
    grid = "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11"
    given = ["--grid-uuid", grid, "--foilhole-id", 4601234, "--value", 0.8, "--model", "ice"]
    done = simulate("foilhole.model-prediction", *given, "--count", 1_203)
    assert (done.code, "1,203 messages" in done.errors) == (0, True)
    messages = [parse(json.loads(body)) for _, body in rabbit.take(queue)]
    assert len({message.message_id for message in messages}) == 1_203
    assert {
        (str(m.grid_uuid), m.foilhole_id, m.prediction_value, m.prediction_model_name)
        for m in messages
        if isinstance(m, HolePrediction)
    } == {(grid, 4601234, 0.8, "ice")}


def test_an_existing_classic_queue_is_taken_as_it_is(
    simulate: Simulate, rabbit: Rabbit, queue: str
) -> None:
    rabbit.declare(queue)
    assert simulate("ctf-complete", "--count", 3).code == 0
    assert rabbit.size(queue) == 3


def test_a_workflow_and_a_batch_arrive_in_their_order(
    simulate: Simulate, rabbit: Rabbit, queue: str
) -> None:
    assert simulate("workflow-simulation", "--gridsquare-id", 42, "--seed", 1).code == 0
    printed = simulate("workflow-simulation", "--gridsquare-id", 42, "--seed", 1, "--dry-run")
    sent = [json.loads(body) for _, body in rabbit.take(queue)]
    assert sent == [json.loads(line) for line in printed.output.splitlines()]
    assert sent[0]["gridsquare_id"] == 42
    done = simulate("batch-simulation", "--gridsquare-count", 7, "--scenario", "poor")
    assert done.code == 0
    kinds = Counter(json.loads(body)["event_type"] for _, body in rabbit.take(queue))
    assert kinds == {"gridsquare.model_prediction": 7, "foilhole.model_prediction": 7 * 12}


def test_a_dry_run_prints_and_sends_nothing(simulate: Simulate, rabbit: Rabbit, queue: str) -> None:
    for name in ("foilhole.group_create", "foilhole_group_create", "foilhole-group-create"):
        (line,) = simulate(name, "--foilhole-id", 4, "--foilhole-id", 5, "--dry-run").output.split(
            "\n"
        )[:-1]
        assert json.loads(line)["foilhole_ids"] == [4, 5]
    assert not rabbit.exists(queue)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["foilhole.model_prediction", "--value", "1.8", "--dry-run"], 1, "prediction_value"),
        (["foilhole.model_prediction", "--value", "high", "--dry-run"], 1, "prediction_value"),
        (["foilhole.model_prediction", "--count", "0"], 2, "count"),
        (["no.such_kind"], 2, "no.such_kind"),
        (["batch-simulation", "--scenario", "fair"], 2, "good"),
        (["ctf.completed", "--url", "amqp://127.0.0.1:1/"], 1, "RabbitMQ"),
        (["ctf.completed", "--to", "http", "--url", "http://127.0.0.1:1"], 1, "API"),
    ],
)
def test_what_cannot_be_sent_is_said(
    simulate: Simulate, arguments: list[str], code: int, said: str
) -> None:
    done = simulate(*arguments)
    assert done.code == code
    assert said in done.errors
    assert "Traceback" not in done.errors
    assert "should not happen" not in done.errors


@pytest.mark.parametrize("name", ["ctf.completed", "workflow-simulation", "foilhole-prediction"])
def test_each_command_teaches(simulate: Simulate, name: str) -> None:
    shown = simulate(name, "--help")
    assert shown.code == 0
    for option in ("--seed", "--dry-run", "--rate"):
        assert option in shown.output


async def test_the_api_takes_them_too(here: Here) -> None:
    resources = here.resources
    app = create_app(
        resources.settings, database=resources.database, doorbell=resources.doorbell, launcher=None
    )
    carrier = httpx.ASGITransport(app)
    world = make_world(Random(1))

    def messages() -> list:
        chosen = Random(2)
        return [one for kind in KINDS for one in many(kind, world, chosen, {}, 2)]

    async with api_sender("http://api", transport=carrier) as sender:
        assert await send_all(messages(), sender) == 2 * len(KINDS)
        # The same seed again is the same messages, which are stored already.
        assert await send_all(messages(), sender) == 2 * len(KINDS)
    async with httpx.AsyncClient(base_url="http://api", transport=carrier) as client:
        status = (await client.get("/status")).json()
    assert sum(status["inbox"]["by_state"].values()) == 2 * len(KINDS)


async def test_what_the_api_refuses_is_an_error(here: Here) -> None:
    resources = here.resources
    app = create_app(
        resources.settings, database=resources.database, doorbell=resources.doorbell, launcher=None
    )
    wrong = [
        one.model_copy(update={"prediction_value": 7})
        for one in many("gridsquare.model_prediction", make_world(Random(1)), Random(1), {}, 1)
    ]
    async with api_sender("http://api", transport=httpx.ASGITransport(app)) as sender:
        with pytest.raises(SendFailed, match=r"422.*prediction_value"):
            await send_all(wrong, sender)
