"""How far a client says that things are: SmartEM's words."""

from enum import StrEnum


class AcquisitionStatus(StrEnum):
    """How far an acquisition is."""

    PLANNED = "planned"
    STARTED = "started"
    COMPLETED = "completed"
    PAUSED = "paused"
    ABANDONED = "abandoned"


class GridStatus(StrEnum):
    """How far a grid is scanned and decided."""

    NONE = "none"
    SCAN_STARTED = "scan started"
    SCAN_COMPLETED = "scan completed"
    DECISION_STARTED = "grid squares decision started"
    DECISION_COMPLETED = "grid squares decision completed"


class SquareStatus(StrEnum):
    """How far a square is."""

    NONE = "none"
    REGISTERED = "all foil holes registered"
    DECISION_STARTED = "foil holes decision started"
    DECISION_COMPLETED = "foil holes decision completed"


class HoleStatus(StrEnum):
    """Whether a hole was imaged."""

    NONE = "none"
    MICROGRAPHS_DETECTED = "micrographs detected"


class MicrographStatus(StrEnum):
    """How far a micrograph is processed."""

    NONE = "none"
    MOTION_CORRECTION_STARTED = "motion correction started"
    MOTION_CORRECTION_COMPLETED = "motion correction completed"
    CTF_STARTED = "ctf started"
    CTF_COMPLETED = "ctf completed"
    PARTICLE_PICKING_STARTED = "particle picking started"
    PARTICLE_PICKING_COMPLETED = "particle picking completed"
    PARTICLE_SELECTION_STARTED = "particle selection started"
    PARTICLE_SELECTION_COMPLETED = "particle selection completed"
