"""The same thing has the same uuid, wherever and whenever it is seen."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from domains.cryoem import ids
from domains.cryoem.manifests import EpuSession

STARTED = datetime(2024, 5, 1, 9, 30, tzinfo=UTC)


def _session(**values: object) -> EpuSession:
    return EpuSession(**{"epu_id": "e", "name": "n", "started_at": STARTED, **values})  # type: ignore[arg-type]


def test_uuids_never_change() -> None:
    grid = ids.grid_uuid(_session())

    # Changing how they are made would orphan every stored row.
    assert grid == UUID("4a371b9f-21c5-5fdb-8954-3a7f67226091")
    assert ids.square_uuid(grid, 7) == UUID("cbc24dcc-5c1f-5539-ae67-9a13957b77b1")
    assert ids.hole_uuid(grid, 7) == UUID("4682dde1-3a6c-5457-a762-d5be773e9adf")


def test_session_is_the_same_in_any_time_zone() -> None:
    local = STARTED.astimezone(timezone(timedelta(hours=2)))

    assert ids.acquisition_uuid(_session(started_at=local)) == ids.acquisition_uuid(_session())


def test_session_survives_being_sent_as_json() -> None:
    local = _session(started_at=STARTED.astimezone(timezone(timedelta(hours=-7))))
    sent = EpuSession.model_validate_json(local.model_dump_json())

    assert ids.grid_uuid(sent) == ids.grid_uuid(local)


@pytest.mark.parametrize(
    "other",
    [{"epu_id": "x"}, {"name": "x"}, {"started_at": None}, {"started_at": STARTED.replace(day=2)}],
)
def test_sessions_that_differ_are_different_acquisitions(other: dict[str, object]) -> None:
    assert ids.acquisition_uuid(_session(**other)) != ids.acquisition_uuid(_session())


def test_session_without_id_and_name_cannot_be_told_from_others() -> None:
    with pytest.raises(ValueError, match="neither an Id nor a Name"):
        ids.acquisition_uuid(_session(epu_id=None, name=None))


def test_things_of_one_grid_with_one_number_differ() -> None:
    grid = ids.grid_uuid(_session())
    made = [
        grid,
        ids.acquisition_uuid(_session()),
        ids.atlas_uuid(grid),
        ids.tile_uuid(grid, "1"),
        ids.square_uuid(grid, 1),
        ids.hole_uuid(grid, 1),
        ids.micrograph_uuid(grid, "1"),
        ids.decision_uuid(grid, grid, "1", "1"),
    ]

    assert len(set(made)) == len(made)
