"""Settings of the pictures that the HTTP API shows."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from core.errors import ConfigurationError
from core.path_map import PathMap
from core.section import Section


def _pairs(pairs: tuple[str, ...]) -> tuple[str, ...]:
    try:
        PathMap.parse(pairs)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return pairs


class ImageSettings(Section):
    """Pictures of atlases and squares."""

    roots: tuple[Path, ...] = Field(
        default=(),
        description="Folders below which pictures are read, wherever a path points; none shows "
        "no pictures.",
    )
    path_map: Annotated[tuple[str, ...], AfterValidator(_pairs)] = Field(
        default=(), description="Windows prefix to local folder, each as 'Z:\\\\visit=/data/visit'."
    )
    max_side: int = Field(
        default=4_096,
        ge=16,
        le=16_384,
        description="A picture with a longer side is made smaller before it is sent, in pixels.",
    )
    max_pixels: int = Field(
        default=80_000_000, ge=1, description="A file with more pixels is not read."
    )
    max_file_bytes: int = Field(
        default=1024**3, ge=1024, description="A larger file is not read, in bytes."
    )
    cache_bytes: int = Field(
        default=128 * 1024**2, ge=0, description="Memory for pictures that were made already."
    )
    at_once: int = Field(default=2, ge=1, description="Pictures that are made at the same time.")
    waiting: int = Field(
        default=64, ge=1, description="When so many wait to be made, further ones are refused."
    )
