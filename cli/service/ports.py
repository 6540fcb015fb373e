"""Ports to listen on."""

import errno
import socket

from cli.service.errors import PortTaken
from tasks.errors import BadOption


def choose(host: str, port: int, option: str) -> int:
    """`port` itself when it is free, a free one for 0.

    Args:
        host: where it is to be listened on.
        port: 0 to 65535.
        option: the command's option, for the error.

    Raises:
        PortTaken: something listens there.
        BadOption: the host or port can't be used on this machine.
    """
    if not 0 <= port <= 65535:
        raise BadOption(f"{option} is {port}; give a number from 0 (any free port) to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise BadOption(f"--host is {host!r}, which is no address of this machine.") from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port in TIME_WAIT is free
        try:
            probe.bind(address)
            return probe.getsockname()[1]
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"Port {port} is taken by another program; choose another with {option} (0 takes any free one)."
                ) from None
            if error.errno == errno.EADDRNOTAVAIL:
                raise BadOption(f"--host is {host!r}, which is no address of this machine.") from None
            raise BadOption(f"Port {port} can't be used ({error.strerror}); choose another with {option}.") from None


def url(host: str, port: int) -> str:
    """Where a server on `host` is reached from this machine."""
    if host in ("0.0.0.0", ""):
        host = "127.0.0.1"
    if host == "::":
        host = "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
