"""One POST to WeChat: encode, send through requests, decode, raise, repeat.

The only module of the core that imports requests. Nothing that it raises or logs
holds an access_token, a secret, an openid or a phone number; requests' and urllib3's
own error texts hold the URL with the token, so they are replaced, never chained.
"""

from __future__ import annotations

import io
import json
import logging
import os
import random as _random
import re
import ssl
import threading
import time
import urllib.parse
import weakref
from http.cookiejar import CookieJar
from typing import Any, Callable, Iterable, Iterator, Mapping, Protocol, Sequence

import attrs
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from . import _pool
from ._version import __version__
from .errors import (
    AccessTokenError,
    ApiError,
    GatewayError,
    InvalidArgumentError,
    RateLimitError,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
    api_error,
)
from .models import integer, require_bare_text, text, wrong_type

__all__ = ["MAIN_URL", "MAX_REPLY", "WECHAT_URLS", "TokenProvider", "Wire", "lacking"]

#: WeChat's hosts, each good for every call.
MAIN_URL = "https://api.weixin.qq.com"
SECOND_URL = "https://api2.weixin.qq.com"
SHANGHAI_URL = "https://sh.api.weixin.qq.com"
SHENZHEN_URL = "https://sz.api.weixin.qq.com"
HONG_KONG_URL = "https://hk.api.weixin.qq.com"

#: All five, in the order in which to try them.
WECHAT_URLS = (MAIN_URL, SECOND_URL, SHANGHAI_URL, SHENZHEN_URL, HONG_KONG_URL)

#: A reply larger than this many bytes, unpacked, is refused.
MAX_REPLY = 5 * 1024 * 1024
_TOO_LARGE = "a body of more than 5 MiB"

# Small, because a piece of gzip may unpack to a thousand times its size.
_PIECE = 8 * 1024

#: After this many seconds on another host the first one is tried again.
RETURN_AFTER = 300.0

# The pause before each repeat is a random part of so many seconds; the last stays.
_PAUSES = (0.5, 1, 2, 4, 8)

logger = logging.getLogger("wxlogistics")

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True


class TokenProvider(Protocol):
    """
    What hands out access tokens: the shape that `Client` asks for.
    """

    def get(self) -> str:
        """
        Return the token to use now.
        """
        ...

    def renew(self, rejected: str) -> str:
        """
        Return a token other than *rejected*, which WeChat refused, or raise.

        A provider that has no other may return *rejected* again: the caller then sees
        WeChat's refusal, and nothing is sent a second time.
        """
        ...


