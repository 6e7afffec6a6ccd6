"""Where access tokens come from: given, called for, or fetched and kept.

A token that is fetched is kept in the process and, where there is a cache, shared with
other processes and machines. All that stands in the cache is doubted: a cache can
make a call slower, but never break one that WeChat would have answered.

Source: https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html
and https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html
"""  # noqa: E501

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import random as _random
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol, Sequence

from . import _pool
from ._wire import MAIN_URL, TokenProvider, Wire
from .errors import (
    InvalidArgumentError,
    TransportError,
    UnexpectedResponseError,
)
from .models import integer, require_text

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

# For a refresh token: as good as for ever, and short enough for every kind of cache.
_YEAR = 365 * 24 * 3600

logger = logging.getLogger("wxlogistics")


class Cache(Protocol):
    """
    What a cache must have: Django's caches and all of cachelib's do.

    With an ``add`` as theirs, processes also take turns in fetching.
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


class _FixedToken:
    """
    A token that somebody else keeps; there is no other.
    """

    def __init__(self, token: str) -> None:
        require_text("token", token)
        self._token = token

    def get(self) -> str:
        return self._token

    def renew(self, rejected: str) -> str:
        return self._token


class _CalledToken:
    """
    A token that a function of the caller's returns, asked for anew each time.
    """

    def __init__(self, function: Callable[[], str]) -> None:
        self._function = function

    def get(self) -> str:
        token = self._function()
        require_text("token", token)
        return token

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
    if hasattr(token, "get") and hasattr(token, "renew"):
        return token
    if callable(token):
        return _CalledToken(token)
    if isinstance(token, str):
        return _FixedToken(token)
    raise InvalidArgumentError(
        field,
        f"is of type {type(token).__name__}; give a str, a callable that returns one, "
        "or a TokenProvider",
    )


class _Flight:
    """
    One fetch that several threads wait for.
    """

    def __init__(self, rejected: str | None) -> None:
        self.rejected = rejected
        self.landed = threading.Event()
        self.token = ""
        self.error: BaseException | None = None


class _Kept(NamedTuple):
    """
    A fetched token, and the Unix time until which it is used.
    """

    token: str
    good_until: float


class _FetchedToken:
    """
    Base of the providers that fetch: keeps, shares and renews; a subclass fetches.
    """

    _endpoint: str

    def __init__(
        self,
        key: tuple[str, ...],
        cache: Cache | None,
        clock: Callable[[], float],
        timeout: float | tuple[float, float],
        **wire_options: Any,
    ) -> None:
        self._name = ":".join(_cache_key_part(part) for part in key)
        self._cache = cache
        self._clock = clock
        self._sleep: Callable[[float], object] = wire_options["sleep"]
        self._patience = sum(timeout) if isinstance(timeout, tuple) else 2 * timeout
        self._wire_options = wire_options | {"timeout": timeout}
        self._kept: _Kept | None = None
        self._start()

    def _start(self) -> None:
        self._wire = Wire(**self._wire_options)
        # The flight under way and its lock, by process: a fork in the midst of a
        # fetch must not leave a child waiting for a thread that it does not have.
        self._flights: dict[int, tuple[threading.Lock, list[_Flight]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_kept": None}
        del state["_wire"], state["_flights"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def get(self) -> str:
        """
        Return the token that is kept, or fetch one.

        Raises:
            WxLogisticsError: It could not be fetched.
        """
        kept = self._usable(self._kept, None)
        return kept.token if kept else self._fetched(None)

    def renew(self, rejected: str) -> str:
        """
        Return a token other than *rejected*, which WeChat refused.

        Where WeChat itself has no other, *rejected* is returned.

        Raises:
            WxLogisticsError: It could not be fetched.
        """
        return self._fetched(rejected)

    def _fetch(self, rejected: str | None) -> _Kept:
        """
        Ask WeChat for a token, other than *rejected* if that can be.
        """
        raise NotImplementedError

    def _usable(self, kept: _Kept | None, rejected: str | None) -> _Kept | None:
        """
        Return *kept* if it can be used now.
        """
        if kept and kept.token != rejected and self._clock() < kept.good_until:
            return kept
        return None

    def _fetched(self, rejected: str | None) -> str:
        """
        Return a new token; one thread fetches it, however many ask.
        """
        lock, flights = self._flights.setdefault(os.getpid(), (threading.Lock(), []))
        while True:
            with lock:
                leads = not flights
                if leads:
                    flights.append(_Flight(rejected))
                flight = flights[0]
            if leads:
                return self._lead(flight, lock, flights)
            left = min(self._patience, _pool.call.ends_at - time.monotonic())
            if not flight.landed.wait(left):
                reason = "another thread's fetch of the token takes too long"
                raise TransportError(self._endpoint, reason, False)
            if flight.error:
                # A copy, since each thread adds its own traceback.
                raise copy.copy(flight.error)
            # A fetch that began before this token was refused may have brought it.
            if flight.token != rejected or flight.rejected == rejected:
                return flight.token

    def _lead(
        self, flight: _Flight, lock: threading.Lock, flights: list[_Flight]
    ) -> str:
        try:
            flight.token = self._looked_up_or_fetched(flight.rejected)
        except BaseException as error:
            flight.error = error
            raise
        finally:
            with lock:
                flights.clear()
            flight.landed.set()
        return flight.token

    def _looked_up_or_fetched(self, rejected: str | None) -> str:
        """
        Return a token from here, from the cache, or from WeChat.
        """
        kept = self._usable(self._kept, rejected) or self._look_up(rejected)
        if not kept:
            holds_lease = self._take_turn()
            try:
                kept = self._look_up(rejected)
                if not kept:
                    kept = self._fetch(rejected)
                    self._share(kept)
            finally:
                if holds_lease:
                    self._ask_cache("delete", self._key("lease"))
        self._kept = kept
        return kept.token

    def _take_turn(self) -> bool:
        """
        Wait while another process fetches; return whether others now wait for this one.
        """
        for _ in range(round(_LEASE / _LOOK_EVERY)):
            free = self._ask_cache("add", self._key("lease"), "1", timeout=_LEASE)
            if free is not False:
                return bool(free)
            if _pool.call.ends_at - time.monotonic() < _LOOK_EVERY:
                break
            self._sleep(_LOOK_EVERY)
        return False

    def _share(self, kept: _Kept) -> None:
        left = int(kept.good_until - self._clock())
        if left > 0:
            entry = {"access_token": kept.token, "good_until": kept.good_until}
            self._ask_cache("set", self._key("token"), json.dumps(entry), timeout=left)

    def _look_up(self, rejected: str | None) -> _Kept | None:
        entry = self._cached_object("token")
        if entry is None:
            return None
        token, good_until = entry.get("access_token"), entry.get("good_until")
        if (
            isinstance(token, str)
            and token
            and isinstance(good_until, (int, float))
            and good_until <= self._clock() + LONGEST_LIFE
        ):
            return self._usable(_Kept(token, good_until), rejected)
        self._warn_of_rubbish("token")
        return None

    def _key(self, kind: str) -> str:
        return f"wxlogistics:{self._name}:{kind}"

    def _cached_object(self, kind: str) -> dict[str, Any] | None:
        """
        Return the JSON object that the cache holds, if it does.
        """
        raw = self._ask_cache("get", self._key(kind))
        if raw is None:
            return None
        try:
            entry = json.loads(raw)
        except (TypeError, ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict):
            return entry
        self._warn_of_rubbish(kind)
        return None

    def _warn_of_rubbish(self, kind: str) -> None:
        logger.warning("the cache holds rubbish under %s: ignored", self._key(kind))

    def _ask_cache(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """
        Call *method* of the cache; None where there is none, or where it fails.
        """
        function = getattr(self._cache, method, None)
        if function is None:
            return None
        try:
            return function(*args, **kwargs)
        except Exception as error:
            # The kind of error only: its text may hold the cache's own password.
            kind = type(error).__name__
            logger.warning("the cache's %s failed (%s): going on without", method, kind)
            return None

    def _kept_from(self, reply: dict[str, Any], field: str, asked_at: float) -> _Kept:
        """
        Return the token under *field* of a reply, with its life.
        """
        token = reply.get(field)
        if not isinstance(token, str) or not token:
            excerpt = ", ".join(reply)[:200]
            raise UnexpectedResponseError(self._endpoint, 200, excerpt, f"no {field}")
        life = integer(reply.get("expires_in"))
        life = ASSUMED_LIFE if life is None else min(max(life, 0), LONGEST_LIFE)
        return _Kept(token, asked_at + life - min(MARGIN, life / 2))


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

    def __init__(
        self,
        appid: str,
        secret: str,
        *,
        cache: Cache | None = None,
        base_url: str | Sequence[str] = MAIN_URL,
        timeout: float | tuple[float, float] = (3.05, 20),
        deadline: float = 60,
        retries: int = 2,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        require_text("appid", appid)
        require_text("secret", secret)
        self._appid = appid
        self._secret = secret
        self._forced_at = float("-inf")
        super().__init__(
            ("stable_token", appid),
            cache,
            clock,
            timeout,
            base_url=base_url,
            deadline=deadline,
            retries=retries,
            session=session,
            sleep=sleep,
            random=random,
        )

    def __repr__(self) -> str:
        return f"<StableToken of {self._appid}>"

    def _fetch(self, rejected: str | None) -> _Kept:
        kept = self._ask(force_refresh=False)
        if kept.token == rejected and self._may_force():
            kept = self._ask(force_refresh=True)
            # Counted from the answer on, so that WeChat sees no less either.
            self._forced_at = self._clock()
            self._ask_cache("set", self._key("forced"), "1", timeout=FORCE_PAUSE)
        return kept

    def _may_force(self) -> bool:
        """
        Whether nobody has forced a renewal lately, here or anywhere with this cache.
        """
        if self._clock() - self._forced_at < FORCE_PAUSE:
            return False
        key = self._key("forced")
        if hasattr(self._cache, "add"):
            return self._ask_cache("add", key, "1", timeout=FORCE_PAUSE) is not False
        return self._ask_cache("get", key) is None

    def _ask(self, force_refresh: bool) -> _Kept:
        payload: dict[str, Any] = {
            "grant_type": "client_credential",
            "appid": self._appid,
            "secret": self._secret,
        }
        if force_refresh:
            payload["force_refresh"] = True
        asked_at = self._clock()
        reply = self._wire.post(
            self._endpoint,
            "/cgi-bin/stable_token",
            payload,
            tokens=None,
            # WeChat allows few forced renewals a day.
            repeatable=not force_refresh,
        )
        return self._kept_from(reply, "access_token", asked_at)


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

    Raises:
        InvalidArgumentError: An argument cannot be right.
    """

    _endpoint = "api_authorizer_token"

    def __init__(
        self,
        component_appid: str,
        component_token: str | Callable[[], str] | TokenProvider,
        authorizer_appid: str,
        refresh_token: str,
        *,
        cache: Cache | None = None,
        on_refresh_token: Callable[[str], object] | None = None,
        base_url: str | Sequence[str] = MAIN_URL,
        timeout: float | tuple[float, float] = (3.05, 20),
        deadline: float = 60,
        retries: int = 2,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        require_text("component_appid", component_appid)
        require_text("authorizer_appid", authorizer_appid)
        require_text("refresh_token", refresh_token)
        if on_refresh_token is not None and not callable(on_refresh_token):
            raise InvalidArgumentError("on_refresh_token", "cannot be called")
        self._component_appid = component_appid
        self._component_token = token_provider(component_token, "component_token")
        self._authorizer_appid = authorizer_appid
        self._refresh_tokens = [refresh_token]
        self._on_refresh_token = on_refresh_token
        self._handed_over = True
        super().__init__(
            ("authorizer_token", component_appid, authorizer_appid),
            cache,
            clock,
            timeout,
            base_url=base_url,
            deadline=deadline,
            retries=retries,
            session=session,
            sleep=sleep,
            random=random,
        )

    def __repr__(self) -> str:
        return (
            f"<AuthorizerToken of {self._authorizer_appid} "
            f"for {self._component_appid}>"
        )

    @property
    def refresh_token(self) -> str:
        """
        The newest authorizer_refresh_token that is known here.
        """
        return self._refresh_tokens[-1]

    def _looked_up_or_fetched(self, rejected: str | None) -> str:
        # Where the callback failed, no access token was kept, and this is passed again.
        self._hand_over()
        return super()._looked_up_or_fetched(rejected)

    def _fetch(self, rejected: str | None) -> _Kept:
        self._catch_up()
        asked_at = self._clock()
        reply = self._wire.post(
            self._endpoint,
            "/cgi-bin/component/api_authorizer_token",
            {
                "component_appid": self._component_appid,
                "authorizer_appid": self._authorizer_appid,
                "authorizer_refresh_token": self.refresh_token,
            },
            tokens=self._component_token,
            token_name="component_access_token",
            repeatable=True,
        )
        kept = self._kept_from(reply, "authorizer_access_token", asked_at)
        refresh_token = reply.get("authorizer_refresh_token")
        if (
            isinstance(refresh_token, str)
            and refresh_token
            and refresh_token != self.refresh_token
        ):
            self._refresh_tokens = [*self._refresh_tokens[-9:], refresh_token]
            self._ask_cache(
                "set",
                self._key("refresh_token"),
                json.dumps({"refresh_tokens": self._refresh_tokens}),
                timeout=_YEAR,
            )
            self._handed_over = False
            self._hand_over()
        return kept

    def _hand_over(self) -> None:
        if not self._handed_over and self._on_refresh_token:
            self._on_refresh_token(self.refresh_token)
        self._handed_over = True

    def _catch_up(self) -> None:
        """
        Take over the refresh token that another process got in exchange for this one.
        """
        entry = self._cached_object("refresh_token")
        if entry is None:
            return
        line = entry.get("refresh_tokens")
        if not isinstance(line, list) or not all(
            isinstance(token, str) and token for token in line
        ):
            self._warn_of_rubbish("refresh_token")
        # One that does not descend from ours is of an older authorization.
        elif self.refresh_token in line:
            self._refresh_tokens = line


def _cache_key_part(text: str) -> str:
    """
    Return *text* as part of a key that memcached takes, too.
    """
    if re.fullmatch(r"[\w.-]{1,64}", text, re.ASCII):
        return text
    return hashlib.sha256(text.encode()).hexdigest()
