"""One POST through requests: bytes out, the status and the body back.

The only module that imports requests. What it raises may hold the URL and with it the
access token: `wxlogistics._wire` replaces that before a caller sees it.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import requests
import urllib3.exceptions as urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from ._arguments import require_seconds, wrong_type
from ._version import __version__
from .errors import TransportError, UnexpectedResponseError

#: Reading stops after this many bytes.
MAX_REPLY = 5 * 1024 * 1024

_PIECE = 64 * 1024

#: Connections idle for longer are not used again: a NAT may have dropped them.
IDLE = 60.0

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}

Timeout = float | tuple[float, float]

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True


class Unreached(TransportError):
    """
    No connection to the host; another host may work. Callers see a TransportError.
    """


@attrs.frozen
class Deadline:
    """
    The end of a call.

    Attributes:
        seconds: How long the call may take.

        ends_at: When it has passed, by *clock*.

        clock: A monotonic clock.
    """

    seconds: float
    ends_at: float
    clock: Callable[[], float]

    def left(self) -> float:
        """
        Return the seconds that are left; negative when the deadline has passed.
        """
        return self.ends_at - self.clock()

    def __str__(self) -> str:
        return f"no answer within the deadline of {self.seconds:.3g} s"


@attrs.define(eq=False)
class Request:
    """
    What is sent: the same at each attempt, except for the host and the token.

    Its repr shows neither the token nor the body.
    """

    endpoint: str
    path: str
    body: bytes = attrs.field(repr=False)
    token_name: str = "access_token"
    token: str = attrs.field(default="", repr=False)
    host: str = ""

    @property
    def url(self) -> str:
        """
        The whole URL.
        """
        query = f"?{self.token_name}={quote(self.token, safe='')}" if self.token else ""
        return f"{self.host}{self.path}{query}"


class Http:
    """
    Sends requests over a session per process, or over the caller's.

    Args:
        timeout: Seconds to connect and seconds between bytes, as requests takes it.

        session: The caller's session; None for sessions of its own.
    """

    def __init__(self, timeout: Timeout, session: requests.Session | None) -> None:
        is_pair = isinstance(timeout, tuple) and len(timeout) == 2
        pair: Any = timeout if is_pair else (timeout, timeout)
        self._connect_timeout = require_seconds("timeout", pair[0])
        self._read_timeout = require_seconds("timeout", pair[1])
        if not isinstance(session, requests.Session | None):
            raise wrong_type("session", session, "a requests.Session")
        self._session = session
        # By process, because a fork may copy a held lock.
        self._own: dict[int, _OwnSession] = {}
        self._locks: dict[int, threading.Lock] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A copy opens connections of its own.
        return self.__dict__ | {"_own": {}, "_locks": {}}

    def close(self) -> None:
        """
        Close the idle connections; a caller's session is the caller's to close.
        """
        self._own.pop(os.getpid(), requests.Session()).close()

    def post(self, request: Request, deadline: Deadline) -> tuple[int, bytes]:
        """
        Send *request* and return the HTTP status and the body.

        The body is unpacked, and longer than `MAX_REPLY` if it is too long.

        Raises:
            Unreached: There was no connection.

            TransportError: There was no answer, or not the whole of it.

            UnexpectedResponseError: The body's compression is unknown or broken.
        """
        left = deadline.left()
        if left <= 0:
            raise TransportError(request.endpoint, str(deadline), False)
        timeout = min(self._connect_timeout, left), min(self._read_timeout, left)
        own = self._own_session(deadline.clock()) if self._session is None else None
        # Filled before the hooks of the caller's session run, which may raise.
        answers: list[Any] = []
        try:
            send = own.send_json if own else partial(self._send, answers)
            response = send(request, timeout)
            answers.append(response)
            if response.raw is None:
                # Made by hand, for a test.
                return response.status_code, response.content or b""
            with response:
                # The real answer follows an interim one. Closing the connection
                # unread keeps it from the next request.
                status = response.status_code
                body = b"" if status < 200 else _read(request, response, deadline)
                return status, body
        except (OSError, UnicodeError, urllib3.HTTPError) as error:
            failure = self._failure(error, request, bool(answers), deadline)
            if own and not isinstance(failure, Unreached):
                # What broke this connection may have broken the idle ones. Those in use
                # stay open: their threads hold the session.
                self._own.pop(os.getpid(), None)
        try:
            # Outside the except clause, so that requests' errors are not chained.
            raise failure
        finally:
            # It references this frame, and so the connection.
            del failure

    def _own_session(self, now: float) -> _OwnSession:
        """
        Return this process's session; another process must not share its connections.
        """
        pid = os.getpid()
        with self._locks.setdefault(pid, threading.Lock()):
            own = self._own.get(pid)
            if own is None or abs(now - own.used_at) > IDLE:
                # After a fork of any kind the parent's is dropped here.
                own = _OwnSession()
                self._own = {pid: own}
            own.used_at = now
            return own

    def _send(self, answers: list[Any], request: Request, timeout: Timeout) -> Any:
        session: Any = self._session
        hooks = (session.hooks or {}).get("response") or []
        hooks = hooks if isinstance(hooks, Iterable) else [hooks]
        # A request's hooks replace the session's.
        hooks = [lambda r, **_: answers.append(r), *hooks, _drop_location]
        return session.post(
            request.url,
            data=request.body,
            headers=_HEADERS,
            timeout=timeout,
            allow_redirects=False,
            stream=True,
            hooks={"response": hooks},
        )

    def _failure(
        self, error: Exception, request: Request, answered: bool, deadline: Deadline
    ) -> TransportError:
        """
        Return the error to raise for *error*, raised while sending or reading.
        """
        causes = _causes(error)

        def caused_by(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        said = next(filter(None, map(_said, reversed(causes))), "")
        timed_out = caused_by(TimeoutError, requests.Timeout, urllib3.TimeoutError)
        # urllib3 counts a refused connection among its timeouts.
        timed_out &= not caused_by(urllib3.NewConnectionError)
        unreached = not answered and caused_by(
            urllib3.ConnectTimeoutError,
            urllib3.ClosedPoolError,
            requests.ConnectTimeout,
            # The peer closed during the handshake; reads ignore these errors.
            ssl.SSLEOFError,
            ssl.SSLZeroReturnError,
        )
        # Raised before a connection is made, or when it is refused.
        refused = isinstance(error, ValueError) and not caused_by(urllib3.InvalidHeader)
        refused |= caused_by(ssl.SSLCertVerificationError)
        refused |= said.startswith(("Could not find ", "Tunnel connection failed"))
        sent = answered or not (unreached or refused)
        name = urlsplit(request.host).netloc + self._by_proxy(request.host)
        if timed_out and deadline.left() <= 0:
            reason = str(deadline)
        elif timed_out and sent:
            reason = f"no answer within {self._read_timeout:g} s"
        elif timed_out:
            reason = f"no connection to {name} within {self._connect_timeout:g} s"
        elif sent:
            reason = "the connection broke before the whole answer had come"
            reason += f": {said}" if said else ""
        else:
            reason = f"no connection to {name}: {said or type(causes[-1]).__name__}"
        kind = Unreached if unreached else TransportError
        return kind(request.endpoint, reason, sent)

    def _by_proxy(self, host: str) -> str:
        session = self._session or requests.Session()
        found: Any = session.merge_environment_settings(host, {}, None, None, None)
        proxy = requests.utils.select_proxy(host, found["proxies"]) or ""
        # Without the user and the password.
        address = proxy.rpartition("//")[2].rpartition("@")[2]
        return f" through the proxy {address}" if address else ""


class _OwnSession(requests.Session):
    """
    The library's own session, for one process.
    """

    used_at: float

    def __init__(self) -> None:
        super().__init__()
        agent = {"User-Agent": f"wxlogistics/{__version__}"}
        self.headers = CaseInsensitiveDict(_HEADERS | agent)
        self.cookies = _NoCookies()
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())
        # The environment's proxies and certificates, by host.
        self._settings: dict[str, Any] = {}

    def send_json(self, request: Request, timeout: Timeout) -> Any:
        if request.host not in self._settings:
            found = self.merge_environment_settings(request.host, {}, True, None, None)
            self._settings[request.host] = found
        # As Session.post() would prepare it, at a third of its cost.
        prepared = requests.PreparedRequest()
        prepared.method = "POST"
        prepared.url = request.url
        prepared.headers = CaseInsensitiveDict(self.headers)
        prepared.headers["Content-Length"] = str(len(request.body))
        prepared.body = request.body
        options = self._settings[request.host] | {"timeout": timeout}
        return self.send(prepared, allow_redirects=False, **options)


class _Adapter(HTTPAdapter):
    """
    An adapter that looks up once per host what requests looks up for each call.
    """

    def __init__(self) -> None:
        # More than there are threads: urllib3 closes connections beyond it.
        super().__init__(pool_maxsize=1000)
        self._pools: dict[str, Any] = {}

    def get_connection_with_tls_context(self, request: Any, *a: Any, **kw: Any) -> Any:
        host = _host(request.url)
        if host not in self._pools:
            pool = super().get_connection_with_tls_context(request, *a, **kw)
            self._pools[host] = pool
        return self._pools[host]

    def request_url(self, request: Any, proxies: Any) -> str:
        path = str(request.url[len(_host(request.url)) :])
        return super().request_url(request, proxies) if proxies else path

    def build_response(self, req: Any, resp: Any) -> Any:
        # Without cookies, and without a guess at the encoding.
        response: Any = requests.Response()
        response.status_code = resp.status
        response.headers = resp.headers
        response.raw = resp
        response.reason = resp.reason
        response.url = req.url
        response.request = req
        response.connection = self
        _drop_location(response)
        return response


class _NoCookies(RequestsCookieJar):
    """
    A jar that stays empty.
    """

    def extract_cookies(self, *args: Any) -> None:
        pass


def _host(url: str) -> str:
    """
    Return the part of *url* before the path: scheme, host and port.
    """
    return url[: url.index("/", len("https://"))]


def _drop_location(response: requests.Response, **kwargs: Any) -> None:
    # requests reads the whole body of a redirect, even with allow_redirects=False.
    # Those of vcrpy have no pop().
    if "Location" in response.headers:
        del response.headers["Location"]


def _read(request: Request, response: requests.Response, deadline: Deadline) -> bytes:
    raw = response.raw
    coding = response.headers.get("Content-Encoding", "").strip().lower() or "identity"
    if hasattr(raw, "read1") and hasattr(raw, "supports_chunked_reads"):
        # Returns what has arrived; urllib3's other methods block until a whole piece is
        # there.
        pieces = iter(lambda: raw.read1(_PIECE, decode_content=False), b"")
    else:
        pieces, coding = response.iter_content(_PIECE), "identity"
    body = bytearray()
    for piece in pieces:
        body += piece
        # At the end another read would return b"".
        if len(body) > MAX_REPLY or getattr(raw, "length_remaining", None) == 0:
            break
        if deadline.left() <= 0:
            raise TimeoutError
    if not body or coding == "identity":
        # Empty if a hook or a cache of the session has read it.
        return bytes(body) or response.content
    reason = "a Content-Encoding that was not asked for"
    if coding in ("gzip", "x-gzip", "deflate"):
        reason = "the body's compression is broken"
        # 32 detects gzip or zlib by the header.
        unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS)
        with contextlib.suppress(zlib.error):
            unpacked = unpacker.decompress(body, MAX_REPLY + 1)
            if unpacker.eof or len(unpacked) > MAX_REPLY:
                return unpacked
    raise UnexpectedResponseError(request.endpoint, response.status_code, "", reason)


def _causes(error: BaseException) -> list[BaseException]:
    """
    Return *error* and what requests and urllib3 wrapped in it, the innermost last.
    """
    causes = [error]
    for cause in causes:
        # Not __context__, which is what the caller was handling.
        for each in (getattr(cause, "reason", None), *cause.args, cause.__cause__):
            if isinstance(each, BaseException) and each not in causes:
                causes.append(each)
    return causes


def _said(error: BaseException) -> str | None:
    """
    Return the message of the operating system, the certificate check or a mock.
    """
    if not isinstance(error, OSError):
        return None
    said = error.strerror or next((a for a in error.args if isinstance(a, str)), None)
    if isinstance(error, ssl.SSLCertVerificationError):
        said = f"certificate verify failed: {getattr(error, 'verify_message', said)}"
    return said


_BASE_URL = re.compile(
    r"(?ai)https?://([\w.-]+|\[[0-9a-f:.]+])(:\d{1,5})?(/[\w.~%-]*)*"
)


def is_base_url(value: Any) -> bool:
    """
    Whether *value* is a scheme and a host, perhaps a port and a path, and no more.
    """
    try:
        requests.Request("POST", value).prepare()
        return bool(_BASE_URL.fullmatch(value))
    except (requests.RequestException, TypeError):
        return False
