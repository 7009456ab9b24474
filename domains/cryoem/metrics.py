"""The quality metrics that are measured on micrographs, and which measured value each is."""

from collections.abc import Mapping
from typing import Final

MOTION: Final = "motioncorrection"
CTF: Final = "ctfmaxresolution"
PARTICLES: Final = "numparticles"

#: Measured value → its metric; what is not named here is only kept.
METRIC_OF: Final[Mapping[str, str]] = {
    "total_motion": MOTION,
    "ctf_max_resolution_estimate": CTF,
    "number_of_particles_picked": PARTICLES,
}
