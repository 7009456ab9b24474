"""Ports that are free or taken."""

import socket

import pytest

from core.errors import PortTaken
from entrypoints.ports import free_port, require_free_port


def test_a_port_that_something_listens_on_is_refused_with_the_setting_to_change() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=f"Port {port} for the API .* with ATHANOR_API__PORT"):
            require_free_port("127.0.0.1", port, what="API", setting="ATHANOR_API__PORT")


def test_a_free_port_is_accepted_and_stays_free() -> None:
    port = free_port()

    require_free_port("127.0.0.1", port, what="API", setting="ATHANOR_API__PORT")
    require_free_port("127.0.0.1", port, what="API", setting="ATHANOR_API__PORT")


def test_a_free_port_is_none_that_an_outgoing_connection_may_be_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for_anybody = server.getsockname()[1]

    assert all(free_port() < 32_768 <= for_anybody for _ in range(20))
