"""Ports: the preferred one when it is free, another one unless it was asked for."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from local.errors import PortInUseError
from local.ports import choose_port, free_port, port_is_free


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_seen(taken: int) -> None:
    """A port on which somebody listens is not free."""
    assert not port_is_free(taken)
    assert port_is_free(free_port())


def test_a_listener_on_every_address_takes_the_port() -> None:
    """A server that listens on all addresses is in the way on 127.0.0.1 as well."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        assert not port_is_free(listener.getsockname()[1])


def test_a_preferred_port_gives_way(taken: int) -> None:
    """Where nobody asked for it, another port is taken instead of a taken one."""
    chosen = choose_port(taken, asked=False, part="the host", option="--port")

    assert chosen != taken
    assert port_is_free(chosen)


def test_a_free_preferred_port_is_taken() -> None:
    """The preferred port is used when it can be had."""
    port = free_port()
    assert choose_port(port, asked=False, part="the host", option="--port") == port


def test_a_port_that_was_asked_for_does_not_give_way(taken: int) -> None:
    """A taken port that a person asked for is an error that names port, part and option."""
    with pytest.raises(PortInUseError) as caught:
        choose_port(taken, asked=True, part="the host", option="--port")

    assert str(caught.value).startswith(f"error: port_in_use: port {taken} ")
    assert "the host" in str(caught.value)
    assert "--port" in str(caught.value)
