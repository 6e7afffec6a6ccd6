"""Apps, service providers, and what was handed out to them."""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from typing import Any, Iterable

import attrs

from .clock import Clock
from .errcodes import Refusal
from .fields import several, tuple_of, typed
from .mint import Mint
from .settings import Settings

#: The permission set (权限集) that a service provider needs for the logistics plugin.
LOGISTICS_PERMISSION = 45

#: Seconds that a replaced token or refresh token goes on working.
GRACE = 300

#: WeChat renews a stable token when less than this is left of it.
_RENEW_EARLY = 300

#: Tokens that are remembered, so that memory stays flat; the oldest go first.
_MOST_TOKENS = 10_000


def _last(times: Iterable[float]) -> deque[float]:
    kept = deque(times, maxlen=100)
    for time in kept:
        if not isinstance(time, (int, float)):
            raise TypeError(f"forced_at: {time!r:.200} is not a time")
    return kept


@attrs.define(field_transformer=typed)
class App:
    """
    A mini-program, or a service provider's own account (第三方平台).

    Attributes:
        appid: Its appid.

        secret: Its AppSecret; empty until its first use.

        opened: Whether it has the logistics service.

        ip_whitelist: Addresses that may fetch its tokens; None allows every address.
    """

    appid: str
    secret: str
    opened: bool = True
    ip_whitelist: tuple[str, ...] | None = tuple_of(str, "texts", None)


@attrs.define(field_transformer=typed)
class Component(App):
    """
    A service provider's account (第三方平台).

    Attributes:
        ticket: The component_verify_ticket that WeChat pushes to it.
    """

    ticket: str = ""


@attrs.define(field_transformer=typed)
class Authorization:
    """
    A mini-program's permission for a service provider to act for it.

    Attributes:
        refresh_token: The authorizer_refresh_token that is valid now.

        permissions: Numbers of the permission sets.

        old_refresh_token: The one before, and until when it works.
    """

    component_appid: str
    appid: str
    refresh_token: str
    permissions: tuple[int, ...] = tuple_of(int, "numbers", (LOGISTICS_PERMISSION,))
    old_refresh_token: str = ""
    old_until: float = 0.0

    def change(self, refresh_token: str, now: float) -> None:
        """
        Take another refresh token; the one before goes on working for a while.
        """
        self.old_refresh_token, self.old_until = self.refresh_token, now + GRACE
        self.refresh_token = refresh_token

    def accepts(self, refresh_token: object, now: float) -> bool:
        """
        Return whether *refresh_token* is good for a token.
        """
        return refresh_token == self.refresh_token or (
            refresh_token == self.old_refresh_token and now < self.old_until
        )


@attrs.define(field_transformer=typed)
class AccessToken:
    """
    A token that was handed out.

    Attributes:
        value: The token.

        appid: The app that calls made with it count for.

        kind: stable, classic, component or authorizer.

        expires_at: Unix time.

        revoked_at: Unix time from which it is no longer the latest; None: not so.

        component_appid: The service provider that got it, if one did.
    """

    value: str
    appid: str
    kind: str
    expires_at: float
    revoked_at: float | None = None
    component_appid: str | None = None

    @property
    def ends(self) -> float:
        """
        Unix time from which it works no more.
        """
        return min(
            self.expires_at, math.inf if self.revoked_at is None else self.revoked_at
        )


@attrs.define(field_transformer=typed)
class Code:
    """
    A code that a program redeems once: of wx.login, or of an authorization.

    Attributes:
        value: The code.

        expires_at: Unix time.

        appid: Whose it is; empty: of the app that redeems it.

        openid: The user of a js_code.

        component_appid: The service provider of an authorization_code.

        permissions: The permission sets of an authorization_code.

        used: Whether it was redeemed.
    """

    value: str
    expires_at: float
    appid: str = ""
    openid: str = ""
    component_appid: str = ""
    permissions: tuple[int, ...] = tuple_of(int, "numbers", (LOGISTICS_PERMISSION,))
    used: bool = False


@attrs.define(field_transformer=typed)
class Fetches:
    """
    How often the token endpoints were called.

    Attributes:
        total: All calls.

        refused: Those that were refused.

        forced: Those with force_refresh.

        forced_at: When the last forced ones came, in Unix time.
    """

    total: int = 0
    refused: int = 0
    forced: int = 0
    forced_at: deque[float] = attrs.field(factory=list, converter=_last)

    def count(self, now: float, *, forced: bool, refused: bool) -> None:
        """
        Count one call.
        """
        self.total += 1
        self.refused += refused
        if forced:
            self.forced += 1
            self.forced_at.append(now)

    @property
    def forced_spacing(self) -> tuple[float, ...]:
        """
        Seconds between one forced call and the next.
        """
        times = list(self.forced_at)
        return tuple(later - earlier for earlier, later in zip(times, times[1:]))


