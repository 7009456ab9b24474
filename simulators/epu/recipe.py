"""What a grid was grown from, kept beside its session: a model then looks at the same truth."""

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from core.errors import ConfigurationError, StorageUnavailable
from simulators.epu.truth import DEFAULT_START, GridTruth, grow_grid

_FILE = "simulated-grid.json"


class Recipe(BaseModel):
    """The arguments of `grow_grid`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(1, ge=0, description="Of everything random.")
    squares: int = Field(12, ge=1, description="Squares on the atlas.")
    holes: int = Field(600, ge=1, description="Holes of all squares together.")
    name: Annotated[str, Field(min_length=1, pattern=r"^[\w.-]+$")] = Field(
        "simulated", description="Name of the session; its folder's too."
    )
    started_at: AwareDatetime = Field(DEFAULT_START, description="When the session starts.")

    def grow(self) -> GridTruth:
        """Return the grid.

        Raises:
            ConfigurationError: There are fewer holes than squares.
        """
        if self.holes < self.squares:
            raise ConfigurationError(
                f"Each square has a hole: {self.holes} are too few for {self.squares} squares."
            )
        return grow_grid(
            self.seed,
            squares=self.squares,
            holes=self.holes,
            name=self.name,
            started_at=self.started_at,
        )

    def save(self, folder: Path) -> None:
        """Keep the recipe in the folder that the session's folder lies in.

        Raises:
            StorageUnavailable: The folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _FILE).write_text(self.model_dump_json(indent=2))
        except OSError as exc:
            raise StorageUnavailable(f"{folder} cannot be written: {exc.strerror}") from exc

    @classmethod
    def load(cls, folder: Path) -> "Recipe":
        """Return the recipe kept in a folder.

        Raises:
            ConfigurationError: No simulated session was written there.
        """
        try:
            return cls.model_validate_json((folder / _FILE).read_bytes())
        except (OSError, ValidationError) as exc:
            raise ConfigurationError(
                f"{folder} holds no simulated session: "
                f"write one with `athanor simulate epu {folder}`."
            ) from exc
