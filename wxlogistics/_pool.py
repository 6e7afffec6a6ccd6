"""urllib3's connections and pools, made to keep three promises.

The answer is bounded by the call's deadline however slowly it trickles in, head
included; it is known whether a failed request was sent; and a pool takes as many
connections as there are threads, without a lock that a fork could leave locked.
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

__all__ = ["call", "use_calling_pools"]


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


call = Call()


class _BoundedReader(io.RawIOBase):
    """
    What a socket receives, until the call's deadline.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeout = sock.gettimeout()
        # Counted by the socket, which stays open until this is closed.
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = call.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call's deadline has passed")
        if self._timeout is None or left < self._timeout:
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _BoundedSocket:
    """
    Just as much of a socket as http.client's response asks for.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock))


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        bounded: Any = _BoundedSocket(sock)
        super().__init__(bounded, *args, **kwargs)


class _CallingConnection(HTTPConnection):
    response_class = _BoundedResponse

    def connect(self) -> None:
        call.sent = False
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        call.sent = True
        super().request(*args, **kwargs)


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


class _CallingPool(HTTPConnectionPool):
    ConnectionCls = _CallingConnection
    QueueCls = _IdleConnections


class _CallingHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _CallingHTTPSConnection
    QueueCls = _IdleConnections


def use_calling_pools(manager: PoolManager) -> None:
    """
    Let *manager* make its pools and connections of this module's classes.
    """
    manager.pool_classes_by_scheme = {"http": _CallingPool, "https": _CallingHTTPSPool}


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

for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_TokensMasked())
