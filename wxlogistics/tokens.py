"""Access tokens: given, returned by a function, or fetched and kept.

WeChat returns the same stable token to every process, so processes need no locks: a
cache only saves calls. Its entries are checked; an invalid one is ignored.

Source: https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html
and https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html
"""  # noqa: E501

from __future__ import annotations

import abc
import concurrent.futures
import copy
import inspect
import json
import logging
import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

import attrs

from ._arguments import require_bare_text, wrong_type
from ._wire import Post, lacking
from .errors import InvalidArgumentError, TransportError, WxLogisticsError
from .models import Json, integer

#: A token is replaced so many seconds before it expires. WeChat returns tokens with as
#: little as 300 s left, so this must be well below.
MARGIN = 60

#: WeChat's longest life of a token, and the one assumed if a reply names none.
LONGEST_LIFE = 7200
ASSUMED_LIFE = 300

#: Seconds without another renewal after one whose token was refused as well.
RENEWAL_PAUSE = 10

_PATH = "/cgi-bin/component/api_authorizer_token"

# Task queues raise their time limits inside whatever runs, a cache's call for example.
_TASK_QUEUES = {"billiard", "celery", "rq"}

logger = logging.getLogger("wxlogistics")

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True


class TokenProvider(Protocol):
    """
    Provides a `Client` with access tokens.

    *post* makes one POST to WeChat, within the call that needs the token:
    ``reply = post("/cgi-bin/stable_token", payload)``. It goes to the client's hosts,
    with its session and timeouts, and ends by the call's deadline; ``post.left()`` are
    the seconds that remain.
    """

    def get(self, post: Post) -> str:
        """
        Return the token to use now.
        """

    def renew(self, rejected: str, post: Post) -> str:
        """
        Return a token other than *rejected*, which WeChat refused, or raise.

        A provider that has no other may return *rejected* again: WeChat's refusal is
        then raised, and nothing is sent a second time.
        """


class Cache(Protocol):
    """
    The methods of a cache: Django's and all of cachelib's have them.
    """

    def get(self, key: str) -> Any:
        """
        Return what was set under *key*, or None.
        """

    def set(self, key: str, value: Any, timeout: int) -> Any:
        """
        Store *value* under *key* for *timeout* seconds.
        """


@attrs.frozen
class _GivenToken:
    """
    A token that is managed elsewhere: a str, or what a function returns.
    """

    _source: str | Callable[[], str] = attrs.field(repr=False)

    def get(self, post: Post) -> str:
        return self._source if isinstance(self._source, str) else self._source()

    def renew(self, rejected: str, post: Post) -> str:
        return self.get(post)


def token_provider(token: Any, field: str = "token") -> TokenProvider:
    """
    Return the provider that *token* is or stands for.

    Raises:
        InvalidArgumentError: It is none; the error names *field*.
    """
    if isinstance(token, str):
        require_bare_text(field, token)
        return _GivenToken(token)
    is_provider = hasattr(token, "get") and hasattr(token, "renew")
    if isinstance(token, type) or not (is_provider or callable(token)):
        wanted = "a str, a callable that returns one, or a TokenProvider"
        raise wrong_type(field, token, wanted)
    provider: TokenProvider = token if is_provider else _GivenToken(token)
    return provider


@attrs.frozen
class _Secret:
    """
    A value that tracebacks must not show.
    """

    value: Any = attrs.field(repr=False)


