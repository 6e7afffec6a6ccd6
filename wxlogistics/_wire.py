"""One call to WeChat: token, JSON, repetition, failover, redaction, one log line."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, Sequence

import attrs

from ._http import MAX_REPLY, Deadline, Http, Request, Unreached, is_url, quote
from .errors import (
    AccessTokenError,
    ApiError,
    InvalidArgumentError,
    RateLimitError,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    api_error,
)
from .models import integer, require_bare_text, require_seconds, text, wrong_type

if TYPE_CHECKING:
    import requests

    from .tokens import TokenProvider

#: WeChat's hosts, each good for every call.
MAIN_URL = "https://api.weixin.qq.com"
SECOND_URL = "https://api2.weixin.qq.com"
SHANGHAI_URL = "https://sh.api.weixin.qq.com"
SHENZHEN_URL = "https://sz.api.weixin.qq.com"
HONG_KONG_URL = "https://hk.api.weixin.qq.com"

#: All five, in the order in which to try them.
WECHAT_URLS = (MAIN_URL, SECOND_URL, SHANGHAI_URL, SHENZHEN_URL, HONG_KONG_URL)

# The refusals that another token can help against. 41001 cannot: a token was sent.
_RENEWABLE = (40001, 40014, 42001)

# The pause before each repeat is a random part of so many seconds; the last stays.
_PAUSES = (0.5, 1, 2, 4, 8)

# What errors quote is cut to so many characters.
_LONGEST_EXCERPT = 200
_LONGEST_ERRMSG = 1000
_LONGEST_REASON = 10_000

logger = logging.getLogger("wxlogistics")

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True


class Wire:
    """
    Sends calls to one WeChat, over whichever of its hosts answers.

    Args:
        base_url: A host as a URL, or several, to be tried in this order.

        timeout, session: As for `Http`.

        deadline: Seconds for one call, all its attempts and its token together.

        retries: How many times at most one call is repeated.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        timeout: float | tuple[float, float],
        deadline: float,
        retries: int,
        session: requests.Session | None,
    ) -> None:
        self.hosts = _hosts(base_url)
        self.http = Http(timeout, session)
        self._deadline = require_seconds("deadline", deadline)
        if type(retries) is not int or retries < 0:
            raise InvalidArgumentError("retries", "is not a whole number from 0")
        self._retries = retries
        # The host that answered last.
        self._host = 0

    # Seams for tests. The functions are looked up at each call, so that freezegun and
    # time-machine move them.

    def clock(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def random(self) -> float:
        return random.random()

    def post(self) -> Post:
        """
        Return the means to ask WeChat, with a deadline that begins now.
        """
        end = self.clock() + self._deadline
        return Post(self, Deadline(self._deadline, end, self.clock))

    def call(
        self,
        request: Request,
        tokens: TokenProvider | None,
        post: Post,
        *,
        repeatable: bool,
    ) -> dict[str, Any]:
        """
        Send *request*, repeat it where that can do no harm, and return the reply.

        Args:
            request: What to send; its token is filled in.

            tokens: Whose token goes into the query; None for none.

            post: What *tokens* may ask WeChat with; its deadline holds here as well.

            repeatable: Whether it may be sent again though WeChat may already have had
                it.

        Raises:
            WxLogisticsError: The last attempt's failure.
        """
        deadline = post.deadline
        unreached: set[int] = set()
        maybe_applied = renewed = False
        repeats = 0
        _take_token(request, tokens, post, maybe_applied)
        while True:
            host = self._host
            pause = self.random() * _PAUSES[min(repeats, len(_PAUSES) - 1)]
            again = repeats < self._retries
            try:
                return self._attempt(request, self.hosts[host], deadline)
            except Unreached as error:
                unreached.add(host)
                self._host = (host + 1) % len(self.hosts)
                if len(unreached) < len(self.hosts):
                    pause = 0
                if not again or deadline.left() <= pause:
                    raise _same(error, maybe_applied) from None
            except TransportError as error:
                repeat = again and repeatable and error.maybe_applied
                maybe_applied = maybe_applied or error.maybe_applied
                if not repeat or deadline.left() <= pause:
                    raise _same(error, maybe_applied) from None
            except AccessTokenError as error:
                if renewed or error.errcode not in _RENEWABLE:
                    raise
                renewed = True
                if not _take_token(request, tokens, post, maybe_applied, renew=True):
                    raise
                continue
            except RateLimitError as error:
                # WeChat counts by the second, so less than one is in vain.
                pause += 1
                by_second = error.errcode == 45009 and "second" in error.errmsg
                if not (again and by_second) or deadline.left() <= pause:
                    raise
            except SystemBusyError:
                if not again or deadline.left() <= pause:
                    raise
            repeats += 1
            if pause:
                self.sleep(pause)
            # Another thread may have renewed it meanwhile.
            _take_token(request, tokens, post, maybe_applied)

    def _attempt(
        self, request: Request, host: str, deadline: Deadline
    ) -> dict[str, Any]:
        """
        Send *request* once, and leave one line in the log.
        """
        started = self.clock()
        outcome, rid = "interrupted", None
        try:
            status, body = self.http.post(request, host, deadline)
            reply = _decode(request, status, body)
            outcome = "ok"
            return reply
        except TransportError as error:
            error.reason = outcome = _mask(request, error.reason, _LONGEST_REASON)
            error.args = error.endpoint, error.reason, error.maybe_applied
            raise
        except UnexpectedResponseError as error:
            outcome = error.reason
            raise
        except ApiError as error:
            outcome, rid = f"errcode {error.errcode}", error.rid
            raise
        finally:
            took = (self.clock() - started) * 1000
            logger.debug(
                "%s: %s, rid %s, %.0f ms", request.endpoint, outcome, rid, took
            )


@attrs.frozen
class Post:
    """
    Makes one POST for a `TokenProvider`, within the call that needs the token.

    It goes to the hosts of the `Client` that makes the call, with its session and its
    timeouts, and ends by the deadline of that call.
    """

    _wire: Wire
    deadline: Deadline

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
        tokens: TokenProvider | None = None,
        token_name: str = "access_token",
        repeatable: bool = True,
    ) -> dict[str, Any]:
        """
        Post *payload* as JSON to *path* and return the reply.

        Args:
            path: From the slash behind the host on, without a query.

            payload: The JSON body.

            tokens: Whose token goes into the query; None for none.

            token_name: The query parameter's name.

            repeatable: Whether it may be sent again though WeChat may already have had
                it.

        Raises:
            InvalidArgumentError: *payload* cannot be written as JSON.

            WxLogisticsError: WeChat refused, or did not answer.
        """
        endpoint = path.rpartition("/")[2]
        request = Request(endpoint, path, encode(payload), token_name)
        # Keep the AppSecret out of the variables of a traceback.
        del payload
        return self._wire.call(request, tokens, self, repeatable=repeatable)


