"""The rules of the plugin's own endpoints."""

from __future__ import annotations

import re
from typing import Any, Mapping

from ...models import WaybillStatus
from .carriers import CARRIERS
from .endpoints import PLUGIN, Request
from .errcodes import TOO_FAST, Refusal
from .parcels import Parcel
from .tokens import LOGISTICS_PERMISSION, AccessToken
from .world import MAGIC, OPENID, Registration, World

#: More goods than this answer -1.
_MAX_GOODS = 10

#: Digits of a phone number as other carriers' APIs want them: SF1234567890123:1234.
_PHONE_TAIL = re.compile(r":\d+$", re.ASCII)

#: A picture on a host that cannot exist: fetching it fails.
_DEAD_IMAGE = re.compile(r"(https?://)?[^/]*\.invalid(?=[:/?#]|$)", re.IGNORECASE)


def call(world: World, caller: AccessToken, request: Request) -> dict[str, Any]:
    """
    Answer an endpoint of the plugin.

    Args:
        world: Its state.

        caller: The access token, already checked.

        request: A call of a key of `PLUGIN`.

    Raises:
        Refusal: WeChat refuses.
    """
    endpoint, payload = request.endpoint, request.payload
    component = PLUGIN[endpoint]
    app = world.tokens.apps.get(caller.appid)
    if app is None:
        # A component_access_token, which acts for no shop.
        raise Refusal(48001)
    opens = endpoint in ("open_query_plugin", "open_openmsg")
    if not _is_permitted(world, caller):
        refused = world.settings.opening_unauthorized if opens else 61007
        if refused:
            raise Refusal(refused)
    if opens:
        app.opened = True
        return {"errcode": 0, "errmsg": "ok"}
    if not app.opened:
        raise Refusal(48001)
    _admit(world, component, caller.appid)
    if endpoint == "get_delivery_list":
        return _delivery_list()
    if endpoint in ("trace_waybill", "follow_waybill"):
        return _register(world, component, caller.appid, payload)
    registration = _registration(world, component, caller, payload)
    if endpoint in ("query_trace", "query_follow_trace"):
        return _query(world, endpoint, registration)
    return _update(world, registration, payload)


def _is_permitted(world: World, caller: AccessToken) -> bool:
    if caller.component_appid is None:
        return True
    key = (caller.component_appid, caller.appid)
    return LOGISTICS_PERMISSION in world.tokens.authorizations[key].permissions


def _admit(world: World, component: str, appid: str) -> None:
    """
    Apply the limits of the app, which come before the body.
    """
    settings, quotas = world.settings, world.quotas
    if not quotas.spend("second", f"apps calls {appid}", settings.calls_per_second):
        raise Refusal(45009, TOO_FAST)
    if not quotas.spend("minute", f"apps calls {appid}", settings.calls_per_minute):
        raise Refusal(45011)
    key = f"apps {component} {appid}"
    if not quotas.spend("day", key, settings.appid_daily_limit):
        raise Refusal(settings.appid_limit_errcode)


def _spend_user(world: World, component: str, openid: str) -> None:
    limit = world.settings.user_daily_limit
    if component == "message":
        limit = world.settings.user_daily_limit_message
    if not world.quotas.spend("day", f"users {component} {openid}", limit):
        raise Refusal(world.settings.user_limit_errcode)


