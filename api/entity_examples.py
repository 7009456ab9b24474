"""Examples of the messages that tell of entities, for the OpenAPI document."""

from typing import Any

ACQUISITION = "4a5a8d60-2b6a-5b7e-8b7e-93e0c7f7a1d2"
GRID = "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11"
MICROGRAPH = "7f4d1c1e-5c0e-5f0a-9d0d-6f2c4c1b8a33"

#: Kind of entity → what it is called, and what names one.
_NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "acquisition": ("An acquisition", {"uuid": ACQUISITION}),
    "grid": ("A grid", {"uuid": GRID}),
    "atlas": ("An atlas", {"grid_uuid": GRID}),
    "atlas_tile": ("A tile of an atlas", {"grid_uuid": GRID, "id": "17"}),
    "gridsquare": ("A grid square", {"grid_uuid": GRID, "gridsquare_id": 4590776}),
    "gridsquare_lowmag": (
        "The low-magnification view of a grid square",
        {"grid_uuid": GRID, "gridsquare_id": 4590776},
    ),
    "foilhole": (
        "A foil hole",
        {"grid_uuid": GRID, "gridsquare_id": 4590776, "foilhole_id": 4601234},
    ),
    "micrograph": (
        "A micrograph",
        {
            "grid_uuid": GRID,
            "foilhole_id": 4601234,
            "micrograph_id": "FoilHole_4601234_Data_4595672_20260302_101502",
        },
    ),
}

#: Kind → what it says, and a message.
ENTITY_EXAMPLES: dict[str, tuple[str, Any]] = {
    **{
        f"{entity}.{event}": (
            f"{what} was {event}",
            {"event_type": f"{entity}.{event}", **named},
        )
        for entity, (what, named) in _NAMED.items()
        for event in ("created", "updated", "deleted")
    },
    "grid.registered": (
        "All squares of a grid are known",
        {"event_type": "grid.registered", "grid_uuid": GRID},
    ),
    "gridsquare.registered": (
        "All holes of a square are known",
        {
            "event_type": "gridsquare.registered",
            "grid_uuid": GRID,
            "gridsquare_id": 4590776,
            "count": 412,
        },
    ),
}