def _take_token(
    request: Request,
    tokens: TokenProvider | None,
    post: Post,
    maybe_applied: bool,
    *,
    renew: bool = False,
) -> bool:
    """
    Fill in the provider's token; return whether it is another than before.
    """
    if tokens is None:
        return False
    before = request.token
    try:
        request.token = tokens.renew(before, post) if renew else tokens.get(post)
    except TransportError as error:
        # Whether WeChat had the provider's request says nothing about this one.
        raise _same(error, maybe_applied) from None
    require_bare_text("token", request.token)
    return request.token != before


def _same(error: TransportError, maybe_applied: bool) -> TransportError:
    return TransportError(error.endpoint, error.reason, maybe_applied)


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


def _decode(request: Request, status: int, body: bytes) -> dict[str, Any]:
    """
    Return the reply, or raise what it says.
    """
    if status in (502, 503, 504):
        raise TransportError(request.endpoint, f"HTTP {status} from a gateway", True)
    reason = "no JSON object"
    if not 200 <= status <= 299:
        reason = "not WeChat's answer"
    elif len(body) > MAX_REPLY:
        reason = "a body of more than 5 MiB"
    elif isinstance(reply := _json(body), dict):
        # It may come as a string; success of some endpoints has none.
        errcode = integer(reply.get("errcode") or 0)
        if errcode == 0:
            return reply
        if errcode is not None:
            errmsg = _mask(request, text(reply.get("errmsg")) or "", _LONGEST_ERRMSG)
            raise api_error(request.endpoint, errcode, errmsg)
        reason = "an errcode that is not a number"
    said = body[: 64 * 1024].decode("utf-8", "replace")
    excerpt = _mask(request, said, _LONGEST_EXCERPT)
    raise UnexpectedResponseError(request.endpoint, status, excerpt, reason)


def _json(body: bytes) -> Any:
    try:
        # Whatever the headers say: WeChat names no charset and sends UTF-8. strict
        # would refuse control characters, which couriers' texts hold.
        return _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


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
    keys = ", ".join(filter(_KEY.fullmatch, reply))[:_LONGEST_EXCERPT]
    return UnexpectedResponseError(endpoint, 200, keys, f"no {field}")


_KEY = re.compile(r"[A-Za-z_]\w{0,26}", re.ASCII)

# Keys whose values must not be shown.
_PRIVATE_KEY = re.compile(r"openid|phone|mobile|touser|secret|token|ticket", re.I)


def _mask(request: Request, said: str, longest: int) -> str:
    """
    Return the first *longest* characters of *said*, with *** for private values.
    """
    private = {request.token, quote(request.token)}
    private.update(_private_values(_json(request.body)))
    values = sorted((each for each in private if len(each) > 3), key=len, reverse=True)
    # A value must not be cut in two: half of it would stay.
    margin = len(values[0]) if values else 0
    masked = said[: longest + margin]
    for value in values:
        masked = masked.replace(value, "***")
    if len(said) > longest + margin:
        masked = masked[: len(masked) - margin]
    return masked[:longest]


def _private_values(payload: object) -> Iterator[str]:
    """
    Yield the texts in a payload that stand under a private key.
    """
    # Not recursive: json may write what is nested deeper than Python can call.
    left = [(payload, False)]
    while left:
        value, private = left.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                left.append((inner, private or bool(_PRIVATE_KEY.search(key))))
        elif isinstance(value, list):
            left.extend((inner, private) for inner in value)
        elif private and value is not None:
            yield str(value)


def _hosts(base_url: str | Sequence[str]) -> tuple[str, ...]:
    """
    Return the hosts that *base_url* names, checked, without a slash at the end.
    """
    urls = [base_url] if isinstance(base_url, str) else base_url
    if not isinstance(urls, Iterable):
        raise wrong_type("base_url", base_url, "a URL or several")
    hosts = tuple(urls)
    if not hosts:
        raise InvalidArgumentError("base_url", "names no host")
    for url in hosts:
        if not (isinstance(url, str) and _BASE_URL.fullmatch(url) and is_url(url)):
            raise InvalidArgumentError(
                "base_url",
                "is not like https://api.weixin.qq.com: a scheme (https or http), a "
                "host, perhaps a port and a path, and no user, query or fragment",
            )
    return tuple(url.rstrip("/") for url in hosts)


_BASE_URL = re.compile(
    r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?(/[\w.~%-]*)*",
    re.ASCII | re.IGNORECASE,
)
