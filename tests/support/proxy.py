"""A TCP proxy before a server of a test, which can be away (connections break), or busy (every request is answered 503)."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CHUNK = 1 << 16
OPEN, AWAY, IS_BUSY = "open", "away", "busy"


class Proxy:
    """Listens on a free port of this machine and hands on to `port`."""

    def __init__(self, port: int) -> None:
        self._target, self._state = port, OPEN
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def away(self, seconds: float | None = None) -> None:
        """Breaks what is connected and what comes, for so long or until `back`."""
        self._enter(AWAY, seconds)

    def busy(self, seconds: float | None = None) -> None:
        """Answers 503 to every request, for so long or until `back`."""
        self._enter(IS_BUSY, seconds)

    def back(self) -> None:
        """Hands on again."""
        self._state = OPEN

    def close(self) -> None:
        """Ends it."""
        self._listener.close()
        self._break()

    def _enter(self, state: str, seconds: float | None) -> None:
        self._state = state
        self._break()
        if seconds is not None:
            timer = threading.Timer(seconds, self.back)
            timer.daemon = True
            timer.start()

    def _break(self) -> None:
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            if self._state != OPEN:
                self.refused += 1
                if self._state == IS_BUSY:
                    client.settimeout(1)
                    with suppress(OSError):  # what comes is read, or the answer would be lost with a reset
                        client.recv(CHUNK)
                        client.sendall(BUSY)
                        client.shutdown(socket.SHUT_WR)
                        while client.recv(CHUNK):
                            continue
                return
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
                with self._lock:
                    self._connections |= {client, server}
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()
                with self._lock:
                    self._connections -= {client, server}


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy before a port, ended with the block."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
