"""The socket on which the host listens for HTTP."""

import errno
import socket

from local.errors import PortInUseError
from local.functions_host.errors import HostError


def bind(address: str, port: int, *, strict: bool) -> socket.socket:
    """A socket on `port`, or on a free one when that is taken and `strict` is false.

    Raises:
        PortInUseError: the port is taken.
        HostError: `address_not_usable`.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for candidate in (port, 0):
        listener = socket.socket(family, socket.SOCK_STREAM)
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, candidate))
            # Only a listening socket keeps others off the port, so it listens from now on.
            listener.listen(128)
        except OSError as error:
            listener.close()
            if candidate and _is_taken(error):
                if strict:
                    raise PortInUseError(port, "the Functions host", "--port") from error
                continue
            raise HostError(
                "address_not_usable",
                f"cannot listen on {address} ({error.strerror})",
                "name an address of this machine with --host",
            ) from error
        else:
            return listener
    raise PortInUseError(port, "the Functions host", "--port")


def _is_taken(error: OSError) -> bool:
    return error.errno in {errno.EADDRINUSE, errno.EACCES}
