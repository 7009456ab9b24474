"""What image processing measured on a micrograph, and that we stored and judged it."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue, StrictBool, model_validator

from domains.cryoem import ids
from models.cryoem.messages.base import (
    Amount,
    Count,
    Entity,
    Message,
    Name,
    Reference,
    either,
    storable,
)


class _OfMicrograph(Message):
    """Names a micrograph by uuid, or by grid and the name of its file without ending."""

    model_config = either(
        {"micrograph_uuid": "string"}, {"grid_uuid": "string", "micrograph_id": "string"}
    )

    micrograph_uuid: UUID | None = Field(None, description="The micrograph, by Athanor's uuid.")
    grid_uuid: UUID | None = Field(None, description="The grid, where names tell the micrograph.")
    micrograph_id: Name | None = Field(
        None, description="The micrograph, by the name of its file without ending."
    )
    foilhole_id: int | None = Field(
        None, description="The hole that it shows, by EPU's id; not needed, but must be right."
    )

    @model_validator(mode="after")
    def _named(self) -> "_OfMicrograph":
        if self.micrograph_uuid is None and (self.grid_uuid is None or self.micrograph_id is None):
            raise ValueError("give micrograph_uuid, or grid_uuid and micrograph_id")
        return self

    def target(self) -> UUID:
        """Return the micrograph's uuid."""
        if self.micrograph_uuid is not None:
            return self.micrograph_uuid
        assert self.grid_uuid is not None and self.micrograph_id is not None  # noqa: S101, PT018 (validated)
        return ids.micrograph_uuid(self.grid_uuid, self.micrograph_id)

    def references(self) -> tuple[Reference, ...]:
        """Return what tells the grid."""
        return (Reference(Entity.MICROGRAPH, self.target()),)


class _Measured(_OfMicrograph):
    #: The fields that are measured values.
    measured: ClassVar[tuple[str, ...]]

    def values(self) -> dict[str, float]:
        """Return the measured values by the names of their fields."""
        return {name: getattr(self, name) for name in self.measured}

    def distribution(self) -> Mapping[str, JsonValue] | None:
        """Return how the measured things are distributed, where the message tells."""
        return None


class MotionCorrected(_Measured):
    """Motion correction of a micrograph is done."""

    event_type: Literal["motion_correction.completed"] = "motion_correction.completed"
    measured = ("total_motion", "average_motion")

    total_motion: Amount = Field(description="Total motion of the specimen in Å.")
    average_motion: Amount = Field(description="Average motion between frames in Å.")


class CtfEstimated(_Measured):
    """The CTF of a micrograph is estimated."""

    event_type: Literal["ctf.completed"] = "ctf.completed"
    measured = ("ctf_max_resolution_estimate",)

    ctf_max_resolution_estimate: Amount = Field(
        description="Resolution in Å to which the CTF could be fitted."
    )


class ParticlesPicked(_Measured):
    """Particles of a micrograph are picked."""

    event_type: Literal["particle_picking.completed"] = "particle_picking.completed"
    measured = ("number_of_particles_picked",)

    number_of_particles_picked: Count = Field(description="How many.")


class ParticlesSelected(_Measured):
    """Of the picked particles, the good ones are selected."""

    event_type: Literal["particle_selection.completed"] = "particle_selection.completed"
    measured = ("number_of_particles_selected", "number_of_particles_rejected")

    number_of_particles_selected: Count = Field(description="How many are good.")
    number_of_particles_rejected: Count = Field(description="How many are not.")
    selection_distribution: Annotated[dict[str, JsonValue], AfterValidator(storable)] = Field(
        default_factory=dict, description="How they are distributed; kept as it is."
    )

    def distribution(self) -> Mapping[str, JsonValue]:
        """Return how the particles are distributed."""
        return self.selection_distribution


class MetricRegistered(_OfMicrograph):
    """A metric was stored and judged; published by Athanor."""

    event_type: Literal[
        "motion_correction.registered", "ctf.registered", "particle_picking.registered"
    ]

    quality: StrictBool = Field(description="Whether it is better than what came before.")
    metric_name: Name = Field(description="motioncorrection, ctfmaxresolution or numparticles.")


Measurement = MotionCorrected | CtfEstimated | ParticlesPicked | ParticlesSelected
