"""Which session each file belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agent.epu.names import Kind, classify
from domains.cryoem.manifests import EpuSession


@dataclass(frozen=True, slots=True)
class Home:
    """A session folder and the grid that its EpuSession.dm is about."""

    folder: Path
    grid: UUID
    manifest: EpuSession


class Homes:
    """The sessions that are known, and the atlases that they name."""

    def __init__(self) -> None:
        self._homes: dict[Path, Home] = {}
        #: Session folders that name an atlas, by where that is.
        self._atlases: dict[Path, set[Path]] = {}

    @property
    def by_folder(self) -> Mapping[Path, Home]:
        """The sessions, by folder."""
        return self._homes

    @property
    def atlases(self) -> Mapping[Path, set[Path]]:
        """Where the atlases are that known sessions name, and who names them."""
        return self._atlases

    def of(self, path: Path) -> list[Home]:
        """Return the sessions that a file is part of: one at most, several for an atlas."""
        if classify(path).kind is Kind.ATLAS:
            return self.naming(path)
        nearest = next((folder for folder in path.parents if folder in self._homes), None)
        return [] if nearest is None else [self._homes[nearest]]

    def naming(self, atlas: Path) -> list[Home]:
        """Return the sessions that name an atlas."""
        return [self._homes[folder] for folder in sorted(self._atlases.get(atlas, ()))]

    def add(self, home: Home) -> Home | None:
        """Take in a session; return the one that was in its folder before."""
        before = self._homes.get(home.folder)
        self._homes[home.folder] = home
        return before

    def want_atlas(self, home: Home, atlas: Path) -> list[Path]:
        """Note which atlas a session names; return those that nobody names any more."""
        self._atlases.setdefault(atlas, set()).add(home.folder)
        left: list[Path] = []
        for other in [other for other in self._atlases if other != atlas]:
            self._atlases[other].discard(home.folder)
            if not self._atlases[other]:
                del self._atlases[other]
                left.append(other)
        return left
