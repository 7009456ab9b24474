"""Which paths of a recording are safe to write, and where they are in the target."""

import os
import re
from pathlib import Path

_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_NOT_IN_WINDOWS = re.compile(r'[<>:"|?*]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_PATH = 4_000
_LONGEST_PART = 255


class UnsafePath(ValueError):
    """A path that must not be written; the message says why."""


def safe_parts(
    text: str, *, backslashes: bool = False, windows: bool = os.name == "nt"
) -> tuple[str, ...]:
    """Return the folders and the name of a relative path; none for the folder itself.

    Args:
        text: The path, with forward slashes.
        backslashes: Whether a backslash separates folders, too; else it is refused.
        windows: Whether the names must be possible on Windows.

    Raises:
        UnsafePath: It says why.
    """
    if backslashes:
        text = text.replace("\\", "/")
    _check_text(text)
    parts = tuple(part for part in text.split("/") if part not in {"", "."})
    for part in parts:
        if part == "..":
            raise UnsafePath("it climbs out of the folder with '..'")
        if len(part.encode()) > _LONGEST_PART:
            raise UnsafePath(f"a name is longer than {_LONGEST_PART} bytes")
        if windows:
            _check_windows_name(part)
    return parts


def _check_text(text: str) -> None:
    if not text:
        raise UnsafePath("it is empty")
    if len(text) > _LONGEST_PATH:
        raise UnsafePath(f"it is longer than {_LONGEST_PATH} characters")
    if text.startswith("/"):
        raise UnsafePath("it is absolute")
    if "\\" in text:
        raise UnsafePath("it has a backslash")
    if _DRIVE.match(text):
        raise UnsafePath("it begins with a drive letter")
    if _CONTROL.search(text):
        raise UnsafePath("it has a control character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnsafePath("it is no valid Unicode") from error


def _check_windows_name(part: str) -> None:
    if _NOT_IN_WINDOWS.search(part):
        raise UnsafePath(f"{part!r} has a character that Windows does not allow")
    if part[-1] in ". ":
        raise UnsafePath(f"{part!r} ends in a dot or blank, which Windows drops")
    if _RESERVED.fullmatch(part.split(".", 1)[0].rstrip()):
        raise UnsafePath(f"{part!r} is a device's name on Windows")


def locate(root: Path, parts: tuple[str, ...]) -> Path:
    """Return where a safe path is below a resolved folder, whatever links lie there.

    Raises:
        UnsafePath: A link leads out of the folder, or the path is itself a link.
    """
    path = root.joinpath(*parts)
    if not parts:
        return path
    parent = Path(os.path.realpath(path.parent))
    if not parent.is_relative_to(root):
        raise UnsafePath(f"a link in the target leads to {parent}, which is outside")
    if path.is_symlink():
        raise UnsafePath("there is a link of that name in the target")
    return path