@attrs.frozen
class _Kept:
    """
    A fetched token.

    Attributes:
        token: The token.

        good_until: The Unix time until which it is used.

        renewed_at: When it was last renewed, or tried to be; 0 for never.

        renewal: The call whose renewal returned it; None for a first fetch.

        is_useless: Whether the renewal failed, or WeChat had no other.
    """

    token: str = attrs.field(repr=False)
    good_until: float
    renewed_at: float = 0
    renewal: Post | None = None
    is_useless: bool = False

    def is_good(self) -> bool:
        # A longer life than WeChat's longest means that the clock was set back.
        return 0 < self.good_until - time.time() <= LONGEST_LIFE

    def is_same(self, other: _Kept | None) -> bool:
        return other is not None and self.token == other.token

    def serves(self, refused: _Kept | None) -> bool:
        """
        Whether a call whose token was *refused* may use it.
        """
        # If a renewal did not help just now, another would not either.
        is_last_word = self.was_in_vain() and self.is_new()
        return self.is_good() and (is_last_word or not self.is_same(refused))

    def was_in_vain(self) -> bool:
        """
        Whether the renewal is known not to have helped.
        """
        return self.is_useless or bool(self.renewal and self.renewal.refusals > 1)

    def is_new(self) -> bool:
        """
        Whether it was renewed just now.
        """
        return abs(time.time() - self.renewed_at) < RENEWAL_PAUSE


def _check_appid(field: str, appid: str) -> None:
    require_bare_text(field, appid)
    # An appid appears in reprs, log lines and keys of the cache.
    if re.fullmatch("[0-9a-f]{32}", appid):
        advice = "looks like an AppSecret; give wx and 16 more characters"
        raise InvalidArgumentError(field, advice)


def _check_cache(cache: Any) -> None:
    try:
        inspect.signature(cache.set).bind("key", "value", timeout=1)
        is_async = inspect.iscoroutinefunction(cache.get)
        usable = callable(cache.get) and not (is_async or isinstance(cache, type))
    except (AttributeError, TypeError):
        usable = cache is None
    except ValueError:
        # A C function without a signature.
        usable = True
    if not usable:
        wanted = "an object with get(key) and set(key, value, timeout=seconds)"
        raise wrong_type("cache", cache, wanted + ", such as a Django cache")


# How a fetch failed, for the threads that wait for it; None if they should look again.
_Future = concurrent.futures.Future[WxLogisticsError | None]


