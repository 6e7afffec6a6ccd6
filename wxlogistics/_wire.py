"""One call to WeChat: token, JSON, retries, failover, redaction, one log line."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import attrs

from . import errors
from ._arguments import require_bare_text, require_seconds
from ._http import MAX_REPLY, Deadline, Http, Request, Unreached, is_base_url
from .errors import InvalidArgumentError, TransportError, UnexpectedResponseError
from .models import Json, integer, text

if TYPE_CHECKING:
    from .tokens import TokenProvider

    _Tokens: TypeAlias = TokenProvider | None

# The refusals that another token may resolve; not 41001, since a token was sent.
_RENEWABLE = (40001, 40014, 42001)

logger = logging.getLogger("wxlogistics")

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True


class Wire:
    """
    Sends calls to one WeChat, over whichever of its hosts answers.

    Args:
        base_url: A host as a URL, or several, to be tried in this order.

        http: Sends the requests.

        deadline: Seconds for one call, all its attempts and its token together.

        retries: Retries of one call at most.
    """

    def __init__(
        self, base_url: str | Sequence[str], http: Http, deadline: float, retries: int
    ) -> None:
        self.hosts = _hosts(base_url)
        self.http = http
        self._deadline = require_seconds("deadline", deadline)
        if type(retries) is not int or retries < 0:
            raise InvalidArgumentError("retries", "is not a whole number from 0")
        self._retries = retries
        # The host that answered last.
        self._host = 0

    # Seams for tests. The functions are looked up at each call, so that freezegun and
    # time-machine move them.
    _clock = staticmethod(lambda: time.monotonic())
    _sleep = staticmethod(lambda seconds: time.sleep(seconds))
    _random = staticmethod(lambda: random.random())

    def post(self) -> Post:
        """
        Return a `Post` whose deadline begins now.
        """
        seconds = self._deadline
        return Post(self, Deadline(seconds, self._clock() + seconds, self._clock))

    def call(
        self, request: Request, tokens: _Tokens, post: Post, repeatable: bool
    ) -> Json:
        """
        Send *request*, retry it if that is harmless, and return the reply.

        Args:
            request: What to send; its token is filled in.

            tokens: Provides the query's token; None for none.

            post: Passed to *tokens*; its deadline bounds this call as well.

            repeatable: Whether to retry even if it may have reached WeChat.

        Raises:
            WxLogisticsError: The last attempt's failure.
        """
        unreached: set[int] = set()
        maybe_applied = renewed = False
        repeats = 0

        def is_over(pause: float) -> bool:
            return repeats == self._retries or post.left() <= pause

        try:
            if tokens:
                _fill_in(request, tokens.get(post))
            while True:
                host = self._host
                # Full jitter of 0.5, 1, 2, 4 and then 8 seconds.
                pause = self._random() * 2 ** min(repeats - 1, 3)
                try:
                    request.host = self.hosts[host]
                    return self._attempt(request, post.deadline)
                except Unreached:
                    unreached.add(host)
                    self._host = (host + 1) % len(self.hosts)
                    # The next host is tried at once.
                    pause *= len(unreached) == len(self.hosts)
                    if is_over(pause):
                        raise
                except TransportError as error:
                    maybe_applied = maybe_applied or error.maybe_applied
                    if not (repeatable and error.maybe_applied) or is_over(pause):
                        raise
                except errors.AccessTokenError as error:
                    post.refusals += 1
                    if renewed or not tokens or error.errcode not in _RENEWABLE:
                        raise
                    renewed = True
                    if not _fill_in(request, tokens.renew(request.token, post)):
                        raise
                    continue
                except errors.RateLimitError as error:
                    # WeChat counts by the second, so a shorter pause is useless.
                    pause += 1
                    by_second = error.errcode == 45009 and "second" in error.errmsg
                    if not by_second or is_over(pause):
                        raise
                except errors.SystemBusyError:
                    if is_over(pause):
                        raise
                repeats += 1
                if pause:
                    self._sleep(pause)
        except TransportError as error:
            # True if any attempt was; a token's POST does not count.
            raise TransportError(error.endpoint, error.reason, maybe_applied) from None

    def _attempt(self, request: Request, deadline: Deadline) -> Json:
        """
        Send *request* once, and log one line.
        """
        started = self._clock()
        outcome, rid = "interrupted", None
        try:
            status, body = self.http.post(request, deadline)
            reply = _decode(request, status, body)
            outcome = "ok"
            return reply
        except TransportError as error:
            error.reason = outcome = _mask(request, error.reason, 10_000)
            error.args = error.endpoint, outcome, error.maybe_applied
            raise
        except UnexpectedResponseError as error:
            outcome = error.reason
            raise
        except errors.ApiError as error:
            outcome, rid = f"errcode {error.errcode}", error.rid
            raise
        finally:
            took, name = (self._clock() - started) * 1000, request.endpoint
            logger.debug("%s: %s, rid %s, %.0f ms", name, outcome, rid, took)


@attrs.define(eq=False)
class Post:
    """
    Makes one POST for a `TokenProvider`, within the call that needs the token.

    It goes to the hosts of the `Client` that makes the call, with its session and its
    timeouts, and ends by that call's *deadline*; *wire* sends it. *refusals* counts the
    tokens of the call that WeChat has refused.
    """

    _wire: Wire = attrs.field(repr=False)
    deadline: Deadline
    refusals: int = 0

    def left(self) -> float:
        """
        Return the seconds that are left to the call.
        """
        return self.deadline.left()

    def __call__(
        self,
        path: str,
        payload: Mapping[str, Any],
        *,
        tokens: _Tokens = None,
        token_name: str = "access_token",
        repeatable: bool = True,
    ) -> Json:
        """
        Post *payload* as JSON to *path* and return the reply.

        Args:
            path: The URL's path, without host and query.

            payload: The JSON body.

            tokens: Provides the query's token; None for none.

            token_name: The query parameter's name.

            repeatable: Whether to retry even if it may have reached WeChat.

        Raises:
            InvalidArgumentError: *payload* cannot be written as JSON.

            WxLogisticsError: WeChat refused, or did not answer.
        """
        request = Request(path.rpartition("/")[2], path, encode(payload), token_name)
        # Keep the AppSecret out of the variables of a traceback.
        del payload
        return self._wire.call(request, tokens, self, repeatable)


def _fill_in(request: Request, token: str) -> bool:
    """
    Set the *token* of *request*; return whether it has changed.
    """
    require_bare_text("token", token)
    is_new = token != request.token
    request.token = token
    return is_new


def encode(payload: Mapping[str, Any]) -> bytes:
    """
    Return *payload* as UTF-8 JSON, Chinese as it is: WeChat shows or refuses escapes.

    Raises:
        InvalidArgumentError: It cannot be written as JSON; the error names the field.
    """
    body = _dump(dict(payload))
    if body is None:
        culprits = (str(key) for key in payload if _dump(payload[key]) is None)
        # Any other key could be an openid.
        field = next(filter(_KEY.fullmatch, culprits), "extra")
        wanted = "whole Unicode, finite numbers, lists and dicts only"
        raise InvalidArgumentError(field, f"cannot be written as JSON; give {wanted}")
    return body


def _dump(value: object) -> bytes | None:
    # None instead of the encoder's error, which holds the whole text.
    try:
        return _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _decode(request: Request, status: int, body: bytes) -> Json:
    """
    Return the reply, or raise its error.
    """
    if status in (502, 503, 504):
        raise TransportError(request.endpoint, f"HTTP {status} from a gateway", True)
    reason = "no JSON object"
    if not 200 <= status <= 299:
        reason = "not WeChat's answer"
    elif len(body) > MAX_REPLY:
        reason = "a body of more than 5 MiB"
    elif isinstance(reply := _json(body), dict):
        # Success of some endpoints has none, and it may come as a string.
        errcode = 0 if reply.get("errcode") is None else integer(reply["errcode"])
        if errcode == 0:
            return reply
        if errcode is not None:
            errmsg = _mask(request, text(reply.get("errmsg")) or "", 1000)
            raise errors.api_error(request.endpoint, errcode, errmsg)
        reason = "an errcode that is not a number"
    said = body[: 64 * 1024].decode("utf-8", "replace")
    excerpt = _mask(request, said, 200)
    raise UnexpectedResponseError(request.endpoint, status, excerpt, reason)


def _json(body: bytes) -> Any:
    try:
        # Regardless of the headers: WeChat names no charset and sends UTF-8. strict
        # would refuse control characters, which couriers' texts contain.
        return _DECODER.decode(body.decode().removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None


# json.dumps and json.loads would make new ones for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(strict=False)


def lacking(endpoint: str, reply: Json, field: str) -> UnexpectedResponseError:
    """
    Return the error for a *reply* that lacks the required *field*.
    """
    # Only keys that look like WeChat's: any other could be an openid or a token.
    keys = ", ".join(filter(_KEY.fullmatch, reply))[:200]
    return UnexpectedResponseError(endpoint, 200, keys, f"no {field}")


_KEY = re.compile(r"[A-Za-z_]\w{0,26}", re.ASCII)

# Keys whose values must not be shown.
_PRIVATE_KEY = re.compile(r"openid|phone|mobile|touser|secret|token|ticket", re.I)


def _mask(request: Request, said: str, longest: int) -> str:
    """
    Return the first *longest* characters of *said*, with *** for private values.
    """
    private = {request.token, quote(request.token, safe="")}

    # Not recursive: JSON may be nested deeper than Python's recursion limit.
    left = [(_json(request.body), False)]
    while left:
        value, is_private = left.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                left.append((inner, is_private or bool(_PRIVATE_KEY.search(key))))
        elif isinstance(value, list):
            left += [(inner, is_private) for inner in value]
        elif is_private and value:
            private.add(str(value))
    values = sorted((each for each in private if len(each) > 3), key=len, reverse=True)
    for value in values:
        said = said.replace(value, "***")
    return said[:longest]


def _hosts(base_url: Any) -> tuple[str, ...]:
    """
    Return the hosts that *base_url* names, checked, without a slash at the end.
    """
    several = isinstance(base_url, Iterable) and not isinstance(base_url, str)
    urls = tuple(base_url) if several else (base_url,)
    if urls and all(map(is_base_url, urls)):
        return tuple(url.rstrip("/") for url in urls)
    raise InvalidArgumentError(
        "base_url",
        "is not like https://api.weixin.qq.com, or several of that: a scheme (https or "
        "http), a host, perhaps a port and a path, and no user, query or fragment",
    )
