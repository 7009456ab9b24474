"""Whether a port can be listened on, asked before anything is started."""

import socket

from core.errors import PortTaken


def require_free_port(host: str, port: int, *, what: str, setting: str) -> None:
    """Return if `port` can be listened on at `host`.

    Args:
        host: Address that will be listened on.
        port: Port that will be listened on.
        what: What would listen there, for the message.
        setting: Environment variable that chooses another port, for the message.

    Raises:
        PortTaken: Something else listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still dying is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise PortTaken(port, what, setting) from exc


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
