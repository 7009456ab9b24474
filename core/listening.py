"""A socket to serve on, or a sentence that says why not."""

import errno
import socket

from core.errors import ConfigurationError, PortTaken

#: Connections that may wait to be accepted.
_BACKLOG = 2_048


def listen(host: str, port: int, *, what: str, setting: str) -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one.

    Args:
        host: IPv4 or IPv6 address to listen on.
        port: Port to listen on.
        what: What serves there, for the message.
        setting: The setting or option that chooses another port, for the message.

    Raises:
        PortTaken: Something else listens there.
        ConfigurationError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay (40 ms an answer) off only where the protocol is spelt out.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise PortTaken(port, what, setting) from exc
        raise ConfigurationError(
            f"The {what} cannot listen on {host} port {port}: {exc.strerror}. Check {setting}."
        ) from exc
    return listener