class _FetchedToken(abc.ABC):
    """
    Base of the providers that fetch: keeps and renews; a subclass fetches.
    """

    _endpoint: str

    def __init__(self, cache: Cache | None, *appids: str) -> None:
        _check_cache(cache)
        self._cache = cache
        # The account that fetches, and the one that the token is for, if another.
        self._appids = appids
        self._kept: _Kept | None = None
        # The fetch under way, by process: a child forked during one must not wait for a
        # thread that it does not have.
        self._under_way: dict[int, _Future] = {}

    def __getstate__(self) -> dict[str, Any]:
        # As it was made: no kept token, no fetch under way.
        return self.__dict__ | {"_kept": None, "_under_way": {}}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {' for '.join(self._appids)}>"

    @abc.abstractmethod
    def _fetch(self, unwanted: _Kept | None, post: Post) -> _Kept:
        """
        Fetch a token, with force_refresh if WeChat returns the *unwanted* one.
        """

    def get(self, post: Post) -> str:
        """
        Return the token that is kept, or fetch one.

        Raises:
            WxLogisticsError: It could not be fetched.
        """
        kept = self._kept
        return kept.token if kept and kept.is_good() else self._obtain(None, post)

    def renew(self, rejected: str, post: Post) -> str:
        """
        Return a token other than *rejected*, which WeChat refused.

        If WeChat has no other, *rejected* is returned.

        Raises:
            WxLogisticsError: It could not be fetched.
        """
        refused = _Kept(rejected, 0)
        # Keep it out of the variables of a traceback.
        del rejected
        return self._obtain(refused, post)

    def _obtain(self, refused: _Kept | None, post: Post) -> str:
        """
        Return a token other than *refused*; one thread fetches it for all that wait.
        """
        while True:
            kept = self._kept
            if kept and kept.serves(refused):
                return kept.token
            mine: _Future = concurrent.futures.Future()
            failure = None
            try:
                running = self._under_way.setdefault(os.getpid(), mine)
                # Another thread may have fetched one since the look above.
                if running is mine and self._kept is kept:
                    return self._fetch_and_keep(refused, post).token
            except WxLogisticsError as error:
                # Waiting threads may have longer deadlines than this call: they then
                # fetch again.
                failure = copy.copy(error) if post.left() > 0 else None
                raise
            finally:
                if self._under_way.get(os.getpid()) is mine:
                    del self._under_way[os.getpid()]
                    mine.set_result(failure)
            try:
                failure = running.result(post.left())
            except concurrent.futures.TimeoutError:
                reason = "another thread's fetch of the token takes too long"
                raise TransportError(self._endpoint, reason, False) from None
            if failure:
                # A copy, because each thread adds its own traceback.
                raise copy.copy(failure)

    def _fetch_and_keep(self, refused: _Kept | None, post: Post) -> _Kept:
        kept = self._kept if self._kept and self._kept.is_same(refused) else None
        # No thread may use it until there is another.
        self._kept, now = None, time.time()
        try:
            if refused is None:
                new = self._look_up() or self._fetch(None, post)
            else:
                # By force only once, until a token that a renewal returned has served.
                again = kept and kept.renewal and (kept.was_in_vain() or kept.is_new())
                new = self._fetch(None if again else refused, post)
                new = _Kept(new.token, new.good_until, now, post, new.is_same(refused))
        except WxLogisticsError:
            # A failed renewal is not tried again at once either.
            self._kept = kept and attrs.evolve(kept, renewed_at=now, is_useless=True)
            raise
        self._kept = new
        entry = json.dumps([new.token, new.good_until])
        left = max(1, int(new.good_until - time.time()))
        self._ask_cache("set", self._key(), entry, timeout=left)
        return new

    def _kept_from(self, reply: Json, field: str, asked_at: float) -> _Kept:
        """
        Return the token under *field* of a reply, with its life.
        """
        token = reply.get(field)
        if not (isinstance(token, str) and re.fullmatch("[!-~]+", token)):
            raise lacking(self._endpoint, reply, field)
        life = integer(reply.get("expires_in"))
        # Not a life of 0, which would cause a fetch for every call.
        life = min(life, LONGEST_LIFE) if life and life > 0 else ASSUMED_LIFE
        return _Kept(token, asked_at + life - min(MARGIN, life / 2))

    def _key(self) -> str:
        # Quoted, because memcached refuses blanks.
        return ":".join(
            ["wxlogistics", self._endpoint, *map(quote, self._appids), "token"]
        )

    def _look_up(self) -> _Kept | None:
        """
        Return the token that the cache holds, if it is good.
        """
        entry = self._ask_cache("get", self._key())
        if entry is None:
            return None
        try:
            match json.loads(entry):
                case [str(token), int(good_until) | float(good_until)]:
                    require_bare_text("token", token)
                    kept = _Kept(token, good_until)
                    return kept if kept.is_good() else None
        except (ValueError, TypeError, RecursionError, OverflowError):
            pass
        # Without the entry, which could contain a token.
        logger.warning("the cache holds no token under %s: ignored", self._key())
        return None

    def _ask_cache(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """
        Call *method* of the cache; return None if there is no cache, or if it fails.
        """
        if self._cache is None:
            return None
        try:
            return getattr(self._cache, method)(*args, **kwargs)
        except Exception as error:
            origins = {kind.__module__.partition(".")[0] for kind in type(error).mro()}
            if origins & _TASK_QUEUES:
                raise
            # Only the error's class: its text may contain the cache's password.
            name = type(error).__name__
            logger.warning("the cache's %s failed (%s): not used", method, name)
            return None


class StableToken(_FetchedToken):
    """
    The access_token of a shop's own mini-program, from /cgi-bin/stable_token.

    Fetched once for all threads, kept until shortly before it expires, and renewed when
    WeChat refuses it. A forced renewal, which ends the old token at once for all that
    use it, is made only if WeChat returns the refused token again, and not if the last
    renewal did not help.

    Args:
        appid: The mini-program's appid.

        secret: Its AppSecret.

        cache: Shares the token with other processes and machines: a Django cache, one
            of cachelib's, or anything with their ``get`` and ``set``.

    Raises:
        InvalidArgumentError: An argument is invalid.
    """

    _endpoint = "stable_token"

    def __init__(self, appid: str, secret: str, *, cache: Cache | None = None) -> None:
        _check_appid("appid", appid)
        require_bare_text("secret", secret)
        super().__init__(cache, appid)
        self._secret = secret

    def _fetch(self, unwanted: _Kept | None, post: Post) -> _Kept:
        found = self._ask(post)
        return self._ask(post, force_refresh=True) if found.is_same(unwanted) else found

    def _ask(self, post: Post, **force_refresh: bool) -> _Kept:
        asked_at = time.time()
        payload = {"grant_type": "client_credential", "appid": self._appids[0]}
        reply = post(
            "/cgi-bin/stable_token",
            # Keep it out of the variables of a traceback.
            payload | {"secret": self._secret, **force_refresh},
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

        refresh_token: The authorizer_refresh_token of the shop's authorization, or a
            callable that returns it and is called at each fetch: if it reads the shop's
            database, every process uses the one in the database.

        cache: As for `StableToken`.

        on_refresh_token: Called with a changed authorizer_refresh_token before the new
            access token is used: store it; the old one is valid for 5 more minutes. An
            exception of it fails the call; the next one calls it again.

    Attributes:
        refresh_token: As given; a str is replaced when WeChat changes it.

    Raises:
        InvalidArgumentError: An argument is invalid.
    """

    _endpoint = "api_authorizer_token"

    def __init__(
        self,
        component_appid: str,
        component_token: str | Callable[[], str] | TokenProvider,
        authorizer_appid: str,
        refresh_token: str | Callable[[], str],
        *,
        cache: Cache | None = None,
        on_refresh_token: Callable[[str], object] | None = None,
    ) -> None:
        _check_appid("component_appid", component_appid)
        _check_appid("authorizer_appid", authorizer_appid)
        if not callable(refresh_token):
            require_bare_text("refresh_token", refresh_token)
        if not (on_refresh_token is None or callable(on_refresh_token)):
            raise wrong_type("on_refresh_token", on_refresh_token, "a callable")
        super().__init__(cache, authorizer_appid, component_appid)
        self._component = token_provider(component_token, "component_token")
        self._on_refresh_token = on_refresh_token
        self.refresh_token = refresh_token
        # A changed one that on_refresh_token has not accepted yet.
        self._changed: str | None = None

    def _fetch(self, unwanted: _Kept | None, post: Post) -> _Kept:
        self._hand_over()
        known = self.refresh_token
        sent = _Secret(known if isinstance(known, str) else known())
        # Keep it out of the variables of a traceback.
        del known
        require_bare_text("refresh_token", sent.value)
        appids = {
            "component_appid": self._appids[1],
            "authorizer_appid": self._appids[0],
        }
        asked_at = time.time()
        ask = partial(post, tokens=self._component, token_name="component_access_token")
        reply = _Secret(ask(_PATH, appids | {"authorizer_refresh_token": sent.value}))
        self._note_change(sent, reply)
        self._hand_over()
        return self._kept_from(reply.value, "authorizer_access_token", asked_at)

    def _note_change(self, sent: _Secret, reply: _Secret) -> None:
        changed = reply.value.get("authorizer_refresh_token")
        if isinstance(changed, str) and changed not in ("", sent.value):
            self._changed = changed
            if isinstance(self.refresh_token, str):
                self.refresh_token = changed

    def _hand_over(self) -> None:
        if self._changed is not None and self._on_refresh_token is not None:
            self._on_refresh_token(self._changed)
        self._changed = None