class Wire:
    """
    Sends calls to one WeChat, whichever of its hosts answers.

    Args:
        base_url: A host as a URL, or several, to be tried in this order.

        timeout: Seconds to connect and seconds between bytes, as requests takes it.

        deadline: Seconds for one call, all its attempts together.

        retries: How many times at most one call is repeated.

        session: The caller's session; None for one of its own.

        clock: Seconds that only go forward.

        sleep: Waits so many seconds.

        random: A number from 0 to 1.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        *,
        timeout: float | tuple[float, float],
        deadline: float,
        retries: int,
        session: requests.Session | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.hosts = _hosts(base_url)
        self._connect_timeout, self._read_timeout = _timeouts(timeout)
        self._deadline = _seconds("deadline", deadline)
        if type(retries) is not int or retries < 0:
            raise InvalidArgumentError("retries", "is not a whole number from 0")
        if not isinstance(session, requests.Session | None):
            raise wrong_type("session", session, "a requests.Session")
        self._retries = retries
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._own_session = session is None
        self._session = _new_session() if session is None else session
        # For each host the request that all are like, and how it is to be sent.
        self._templates: dict[int, tuple[requests.PreparedRequest, Any]] = {}
        # Which host to use, and until when; one tuple, so that threads never see half.
        self._preferred = (0, 0.0)
        _wires.add(self)

    def close(self) -> None:
        """
        Close the idle connections; a caller's session is left to the caller.
        """
        if self._own_session:
            self._session.close()

    def post(
        self,
        endpoint: str,
        path: str,
        payload: Mapping[str, Any],
        *,
        tokens: TokenProvider | None,
        token_name: str = "access_token",
        repeatable: bool,
    ) -> dict[str, Any]:
        """
        Post *payload* to *path* and return the reply, a JSON object.

        Args:
            endpoint: What errors and log lines call it.

            path: From the slash behind the host on.

            payload: The JSON body.

            tokens: Whose token goes into the query; None for none.

            token_name: The query parameter's name.

            repeatable: Whether the call may be sent again though WeChat may already
                have had it.

        Raises:
            InvalidArgumentError: *payload* cannot be written as JSON.

            WxLogisticsError: The last attempt's failure.
        """
        # A provider fetches its token within the call that needs it, and so within
        # that call's deadline.
        outer_end = _pool.call.ends_at
        deadline = min(self._deadline, outer_end - time.monotonic())
        ends_at = self._clock() + deadline
        body = _encode(payload)
        call = _Call(endpoint, path, payload, body, token_name, deadline, ends_at)
        # What shows the variables of a traceback shall not find them here.
        del payload, body
        renewed = False
        repeats = 0
        unreached: set[int] = set()
        # Whether an attempt may have reached WeChat and nobody knows what became of it.
        maybe_applied = False
        _pool.call.ends_at = time.monotonic() + deadline
        try:
            _take_token(call, tokens, maybe_applied)
            while True:
                host = self._host()
                try:
                    return self._attempt(call, host)
                except WxLogisticsError as error:
                    failure = error

                repeat = _may_repeat(failure, repeatable)
                moved_on = False
                if isinstance(failure, _Unreached):
                    unreached.add(host)
                    moved_on = len(unreached) < len(self.hosts)
                    self._pass_over(host)
                if isinstance(failure, TransportError):
                    maybe_applied = maybe_applied or failure.maybe_applied
                    if not failure.maybe_applied:
                        # Of the class that callers know, and of all the attempts.
                        reason = failure.reason
                        failure = TransportError(endpoint, reason, maybe_applied)
                if isinstance(failure, AccessTokenError) and tokens and not renewed:
                    renewed = True
                    if _take_token(call, tokens, maybe_applied, renew=True):
                        continue
                if not repeat or repeats == self._retries:
                    raise failure
                pause = 0.0 if moved_on else self._pause(repeats, failure)
                if self._clock() + pause >= ends_at:
                    raise failure
                repeats += 1
                if pause:
                    self._sleep(pause)
                # Asked for anew: another thread may have renewed it.
                _take_token(call, tokens, maybe_applied)
        finally:
            _pool.call.ends_at = outer_end

    def _attempt(self, call: _Call, host: int) -> dict[str, Any]:
        """
        Make *call* once, and leave one line in the log.
        """
        started = self._clock()
        outcome, rid = "interrupted", None
        try:
            status, body = self._exchange(call, host)
            reply = _decode(call, status, body)
            outcome = "ok"
            return reply
        except (TransportError, UnexpectedResponseError) as error:
            outcome = error.reason
            raise
        except ApiError as error:
            outcome, rid = f"errcode {error.errcode}", error.rid
            raise
        finally:
            took = (self._clock() - started) * 1000
            logger.debug("%s: %s, rid %s, %.0f ms", call.endpoint, outcome, rid, took)

    def _exchange(self, call: _Call, host: int) -> tuple[int, bytes]:
        """
        Send *call* to *host* and return the answer's HTTP status and body.
        """
        left = call.ends_at - self._clock()
        if left <= 0:
            raise TransportError(call.endpoint, call.deadline_passed, False)
        timeout = min(self._connect_timeout, left), min(self._read_timeout, left)
        session = self._session
        status = 0
        _pool.call.sent = None
        try:
            template, settings = self._templates.get(host) or self._template(host)
            request = requests.PreparedRequest()
            request.method = "POST"
            request.url = self.hosts[host] + call.path
            if call.token:
                quoted = urllib.parse.quote(call.token, safe="")
                request.url += f"?{call.token_name}={quoted}"
            request.headers = template.headers.copy()
            request.headers["Content-Length"] = str(len(call.body))
            request.body = call.body
            request.hooks = template.hooks
            if session.auth:
                # Digest hooks itself into the request, and looks for its cookies.
                request.hooks = {"response": [*template.hooks["response"]]}
                request._cookies = RequestsCookieJar()
                request.prepare_auth(session.auth)
            response = session.send(
                request, timeout=timeout, allow_redirects=False, **settings
            )
            is_bounded = _pool.call.sent is not None
            status = response.status_code
            if response.raw is None:
                # Made by hand, for a test.
                response.raw = io.BytesIO(response.content)
            with response:
                coding = response.headers.get("Content-Encoding", "identity").lower()
                if coding not in ("identity", "gzip", "deflate"):
                    # Some versions of urllib3 would unpack gzip in gzip without bound.
                    reason = "a Content-Encoding that was not asked for"
                    raise UnexpectedResponseError(call.endpoint, status, "", reason)
                # Behind an interim answer, which a caller's connections take for the
                # last, comes another: unread, the connection is not used again.
                if status < 200:
                    return status, b""
                at_once = is_bounded and coding == "identity"
                return status, self._read(response, call.ends_at, at_once)
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            # ValueErrors: a header of the caller's session that cannot be, or a chunk
            # of less than no bytes.
            failure = self._failure(error, call, host, status)
        # Raised out here, where nothing of theirs can be chained to it.
        raise failure

    def _read(
        self, response: requests.Response, ends_at: float, at_once: bool
    ) -> bytes:
        """
        Read the body: not for ever, and a little more than `MAX_REPLY` at most.

        *at_once* if nothing is to be unpacked, and the connection keeps to the deadline
        by itself: then all is read that is said to come.
        """
        length = getattr(response.raw, "length_remaining", None)
        if length and at_once:
            body: bytes = response.raw.read(min(length, MAX_REPLY + 1))
        else:
            grown = bytearray()
            for piece in response.iter_content(_PIECE):
                grown += piece
                if len(grown) > MAX_REPLY:
                    break
                if self._clock() >= ends_at:
                    raise TimeoutError
            body = bytes(grown)
        # urllib3 lets a body pass that breaks off: in a read of all, or before 2.
        if len(body) <= MAX_REPLY and getattr(response.raw, "length_remaining", None):
            raise ConnectionError
        return body

    def _failure(
        self, error: Exception, call: _Call, host: int, status: int
    ) -> Exception:
        """
        Return what to raise for *error*, which came up while sending or reading.
        """
        causes = list(_causes(error))

        def caused_by(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        if caused_by(urllib3.exceptions.DecodeError):
            reason = "the body's compression is broken"
            return UnexpectedResponseError(call.endpoint, status, "", reason)
        if status and caused_by(_pool.TooMuch):
            return UnexpectedResponseError(call.endpoint, status, "", _TOO_LARGE)

        refused = caused_by(urllib3.exceptions.NewConnectionError)
        # urllib3 counts a refused connection among its timeouts.
        timed_out = not refused and caused_by(
            TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError
        )
        misconfigured = type(error) is OSError or isinstance(error, ValueError)
        # Our own connections know whether the request was sent. A caller's adapter or
        # a mock leaves None: then it counts as sent, but for what only comes before.
        sent = True if status else _pool.call.sent
        if sent is None:
            sent = not misconfigured and not caused_by(
                urllib3.exceptions.NewConnectionError,
                urllib3.exceptions.ProxyError,
                urllib3.exceptions.ClosedPoolError,
                requests.ConnectTimeout,
                ssl.SSLCertVerificationError,
            )

        name = urllib.parse.urlsplit(self.hosts[host]).netloc
        if caused_by(urllib3.exceptions.ProxyError):
            name += " through the proxy"
        said = next((found for found in map(_said, reversed(causes)) if found), None)
        if timed_out and self._clock() >= call.ends_at:
            reason = call.deadline_passed
        elif timed_out and sent:
            reason = f"no answer within {self._read_timeout:g} s"
        elif timed_out:
            reason = f"no connection to {name} within {self._connect_timeout:g} s"
        elif sent:
            reason = "the connection broke before the whole answer had come"
            reason += f": {said}" if said else ""
        else:
            reason = f"no connection to {name}: {said or type(error).__name__}"
        # A host that shows a wrong certificate was reached; one that hangs up before
        # it has shown any was not.
        wrong = caused_by(ssl.SSLError, urllib3.exceptions.SSLError)
        reached = sent or misconfigured or (wrong and not caused_by(ssl.SSLEOFError))
        kind = TransportError if reached else _Unreached
        return kind(call.endpoint, call.mask(reason), sent)

    def _pause(self, repeats: int, failure: WxLogisticsError) -> float:
        """
        Return the seconds to wait before the next repeat: full jitter.
        """
        pause = self._random() * _PAUSES[min(repeats, len(_PAUSES) - 1)]
        # WeChat counts by the second, so less than one is in vain.
        return pause + 1 if isinstance(failure, RateLimitError) else pause

    def _host(self) -> int:
        """
        Return the host to use: the first, unless it was out of reach lately.
        """
        host, until = self._preferred
        return host if self._clock() < until else 0

    def _pass_over(self, host: int) -> None:
        """
        Prefer the host behind *host*, unless another thread has moved on already.
        """
        if self._host() == host:
            following = (host + 1) % len(self.hosts)
            self._preferred = following, self._clock() + RETURN_AFTER

    def _template(self, host: int) -> tuple[requests.PreparedRequest, Any]:
        """
        Read once what every request to *host* shares: session and environment.
        """
        session, url = self._session, self.hosts[host]
        headers = {
            "Content-Type": "application/json",
            # What requests itself can unpack, a piece at a time.
            "Accept-Encoding": "gzip, deflate",
        }
        # The session's own auth is applied to each request; without this, one for
        # WeChat would be looked up in ~/.netrc.
        bare = requests.Request("POST", url, headers, auth=lambda request: request)
        request = session.prepare_request(bare)
        request.register_hook("response", _forget_location)
        settings = session.merge_environment_settings(url, {}, True, None, None)
        self._templates[host] = request, settings
        return request, settings


# All there are: what a fork must not share is theirs.
_wires: weakref.WeakSet[Wire] = weakref.WeakSet()


def _after_fork() -> None:
    """
    Give every session connections and locks of its own, in the child.
    """
    for session in [wire._session for wire in _wires]:
        if isinstance(session.cookies, CookieJar):
            session.cookies._cookies_lock = threading.RLock()
        for adapter in session.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                    _pool.forget_connections(manager)


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_after_fork)


@attrs.define(eq=False)
class _Call:
    """
    One call, the same at each of its attempts but for the *token*.
    """

    endpoint: str
    path: str
    payload: Mapping[str, Any]
    body: bytes
    token_name: str
    deadline: float
    ends_at: float
    token: str = ""

    def __repr__(self) -> str:
        return f"<call of {self.endpoint}>"

    @property
    def deadline_passed(self) -> str:
        """
        The reason to give when it has.
        """
        return f"no answer within the deadline of {self.deadline:.3g} s"

    def mask(self, said: str) -> str:
        """
        Return what somebody *said* in answer to this call, without secrets.
        """
        private = {self.token, urllib.parse.quote(self.token, safe="")}
        private.update(_private_values(self.payload))
        for value in sorted(private, key=len, reverse=True):
            if len(value) > 3 and value.lower() not in _PLAIN_WORDS:
                said = said.replace(value, "***")
        return _PERSONAL.sub("***", _PRIVATE_FIELD.sub(r"\1***", said))


class _Unreached(TransportError):
    """
    No connection came about: another host may do. No caller sees this class.
    """


class _Adapter(HTTPAdapter):
    """
    requests' adapter, on the connections of `_pool`.

    What requests works out for each call is worked out once for each host: a client's
    own session asks the same of a host each time. `send` stays requests' own, for that
    is where mocks and tracers step in.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _pool.use_calling_pools(self.poolmanager)
        # Kept by the manager, until it is closed.
        self._pools = weakref.WeakValueDictionary[str, Any]()

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            _pool.use_calling_pools(manager)
        return manager

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        host = request.url[: _path_at(request.url)]
        pool = self._pools.get(host)
        if pool is None:
            pool = super().get_connection_with_tls_context(
                request, verify, proxies, cert
            )
            super().cert_verify(pool, request.url, verify, cert)
            self._pools[host] = pool
        return pool

    def cert_verify(self, *args: Any) -> None:
        """
        Do nothing: it is done where the pool is made.
        """

    def request_url(self, request: Any, proxies: Any) -> str:
        if proxies:
            return super().request_url(request, proxies)
        url: str = request.url
        return url[_path_at(url) :]

    def build_response(self, request: Any, answer: Any) -> requests.Response:
        # Without its cookies, and without a guess at its encoding.
        response = requests.Response()
        response.status_code = answer.status
        # Headers of our own connections do as they are; a mock's could be anything.
        known = _pool.call.sent is not None
        headers = answer.headers
        response.headers = headers if known else CaseInsensitiveDict(headers)
        response.raw = answer
        response.reason = answer.reason
        response.url = request.url
        response.request = request
        response.connection = self
        return response


