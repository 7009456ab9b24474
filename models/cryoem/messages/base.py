"""What all messages share: strict fields, unknown ones ignored, and ways to name a thing."""

from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from domains.cryoem.manifests import Text

#: Strict: a text or a truth value is no number, though it might be read as one.
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
#: Finite and not negative.
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Input should be a number")  # noqa: TRY004 (pydantic turns ValueError only)
    return value


#: A number of things: 120 and 120.0, which are the same in JSON, but not 120.5 or "120".
Count = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_number)]


class Entity(StrEnum):
    """What a message can be about, as the contract names it."""

    ACQUISITION = "acquisition"
    GRID = "grid"
    ATLAS = "atlas"
    TILE = "atlas_tile"
    SQUARE = "gridsquare"
    HOLE = "foilhole"
    MICROGRAPH = "micrograph"
    GROUP = "group"


class Reference(NamedTuple):
    """One thing that a message names."""

    entity: Entity
    uuid: UUID


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message_id: Annotated[Text, Field(min_length=1, max_length=255)] | None = Field(
        None, description="Your own id of the message: sent again, it is stored once per source."
    )

    @property
    def is_ours(self) -> bool:
        """Whether Athanor published it."""
        return False


def either(*ways: dict[str, str]) -> ConfigDict:
    """Return the configuration whose JSON schema asks for one of several sets of fields."""
    return ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": list(way),
                    "properties": {
                        name: {"type": kind, **({"minItems": 1} if kind == "array" else {})}
                        for name, kind in way.items()
                    },
                }
                for way in ways
            ]
        }
    )


def storable(value: Any) -> Any:
    """Return JSON that any database takes.

    Raises:
        ValueError: It has NaN, infinity, a NUL character, or is nested more than 20 deep.
    """
    level = [value]
    for _ in range(20):
        if not level:
            return value
        following: list[Any] = []
        for one in level:
            if isinstance(one, str):
                if "\x00" in one:
                    raise ValueError("has a NUL character")
                one.encode()  # half a surrogate pair is a UnicodeEncodeError, which is a ValueError
            if isinstance(one, float) and not isfinite(one):
                raise ValueError("has a number that is not finite")
            if isinstance(one, dict):
                following += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                following += one
        level = following
    if level:
        raise ValueError("is nested too deeply")
    return value
