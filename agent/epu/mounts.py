"""Whether a folder lies on a file system that tells nobody of changes made elsewhere."""

import sys
from pathlib import Path

#: File systems of other machines, as Linux names them.
_REMOTE = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "drvfs",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    }
)
_MOUNTS = Path("/proc/self/mountinfo")
#: What Windows' GetDriveTypeW answers for a network drive.
_DRIVE_REMOTE = 4


def remote_file_system(folder: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """Return the kind of network share that a folder lies on; None when it seems to be local."""
    whole = folder.resolve()
    if sys.platform == "win32":
        return _remote_on_windows(whole)
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        # No Linux: nothing tells us, and news of the file system are tried.
        return None
    kinds = dict(found for line in lines if (found := _mount(line)) is not None)
    above = next(
        place for place in (whole, *whole.parents) if place in kinds or place.parent == place
    )
    kind = kinds.get(above)
    return kind if kind in _REMOTE else None


def _mount(line: str) -> tuple[Path, str] | None:
    """Return where something is mounted and its kind, as proc(5) says of mountinfo."""
    before, dash, after = line.partition(" - ")
    fields = before.split()
    if not dash or len(fields) < 5 or not after.split():
        return None
    place = fields[4].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
    return Path(place), after.split()[0]


def _remote_on_windows(folder: Path) -> str | None:
    if folder.drive.startswith("\\\\"):
        return "UNC"
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 (where it has a windll)

        if ctypes.windll.kernel32.GetDriveTypeW(f"{folder.drive}\\") == _DRIVE_REMOTE:
            return "network drive"
    return None
