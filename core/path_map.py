"""Windows paths of the microscope PC, mapped to folders of this machine."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigurationError

_HINT = r"Give --path-map 'Z:\visit=/data/visit' (or ATHANOR_AGENT__PATH_MAP)"


@dataclass(frozen=True, slots=True)
class PathMap:
    """Pairs of Windows prefix (as lower-case components) and local folder, longest first."""

    pairs: tuple[tuple[tuple[str, ...], Path], ...] = ()

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> "PathMap":
        r"""Return the map of pairs such as 'Z:\nt32457-6=/data/nt32457-6'.

        Raises:
            ConfigurationError: A pair lacks its '=', prefix or folder.
        """
        parsed = []
        for pair in pairs:
            prefix, equals, folder = pair.partition("=")
            parts = tuple(part.lower() for part in _components(prefix.strip()))
            if not equals or not parts or not folder.strip():
                raise ConfigurationError(f"The path map {pair!r} is not understood. {_HINT}.")
            parsed.append((parts, Path(folder.strip()).expanduser()))
        return cls(tuple(sorted(parsed, key=lambda item: -len(item[0]))))

    def to_local(self, path: str) -> Path:
        """Return where a path of the microscope PC is here; the longest prefix wins.

        A path that is already one of this machine ('/data/…') stays as it is.

        Raises:
            ConfigurationError: No prefix fits, or the path climbs with '..'.
        """
        parts = _components(path)
        if ".." in parts:
            raise ConfigurationError(f"The path {path} climbs out of its folder with '..'.")
        lowered = tuple(part.lower() for part in parts)
        for prefix, folder in self.pairs:
            if lowered[: len(prefix)] == prefix:
                return folder.joinpath(*parts[len(prefix) :])
        if path.startswith("/") and "\\" not in path:
            return Path(path)
        known = ", ".join("\\".join(prefix) for prefix, _ in self.pairs) or "none"
        raise ConfigurationError(
            f"The path {path} is the microscope PC's, and no path map says where that is here "
            f"(known prefixes: {known}). {_HINT}."
        )


def _components(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part and part != "."]