def _path_at(url: str) -> int:
    """
    Return where the path begins: behind the scheme's slashes and the host.
    """
    return url.index("/", len("https://"))


class _NoCookies(RequestsCookieJar):
    """
    A jar that stays empty.
    """

    def extract_cookies(self, *args: Any) -> None:
        pass


def _new_session() -> requests.Session:
    session = requests.Session()
    # Without what requests would add: each header costs its part of a call.
    session.headers = CaseInsensitiveDict({"User-Agent": f"wxlogistics/{__version__}"})
    session.cookies = _NoCookies()
    session.mount("https://", _Adapter())
    session.mount("http://", _Adapter())
    return session


def _forget_location(response: requests.Response, **kwargs: Any) -> None:
    # requests looks at where a redirect leads even when told not to follow it, and
    # reads its whole body for that, however long.
    response.headers.pop("location", None)


def _take_token(
    call: _Call,
    tokens: TokenProvider | None,
    maybe_applied: bool,
    *,
    renew: bool = False,
) -> bool:
    """
    Give *call* the provider's token; return whether it is another than before.
    """
    if tokens is None:
        return False
    before = call.token
    try:
        call.token = tokens.renew(before) if renew else tokens.get()
        require_bare_text("token", call.token)
        return call.token != before
    except TransportError as error:
        failure = error
    # Whether WeChat had the provider's request says nothing about the call's own.
    raise TransportError(failure.endpoint, failure.reason, maybe_applied)


