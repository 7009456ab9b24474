"""What the simulated microscope tells whoever looks on, as it happens."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SessionWritten:
    """Session, atlas and all squares, not yet imaged, are on disk."""

    session_path: Path
    squares: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SessionFound:
    """Athena knows the session."""

    session_id: UUID


@dataclass(frozen=True, slots=True)
class SquareImaged:
    """A square was imaged and its holes were found."""

    square_id: int
    holes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SquareDecided:
    """Whether a square is to be collected; None when nobody said so in time."""

    square_id: int
    selected: bool | None
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class HolesDecided:
    """Which holes of a square are to be collected; None when nobody said so in time."""

    square_id: int
    selected: frozenset[int] | None
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class MicrographTaken:
    """A micrograph of a hole was taken; its file's stem."""

    square_id: int
    hole_id: int
    stem: str


@dataclass(frozen=True, slots=True)
class SquareFinished:
    """The microscope leaves a square, with so many holes collected."""

    square_id: int
    collected: int


MicroscopeEvent = (
    SessionWritten
    | SessionFound
    | SquareImaged
    | SquareDecided
    | HolesDecided
    | MicrographTaken
    | SquareFinished
)
