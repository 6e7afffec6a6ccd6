"""The calls beside the plugin's: tokens, users, service providers, quotas."""

from __future__ import annotations

import base64
from typing import Any, Callable

from .endpoints import PATHS, PLUGIN, Request
from .errcodes import Refusal
from .plain_json import read_resource
from .quotas import LIMITS
from .tokens import GRACE, AccessToken, App, Authorization, Component
from .world import World

#: The text of 45009 at the endpoints that hand out tokens.
_TOKENS_SPENT = (
    "reach max api daily quota limit, could get access_token by getStableAccessToken, "
    "more details at https://mmbizurl.cn/s/JtxxFh33r"
)

#: Addresses that belong to no one, for getcallbackip and get_api_domain_ip.
_ADDRESSES = ["203.0.113.10", "203.0.113.11", "203.0.113.128/25"]

#: Seconds that a pre_auth_code lives.
_PREAUTH_LIFETIME = 1800

#: What api_get_authorizer_info returns of every account.
_AUTHORIZER_INFO = read_resource(__package__, "authorizer_info.json")

_OK = {"errcode": 0, "errmsg": "ok"}


# Who calls


def _app(world: World, request: Request, grant_type: str) -> App:
    """
    Return the app whose appid and secret the payload holds.
    """
    payload = request.payload
    appid, secret = payload.get("appid"), payload.get("secret")
    if not appid:
        raise Refusal(41002)
    if not secret:
        raise Refusal(41004)
    if payload.get("grant_type") != grant_type:
        raise Refusal(40002)
    app = world.tokens.apps.get(_text(request, "appid"))
    if app is None:
        appid, secret = _text(request, "appid"), _text(request, "secret")
        is_new = appid and secret and appid not in world.tokens.components
        if not request.first_use or not is_new:
            raise Refusal(40013)
        settings = world.settings
        app = world.tokens.add_app(
            appid, secret, opened=settings.opened, ip_whitelist=settings.ip_whitelist
        )
    if not app.secret and request.first_use:
        app.secret = _text(request, "secret")
    if app.secret != secret:
        raise Refusal(40125)
    return app


def _app_for_token(world: World, request: Request) -> App:
    app = _app(world, request, "client_credential")
    if app.ip_whitelist is not None and request.ip not in app.ip_whitelist:
        raise Refusal(40164, ip=request.ip)
    return app


def _text(request: Request, name: str) -> str:
    """
    Return the field *name* if it is a text, else an empty one.
    """
    value = request.payload.get(name)
    return value if isinstance(value, str) else ""


def _component(world: World, request: Request) -> Component:
    """
    Return the service provider that the payload names.
    """
    component = world.tokens.components.get(_text(request, "component_appid"))
    if component is None:
        raise Refusal(40013)
    if component.ip_whitelist is not None and request.ip not in component.ip_whitelist:
        raise Refusal(61004, ip=request.ip)
    return component


def _calling_component(world: World, request: Request) -> Component:
    """
    Return the service provider that the token and the payload name.
    """
    caller = world.tokens.check(request.component_access_token)
    component = _component(world, request)
    if caller.kind != "component" or caller.appid != component.appid:
        raise Refusal(40001)
    return component


# Tokens of a mini-program


def _reply(world: World, token: AccessToken) -> dict[str, Any]:
    return {"access_token": token.value, "expires_in": world.tokens.left(token)}


def _stable_token(world: World, request: Request) -> dict[str, Any]:
    app = _app_for_token(world, request)
    settings, key = world.settings, f"apps stable_token {app.appid}"
    if not world.quotas.spend("minute", key, settings.token_minute_limit):
        raise Refusal(45011)
    if not world.quotas.spend("day", key, settings.token_daily_limit):
        raise Refusal(45009, _TOKENS_SPENT)
    if request.payload.get("force_refresh") is True:
        _force(world, app)
    return _reply(world, world.tokens.stable(app.appid))


def _force(world: World, app: App) -> None:
    settings, tokens, now = world.settings, world.tokens, world.clock.now()
    before = tokens.forced_at.get(app.appid)
    if before is not None and now - before < settings.force_refresh_interval:
        if settings.force_refresh_too_soon:
            raise Refusal(settings.force_refresh_too_soon)
        return
    limit = settings.force_refresh_daily_limit
    if not world.quotas.spend("day", f"apps force_refresh {app.appid}", limit):
        raise Refusal(45009, _TOKENS_SPENT)
    tokens.forced_at[app.appid] = now
    token = tokens.latest_of("stable", app.appid)
    if token is not None:
        token.revoked_at = now