def _may_repeat(failure: WxLogisticsError, repeatable: bool) -> bool:
    """
    Whether a call that ended in *failure* may be sent once more.
    """
    if isinstance(failure, _Unreached):
        return True
    if isinstance(failure, TransportError):
        return repeatable and failure.maybe_applied
    if isinstance(failure, RateLimitError):
        return failure.errcode == 45009 and "second" in failure.errmsg
    return isinstance(failure, SystemBusyError)


def _encode(payload: Mapping[str, Any]) -> bytes:
    """
    Return *payload* as UTF-8 JSON, Chinese as it is: WeChat shows or refuses escapes.
    """
    body = _dump(dict(payload))
    if body is None:
        culprits = (str(key) for key in payload if _dump(payload[key]) is None)
        # Any other key could be an openid.
        field = next(filter(_KEY.fullmatch, culprits), "extra")
        raise InvalidArgumentError(
            field,
            "cannot be written as JSON; give whole Unicode, finite numbers, lists and "
            "dicts only",
        )
    return body


def _dump(value: object) -> bytes | None:
    # None, not the encoder's own error: that holds the whole text.
    try:
        return _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _decode(call: _Call, status: int, body: bytes) -> dict[str, Any]:
    """
    Return the reply, or raise what it says.
    """

    def excerpt() -> str:
        return call.mask(body[:65536].decode("utf-8", "replace"))[:200]

    def unexpected(reason: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(call.endpoint, status, excerpt(), reason)

    if status in (502, 503, 504):
        raise GatewayError(call.endpoint, status, excerpt())
    if not 200 <= status <= 299:
        raise unexpected("not WeChat's answer")
    if len(body) > MAX_REPLY:
        raise unexpected(_TOO_LARGE)
    try:
        # Whatever the headers say: WeChat names no charset and sends UTF-8. strict
        # would refuse control characters, which couriers' texts hold.
        reply = _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise unexpected("no JSON object")
    if reply.get("errcode") is None:
        return reply
    errcode = integer(reply["errcode"])
    if errcode is None:
        raise unexpected("an errcode that is no number")
    if errcode:
        errmsg = text(reply.get("errmsg")) or ""
        raise api_error(call.endpoint, errcode, call.mask(errmsg))
    return reply


# json.dumps and json.loads would make new ones for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(strict=False)


def lacking(
    endpoint: str, reply: Mapping[str, Any], field: str
) -> UnexpectedResponseError:
    """
    Return the error for a *reply* without the *field* that it is all about.
    """
    # Only keys that look like WeChat's: any other could be an openid sent back, or a
    # token.
    keys = ", ".join(filter(_KEY.fullmatch, reply))[:200]
    return UnexpectedResponseError(endpoint, 200, keys, f"no {field}")


_KEY = re.compile(r"[A-Za-z_]\w{0,26}", re.ASCII)

# Keys whose values are nobody else's business, in a payload and in an answer.
_PRIVATE = r"openid|phone|mobile|touser|secret|token|ticket"
_PRIVATE_KEY = re.compile(_PRIVATE, re.IGNORECASE)
_PRIVATE_FIELD = re.compile(
    rf"((?:{_PRIVATE})\w*[\"']?\s*[:=]\s*[\"']?)[^\s\"'&<>,;}}]+", re.IGNORECASE
)

# An openid or a phone number wherever it stands, a courier's too; no rid and no number
# of a waybill looks like that.
_PERSONAL = re.compile(
    r"(?<![0-9A-Za-z_-])"
    r"(?:o[\w-]{27}|1[3-9]\d(?:[ -]?\d{4}){2}|0\d{2,3}[ -]?\d{7,8})"
    r"(?![0-9A-Za-z_-])",
    re.ASCII,
)

# Somebody's test may use the name of a thing as its value; WeChat's texts are then
# still to be read.
_PLAIN_WORDS = {"openid", "phone", "secret", "appsecret", "token", "access_token"}


def _private_values(payload: object) -> Iterator[str]:
    """
    Yield the texts in a payload that stand under a private key.
    """
    # No recursion: json may write what is nested deeper than Python can call.
    left = [(payload, False)]
    while left:
        value, private = left.pop()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                left.append((inner, private or bool(_PRIVATE_KEY.search(str(key)))))
        elif isinstance(value, (list, tuple)):
            left.extend((inner, private) for inner in value)
        elif private and value is not None:
            yield str(value)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """
    Yield *error* and what requests and urllib3 wrapped in it.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        inner = [getattr(error, "reason", None), *error.args]
        wrapped = [each for each in inner if isinstance(each, BaseException)]
        error = wrapped[0] if wrapped else error.__cause__ or error.__context__


def _said(error: BaseException) -> str | None:
    """
    Return what *error* says where it is sure to hold no URL: the system's own words,
    a certificate's fault, or the first line of a mock's text.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ValueError):
        return None
    if isinstance(error, requests.RequestException) or type(error) is OSError:
        first = error.args[0] if error.args else None
        if isinstance(first, str) and "://" not in first.partition("\n")[0]:
            return first.partition("\n")[0]
    return error.strerror if isinstance(error, OSError) else None


