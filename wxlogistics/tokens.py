"""Where access tokens come from: given, called for, or fetched and kept.

A token that is fetched is kept in the process and, where there is a cache, shared with
other processes and machines. All that stands in the cache is doubted: a cache can
make a call slower, but never break one that WeChat would have answered.

Source: https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html
and https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html
"""  # noqa: E501

from __future__ import annotations

import abc
import copy
import hashlib
import json
import logging
import os
import random
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol, Sequence

import attrs

from . import _pool
from ._wire import MAIN_URL, TokenProvider, Wire, lacking
from .errors import InvalidArgumentError, TransportError, WxLogisticsError
from .models import integer, require_bare_text, require_text, wrong_type

if TYPE_CHECKING:
    import requests

__all__ = ["AuthorizerToken", "Cache", "StableToken", "TokenProvider", "token_provider"]

#: A token is replaced so many seconds before its end. WeChat hands out tokens with as
#: little as 300 s left, so this must be well below.
MARGIN = 60

#: WeChat's longest life of a token, and what is assumed where a reply names none.
LONGEST_LIFE = 7200
ASSUMED_LIFE = 300

#: WeChat wants so many seconds between two forced renewals.
FORCE_PAUSE = 30

# While one process fetches, the others that share its cache wait so long for what it
# gets, looking so often.
_LEASE = 10
_LOOK_EVERY = 0.05

_CLAIMED = "claimed"

# A cache that is down may take seconds to say so, each time.
_MOST_FAILURES = 2

# For a refresh token: as good as for ever, and short enough for every kind of cache.
_YEAR = 365 * 24 * 3600

logger = logging.getLogger("wxlogistics")

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True


class Cache(Protocol):
    """
    What a cache must have: Django's caches and all of cachelib's do.

    With ``add`` and ``delete`` as theirs, processes also take turns in fetching.
    """

    def get(self, key: str) -> Any:
        """
        Return what was set under *key*, or None.
        """
        ...

    def set(self, key: str, value: Any, timeout: int) -> Any:
        """
        Keep *value* under *key* for *timeout* seconds.
        """
        ...


class _GivenToken:
    """
    A token that somebody else keeps: the same each time, or what a function returns.
    """

    def __init__(self, source: str | Callable[[], str]) -> None:
        self._source = source

    def get(self) -> str:
        return self._source if isinstance(self._source, str) else self._source()

    def renew(self, rejected: str) -> str:
        return self.get()


def token_provider(
    token: str | Callable[[], str] | TokenProvider, field: str = "token"
) -> TokenProvider:
    """
    Return the provider that *token* is or stands for.

    Raises:
        InvalidArgumentError: It is none; the error names *field*.
    """
    is_class = isinstance(token, type)
    if hasattr(token, "get") and hasattr(token, "renew") and not is_class:
        return token
    if isinstance(token, str):
        require_bare_text(field, token)
    elif is_class or not callable(token):
        raise wrong_type(
            field, token, "a str, a callable that returns one, or a TokenProvider"
        )
    return _GivenToken(token)


class _Kept(NamedTuple):
    """
    A fetched token, and the Unix time until which it is used.
    """

    token: str
    good_until: float


