"""urllib3's connections and pools, made to keep three promises.

The call is bounded by its deadline and the answer by its size, however the server
behaves, in the head as in the body; it is known whether a failed request was sent; and
a pool takes as many connections as there are threads, without a lock that a fork could
leave locked.
"""

from __future__ import annotations

import http.client
import io
import logging
import queue
import re
import socket
import threading
import time
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

__all__ = ["TooMuch", "call", "forget_connections", "use_calling_pools"]

#: An answer is given up after so many bytes, head, frame and padding included: twice
#: what its body may have. (A server may also send chunk sizes or trailers for ever.)
MAX_RECEIVED = 10 * 1024 * 1024


class Call(threading.local):
    """
    What the call that this thread makes and its connection tell each other.

    Attributes:
        ends_at: When the call must be over, by `time.monotonic`.

        sent: Whether the request was begun to be written; None if no connection of
            this module was used, so that nothing is known.
    """

    ends_at: float = float("inf")
    sent: bool | None = None

    def within(self, seconds: float) -> float:
        """
        Return *seconds*, or as few as are left to the call, but more than 0.
        """
        return min(seconds, max(self.ends_at - time.monotonic(), 0.001))


call = Call()


class TooMuch(OSError):
    """
    The server sends more than an answer can be.
    """


class _BoundedReader(io.RawIOBase):
    """
    What a socket receives, until the call's deadline and `MAX_RECEIVED`.

    Attributes:
        at_end: Whether more was asked for than the server had sent when it closed.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.at_end = False
        self._received = 0
        self._sock = sock
        self._timeout: Any = sock.gettimeout()
        # Counted by the socket, which stays open until this is closed.
        self._raw: Any = sock.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:
        """
        Be as much of a socket as http.client's response asks for.
        """
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if time.monotonic() >= call.ends_at:
            raise TimeoutError("the call's deadline has passed")
        timeout = call.within(self._timeout)
        if timeout != self._timeout:
            self._sock.settimeout(timeout)
        size: int = self._raw.readinto(buffer)
        self.at_end = not size
        self._received += size
        if self._received > MAX_RECEIVED:
            raise TooMuch
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        reader: Any = _BoundedReader(sock)
        super().__init__(reader, *args, **kwargs)
        self._reader = reader

    def begin(self) -> None:
        super().begin()
        while self.status < 200:
            # http.client passes over "100 Continue", but takes any other interim
            # answer for the last, and the last one for that to the next request.
            self.headers = None  # type: ignore[assignment]
            super().begin()
        if self._reader.at_end:
            # http.client takes a head that breaks off for a whole one.
            raise http.client.RemoteDisconnected("the head breaks off")


class _CallingConnection(HTTPConnection):
    response_class = _BoundedResponse

    # The parts of the request that is being written; None between requests.
    _parts: list[bytes] | None = None

    def connect(self) -> None:
        call.sent = False
        super().connect()

    def _new_conn(self) -> socket.socket:
        # urllib3 would give the whole timeout to each of the host's addresses, and
        # then to the TLS handshake, with no thought of the deadline.
        host = self._dns_host
        timeout: Any = self.timeout
        found = socket.getaddrinfo(host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        addresses = [str(each[-1][0]) for each in found]
        try:
            while True:
                self._dns_host, self.timeout = addresses.pop(0), call.within(timeout)
                try:
                    sock = super()._new_conn()
                    break
                except HTTPError:
                    if not addresses:
                        raise
        finally:
            self._dns_host, self.timeout = host, timeout
        sock.settimeout(call.within(timeout))
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        self._parts = []
        try:
            super().request(*args, **kwargs)
            request = b"".join(self._parts)
        finally:
            self._parts = None
        call.sent = True
        self.send(request)

    def send(self, data: Any) -> None:
        # Head and body in one piece: one packet, and half the work.
        if self._parts is None:
            super().send(data)
        else:
            self._parts.append(data)


class _CallingHTTPSConnection(_CallingConnection, HTTPSConnection):
    pass


class _IdleConnections(queue.LifoQueue[Any]):
    """
    The idle connections, last used first: as many as threads have put back.

    Without the queue's lock, which another thread may hold at the time of a fork: a
    list's append and pop are atomic.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        # urllib3 fills a new queue with None, as places to be taken.
        if item is not None:
            self.queue.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None


# What is used in place of urllib3's own.
_CONNECTIONS: dict[Any, Any] = {
    HTTPConnection: _CallingConnection,
    HTTPSConnection: _CallingHTTPSConnection,
}


class _CallingPool(HTTPConnectionPool):
    QueueCls = _IdleConnections

    def _new_conn(self) -> Any:
        # A mock that has put another in place of urllib3's, as vcrpy does, goes before.
        theirs = super().ConnectionCls
        self.ConnectionCls = _CONNECTIONS.get(theirs, theirs)
        return super()._new_conn()

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        # urllib3 copies them and asks for each: a dict is quicker than requests' own.
        kwargs["headers"] = dict(kwargs["headers"])
        return super().urlopen(*args, **kwargs)


class _CallingHTTPSPool(_CallingPool, HTTPSConnectionPool):
    pass


def use_calling_pools(manager: PoolManager) -> None:
    """
    Let *manager* make its pools and connections of this module's classes.
    """
    manager.pool_classes_by_scheme = {"http": _CallingPool, "https": _CallingHTTPSPool}


def forget_connections(manager: PoolManager) -> None:
    """
    Give *manager* new locks and no connections, in the child after a fork.
    """
    manager.pools.lock = threading.RLock()
    for key in manager.pools.keys():
        idle = manager.pools[key].pool
        if idle is not None:
            inherited = idle.queue
            # The same queue, since urllib3 empties it when the process ends.
            idle.__dict__.update(queue.LifoQueue(idle.maxsize).__dict__)
            # As urllib3 fills a new one: places to be taken.
            idle.queue = [None] * idle.maxsize
            for connection in filter(None, inherited):
                # The child's end only: the parent's stays open.
                connection.close()


class _TokensMasked(logging.Filter):
    """
    Keeps access tokens out of urllib3's log lines, which hold the URL.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _TOKEN.sub(r"\1***", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True


_TOKEN = re.compile(r"(access_token=)[^&\s]+")

for _name in ("connection", "connectionpool", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_TokensMasked())