def _hosts(base_url: str | Sequence[str]) -> tuple[str, ...]:
    """
    Return the hosts that *base_url* names, checked, without a slash at the end.
    """
    if isinstance(base_url, str):
        base_url = (base_url,)
    elif not isinstance(base_url, Iterable):
        raise wrong_type("base_url", base_url, "a URL or several")
    urls = tuple(base_url)
    if not urls:
        raise InvalidArgumentError("base_url", "names no host")
    if not all(isinstance(url, str) and _is_base_url(url) for url in urls):
        raise InvalidArgumentError(
            "base_url",
            "is not like https://api.weixin.qq.com: a scheme (https or http), a host, "
            "perhaps a port and a path, and no user, query or fragment",
        )
    return tuple(url.rstrip("/") for url in urls)


def _is_base_url(url: str) -> bool:
    try:
        requests.Request("POST", url).prepare()
    except requests.RequestException:
        return False
    return bool(_BASE_URL.fullmatch(url))


_BASE_URL = re.compile(
    r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?(/[\w.~%-]*)*",
    re.ASCII | re.IGNORECASE,
)


def _seconds(field: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise InvalidArgumentError(field, "is not a number of seconds above 0")
    # A socket cannot wait for ever, though it can for some days.
    return float(min(value, 86_400))


def _timeouts(timeout: float | tuple[float, float]) -> tuple[float, float]:
    pair: Any = timeout
    if not isinstance(timeout, tuple) or len(timeout) != 2:
        pair = timeout, timeout
    return _seconds("timeout", pair[0]), _seconds("timeout", pair[1])
