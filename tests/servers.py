"""What the tests of tokens share: a scripted WeChat, a real Redis, threads."""

import contextlib
import io
import json
import pathlib
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator

import requests
import urllib3
from clients import make_client
from private import APPID, SECRET
from programs import program

from wxlogistics import TokenProvider

#: 2026-05-20 12:00:00 in China.
NOON = 1779249600.0

COMPONENT = "wx8888888888888888"
COMPONENT_TOKEN = "84_Q09NUE9ORU5UIEFDQ0VTUw"
REFRESH = "refreshtoken@@@QmVjYXVzZSBpdCBpcyBhIHRlc3Q"
CHANGED = "refreshtoken@@@Q2hhbmdlZCBieSBXZUNoYXQ"

#: What stable_token is sent.
NORMAL = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
FORCED = {**NORMAL, "force_refresh": True}

BUSY = {"errcode": -1, "errmsg": "system error rid: 1-2-3"}
INVALID = {"errcode": 40001, "errmsg": "invalid credential rid: 1-2-3"}


def issued(token: str, expires_in: Any = 7200) -> dict[str, Any]:
    """A reply of stable_token."""
    return {"access_token": token, "expires_in": expires_in}


def authorized(token: str, refresh_token: Any = REFRESH) -> dict[str, Any]:
    """A reply of api_authorizer_token."""
    return {
        "authorizer_access_token": token,
        "expires_in": 7200,
        "authorizer_refresh_token": refresh_token,
    }


@contextlib.contextmanager
def redis_server(directory: pathlib.Path) -> Iterator[int]:
    """
    Run a Redis on the loopback that writes nothing to the disk.

    Args:
        directory: Where it may run.

    Returns:
        Its port.
    """
    server = program("redis-server", "redis-server")
    process, port = _started(server, directory)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _started(
    server: str, directory: pathlib.Path
) -> tuple[subprocess.Popen[bytes], int]:
    # Another program may take the free port first: then Redis ends.
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        process = subprocess.Popen(
            [server, "--bind", "127.0.0.1", "--port", str(port)]
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
    """Stands in for the module `time` where a test decides the time."""

    def __init__(self) -> None:
        self.now = NOON

    def time(self) -> float:
        return self.now


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


class Asker:
    """
    A provider together with a client over whose wire it asks *wechat*.

    Args:
        wechat: None for whatever answers without a session of the test's.

        options: As for `make_client`.
    """

    def __init__(
        self, provider: Any, wechat: ScriptedWeChat | None = None, **options: Any
    ) -> None:
        session = wechat and wechat.session
        self.client = make_client(provider, session=session, **options)
        self.provider: TokenProvider = self.client._tokens

    def get(self) -> str:
        return self.provider.get(self.client._wire.post())

    def renew(self, rejected: str) -> str:
        return self.provider.renew(rejected, self.client._wire.post())


class MemoryCache:
    """The least that a cache must have, with time of its own."""

    def __init__(self, clock: Time) -> None:
        self.clock = clock
        self.entries: dict[str, tuple[Any, float]] = {}

    def get(self, key: str) -> Any:
        value, end = self.entries.get(key, (None, 0.0))
        return value if self.clock.now < end else None

    def set(self, key: str, value: Any, timeout: int) -> None:
        self.entries[key] = value, self.clock.now + timeout


class Gate:
    """An answer of `ScriptedWeChat` that waits until the gate is opened."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> Any:
        self.reached.set()
        assert self.opened.wait(60)
        return self.answer

    def open_later(self) -> None:
        """Open it once it is reached and other threads had time to wait as well."""
        assert self.reached.wait(60)
        threading.Timer(0.05, self.opened.set).start()

    @contextlib.contextmanager
    def held(self, function: Callable[[], Any]) -> Iterator[list[Any]]:
        """
        Run *function* in a thread that waits at the gate while the block runs.

        Returns:
            A list that holds its result or error after the block.
        """
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(outcome(function)))
        thread.start()
        try:
            assert self.reached.wait(60)
            yield results
        finally:
            self.opened.set()
            thread.join(60)


def outcome(function: Callable[[], Any]) -> Any:
    """Return what *function* returns or raises."""
    try:
        return function()
    except BaseException as error:
        return error


def at_once(
    count: int, function: Callable[[], Any], gate: Gate | None = None
) -> list[Any]:
    """
    Return what *function* returns or raises in *count* threads that begin together.

    *gate* is opened when all have begun.
    """
    barrier = threading.Barrier(count + 1)

    def run(number: int) -> Any:
        barrier.wait(60)
        return outcome(function)

    with ThreadPoolExecutor(count) as pool:
        results = pool.map(run, range(count))
        barrier.wait(60)
        if gate:
            gate.open_later()
        return list(results)
