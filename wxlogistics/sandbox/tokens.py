"""Apps, service providers, and the access tokens they get."""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from typing import Any, Iterable, Mapping, TypeVar

import attrs

from .clock import Clock
from .errcodes import Refusal
from .mint import Mint
from .quotas import Quotas
from .settings import Settings, several, whitelist

#: The permission set (权限集) that a service provider needs for the logistics plugin.
LOGISTICS_PERMISSION = 45

#: Seconds that a replaced token or refresh token goes on working.
_GRACE = 300

#: WeChat renews a stable token when less than this is left of it.
_RENEW_EARLY = 300


_T = TypeVar("_T")


def _numbers(values: Iterable[int]) -> tuple[int, ...]:
    return several("permissions", values, int)


def _last(times: Iterable[float]) -> deque[float]:
    return deque(times, maxlen=100)


def _find(table: Mapping[str, _T], key: Any) -> _T | None:
    """
    What *table* has for *key*, which may be anything that JSON knows.
    """
    return table.get(key) if isinstance(key, str) else None


@attrs.define
class App:
    """
    A mini-program, or a service provider's own account (第三方平台).

    Attributes:
        appid: Its appid.

        secret: Its AppSecret.

        opened: Whether it has the logistics service.

        ip_whitelist: Addresses that may fetch its tokens; None lets every address.
    """

    appid: str
    secret: str
    opened: bool = True
    ip_whitelist: tuple[str, ...] | None = attrs.field(
        default=None, converter=whitelist
    )


@attrs.define
class Component(App):
    """
    A service provider's account (第三方平台).

    Attributes:
        ticket: The component_verify_ticket that WeChat pushes to it.
    """

    ticket: str = ""


@attrs.define
class Authorization:
    """
    A mini-program's leave for a service provider to act for it.

    Attributes:
        refresh_token: The authorizer_refresh_token that is valid now.

        permissions: Numbers of the permission sets.

        old_refresh_token: The one before, and until when it works.
    """

    component_appid: str
    appid: str
    refresh_token: str
    permissions: tuple[int, ...] = attrs.field(converter=_numbers)
    old_refresh_token: str = ""
    old_until: float = 0.0