def _check_text(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    require_bare_text(attribute.name.lstrip("_"), value)


def _check_appid(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    _check_text(_, attribute, value)
    # An appid is shown in reprs, in log lines and to whoever reads the cache.
    if re.fullmatch("[0-9a-f]{32}", value):
        raise InvalidArgumentError(
            attribute.name.lstrip("_"),
            "looks like an AppSecret; give wx and 16 more characters",
        )


def _check_cache(_: object, __: object, cache: Cache | None) -> None:
    if cache is not None and not (hasattr(cache, "get") and hasattr(cache, "set")):
        kind = type(cache).__name__
        raise InvalidArgumentError("cache", f"is of type {kind}, without get and set")


@attrs.define(slots=False, eq=False, repr=False, kw_only=True)
class _FetchedToken(abc.ABC):
    """
    Base of the providers that fetch: keeps, shares and renews; a subclass fetches.
    """

    _endpoint = ""

    # Each alias is what attrs would make of the name: some type checkers ask for it.
    _cache: Cache | None = attrs.field(
        default=None, validator=_check_cache, alias="cache"
    )
    _base_url: str | Sequence[str] = attrs.field(default=MAIN_URL, alias="base_url")
    _timeout: float | tuple[float, float] = attrs.field(
        default=(3.05, 20), alias="timeout"
    )
    _deadline: float = attrs.field(default=60, alias="deadline")
    _retries: int = attrs.field(default=2, alias="retries")
    _session: requests.Session | None = attrs.field(default=None, alias="session")
    _clock: Callable[[], float] = attrs.field(default=time.time, alias="clock")
    _sleep: Callable[[float], object] = attrs.field(default=time.sleep, alias="sleep")
    _random: Callable[[], float] = attrs.field(default=random.random, alias="random")

    # Whose token it is, and for whom it is got.
    _appids: tuple[str, ...] = attrs.field(init=False)
    _wire: Wire = attrs.field(init=False)
    _kept: _Kept | None = attrs.field(init=False, default=None)
    # How the last fetch ended, for the threads that waited for it: which token had
    # been refused, and what came instead.
    _outcome: tuple[str | None, str | WxLogisticsError] | None = attrs.field(
        init=False, default=None
    )
    # The last ones: a cache that takes nothing new goes on showing an old one.
    _refused: list[str] = attrs.field(init=False, factory=list)
    _cache_failures: int = attrs.field(init=False, default=0)
    # One for each process: a fork in the midst of a fetch must not leave a child
    # waiting for a thread that it does not have.
    _locks: dict[int, threading.Lock] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._wire = Wire(
            self._base_url,
            timeout=self._timeout,
            deadline=self._deadline,
            retries=self._retries,
            session=self._session,
            sleep=self._sleep,
            random=self._random,
        )

    # Pickled as what it was made from: no kept token, no lock, no connection.
    def __getstate__(self) -> dict[str, Any]:
        return {
            field.alias: value
            for field in attrs.fields(type(self))
            if field.init and (value := getattr(self, field.name)) is not field.default
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {' for '.join(self._appids)}>"

    @abc.abstractmethod
    def _fetch(self, rejected: str | None) -> _Kept:
        """
        Ask WeChat for a token, other than *rejected* if that can be.
        """

    def get(self) -> str:
        """
        Return the token that is kept, or fetch one.

        Raises:
            WxLogisticsError: It could not be fetched.
        """
        kept = self._kept
        if kept and self._is_current(kept):
            return kept.token
        return self._obtain(None)

    def renew(self, rejected: str) -> str:
        """
        Return a token other than *rejected*, which WeChat refused.

        Where WeChat itself has no other, *rejected* is returned.

        Raises:
            WxLogisticsError: It could not be fetched.
        """
        return self._obtain(rejected)

    def _is_current(self, kept: _Kept) -> bool:
        # A longer life than WeChat gives means that the clock was put back.
        return 0 < kept.good_until - self._clock() <= LONGEST_LIFE

    def _obtain(self, rejected: str | None) -> str:
        """
        Return a token other than *rejected*; one thread gets it for all that wait.
        """
        before = self._outcome
        lock = self._locks.setdefault(os.getpid(), threading.Lock())
        if not lock.acquire(timeout=self._patience()):
            reason = "another thread's fetch of the token takes too long"
            raise TransportError(self._endpoint, reason, False)
        try:
            outcome = self._outcome
            if outcome and outcome is not before:
                refused, result = outcome
                if isinstance(result, WxLogisticsError):
                    # A copy, since each thread adds its own traceback.
                    raise copy.copy(result)
                # Else that fetch began before this token was refused, and brought it.
                if result != rejected or refused == rejected:
                    return result
            if rejected is not None and rejected not in self._refused:
                self._refused = [*self._refused[-9:], rejected]
            kept = self._kept
            if not kept or kept.token == rejected or not self._is_current(kept):
                # Nobody shall use the old one meanwhile.
                self._kept = None
                try:
                    kept = self._kept = self._look_up_or_fetch(rejected)
                except WxLogisticsError as error:
                    # Those who wait may have longer deadlines than this call.
                    if time.monotonic() < _pool.call.ends_at:
                        self._outcome = rejected, copy.copy(error)
                    raise
                self._outcome = rejected, kept.token
            return kept.token
        finally:
            lock.release()

    def _patience(self) -> float:
        """
        Return the seconds to wait for what somebody else fetches.
        """
        timeout = self._timeout
        patience = sum(timeout) if isinstance(timeout, tuple) else 2 * timeout
        return max(0, min(patience, _pool.call.ends_at - time.monotonic()))

    def _look_up_or_fetch(self, rejected: str | None) -> _Kept:
        """
        Return a token from the cache or from WeChat, in turn with other processes.
        """
        self._cache_failures = 0
        # A process that died holds its lease on: half of the time is for the fetch.
        looks = round(min(_LEASE, self._patience() / 2) / _LOOK_EVERY)
        while True:
            my_turn = self._claim("lease", _LEASE)
            kept = self._look_up()
            if kept or my_turn or not looks:
                break
            looks -= 1
            self._sleep(_LOOK_EVERY)
        try:
            if not kept:
                kept = self._fetch(rejected)
                left = max(1, int(kept.good_until - self._clock()))
                self._ask_cache("set", "token", json.dumps(kept), timeout=left)
        finally:
            # The next fetch is hours away.
            self._wire.close()
            if my_turn:
                self._ask_cache("delete", "lease")
        return kept

    def _kept_from(self, reply: dict[str, Any], field: str, asked_at: float) -> _Kept:
        """
        Return the token under *field* of a reply, with its life.
        """
        token = reply.get(field)
        if not isinstance(token, str) or not token:
            raise lacking(self._endpoint, reply, field)
        life = integer(reply.get("expires_in"))
        # A token that had no life left would be refused, and renewed for that; to
        # believe it would be a fetch for every call.
        life = min(life, LONGEST_LIFE) if life and life > 0 else ASSUMED_LIFE
        return _Kept(token, asked_at + life - min(MARGIN, life / 2))

    # The cache

    def _key(self, kind: str) -> str:
        appids = ":".join(map(_cache_key_part, self._appids))
        return f"wxlogistics:{self._endpoint}:{appids}:{kind}"

    def _ask_cache(self, method: str, kind: str, *args: Any, **kwargs: Any) -> Any:
        """
        Call *method* of the cache; None where there is none, or where it fails.
        """
        function = getattr(self._cache, method, None)
        if function is None or self._cache_failures == _MOST_FAILURES:
            return None
        try:
            return function(self._key(kind), *args, **kwargs)
        except Exception as error:
            self._cache_failures += 1
            # The kind of error only: its text may hold the cache's own password.
            name = type(error).__name__
            logger.warning("the cache's %s failed (%s): going on without", method, name)
            return None

    def _from_cache(self, kind: str, read: Callable[[Any], Any]) -> Any:
        """
        Return what *read* makes of the cache's JSON; None where it cannot.
        """
        raw = self._ask_cache("get", kind)
        if raw is None:
            return None
        try:
            return read(json.loads(raw))
        except Exception:
            # Not what went wrong: that could show a token.
            key = self._key(kind)
            logger.warning("what the cache holds under %s is of no use: ignored", key)
            return None

    def _claim(self, kind: str, seconds: int) -> bool:
        """
        Whether no other process has claimed *kind* within the last *seconds*.
        """
        if self._ask_cache("add", kind, _CLAIMED, timeout=seconds):
            return True
        # There may be no add; and cachelib's for files refuses what has expired.
        return self._ask_cache("get", kind) not in (_CLAIMED, _CLAIMED.encode())

    def _look_up(self) -> _Kept | None:
        """
        Return the token that the cache holds, if it is good.
        """

        def read(entry: Any) -> _Kept | None:
            kept = _Kept(*entry)
            require_text("token", kept.token)
            if not self._is_current(kept):
                raise ValueError
            return None if kept.token in self._refused else kept

        found: _Kept | None = self._from_cache("token", read)
        return found


def _cache_key_part(text: str) -> str:
    """
    Return *text* as part of a key that memcached takes, too.
    """
    if re.fullmatch(r"[\w.-]{1,64}", text, re.ASCII):
        return text
    return hashlib.sha256(text.encode()).hexdigest()


@attrs.define(slots=False, eq=False, repr=False)
class StableToken(_FetchedToken):
    """
    The access_token of a shop's own mini-program, from /cgi-bin/stable_token.

    It looks after itself: fetched once however many threads ask, kept until shortly
    before its end, and renewed when WeChat refuses it. A forced renewal, which ends
    the old token at once for everybody, is made only when WeChat hands out the refused
    token again, and never twice within 30 seconds.

    Args:
        appid: The mini-program's appid.

        secret: Its AppSecret.

        cache: Shares the token with other processes and machines: a Django cache, one
            of cachelib's, or anything with their ``get`` and ``set``.

        base_url, timeout, deadline, retries, session: As for `Client`.

        clock: The Unix time in seconds.

        sleep, random: As for `Client`.

    Raises:
        InvalidArgumentError: An argument cannot be right.
    """

    _endpoint = "stable_token"

    _appid: str = attrs.field(validator=_check_appid, alias="appid")
    _secret: str = attrs.field(validator=_check_text, alias="secret")
    _forced_at: float = attrs.field(init=False, default=float("-inf"))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._appids = (self._appid,)

    def _fetch(self, rejected: str | None) -> _Kept:
        kept = self._ask()
        # Either way of the clock, which may have been put back.
        forced_lately = abs(self._clock() - self._forced_at) < FORCE_PAUSE
        if kept.token != rejected or forced_lately:
            return kept
        if not self._claim("forced", FORCE_PAUSE):
            return kept
        self._note_forced()
        try:
            return self._ask(force_refresh=True)
        finally:
            # Once more, so that WeChat sees no shorter pause either.
            self._note_forced()

    def _note_forced(self) -> None:
        self._forced_at = self._clock()
        self._ask_cache("set", "forced", _CLAIMED, timeout=FORCE_PAUSE)

    def _ask(self, force_refresh: bool = False) -> _Kept:
        asked_at = self._clock()
        reply = self._wire.post(
            self._endpoint,
            "/cgi-bin/stable_token",
            {
                "grant_type": "client_credential",
                "appid": self._appid,
                "secret": self._secret,
                **({"force_refresh": True} if force_refresh else {}),
            },
            tokens=None,
            # WeChat allows few forced renewals a day.
            repeatable=not force_refresh,
        )
        return self._kept_from(reply, "access_token", asked_at)


@attrs.define(slots=False, eq=False, repr=False)
class AuthorizerToken(_FetchedToken):
    """
    The authorizer_access_token of a shop that a service provider (服务商) works for.

    Args:
        component_appid: The service provider's appid.

        component_token: Its component_access_token: a str, a callable that returns the
            one to use now, or a `TokenProvider`.

        authorizer_appid: The shop's appid.

        refresh_token: The authorizer_refresh_token that the shop's authorization gave.

        cache: As for `StableToken`; it keeps a changed refresh token too.

        on_refresh_token: Called with a changed authorizer_refresh_token before the new
            access token is used: store it, for the old one lives 5 minutes more. What
            it raises surfaces; it is called again at the next attempt.

        base_url, timeout, deadline, retries, session, clock, sleep, random: As for
            `StableToken`.

    Attributes:
        refresh_token: The newest authorizer_refresh_token that is known here.

    Raises:
        InvalidArgumentError: An argument cannot be right.
    """

    _endpoint = "api_authorizer_token"

    _component_appid: str = attrs.field(validator=_check_appid, alias="component_appid")
    _component_token: str | Callable[[], str] | TokenProvider = attrs.field(
        alias="component_token"
    )
    _authorizer_appid: str = attrs.field(
        validator=_check_appid, alias="authorizer_appid"
    )
    refresh_token: str = attrs.field(validator=_check_text)
    _on_refresh_token: Callable[[str], object] | None = attrs.field(
        default=None, kw_only=True, alias="on_refresh_token"
    )
    _component: TokenProvider = attrs.field(init=False)
    _handed_over: bool = attrs.field(init=False, default=True)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._appids = (self._authorizer_appid, self._component_appid)
        self._component = token_provider(self._component_token, "component_token")
        if not (self._on_refresh_token is None or callable(self._on_refresh_token)):
            raise InvalidArgumentError("on_refresh_token", "cannot be called")

    def _fetch(self, rejected: str | None) -> _Kept:
        # Where the callback failed last time.
        self._hand_over()
        line = self._line()
        asked_at = self._clock()
        reply = self._wire.post(
            self._endpoint,
            "/cgi-bin/component/api_authorizer_token",
            {
                "component_appid": self._component_appid,
                "authorizer_appid": self._authorizer_appid,
                "authorizer_refresh_token": line[-1],
            },
            tokens=self._component,
            token_name="component_access_token",
            repeatable=True,
        )
        changed = reply.get("authorizer_refresh_token")
        if isinstance(changed, str) and changed not in ("", line[-1]):
            line.append(changed)
            # The first is what the settings of a process that starts anew may hold.
            value = json.dumps(line if len(line) <= 10 else [line[0], *line[-9:]])
            self._ask_cache("set", "refresh_token", value, timeout=_YEAR)
        # Not before WeChat has taken it: a shop may have authorized anew meanwhile.
        if line[-1] != self.refresh_token:
            self.refresh_token = line[-1]
            self._handed_over = False
            self._hand_over()
        return self._kept_from(reply, "authorizer_access_token", asked_at)

    def _hand_over(self) -> None:
        if not self._handed_over and self._on_refresh_token:
            self._on_refresh_token(self.refresh_token)
        self._handed_over = True

    def _line(self) -> list[str]:
        """
        Return the refresh tokens that came one of the other, the newest last.

        The cache's line is ours if it holds ours. If not, it is of an older
        authorization.
        """

        def read(line: Any) -> list[str]:
            if not isinstance(line, list):
                raise TypeError
            for token in line:
                require_text("refresh_token", token)
            return [*line] if self.refresh_token in line else []

        return self._from_cache("refresh_token", read) or [self.refresh_token]
