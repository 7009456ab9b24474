"""Whether a port can be listened on, asked before anything is started."""

import socket
from random import SystemRandom
from typing import Final

from core.errors import ConfigurationError, PortTaken

#: Below what systems give to outgoing connections and to whoever asks for any port (Linux from
#: 32768, others from 49152): a port chosen here is not taken before it is listened on, nor while
#: a server that listened on it is started again.
_PORTS: Final = range(20_000, 32_768)
_TRIES: Final = 100


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
    """Return a port that nothing listens on at this moment, and that nobody is given by chance.

    Raises:
        ConfigurationError: None was found.
    """
    for port in SystemRandom().sample(_PORTS, _TRIES):
        try:
            require_free_port(host, port, what="server", setting="")
        except PortTaken:
            continue
        return port
    raise ConfigurationError(f"No port of {host} from {_PORTS[0]} to {_PORTS[-1]} is free.")
