"""Door 1: in process, through `responses`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from urllib3 import Timeout
from urllib3.exceptions import ProtocolError

from . import wire
from .controls import Controls
from .wire import HOSTS
from .world.endpoints import PATHS

try:
    import responses
except ImportError as error:
    raise ImportError(
        "the sandbox's mock() needs responses: pip install 'wxlogistics[testing]'"
    ) from error

if TYPE_CHECKING:
    from .. import Client


class MockedSandbox(Controls):
    """
    A sandbox that answers what `requests` sends to WeChat, while its block runs.

    Made by `Sandbox.mock()`; it shares that sandbox's world.
    """

    def __init__(
        self, sandbox: Controls, rsps: responses.RequestsMock | None, *, strict: bool
    ) -> None:
        self.world = sandbox.world
        self._rsps = responses.mock if rsps is None else rsps
        self._rule = _Rule(self, self._rsps, strict)

    def __enter__(self) -> MockedSandbox:
        # Whether something else, as @responses.activate, has started it already: there
        # is no public way to ask.
        self._rule.ends = self._rsps._patcher is None
        self._rsps.start()
        self._rsps.add(self._rule)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._rsps.remove(self._rule)
        for rule in self._rsps.registered():
            if isinstance(rule, _Rule):
                # The last to leave ends it.
                rule.ends = rule.ends or self._rule.ends
                return
        if self._rule.ends:
            # As @responses.activate does at its end.
            self._rsps.stop(allow_assert=False)
            self._rsps.reset()

    @functools.cached_property
    def client(self) -> Client:
        """
        A `wxlogistics.Client` with an access token of the default app.
        """
        from .. import Client

        # Given as a callable, so that it gets another one when its token is revoked.
        return Client(self.access_token)


class _Rule(responses.BaseResponse):
    """
    Matches every request to WeChat's hosts that no rule of the user matches.
    """

    def __init__(
        self, sandbox: Controls, rsps: responses.RequestsMock, strict: bool
    ) -> None:
        super().__init__("GET or POST", f"https://{HOSTS[0]}/")
        self._sandbox = sandbox
        self._rsps = rsps
        self._strict = strict
        #: Whether `responses` is stopped with this rule.
        self.ends = False

    # Two rules of this kind look the same to BaseResponse.
    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    @property
    def call_count(self) -> int:
        # Never zero: assert_all_requests_are_fired is about the user's own rules.
        return super().call_count + 1

    def matches(self, request: requests.PreparedRequest) -> tuple[bool, str]:
        if urlsplit(str(request.url)).hostname not in HOSTS:
            return False, "not a host of WeChat"
        newest = self
        for rule in self._rsps.registered():
            if isinstance(rule, _Rule):
                newest = rule
            elif rule.matches(request)[0]:
                return False, "another rule comes before the sandbox"
        return newest is self, "a newer sandbox comes before"

    def get_response(self, request: requests.PreparedRequest) -> Any:
        url = urlsplit(str(request.url))
        # Several slashes at the beginning are the world's to judge.
        path = "/" + url.path.lstrip("/")
        if self._strict and path not in PATHS:
            known = "\n".join(f"- {path}" for path in PATHS)
            raise AssertionError(
                f"the sandbox does not know {url.hostname}{url.path}; "
                f"it knows:\n{known}"
            )
        received = wire.HttpRequest(
            str(request.method),
            url.path,
            url.query,
            {
                name: value.decode("latin-1") if isinstance(value, bytes) else value
                for name, value in request.headers.items()
            },
            # What goes out chunked is refused unread.
            b"" if "Transfer-Encoding" in request.headers else _bytes(request.body),
        )
        answer = wire.answer(self._sandbox.world, received, in_process=True)
        # Nothing sleeps in here: time is the sandbox's.
        options: dict[str, Any] = getattr(request, "req_kwargs")
        timeout = _read_timeout(options.get("timeout"))
        if timeout is not None and answer.delay > timeout:
            self._sandbox.clock.tick(seconds=timeout)
            raise requests.ReadTimeout("Read timed out.", request=request)
        self._sandbox.clock.tick(seconds=answer.delay)
        if answer.drop:
            reset = ConnectionResetError(104, "Connection reset by peer")
            aborted = ProtocolError("Connection aborted.", reset)
            raise requests.ConnectionError(aborted, request=request)
        return responses.Response(
            self.method,
            self.url,
            # A served sandbox sends none either, and `requests` would not take it.
            body=b"" if request.method == "HEAD" else answer.body,
            status=answer.status,
            headers=answer.headers,
            content_type=None,
        ).get_response(request)


def _bytes(body: Any) -> bytes:
    """
    What `requests` sends of a body.
    """
    # Newer versions of `responses` have read a file already.
    sent = getattr(body, "read", lambda: body)()
    return sent.encode() if isinstance(sent, str) else bytes(sent or b"")


def _read_timeout(timeout: Any) -> float | None:
    """
    The read timeout of what `requests` takes as a timeout.
    """
    if isinstance(timeout, tuple):
        timeout = timeout[1]
    if isinstance(timeout, Timeout):
        # With a total the read timeout is what the connect leaves of it.
        timeout = timeout.clone()
        timeout.start_connect()
        timeout = timeout.read_timeout
    seconds: float | None = timeout
    return seconds
