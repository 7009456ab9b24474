"""What is the same for all routes, said once for the OpenAPI document: parts of paths, failures."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from api.errors import problems

_ACQUISITION = "4a5a8d60-2b6a-5b7e-8b7e-93e0c7f7a1d2"
_GRID = "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11"

#: Name → what it is, and an example.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "acquisition_uuid": ("The acquisition.", _ACQUISITION),
    "grid_uuid": ("The grid.", _GRID),
    "atlas_uuid": ("The atlas.", "9f3d2c8a-51b4-5e7e-a5c6-6f1f0c7d2e34"),
    "tile_uuid": ("The tile of an atlas.", "c2b8a7d4-0e65-5f3a-8a19-7d7e6f5a4b12"),
    "gridsquare_uuid": ("The grid square.", "3e1c5b7a-9d2f-5a64-b0c8-1f2e3d4c5b6a"),
    "foilhole_uuid": ("The foil hole.", "5d6e7f80-1a2b-5c3d-9e4f-a1b2c3d4e5f6"),
    "micrograph_uuid": ("The micrograph.", "7f4d1c1e-5c0e-5f0a-9d0d-6f2c4c1b8a33"),
    "name": ("The name.", "holes-resnet"),
    "prediction_model_name": ("The model that predicts.", "holes-resnet"),
    "latent_rep_model_name": ("The model that places alike things together.", "latent-vae"),
    "metric_name": ("The quality metric.", "ctfmaxresolution"),
    "agent_id": ("The agent, as it calls itself.", "krios-1"),
    "session_id": ("The agent's session.", "krios-1-20260302"),
    "instruction_id": ("The instruction.", "8c0f4f0e-7a3e-4c38-9a51-d1a7b8f1e2c3"),
    "id": ("Its id.", "8c0f4f0e-7a3e-4c38-9a51-d1a7b8f1e2c3"),
    "prefix": ("The first letters of the key, as lists show it.", "ak_7f3d"),
}


def describe_paths(document: dict[str, Any]) -> None:
    """Say of each part of a path what it is, where its route does not."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                word = WORDS.get(parameter["name"])
                if parameter["in"] == "path" and word and "description" not in parameter:
                    parameter["description"], parameter["example"] = word


def describe_limits(document: dict[str, Any]) -> None:
    """Say how requests fail before their route sees them: all by their number, some by a body."""
    always = problems(HTTPStatus.TOO_MANY_REQUESTS)
    body = (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
    for methods in document["paths"].values():
        for operation in methods.values():
            ways = always | problems(*body) if "requestBody" in operation else always
            known = {str(status): told for status, told in ways.items()}
            operation["responses"] = {**known, **operation["responses"]}