@attrs.define
class AccessToken:
    """
    A token that was handed out.

    Attributes:
        value: The token.

        appid: Whom calls made with it count for.

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


@attrs.define
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
    Hands out access tokens and tells whose they are.
    """

    def __init__(
        self, settings: Settings, clock: Clock, mint: Mint, quotas: Quotas
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._mint = mint
        self._quotas = quotas
        self.apps: dict[str, App] = {}
        self.components: dict[str, Component] = {}
        self.authorizations: dict[tuple[str, str], Authorization] = {}
        self.issued: dict[str, AccessToken] = {}
        # "kind appid" -> the latest token.
        self.latest: dict[str, str] = {}
        self.fetches = Fetches()
        self.forced_at: dict[str, float] = {}

    def add_app(
        self,
        appid: str | None = None,
        secret: str | None = None,
        *,
        opened: bool = True,
        ip_whitelist: Iterable[str] | None = None,
    ) -> App:
        """
        Add a mini-program.
        """
        self._see_new(appid)
        app = App(
            appid or "wx" + self._mint.hex(16),
            secret or self._mint.hex(32),
            opened,
            ip_whitelist,
        )
        self.apps[app.appid] = app
        return app

    def add_component(
        self,
        appid: str | None = None,
        secret: str | None = None,
        *,
        ip_whitelist: Iterable[str] | None = None,
    ) -> Component:
        """
        Add a service provider.
        """
        self._see_new(appid)
        component = Component(
            appid or "wx" + self._mint.hex(16),
            secret or self._mint.hex(32),
            ip_whitelist=ip_whitelist,
            ticket="ticket@@@" + self._mint.text(86),
        )
        self.components[component.appid] = component
        return component

    def _see_new(self, appid: str | None) -> None:
        # In WeChat, too, an appid is one account's. A second one would leave the first
        # to those who hold it, with a secret that no token comes for.
        if appid in self.apps or appid in self.components:
            raise ValueError(f"appid: {appid!r} is in the sandbox already")

    def authorize(
        self, component_appid: str, appid: str, permissions: Iterable[int]
    ) -> Authorization:
        """
        Let a service provider act for a mini-program.
        """
        if component_appid not in self.components:
            raise LookupError(f"no component {component_appid!r} in the sandbox")
        if appid not in self.apps:
            raise LookupError(f"no app {appid!r} in the sandbox")
        authorization = Authorization(
            component_appid,
            appid,
            "refreshtoken@@@" + self._mint.text(43),
            permissions,
        )
        self.authorizations[component_appid, appid] = authorization
        return authorization

    def check(self, value: str) -> AccessToken:
        """
        The token *value* if it is good for a call now.
        """
        if not value:
            raise Refusal(41001)
        if len(value) > 512 or not re.fullmatch(r"[\w.@-]+", value, re.ASCII):
            raise Refusal(40014)
        token = self.issued.get(value)
        now = self._clock.now()
        if token is None or (token.revoked_at is not None and now >= token.revoked_at):
            raise Refusal(40001)
        if now >= token.expires_at:
            raise Refusal(42001)
        return token

    def revoke(self, appid: str | None = None, value: str | None = None) -> int:
        """
        Make all tokens, those of *appid* or the one *value* invalid; returns how many.
        """
        now = self._clock.now()
        count = 0
        for token in self.issued.values():
            if token.revoked_at is None or token.revoked_at > now:
                if appid in (None, token.appid) and value in (None, token.value):
                    token.revoked_at = now
                    count += 1
        return count

    def stable(self, appid: str) -> AccessToken:
        """
        The stable token of *appid*: the same one until shortly before its end.
        """
        if appid not in self.apps:
            raise LookupError(f"no app {appid!r} in the sandbox")
        now, lifetime = self._clock.now(), self._settings.token_lifetime
        token = self.issued.get(self.latest.get(f"stable {appid}", ""))
        if (
            token is None
            or token.revoked_at is not None
            or token.expires_at - now < min(_RENEW_EARLY, lifetime / 2)
        ):
            token = self._issue("stable", appid)
        return token

    def component_token(self, appid: str) -> AccessToken:
        """
        A new component_access_token of the service provider *appid*.
        """
        if appid not in self.components:
            raise LookupError(f"no component {appid!r} in the sandbox")
        return self._issue("component", appid)

    def _issue(
        self, kind: str, appid: str, component_appid: str | None = None
    ) -> AccessToken:
        now = self._clock.now()
        # Those that ended a day ago are forgotten, so that memory does not grow. The
        # oldest come first.
        for value, old in list(itertools.islice(self.issued.items(), 2)):
            if old.expires_at < now - 86400:
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

    def _reply(self, token: AccessToken) -> dict[str, Any]:
        left = math.ceil(token.expires_at - self._clock.now())
        return {"access_token": token.value, "expires_in": left}

    def fetch(
        self, endpoint: str, payload: Mapping[str, Any], ip: str, caller_token: str
    ) -> dict[str, Any]:
        """
        Answer a token endpoint.

        Args:
            endpoint: The last part of its path.

            payload: The JSON body or the query.

            ip: The caller's address.

            caller_token: The component_access_token that the call came with.
        """
        if endpoint == "stable_token":
            return self._stable_token(payload, ip)
        if endpoint == "token":
            return self._token(payload, ip)
        if endpoint == "api_component_token":
            return self._api_component_token(payload, ip)
        return self._api_authorizer_token(payload, ip, caller_token)

    def _stable_token(self, payload: Mapping[str, Any], ip: str) -> dict[str, Any]:
        """
        POST /cgi-bin/stable_token.
        """
        app = self._app(payload, ip)
        self._limit("minute", app, self._settings.token_minute_limit)
        self._limit("day", app, self._settings.token_daily_limit)
        if payload.get("force_refresh") is True:
            self._force(app)
        return self._reply(self.stable(app.appid))

    def _force(self, app: App) -> None:
        now = self._clock.now()
        before = self.forced_at.get(app.appid)
        if before is not None and now - before < self._settings.force_refresh_interval:
            if self._settings.force_refresh_too_soon:
                raise Refusal(self._settings.force_refresh_too_soon)
            return
        limit = self._settings.force_refresh_daily_limit
        if not self._quotas.spend("day", f"apps force_refresh {app.appid}", limit):
            raise Refusal(45009)
        self.forced_at[app.appid] = now
        token = self.issued.get(self.latest.get(f"stable {app.appid}", ""))
        if token is not None:
            token.revoked_at = now

    def _token(self, payload: Mapping[str, Any], ip: str) -> dict[str, Any]:
        """
        GET /cgi-bin/token: a new token each time, the one before lives five minutes.
        """
        app = self._app(payload, ip)
        limit = self._settings.classic_token_daily_limit
        if not self._quotas.spend("day", f"apps token {app.appid}", limit):
            raise Refusal(45009)
        before = self.issued.get(self.latest.get(f"classic {app.appid}", ""))
        if before is not None and before.revoked_at is None:
            before.revoked_at = self._clock.now() + _GRACE
        return self._reply(self._issue("classic", app.appid))

    def _app(self, payload: Mapping[str, Any], ip: str) -> App:
        if payload.get("grant_type") != "client_credential":
            raise Refusal(40002)
        appid, secret = payload.get("appid"), payload.get("secret")
        if not appid:
            raise Refusal(41002)
        if not secret:
            raise Refusal(41004)
        app = _find(self.apps, appid)
        if app is None:
            raise Refusal(40013)
        if app.secret != secret:
            raise Refusal(40125)
        if app.ip_whitelist is not None and ip not in app.ip_whitelist:
            raise Refusal(40164, ip=ip)
        return app

    def _limit(self, period: str, app: App, limit: int) -> None:
        if not self._quotas.spend(period, f"apps stable_token {app.appid}", limit):
            raise Refusal(45009 if period == "day" else 45011)

    def _api_component_token(
        self, payload: Mapping[str, Any], ip: str
    ) -> dict[str, Any]:
        """
        POST /cgi-bin/component/api_component_token.
        """
        component = self._component(payload, ip)
        if payload.get("component_appsecret") != component.secret:
            raise Refusal(40125)
        if payload.get("component_verify_ticket") != component.ticket:
            raise Refusal(61006)
        reply = self._reply(self.component_token(component.appid))
        return {
            "component_access_token": reply["access_token"],
            "expires_in": reply["expires_in"],
        }

    def _component(self, payload: Mapping[str, Any], ip: str) -> Component:
        component = _find(self.components, payload.get("component_appid"))
        if component is None:
            raise Refusal(40013)
        if component.ip_whitelist is not None and ip not in component.ip_whitelist:
            raise Refusal(61004, ip=ip)
        return component

    def _api_authorizer_token(
        self, payload: Mapping[str, Any], ip: str, component_access_token: str
    ) -> dict[str, Any]:
        """
        POST /cgi-bin/component/api_authorizer_token.
        """
        caller = self.check(component_access_token)
        component = self._component(payload, ip)
        if caller.kind != "component" or caller.appid != component.appid:
            raise Refusal(40001)
        app = _find(self.apps, payload.get("authorizer_appid"))
        authorization = None
        if app is not None:
            authorization = self.authorizations.get((component.appid, app.appid))
        if authorization is None:
            raise Refusal(61003)
        now = self._clock.now()
        refresh_token = payload.get("authorizer_refresh_token")
        if refresh_token != authorization.refresh_token and (
            refresh_token != authorization.old_refresh_token
            or now >= authorization.old_until
        ):
            raise Refusal(61023)
        reply = self._reply(
            self._issue("authorizer", authorization.appid, component.appid)
        )
        return {
            "authorizer_access_token": reply["access_token"],
            "expires_in": reply["expires_in"],
            "authorizer_refresh_token": authorization.refresh_token,
        }

    def change_refresh_token(self, component_appid: str, appid: str) -> str:
        """
        Give an authorization a new refresh token; the old one lives five minutes.
        """
        authorization = self.authorizations.get((component_appid, appid))
        if authorization is None:
            raise LookupError(f"{appid!r} has not authorized {component_appid!r}")
        authorization.old_refresh_token = authorization.refresh_token
        authorization.old_until = self._clock.now() + _GRACE
        authorization.refresh_token = "refreshtoken@@@" + self._mint.text(43)
        return authorization.refresh_token
