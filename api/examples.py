"""Examples of each kind of message, for the OpenAPI document."""

from typing import Any

from api.entity_examples import ENTITY_EXAMPLES, GRID, MICROGRAPH

_GRID = GRID
_STEM = "FoilHole_4601234_Data_4595672_20260302_101502"
_GROUP = "a3c1b8d4-4c59-4e0e-8f43-1b1a2f0f6d55"
_SEEN = "2026-03-02T09:14:05Z"
_FOLDER = "/data/nt32457-6/Supervisor_20260302_091200"

#: Kind → what it says, and a message.
EXAMPLES: dict[str, tuple[str, Any]] = {
    "gridsquare.model_prediction": (
        "A model's prediction for a square, named by grid and EPU id",
        {
            "event_type": "gridsquare.model_prediction",
            "grid_uuid": _GRID,
            "gridsquare_id": 4590776,
            "prediction_model_name": "ice-cnn",
            "prediction_value": 0.83,
        },
    ),
    "foilhole.model_prediction": (
        "A model's prediction for a hole, named by uuid",
        {
            "event_type": "foilhole.model_prediction",
            "foilhole_uuid": "5e0c1b1e-90d7-5c55-8a1a-0d5e1c7b3f02",
            "prediction_model_name": "hole-ranker",
            "prediction_value": 0.41,
            "message_id": "ranker-000017",
        },
    ),
    "foilhole.model_multi_prediction": (
        "One value for many holes",
        {
            "event_type": "foilhole.model_multi_prediction",
            "grid_uuid": _GRID,
            "foilhole_ids": [4601234, 4601235],
            "prediction_model_name": "hole-ranker",
            "prediction_value": 0.9,
        },
    ),
    "foilhole.group_create": (
        "A named group of holes; sent again, the latest list counts",
        {
            "event_type": "foilhole.group_create",
            "grid_uuid": _GRID,
            "group_uuid": _GROUP,
            "foilhole_ids": [4601234, 4601235],
            "name": "thin ice",
        },
    ),
    "foilhole.group_model_prediction": (
        "One value for all holes of a group",
        {
            "event_type": "foilhole.group_model_prediction",
            "group_uuid": _GROUP,
            "prediction_model_name": "hole-ranker",
            "prediction_value": 0.77,
            "metric": "ctfmaxresolution",
        },
    ),
    "grid.model_parameter_update": (
        "What a model learned about a grid: here a latent coordinate of a square",
        {
            "event_type": "grid.model_parameter_update",
            "grid_uuid": _GRID,
            "prediction_model_name": "ice-cnn",
            "group": "coordinates:5e0c1b1e-90d7-5c55-8a1a-0d5e1c7b3f02",
            "key": "x",
            "value": -1.25,
        },
    ),
    "refresh.predictions": (
        "Decide a grid anew from the predictions in force",
        {"event_type": "refresh.predictions", "grid_uuid": _GRID},
    ),
    "motion_correction.completed": (
        "Motion of a micrograph in Å, named by grid and file name",
        {
            "event_type": "motion_correction.completed",
            "grid_uuid": _GRID,
            "micrograph_id": _STEM,
            "total_motion": 12.4,
            "average_motion": 0.31,
        },
    ),
    "ctf.completed": (
        "Resolution in Å to which the CTF could be fitted",
        {
            "event_type": "ctf.completed",
            "micrograph_uuid": MICROGRAPH,
            "ctf_max_resolution_estimate": 3.4,
        },
    ),
    "particle_picking.completed": (
        "How many particles were picked",
        {
            "event_type": "particle_picking.completed",
            "micrograph_uuid": MICROGRAPH,
            "number_of_particles_picked": 212,
        },
    ),
    "particle_selection.completed": (
        "How many of them are good, and how they are distributed",
        {
            "event_type": "particle_selection.completed",
            "micrograph_uuid": MICROGRAPH,
            "number_of_particles_selected": 180,
            "number_of_particles_rejected": 32,
            "selection_distribution": {"class_1": 120, "class_2": 60},
        },
    ),
    **ENTITY_EXAMPLES,
    **{
        f"{step}.registered": (
            "A metric was stored and judged; published by Athanor, taken without effect",
            {
                "event_type": f"{step}.registered",
                "micrograph_uuid": MICROGRAPH,
                "quality": True,
                "metric_name": metric,
            },
        )
        for step, metric in {
            "motion_correction": "motioncorrection",
            "ctf": "ctfmaxresolution",
            "particle_picking": "numparticles",
        }.items()
    },
    **{
        f"agent.instruction.{event}": (
            f"An instruction to an agent was {event}; published by Athanor, taken without effect",
            {
                "event_type": f"agent.instruction.{event}",
                "instruction_id": "1c8b5f7e-2b0f-4a55-9c0a-6b1f0c0c7d10",
                "session_id": _GRID,
                "agent_id": "krios-1",
            },
        )
        for event in ("created", "updated", "expired")
    },
    "epu.session": (
        "The agent read EpuSession.dm",
        {
            "event_type": "epu.session",
            "grid_uuid": _GRID,
            "path": f"{_FOLDER}/EpuSession.dm",
            "observed_at": _SEEN,
            "manifest": {
                "epu_id": "c5e5f0ab-7a53-4e3a-9f3e-2f6f0f9a8f10",
                "name": "Supervisor_20260302_091200",
                "started_at": "2026-03-02T09:12:00Z",
            },
        },
    ),
    "epu.atlas": (
        "The agent read Atlas.dm",
        {
            "event_type": "epu.atlas",
            "grid_uuid": _GRID,
            "path": "/data/nt32457-6/atlas/Sample1/Atlas/Atlas.dm",
            "observed_at": _SEEN,
            "manifest": {
                "epu_id": "0f6f0cb4-56a8-4a5f-8f0e-5a7a7de8d3b1",
                "squares": [{"square_id": 4590776, "center": {"x": 1810.5, "y": 2044.0}}],
            },
        },
    ),
    "epu.square": (
        "The agent read a GridSquare .dm, with the holes found on it",
        {
            "event_type": "epu.square",
            "grid_uuid": _GRID,
            "path": f"{_FOLDER}/Metadata/GridSquare_4590776.dm",
            "observed_at": _SEEN,
            "manifest": {
                "square_id": 4590776,
                "selected": True,
                "holes": [{"hole_id": 4601234, "is_near_grid_bar": False}],
            },
        },
    ),
    "epu.image": (
        "The agent read the manifest beside an image",
        {
            "event_type": "epu.image",
            "grid_uuid": _GRID,
            "path": f"{_FOLDER}/Images-Disc1/GridSquare_4590776/Data/{_STEM}.xml",
            "observed_at": _SEEN,
            "name": {
                "level": "micrograph",
                "stem": _STEM,
                "square_id": 4590776,
                "hole_id": 4601234,
                "location_id": "4595672",
            },
            "manifest": {"unique_id": None, "acquired_at": "2026-03-02T10:15:02Z"},
        },
    ),
    "epu.failure": (
        "The agent gave a file up",
        {
            "event_type": "epu.failure",
            "grid_uuid": _GRID,
            "path": f"{_FOLDER}/Metadata/GridSquare_4590777.dm",
            "reason": "the XML ends too early",
            "observed_at": _SEEN,
        },
    ),
    "session.ended": (
        "The acquisition of a grid is over",
        {"event_type": "session.ended", "grid_uuid": _GRID, "reason": "finished"},
    ),
}

_MESSAGE = {"$ref": "#/components/schemas/Message"}

#: The requestBody of POST /messages.
MESSAGES_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"anyOf": [_MESSAGE, {"type": "array", "items": _MESSAGE, "minItems": 1}]},
            "examples": {
                **{
                    kind: {"summary": summary, "value": message}
                    for kind, (summary, message) in EXAMPLES.items()
                },
                "list": {
                    "summary": "Several at once: all are stored, or none",
                    "value": [
                        EXAMPLES["gridsquare.model_prediction"][1],
                        EXAMPLES["foilhole.model_prediction"][1],
                    ],
                },
            },
        }
    },
}
