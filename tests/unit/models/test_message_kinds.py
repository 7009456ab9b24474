"""Every kind of the contract is known, names what it is about, and is strict in its numbers."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.examples import EXAMPLES
from core.errors import MessageRejected
from domains.cryoem import ids
from models.cryoem.messages import (
    EVENT_TYPES,
    GroupCreate,
    HoleEvent,
    Measurement,
    MicrographEvent,
    MotionCorrected,
    ParticlesPicked,
    ParticlesSelected,
    SquareEvent,
    deletes,
    parse,
    parse_json,
)
from tests.conftest import ROOT

GRID = uuid4()
MICROGRAPH = str(uuid4())
MEASURED = {
    "motion_correction.completed": {"total_motion": 1.5, "average_motion": 0.1},
    "ctf.completed": {"ctf_max_resolution_estimate": 3.2},
    "particle_picking.completed": {"number_of_particles_picked": 7},
    "particle_selection.completed": {
        "number_of_particles_selected": 5,
        "number_of_particles_rejected": 2,
        "selection_distribution": {},
    },
}
FIELDS = [(kind, name) for kind, values in MEASURED.items() for name in list(values)[:2]]
NUMBERS = [field for field in FIELDS if field[1] != "selection_distribution"]


def measured(kind: str, **values: Any) -> dict[str, Any]:
    return {"event_type": kind, "micrograph_uuid": MICROGRAPH, **MEASURED[kind], **values}


def rejected(message: object) -> str:
    with pytest.raises(MessageRejected) as raised:
        parse(message)
    return str(raised.value)


def test_all_kinds_of_the_contract_are_known(shared: Path) -> None:
    rows = (shared / "contracts" / "messages.md").read_text().splitlines()
    named: set[str] = set()
    for row in rows:
        first = row.split("|")[1].strip() if row.startswith("|") else ""
        if first.startswith("acquisition /"):
            entities = first.split("`")[0].split("/")
            named |= {
                f"{entity.strip()}.{event}"
                for entity in entities
                for event in ("created", "updated", "deleted")
            }
        elif first.startswith("agent.instruction"):
            named |= {f"agent.instruction.{e}" for e in ("created", "updated", "expired")}
        else:
            named |= {part.split("{")[0].strip() for part in first.split(",") if "." in part}
    named = {name for name in named if " " not in name and not name.endswith("}")}

    assert len(named) > 40
    assert named <= set(EVENT_TYPES)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_message_survives_being_stored(kind: str) -> None:
    message = parse(EXAMPLES[kind][1])
    stored = message.model_dump(mode="json", exclude_none=True, exclude={"message_id"})

    assert parse_json(json.dumps(stored)) == message.model_copy(update={"message_id": None})


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
@given(
    value=st.floats(max_value=0, exclude_max=True).filter(lambda value: value < 0)
    | st.sampled_from([math.nan, math.inf, -math.inf, "7", True, None, [1], -1])
)
def test_what_is_no_amount_is_rejected_by_name(kind: str, name: str, value: object) -> None:
    assert rejected(measured(kind, **{name: value})).startswith(f"{name}: ")


@given(value=st.floats(0, 1e300) | st.integers(0, 2**53))
def test_amount_is_taken_as_it_is(value: float) -> None:
    message = parse(measured("motion_correction.completed", total_motion=value))

    assert isinstance(message, MotionCorrected)
    assert message.values() == {"total_motion": value, "average_motion": 0.1}


@given(value=st.integers(0, 2**53))
def test_a_count_may_be_written_as_a_float(value: int) -> None:
    for written in (str(value), f"{value}.0"):
        text = json.dumps(measured("particle_picking.completed", number_of_particles_picked="?"))
        message = parse_json(text.replace('"?"', written))
        assert isinstance(message, ParticlesPicked)
        assert message.number_of_particles_picked == value
    assert "number_of_particles_picked" in rejected(
        measured("particle_picking.completed", number_of_particles_picked=0.5)
    )


Json = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=10,
)


@given(distribution=st.dictionaries(st.text("ab"), Json, max_size=3))
def test_distribution_is_kept_as_it_is(distribution: dict[str, Any]) -> None:
    kind = "particle_selection.completed"
    message = parse(measured(kind, selection_distribution=distribution))

    assert isinstance(message, ParticlesSelected)
    assert message.distribution() == distribution


def _deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "distribution",
    [{"a": math.nan}, {"a": [math.inf]}, {"a\x00": 1}, {"a": {"b": "\x00"}}, {"a": "\ud800"}, 7]
    + [_deep(levels) for levels in (25, 200, 5_000)],
    ids=range(9),
)
def test_distribution_that_no_database_takes_is_rejected(distribution: object) -> None:
    kind = "particle_selection.completed"

    assert "selection_distribution" in rejected(measured(kind, selection_distribution=distribution))


@pytest.mark.parametrize("kind", MEASURED)
def test_micrograph_is_named_by_uuid_or_by_grid_and_file(kind: str) -> None:
    named = {"micrograph_uuid": None, "grid_uuid": str(GRID), "micrograph_id": "stem"}
    message = parse(measured(kind, **named))

    assert isinstance(message, Measurement)
    assert message.target() == ids.micrograph_uuid(GRID, "stem")
    assert "give micrograph_uuid" in rejected(measured(kind, micrograph_uuid=None))
    assert "give micrograph_uuid" in rejected(measured(kind, **{**named, "grid_uuid": None}))


def event(kind: str, **values: Any) -> dict[str, Any]:
    return {"event_type": kind, **{name: str(value) for name, value in values.items()}}


def test_entity_is_named_by_uuid_or_by_grid_and_natural_id() -> None:
    hole = ids.hole_uuid(GRID, 7)
    named = parse(event("foilhole.created", grid_uuid=GRID, foilhole_id=7, gridsquare_id=3))
    given_uuid = parse(event("foilhole.created", uuid=hole, gridsquare_uuid=uuid4()))

    assert isinstance(named, HoleEvent)
    assert isinstance(given_uuid, HoleEvent)
    assert named.target(GRID) == given_uuid.target(GRID) == hole
    parent = named.parent(GRID)
    assert parent is not None
    assert parent.uuid == ids.square_uuid(GRID, 3)
    assert not deletes(named)
    assert deletes(parse(event("foilhole.deleted", uuid=hole)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        event("gridsquare.created", uuid=uuid4(), grid_uuid=GRID, gridsquare_id=1),
        event("gridsquare_lowmag.updated", uuid=uuid4(), grid_uuid=GRID, gridsquare_id=1),
        event("foilhole.updated", uuid=uuid4(), grid_uuid=GRID, foilhole_id=1),
        event("micrograph.deleted", uuid=uuid4(), grid_uuid=GRID, micrograph_id="stem"),
        event("grid.created", uuid=GRID, acquisition_uuid=uuid4()),
        event("atlas.created", uuid=uuid4(), grid_uuid=GRID),
        event("atlas_tile.created", uuid=uuid4(), grid_uuid=GRID, id="1"),
    ],
    ids=lambda message: message["event_type"],
)
def test_a_uuid_may_be_one_that_a_client_chose(message: dict[str, Any]) -> None:
    # What is known tells whether it was, not the message.
    assert parse(message).event_type == message["event_type"]


@pytest.mark.parametrize("entity", ["gridsquare", "foilhole", "micrograph", "acquisition", "atlas"])
def test_entity_that_nothing_names_is_rejected(entity: str) -> None:
    assert "give uuid" in rejected({"event_type": f"{entity}.created"})


@given(uuid=st.uuids(), square=st.integers(-(2**63), 2**63 - 1))
def test_right_uuid_is_taken_with_its_natural_id(uuid: UUID, square: int) -> None:
    right = ids.square_uuid(uuid, square)
    message = parse(event("gridsquare.created", uuid=right, grid_uuid=uuid, gridsquare_id=square))

    assert isinstance(message, SquareEvent)
    assert message.target(uuid) == right


def test_group_names_holes_by_uuid_or_epu_id_each_once() -> None:
    hole = ids.hole_uuid(GRID, 1)
    message = parse(
        {
            "event_type": "foilhole.group_create",
            "grid_uuid": str(GRID),
            "group_uuid": str(uuid4()),
            "foilhole_uuids": [str(hole), str(hole)],
            "foilhole_ids": [2, 1],
        }
    )

    assert isinstance(message, GroupCreate)
    assert message.targets() == (hole, ids.hole_uuid(GRID, 2))
    assert "foilhole_ids" in rejected(
        {"event_type": "foilhole.group_create", "grid_uuid": str(GRID), "group_uuid": str(hole)}
    )


def test_micrograph_belongs_to_the_hole_that_is_named() -> None:
    message = parse(
        event("micrograph.created", grid_uuid=GRID, micrograph_id="stem", foilhole_id=9)
    )

    assert isinstance(message, MicrographEvent)
    parent = message.parent(GRID)
    assert parent is not None
    assert parent.uuid == ids.hole_uuid(GRID, 9)


def test_messages_need_no_database() -> None:
    code = "import models.cryoem.messages, sys; print([m for m in sys.modules if 'sqlm' in m])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