class Tokens:
    """
    The accounts, and the tokens and codes that they were given.
    """

    def __init__(self, settings: Settings, clock: Clock, mint: Mint) -> None:
        self._settings = settings
        self._clock = clock
        self._mint = mint
        self.apps: dict[str, App] = {}
        self.components: dict[str, Component] = {}
        self.authorizations: dict[tuple[str, str], Authorization] = {}
        self.issued: dict[str, AccessToken] = {}
        # "kind appid" -> the latest token.
        self.latest: dict[str, str] = {}
        self.codes: dict[str, Code] = {}
        self.fetches = Fetches()
        # appid -> when its stable token was last forced.
        self.forced_at: dict[str, float] = {}

    # Accounts

    def add_app(self, appid: str | None, secret: str | None, **fields: Any) -> App:
        """
        Add a mini-program; what is None or empty is made up.
        """
        app = App(*self._account(appid, secret), **fields)
        self.apps[app.appid] = app
        return app

    def add_component(
        self, appid: str | None, secret: str | None, **fields: Any
    ) -> Component:
        """
        Add a service provider.
        """
        account = self._account(appid, secret)
        fields.setdefault("ticket", "ticket@@@" + self._mint.text(86))
        component = Component(*account, **fields)
        self.components[component.appid] = component
        return component

    def _account(self, appid: str | None, secret: str | None) -> tuple[str, str]:
        # In WeChat, too, an appid is one account's. A second one would leave the first
        # to those who hold it, with a secret that no token comes for.
        if appid in self.apps or appid in self.components:
            raise ValueError(f"appid: {appid!r} is in the sandbox already")
        return appid or "wx" + self._mint.hex(16), secret or self._mint.hex(32)

    def app(self, appid: str) -> App:
        """
        Return the app; a LookupError if there is none.
        """
        if appid not in self.apps:
            raise LookupError(f"no app {appid!r} in the sandbox")
        return self.apps[appid]

    def component(self, appid: str) -> Component:
        """
        Return the service provider; a LookupError if there is none.
        """
        if appid not in self.components:
            raise LookupError(f"no component {appid!r} in the sandbox")
        return self.components[appid]

    def authorize(
        self, component_appid: str, appid: str, permissions: Iterable[int]
    ) -> Authorization:
        """
        Let a service provider act for a mini-program.
        """
        authorization = Authorization(
            self.component(component_appid).appid,
            self.app(appid).appid,
            self.refresh_token(),
            several(permissions),
        )
        self.authorizations[component_appid, appid] = authorization
        return authorization

    def refresh_token(self) -> str:
        """
        Return a new authorizer_refresh_token.
        """
        return "refreshtoken@@@" + self._mint.text(43)

    # Tokens

    def check(self, value: str) -> AccessToken:
        """
        Return the token *value* if it is good for a call now.
        """
        if not value:
            raise Refusal(41001)
        token = self.issued.get(value)
        now = self._clock.now()
        if token is None:
            is_one = len(value) <= 512 and re.fullmatch(r"[\w.@-]+", value, re.ASCII)
            raise Refusal((not is_one and self._settings.misshapen_token) or 40001)
        if token.revoked_at is not None and now >= token.revoked_at:
            raise Refusal(40001)
        if now >= token.expires_at:
            raise Refusal(42001)
        return token

    def revoke(self, appid: str | None = None, value: str | None = None) -> int:
        """
        Make all tokens, those of *appid* or the one *value* invalid; return how many.
        """
        now = self._clock.now()
        count = 0
        for token in self.issued.values():
            if token.revoked_at is None or token.revoked_at > now:
                if appid in (None, token.appid) and value in (None, token.value):
                    token.revoked_at = now
                    count += 1
        return count

    def latest_of(self, kind: str, appid: str) -> AccessToken | None:
        """
        Return the token of this *kind* that was issued last.
        """
        return self.issued.get(self.latest.get(f"{kind} {appid}", ""))

    def stable(self, appid: str) -> AccessToken:
        """
        Return the stable token of *appid*: the same until shortly before its end.
        """
        self.app(appid)
        now, lifetime = self._clock.now(), self._settings.token_lifetime
        token = self.latest_of("stable", appid)
        if (
            token is None
            or token.revoked_at is not None
            or token.expires_at - now < min(_RENEW_EARLY, lifetime / 2)
        ):
            token = self.issue("stable", appid)
        return token

    def issue(
        self, kind: str, appid: str, component_appid: str | None = None
    ) -> AccessToken:
        """
        Hand out another token.
        """
        now = self._clock.now()
        # Those that ended a day ago are forgotten, so that memory does not grow, and
        # the oldest if there are too many.
        for value, old in list(itertools.islice(self.issued.items(), 2)):
            if old.expires_at < now - 86400 or len(self.issued) >= _MOST_TOKENS:
                del self.issued[value]
        token = AccessToken(
            f"{self._mint.serial % 100}_{self._mint.text(134)}",
            appid,
            kind,
            now + self._settings.token_lifetime,
            component_appid=component_appid,
        )
        self.issued[token.value] = token
        self.latest[f"{kind} {appid}"] = token.value
        return token

    def left(self, token: AccessToken) -> int:
        """
        Return the seconds that *token* still lives.
        """
        return math.ceil(token.expires_at - self._clock.now())

    # Codes

    def add_code(self, value: str, lifetime: int, **fields: Any) -> str:
        """
        Remember a code until its end.
        """
        now = self._clock.now()
        self.codes = {k: c for k, c in self.codes.items() if c.expires_at > now}
        self.codes[value] = Code(value, now + lifetime, **fields)
        return value

    def redeem(self, value: object, unknown: int, used: int) -> Code:
        """
        Return the code *value* and use it up, or refuse with one of the errcodes.
        """
        code = self.codes.get(value) if isinstance(value, str) else None
        if code is None or code.expires_at <= self._clock.now():
            raise Refusal(unknown)
        if code.used:
            raise Refusal(used)
        return code
