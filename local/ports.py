"""Ports on 127.0.0.1: free ones, taken ones, the preferred one if it can be had."""

import argparse
import socket
import sys
from dataclasses import dataclass, field

from local.errors import PortInUseError

LOOPBACK = "127.0.0.1"
MOST = 65_535


@dataclass(frozen=True)
class AzuritePorts:
    """The ports of Azurite's three services; 0 lets each choose its own."""

    blob: int = 0
    queue: int = 0
    table: int = 0


@dataclass(frozen=True)
class Ports:
    """The ports of all parts of the local Azure; 0 lets a part choose."""

    host: int = 0
    azurite: AzuritePorts = field(default_factory=AzuritePorts)
    broker: int = 0
    emabler: int = 0
    insights: int = 0


def port_argument(text: str) -> int:
    """Read a port of a command line; 0 means any.

    Raises:
        ArgumentTypeError: it is no port.
    """
    if not text.isascii() or not text.isdecimal() or int(text) > MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is no port from 0 to {MOST}")
    return int(text)


def free_port() -> int:
    """Give a port that was free a moment ago. Where a part can bind port 0 itself, let it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on the port of 127.0.0.1 now."""
    # A listener on every address does not stop a bind to one address on every platform, so it is
    # looked for by connecting.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.settimeout(0.5)
        if caller.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform == "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Ports of connections that were closed a moment ago (TIME_WAIT) are free for servers.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_port(preferred: int, *, asked: bool, part: str, option: str) -> int:
    """Give the preferred port, or a free one when it is taken.

    Args:
        preferred: the port to take if it is free; 0 means any.
        asked: whether a person asked for exactly this port.
        part: whose port it is, for the message.
        option: the command-line option that chooses it, for the message.

    Raises:
        PortInUseError: the port was asked for and is taken.
    """
    if preferred == 0:
        return free_port()
    if port_is_free(preferred):
        return preferred
    if asked:
        raise PortInUseError(preferred, part, option)
    return free_port()