def _register(
    world: World, component: str, appid: str, payload: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Answer trace_waybill and follow_waybill.
    """
    settings = world.settings
    openid = _text(payload, "openid")
    waybill_id = _text(payload, "waybill_id")
    delivery_id = _text(payload, "delivery_id")
    for name in ("sender_phone", "receiver_phone", "trans_id", "order_detail_path"):
        _text(payload, name)
    if not OPENID.fullmatch(openid):
        raise Refusal(40003)
    # An openid belongs to the app that it is first used with.
    if world.users.setdefault(openid, appid) != appid:
        raise Refusal(9300534)
    _spend_user(world, component, openid)
    _raise_magic("ERR", waybill_id)
    goods = _goods(world, payload)
    if goods is None:
        if settings.missing_goods:
            raise Refusal(settings.missing_goods)
        goods = []
    parcel = world.parcels.get(waybill_id)
    if parcel is None:
        if not waybill_id or _PHONE_TAIL.search(waybill_id):
            raise Refusal(931023)
        if settings.unknown_waybill:
            raise Refusal(settings.unknown_waybill)
        parcel = world.add_parcel(waybill_id, delivery_id)
    _check_collected(world, parcel)
    token = world.mint.seal(component, appid, openid, waybill_id)
    if token in world.registrations and not settings.same_token:
        goods = world.registrations[token].goods
        token = world.mint.text(64)
    if token not in world.registrations:
        if component == "message":
            _bind(world, openid, token)
        world.keep(
            Registration(
                component,
                appid,
                openid,
                waybill_id,
                token,
                goods,
                registered_at=world.clock.now(),
            )
        )
        world.parcels[waybill_id] = world.parcels.pop(waybill_id)
    return {"errcode": 0, "errmsg": "ok", "waybill_token": token}


def _bind(world: World, openid: str, token: str) -> None:
    now = world.clock.now()
    still_open = [
        bound
        for bound in world.bound.get(openid, ())
        if not _parcel_of(world, bound).status(now).is_final
    ]
    if len(still_open) >= world.settings.bound_limit:
        raise Refusal(world.settings.bound_limit_errcode)
    world.bound[openid] = [*still_open, token]


def _parcel_of(world: World, token: str) -> Parcel:
    return world.parcels[world.registrations[token].waybill_id]


def _registration(
    world: World, component: str, caller: AccessToken, payload: Mapping[str, Any]
) -> Registration:
    """
    Return the registration that the waybill_token in *payload* stands for.
    """
    settings = world.settings
    registration = world.registrations.get(_text(payload, "waybill_token"))
    openid = _text(payload, "openid")
    if registration is None or registration.component != component:
        raise Refusal(9300507)
    if registration.appid != caller.appid and settings.foreign_token:
        raise Refusal(settings.foreign_token)
    if openid and openid != registration.openid and settings.wrong_openid:
        raise Refusal(settings.wrong_openid)
    _spend_user(world, component, registration.openid)
    _raise_magic("QUERYERR", registration.waybill_id)
    return registration


def _query(world: World, endpoint: str, registration: Registration) -> dict[str, Any]:
    """
    Answer query_trace and query_follow_trace.
    """
    now = world.clock.now()
    parcel = world.parcels[registration.waybill_id]
    _check_collected(world, parcel)
    status = parcel.status(now)
    waybill_info: dict[str, Any] = {
        "status": int(status),
        "waybill_id": registration.waybill_id,
    }
    # No reply, documented or real, holds a goods_desc.
    details = [
        {key: text for key, text in goods.items() if key != "goods_desc"}
        for goods in registration.goods
    ]
    reply: dict[str, Any] = {
        "errcode": 0,
        "errmsg": "ok",
        "waybill_info": waybill_info,
        "shop_info": {"goods_info": {"detail_list": details}},
    }
    if status != WaybillStatus.NOT_COLLECTED:
        if world.settings.path or endpoint == "query_follow_trace":
            waybill_info["path"] = {"path_action": parcel.path(now)}
        if world.settings.delivery_info:
            reply["delivery_info"] = {
                "delivery_id": parcel.delivery_id,
                "delivery_name": CARRIERS[parcel.delivery_id],
            }
    return reply


def _update(
    world: World, registration: Registration, payload: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Answer update_waybill_goods and update_follow_waybill_goods.
    """
    goods = _goods(world, payload)
    # Goods that are nested wrongly are answered with 0 and ignored.
    if goods is not None:
        if registration.edits >= world.settings.edit_limit:
            raise Refusal(9300560)
        registration.edits += 1
        registration.goods = goods
    return {"errcode": 0, "errmsg": "ok"}


def _goods(world: World, payload: Mapping[str, Any]) -> list[dict[str, str]] | None:
    """
    Return the goods in *payload*; None if they are missing or nested wrongly.
    """
    goods_info = payload.get("goods_info")
    details = goods_info.get("detail_list") if isinstance(goods_info, dict) else None
    if not isinstance(details, list) or not details:
        return None
    if len(details) > _MAX_GOODS:
        raise Refusal(-1)
    goods = []
    for detail in details:
        if not isinstance(detail, dict):
            raise Refusal(47001)
        url = _text(detail, "goods_img_url")
        if world.refused_image.search(url):
            raise Refusal(9300561)
        if _DEAD_IMAGE.match(url):
            raise Refusal(-1)
        kept = {"goods_name": _text(detail, "goods_name"), "goods_img_url": url}
        if "goods_desc" in detail:
            kept["goods_desc"] = _text(detail, "goods_desc")
        goods.append(kept)
    return goods


def _check_collected(world: World, parcel: Parcel) -> None:
    if world.settings.uncollected and not parcel.status(world.clock.now()):
        raise Refusal(world.settings.uncollected)


def _raise_magic(word: str, waybill_id: str) -> None:
    magic = MAGIC.match(waybill_id)
    if magic and magic[1] == word and int(magic[2]) != 0:
        raise Refusal(int(magic[2]))


def _delivery_list() -> dict[str, Any]:
    carriers = [
        {"delivery_id": key, "delivery_name": name} for key, name in CARRIERS.items()
    ]
    # A success of this endpoint has no errmsg.
    return {"errcode": 0, "delivery_list": carriers, "count": len(carriers)}


def _text(fields: Mapping[str, Any], name: str) -> str:
    """
    Return the string *name* of *fields*; empty if it is missing.
    """
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(47001)
    return value