def _token(world: World, request: Request) -> dict[str, Any]:
    """
    Answer with a new token each time; the one before lives five minutes.
    """
    app = _app_for_token(world, request)
    limit = world.settings.classic_token_daily_limit
    if not world.quotas.spend("day", f"apps token {app.appid}", limit):
        raise Refusal(45009, _TOKENS_SPENT)
    before = world.tokens.latest_of("classic", app.appid)
    if before is not None and before.revoked_at is None:
        before.revoked_at = world.clock.now() + GRACE
    return _reply(world, world.tokens.issue("classic", app.appid))


# Tokens of a service provider


def _api_component_token(world: World, request: Request) -> dict[str, Any]:
    payload, tokens = request.payload, world.tokens
    appid, secret, ticket = (
        _text(request, "component_" + name)
        for name in ("appid", "appsecret", "verify_ticket")
    )
    if request.first_use and appid and secret and ticket:
        if appid not in {**tokens.components, **tokens.apps}:
            tokens.add_component(appid, secret, ticket=ticket)
    component = _component(world, request)
    if payload.get("component_appsecret") != component.secret:
        raise Refusal(40125)
    if payload.get("component_verify_ticket") != component.ticket:
        raise Refusal(61006)
    token = tokens.issue("component", component.appid)
    return {"component_access_token": token.value, "expires_in": tokens.left(token)}


def _authorizer_token(world: World, authorization: Authorization) -> dict[str, Any]:
    token = world.tokens.issue(
        "authorizer", authorization.appid, authorization.component_appid
    )
    return {
        "authorizer_access_token": token.value,
        "expires_in": world.tokens.left(token),
        "authorizer_refresh_token": authorization.refresh_token,
    }


def _api_authorizer_token(world: World, request: Request) -> dict[str, Any]:
    component, tokens = _calling_component(world, request), world.tokens
    appid = _text(request, "authorizer_appid")
    refresh_token = _text(request, "authorizer_refresh_token")
    key = component.appid, appid
    if request.first_use and appid and refresh_token:
        if appid not in {**tokens.apps, **tokens.components}:
            # Its secret is the one that it is first used with.
            tokens.apps[appid] = App(appid, "", world.settings.opened)
        if appid in tokens.apps and key not in tokens.authorizations:
            tokens.authorizations[key] = Authorization(*key, refresh_token)
    authorization = tokens.authorizations.get(key)
    if authorization is None:
        raise Refusal(61003)
    if not authorization.accepts(refresh_token, world.clock.now()):
        raise Refusal(61023)
    return _authorizer_token(world, authorization)


def _api_create_preauthcode(world: World, request: Request) -> dict[str, Any]:
    _calling_component(world, request)
    code = "preauthcode@@@" + world.mint.text(43)
    return {"pre_auth_code": code, "expires_in": _PREAUTH_LIFETIME}


def _func_info(authorization: Authorization) -> list[dict[str, Any]]:
    return [{"funcscope_category": {"id": n}} for n in authorization.permissions]


def _api_query_auth(world: World, request: Request) -> dict[str, Any]:
    component = _calling_component(world, request)
    code = world.tokens.redeem(_text(request, "authorization_code"), 61010, 61010)
    if code.component_appid != component.appid:
        raise Refusal(61010)
    code.used = True
    authorization = world.tokens.authorize(
        component.appid, code.appid, code.permissions
    )
    return {
        "authorization_info": {
            "authorizer_appid": code.appid,
            **_authorizer_token(world, authorization),
            "func_info": _func_info(authorization),
        }
    }


def _api_get_authorizer_info(world: World, request: Request) -> dict[str, Any]:
    component = _calling_component(world, request)
    appid = _text(request, "authorizer_appid")
    authorization = world.tokens.authorizations.get((component.appid, appid))
    if authorization is None:
        raise Refusal(61003)
    own = {"nick_name": f"沙箱小程序 {appid[-4:]}", "user_name": f"gh_{appid[-12:]}"}
    return {
        "authorizer_info": {**_AUTHORIZER_INFO, **own},
        "authorization_info": {
            "authorizer_appid": appid,
            "authorizer_refresh_token": authorization.refresh_token,
            "func_info": _func_info(authorization),
        },
    }


