"""One section of the settings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: frozen, and without fields that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)
