"""Who executes a run: written on the run, so that others can tell when its worker is gone."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

_PREFIX: Final = "athanor-worker"
_SEPARATOR: Final = "|"


@dataclass(frozen=True)
class WorkerIdentity:
    """One start of one worker: a restarted worker is another one."""

    #: Name in the work pool, never used again.
    name: str
    host: str
    #: The Linux pid namespace: pids of two containers cannot be compared.
    namespace: str
    pid: int

    @classmethod
    def of_this_process(cls) -> Self:
        """Return a new identity for a worker in this process."""
        host = socket.gethostname()
        pid = os.getpid()
        return cls(
            name=f"{host}-{pid}-{uuid4().hex[:8]}", host=host, namespace=_namespace(), pid=pid
        )

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return the identity that `str` wrote, or None if this is none of ours."""
        parts = (text or "").split(_SEPARATOR)
        if len(parts) != 5 or parts[0] != _PREFIX or not parts[4].isdecimal():
            return None
        return cls(name=parts[1], host=parts[2], namespace=parts[3], pid=int(parts[4]))

    def __str__(self) -> str:
        return _SEPARATOR.join((_PREFIX, self.name, self.host, self.namespace, str(self.pid)))

    def process_is_gone(self) -> bool:
        """Return True only if the process was on this machine and is not; others we cannot see."""
        here = (socket.gethostname(), _namespace())
        if os.name != "posix" or (self.host, self.namespace) != here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False


def _namespace() -> str:
    """Return what distinguishes the pids here from those of a container, where there is such."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "-"
