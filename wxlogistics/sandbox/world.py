"""The rules and the state of the imitation: what WeChat knows and how it decides.

Nothing here knows HTTP, and no time but the clock's is read.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import weakref
from collections import deque
from typing import Any, Iterator, Mapping

import attrs

from ..models import WaybillStatus
from .calls import Call
from .carriers import CARRIERS
from .clock import Clock
from .errcodes import TOO_FAST, Refusal
from .faults import Faults
from .mint import Mint
from .parcels import Move, Parcel, guess_carrier
from .quotas import Quotas
from .settings import Settings
from .tokens import LOGISTICS_PERMISSION, AccessToken, Tokens

#: endpoint -> the plugin's component (组件) that it belongs to.
ENDPOINTS = {
    "trace_waybill": "query",
    "query_trace": "query",
    "update_waybill_goods": "query",
    "get_delivery_list": "query",
    "follow_waybill": "message",
    "query_follow_trace": "message",
    "update_follow_waybill_goods": "message",
    "open_query_plugin": "query",
    "open_openmsg": "message",
}

#: More goods than this answer -1.
_MAX_GOODS = 10

_OPENID = re.compile(r"o[A-Za-z0-9_-]{27}")

#: Waybill ids that ask for an answer: ERR931023…, QUERYERR-1…, STATUS5….
_MAGIC = re.compile(r"(ERR|QUERYERR|STATUS)(-?\d{1,7})(?!\d)")

#: A picture on a host that cannot exist: fetching it fails.
_DEAD_IMAGE = re.compile(r"(https?://)?[^/]*\.invalid(?=[:/?#]|$)", re.IGNORECASE)


@attrs.define
class Registration:
    """
    A waybill that an app has told WeChat about, for one user.

    Attributes:
        component: Which component holds it.

        token: The waybill_token.

        goods: The detail_list as first registered or last updated.

        edits: How often the goods were updated.

        registered_at: Unix time; 0 where it is not known.
    """

    component: str
    appid: str
    openid: str
    waybill_id: str
    token: str
    goods: list[dict[str, str]]
    edits: int = 0
    registered_at: float = 0.0


#: For `_unlock`.
_worlds: weakref.WeakSet[World] = weakref.WeakSet()


def _unlock() -> None:
    """
    Give a forked child locks that nobody holds.
    """
    for world in _worlds:  # pragma: no cover - runs in a forked child
        world.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_unlock)


class World:
    """
    WeChat's side of the logistics plugin.

    Args:
        settings: How it behaves where that can be set.

        clock: Its time.

        mint: Makes its ids and tokens.
    """

    def __init__(self, settings: Settings, clock: Clock, mint: Mint) -> None:
        self.settings = settings
        self.clock = clock
        self.mint = mint
        #: Held by whoever reads or changes anything here.
        self.lock = threading.RLock()
        #: Grows whenever something here changes, for those who show it.
        self.changes = 0
        self.quotas = Quotas(clock)
        self.tokens = Tokens(settings, clock, mint, self.quotas)
        self.faults = Faults()
        self.calls: deque[Call] = deque(maxlen=settings.keep_calls)
        self.call_count = 0
        # openid -> the app that it belongs to.
        self.users: dict[str, str] = {}
        # Those that were registered last come last.
        self.parcels: dict[str, Parcel] = {}
        # waybill_token -> what it stands for.
        self.registrations: dict[str, Registration] = {}
        # waybill_id -> the same, the oldest first.
        self.registered: dict[str, list[Registration]] = {}
        # openid -> waybill_tokens that it is bound to, for bound_limit.
        self.bound: dict[str, list[str]] = {}
        self.app = self.tokens.add_app(
            settings.appid,
            settings.secret,
            opened=settings.opened,
            ip_whitelist=settings.ip_whitelist,
        )
        self._refused_image = re.compile(settings.refused_image)
        _worlds.add(self)

    def become(self, other: World) -> None:
        """
        Take over all of *other*, at once for everybody who holds this world.
        """
        with self.lock:
            for name, value in vars(other).items():
                if name not in ("lock", "changes"):
                    setattr(self, name, value)
            self.changes += 1

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """
        Hold the lock while something here is changed.
        """
        with self.lock:
            self.changes += 1
            yield

    def keep(self, registration: Registration) -> None:
        """
        Remember *registration*, of a parcel that is there.
        """
        self.registrations[registration.token] = registration
        self.registered.setdefault(registration.waybill_id, []).append(registration)

    # What the user of the sandbox does by hand

    def add_user(self, openid: str | None, appid: str) -> str:
        """
        Let *openid*, or one made up, belong to *appid*.
        """
        if openid is None:
            openid = "o" + self.mint.text(27)
        if not _OPENID.fullmatch(openid):
            raise ValueError(f"an openid is o and 27 letters, digits, - or _: {openid}")
        if appid not in self.tokens.apps:
            raise LookupError(f"no app {appid!r} in the sandbox")
        self.users[openid] = appid
        return openid

    def add_parcel(self, waybill_id: str, delivery_id: str | None = None) -> Parcel:
        """
        Let a parcel begin its route.
        """
        now = self.clock.now()
        default = self.settings.default_delivery_id
        magic = _MAGIC.match(waybill_id)
        if magic and magic[1] == "STATUS":
            route: tuple[Move, ...] = (Move(now, int(magic[2])),)
        else:
            route = tuple(
                Move(now + hours * 3600, status)
                for hours, status in self.settings.route
            )
        if delivery_id not in CARRIERS:
            delivery_id = guess_carrier(waybill_id, default)
        parcel = Parcel(waybill_id, delivery_id, route)
        self.parcels[waybill_id] = parcel
        return parcel

    def move(self, waybill_id: str, status: int, message: str | None = None) -> None:
        """
        Move a parcel by hand; the clock moves it no more.
        """
        parcel = self.parcels.get(waybill_id)
        if parcel is None:
            raise LookupError(
                f"no waybill {waybill_id!r} in the sandbox: register it first"
            )
        parcel.moves.append(Move(self.clock.now(), int(status), message))

    def subject(self, payload: Mapping[str, Any]) -> tuple[str, str]:
        """
        The openid and the waybill_id that a call is about, as far as it tells.
        """
        openid, waybill_id, token = (
            value if isinstance(value, str) else ""
            for value in map(payload.get, ("openid", "waybill_id", "waybill_token"))
        )
        registration = self.registrations.get(token)
        if registration is not None:
            return registration.openid, registration.waybill_id
        return openid, waybill_id

    # What a caller does

    def call(
        self, endpoint: str, caller: AccessToken, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """
        Answer an endpoint of the plugin's.

        Args:
            endpoint: A key of `ENDPOINTS`.

            caller: The access token, already checked.

            payload: The body.

        Raises:
            Refusal: WeChat refuses.
        """
        component = ENDPOINTS[endpoint]
        app = self.tokens.apps.get(caller.appid)
        if app is None:
            # A component_access_token, which is no shop's.
            raise Refusal(48001)
        self._check_permission(caller)
        if endpoint in ("open_query_plugin", "open_openmsg"):
            app.opened = True
            return {"errcode": 0, "errmsg": "ok"}
        if not app.opened:
            raise Refusal(48001)
        self._admit(component, caller.appid)
        if endpoint == "get_delivery_list":
            return _delivery_list()
        if endpoint in ("trace_waybill", "follow_waybill"):
            return self._register(component, caller.appid, payload)
        registration = self._registration(component, caller, payload)
        if endpoint in ("query_trace", "query_follow_trace"):
            return self._query(endpoint, registration)
        return self._update(registration, payload)

    def _check_permission(self, caller: AccessToken) -> None:
        if caller.component_appid is not None:
            key = (caller.component_appid, caller.appid)
            if LOGISTICS_PERMISSION not in self.tokens.authorizations[key].permissions:
                raise Refusal(61007)

    def _admit(self, component: str, appid: str) -> None:
        """
        The limits of the app, before anybody looks at the body.
        """
        settings, quotas = self.settings, self.quotas
        if not quotas.spend("second", f"apps calls {appid}", settings.calls_per_second):
            raise Refusal(45009, TOO_FAST)
        if not quotas.spend("minute", f"apps calls {appid}", settings.calls_per_minute):
            raise Refusal(45011)
        if not quotas.spend(
            "day", f"apps {component} {appid}", settings.appid_daily_limit
        ):
            raise Refusal(settings.appid_limit_errcode)

    def _spend_user(self, component: str, openid: str) -> None:
        limit = self.settings.user_daily_limit
        if component == "message":
            limit = self.settings.user_daily_limit_message
        if not self.quotas.spend("day", f"users {component} {openid}", limit):
            raise Refusal(self.settings.user_limit_errcode)

    def _register(
        self, component: str, appid: str, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """
        trace_waybill and follow_waybill.
        """
        openid = _text(payload, "openid")
        waybill_id = _text(payload, "waybill_id")
        delivery_id = _text(payload, "delivery_id")
        for name in ("sender_phone", "receiver_phone", "trans_id", "order_detail_path"):
            _text(payload, name)
        if not _OPENID.fullmatch(openid):
            raise Refusal(40003)
        # An openid belongs to the app that it is first used with.
        if self.users.setdefault(openid, appid) != appid:
            raise Refusal(9300534)
        self._spend_user(component, openid)
        self._raise_magic("ERR", waybill_id)
        goods = self._goods(payload)
        if goods is None:
            if self.settings.missing_goods:
                raise Refusal(self.settings.missing_goods)
            goods = []
        parcel = self.parcels.get(waybill_id)
        if parcel is None:
            if not waybill_id:
                raise Refusal(931023)
            if self.settings.unknown_waybill:
                raise Refusal(self.settings.unknown_waybill)
            parcel = self.add_parcel(waybill_id, delivery_id)
        self._check_collected(parcel)
        token = self.mint.seal(component, appid, openid, waybill_id)
        if token not in self.registrations:
            if component == "message":
                self._bind(openid, token)
            now = self.clock.now()
            self.keep(
                Registration(
                    component,
                    appid,
                    openid,
                    waybill_id,
                    token,
                    goods,
                    registered_at=now,
                )
            )
            self.parcels[waybill_id] = self.parcels.pop(waybill_id)
        return {"errcode": 0, "errmsg": "ok", "waybill_token": token}

    def _bind(self, openid: str, token: str) -> None:
        now = self.clock.now()
        still_open = [
            bound
            for bound in self.bound.get(openid, ())
            if not self._parcel_of(bound).status(now).is_final
        ]
        if len(still_open) >= self.settings.bound_limit:
            raise Refusal(self.settings.bound_limit_errcode)
        self.bound[openid] = [*still_open, token]

    def _parcel_of(self, token: str) -> Parcel:
        return self.parcels[self.registrations[token].waybill_id]

    def _registration(
        self, component: str, caller: AccessToken, payload: Mapping[str, Any]
    ) -> Registration:
        """
        The registration that the waybill_token in *payload* stands for.
        """
        registration = self.registrations.get(_text(payload, "waybill_token"))
        openid = _text(payload, "openid")
        if (
            registration is None
            or registration.component != component
            or registration.appid != caller.appid
        ):
            raise Refusal(9300507)
        if openid and openid != registration.openid and self.settings.wrong_openid:
            raise Refusal(self.settings.wrong_openid)
        self._spend_user(component, registration.openid)
        self._raise_magic("QUERYERR", registration.waybill_id)
        return registration

    def _query(self, endpoint: str, registration: Registration) -> dict[str, Any]:
        """
        query_trace and query_follow_trace.
        """
        now = self.clock.now()
        parcel = self.parcels[registration.waybill_id]
        self._check_collected(parcel)
        status = parcel.status(now)
        waybill_info: dict[str, Any] = {
            "status": int(status),
            "waybill_id": registration.waybill_id,
        }
        reply: dict[str, Any] = {
            "errcode": 0,
            "errmsg": "ok",
            "waybill_info": waybill_info,
            "shop_info": {"goods_info": {"detail_list": registration.goods}},
        }
        if status != WaybillStatus.NOT_COLLECTED:
            if self.settings.path or endpoint == "query_follow_trace":
                waybill_info["path"] = {"path_action": parcel.path(now)}
            if self.settings.delivery_info:
                reply["delivery_info"] = {
                    "delivery_id": parcel.delivery_id,
                    "delivery_name": CARRIERS[parcel.delivery_id],
                }
        return reply

    def _update(
        self, registration: Registration, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """
        update_waybill_goods and update_follow_waybill_goods.
        """
        goods = self._goods(payload)
        # Goods that are nested wrongly are answered with 0 and not looked at.
        if goods is not None:
            if registration.edits >= self.settings.edit_limit:
                raise Refusal(9300560)
            registration.edits += 1
            registration.goods = goods
        return {"errcode": 0, "errmsg": "ok"}

    def _goods(self, payload: Mapping[str, Any]) -> list[dict[str, str]] | None:
        """
        The goods in *payload*; None where they are missing or nested wrongly.
        """
        goods_info = payload.get("goods_info")
        details = (
            goods_info.get("detail_list") if isinstance(goods_info, dict) else None
        )
        if not isinstance(details, list) or not details:
            return None
        if len(details) > _MAX_GOODS:
            raise Refusal(-1)
        goods = []
        for detail in details:
            if not isinstance(detail, dict):
                raise Refusal(47001)
            url = _text(detail, "goods_img_url")
            if self._refused_image.search(url):
                raise Refusal(9300561)
            if _DEAD_IMAGE.match(url):
                raise Refusal(-1)
            kept = {"goods_name": _text(detail, "goods_name"), "goods_img_url": url}
            if "goods_desc" in detail:
                kept["goods_desc"] = _text(detail, "goods_desc")
            goods.append(kept)
        return goods

    def _check_collected(self, parcel: Parcel) -> None:
        if self.settings.uncollected and not parcel.status(self.clock.now()):
            raise Refusal(self.settings.uncollected)

    def _raise_magic(self, word: str, waybill_id: str) -> None:
        magic = _MAGIC.match(waybill_id)
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
    The string *name* of *fields*; empty where it is missing.
    """
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(47001)
    return value