# Users


def _jscode2session(world: World, request: Request) -> dict[str, Any]:
    app = _app(world, request, "authorization_code")
    value = _text(request, "js_code")
    if not value:
        raise Refusal(41008)
    code = world.tokens.redeem(value, 40029, 40163)
    is_users = code.openid and code.appid in ("", app.appid)
    if not is_users or world.users.setdefault(code.openid, app.appid) != app.appid:
        raise Refusal(40029)
    code.used = True
    session_key = base64.b64encode(bytes.fromhex(world.mint.hex(32))).decode()
    return {"session_key": session_key, "openid": code.openid}


# Quotas and diagnosis


def _ip_list(world: World, request: Request) -> dict[str, Any]:
    world.tokens.check(request.access_token)
    return {"ip_list": list(_ADDRESSES)}


def _counter(world: World, request: Request, appid: str) -> tuple[str, int]:
    """
    Return the quota that the payload's cgi_path counts for: its key and its limit.
    """
    path = "/" + _text(request, "cgi_path").strip("/")
    endpoint, settings = PATHS.get(path), world.settings
    if endpoint is None:
        raise Refusal(76021)
    name = f"apps {PLUGIN.get(endpoint, endpoint)}"
    if name not in LIMITS:
        raise Refusal(76022)
    limit: int = getattr(settings, LIMITS[name])
    return f"{name} {appid}", limit


def _quota_get(world: World, request: Request) -> dict[str, Any]:
    caller = world.tokens.check(request.access_token)
    key, limit = _counter(world, request, caller.appid)
    used = world.quotas.current("day").get(key, 0)
    quota = {"daily_limit": limit, "used": used, "remain": max(0, limit - used)}
    reply: dict[str, Any] = {**_OK, "quota": quota}
    if world.settings.calls_per_minute is not None:
        pace = {"call_count": world.settings.calls_per_minute, "refresh_second": 60}
        reply["rate_limit"] = pace
    return reply


def _clear(world: World, caller: AccessToken) -> None:
    """
    Spend one of the few times a month that an app may clear its quotas.
    """
    limit = world.settings.clear_quota_monthly_limit
    if not world.quotas.spend("month", f"clear_quota {caller.appid}", limit):
        raise Refusal(48006)


def _quota_clear(world: World, request: Request) -> dict[str, Any]:
    caller = world.tokens.check(request.access_token)
    key, _ = _counter(world, request, caller.appid)
    _clear(world, caller)
    world.quotas.current("day").pop(key, None)
    return dict(_OK)


def _clear_quota(world: World, request: Request) -> dict[str, Any]:
    caller = world.tokens.check(request.access_token)
    if request.payload.get("appid") != caller.appid:
        raise Refusal(40013)
    _clear(world, caller)
    spent = world.quotas.current("day")
    for key in list(spent):
        kind, _, who = key.split(" ", 2)
        if (kind, who) == ("apps", caller.appid):
            del spent[key]
    return dict(_OK)


def _rid_get(world: World, request: Request) -> dict[str, Any]:
    world.tokens.check(request.access_token)
    rid = _text(request, "rid")
    for call in reversed(world.calls):
        if rid and call.rid == rid:
            explained = {
                "invoke_time": int(call.time),
                "cost_in_ms": round(call.milliseconds),
                "request_url": call.query,
                "request_body": call.request,
                "response_body": call.answer,
                "client_ip": call.ip,
            }
            return {**_OK, "request": explained}
    raise Refusal(76001)


#: endpoint -> what answers it.
HANDLERS: dict[str, Callable[[World, Request], dict[str, Any]]] = {
    "stable_token": _stable_token,
    "token": _token,
    "api_component_token": _api_component_token,
    "api_authorizer_token": _api_authorizer_token,
    "api_create_preauthcode": _api_create_preauthcode,
    "api_query_auth": _api_query_auth,
    "api_get_authorizer_info": _api_get_authorizer_info,
    "jscode2session": _jscode2session,
    "getcallbackip": _ip_list,
    "get_api_domain_ip": _ip_list,
    "quota/get": _quota_get,
    "quota/clear": _quota_clear,
    "clear_quota": _clear_quota,
    "rid/get": _rid_get,
}
