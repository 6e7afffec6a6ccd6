"""What the tests of tokens talk to: a real Redis, and a WeChat told what to say."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time
from typing import Any, Iterator

import pytest
import requests
import urllib3

#: 2026-05-20 12:00:00 in China.
NOON = 1779249600.0


@contextlib.contextmanager
def redis_server(directory: pathlib.Path) -> Iterator[int]:
    """
    A Redis of our own on the loopback, which writes nothing to the disk.

    Where there is none to start the test is skipped; with
    WXLOGISTICS_REQUIRE_SERVERS=1 it fails.

    Args:
        directory: Where it may run.

    Returns:
        Its port.
    """
    program = shutil.which("redis-server")
    if program is None:
        missing = (
            "there is no redis-server; on Debian it comes with: "
            "apt-get install --no-install-recommends redis-server"
        )
        if os.environ.get("WXLOGISTICS_REQUIRE_SERVERS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    process, port = _started(program, directory)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _started(
    program: str, directory: pathlib.Path
) -> tuple[subprocess.Popen[bytes], int]:
    # Somebody else may take the free port first: then Redis ends, and we try again.
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port)]
            + ["--save", "", "--appendonly", "no", "--dir", str(directory)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", port), 1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(7) == b"+PONG\r\n":
                        return process, port
            time.sleep(0.01)
    raise RuntimeError("redis-server does not stay up")


class Time:
    """
    A clock that stands still until somebody sleeps, which takes no time.
    """

    def __init__(self) -> None:
        self.now = NOON
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class ScriptedWeChat(requests.adapters.BaseAdapter):
    """
    Gives one answer after the other to what goes through its session.

    Args:
        answers: Each a reply as a dict, an HTTP status with a body, an exception, or a
            function that returns one of them.

    Attributes:
        payloads: What it was sent, in order.

        urls: Where to.
    """

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.payloads: list[dict[str, Any]] = []
        self.urls: list[str] = []
        self.session = requests.Session()
        self.session.mount("https://", self)
        self._lock = threading.Lock()

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        with self._lock:
            self.payloads.append(json.loads(request.body or b"null"))
            self.urls.append(str(request.url))
            assert self.answers, f"one request too many: {self.payloads[-1]}"
            answer = self.answers.pop(0)
        if callable(answer):
            answer = answer()
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, dict):
            answer = 200, json.dumps(answer)
        status, body = answer
        response = requests.Response()
        response.status_code = status
        response.url = str(request.url)
        response.raw = urllib3.HTTPResponse(
            io.BytesIO(body.encode()), status=status, preload_content=False
        )
        return response

    def close(self) -> None:
        pass


class MemoryCache:
    """
    The least that a cache must have, with time of its own.
    """

    def __init__(self, clock: Time) -> None:
        self.clock = clock
        self.entries: dict[str, tuple[Any, float]] = {}

    def get(self, key: str) -> Any:
        value, end = self.entries.get(key, (None, 0.0))
        return value if self.clock() < end else None

    def set(self, key: str, value: Any, timeout: int) -> None:
        self.entries[key] = value, self.clock() + timeout


class PoliteCache(MemoryCache):
    """
    One with which processes can take turns.
    """

    def add(self, key: str, value: Any, timeout: int) -> bool:
        if MemoryCache.get(self, key) is not None:
            return False
        MemoryCache.set(self, key, value, timeout)
        return True

    def delete(self, key: str) -> None:
        self.entries.pop(key, None)
