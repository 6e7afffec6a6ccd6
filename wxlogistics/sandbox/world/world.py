"""The state of the imitation: what WeChat knows.

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
from attrs.validators import deep_iterable, deep_mapping, instance_of

from .calls import Call
from .carriers import CARRIERS
from .clock import Clock
from .faults import Faults
from .fields import checked, typed
from .mint import Mint
from .parcels import Move, Parcel, guess_carrier
from .quotas import Quotas
from .settings import Settings
from .tokens import Tokens

OPENID = re.compile(r"o[A-Za-z0-9_-]{27}")

#: Waybill ids that ask for an answer: ERR931023…, QUERYERR-1…, STATUS5….
MAGIC = re.compile(r"(ERR|QUERYERR|STATUS)(-?\d{1,7})(?!\d)")


def _are_goods(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    for goods in value:
        if not {"goods_name", "goods_img_url"} <= goods.keys():
            raise ValueError(f"{field.name}: {goods!r:.200} is not an article")


@attrs.define(field_transformer=typed)
class Registration:
    """
    A waybill that an app registered for one user.

    Attributes:
        component: Which component holds it.

        token: The waybill_token.

        goods: The detail_list as first registered or last updated.

        edits: How often the goods were updated.

        registered_at: Unix time; 0 if it is not known.
    """

    component: str
    appid: str
    openid: str
    waybill_id: str
    token: str
    goods: list[dict[str, str]] = checked(
        deep_iterable(
            deep_mapping(instance_of(str), instance_of(str), instance_of(dict)),
            instance_of(list),
        ),
        _are_goods,
    )
    edits: int = 0
    registered_at: float = 0.0


#: For `_unlock`.
_worlds: weakref.WeakSet[World] = weakref.WeakSet()


def _unlock() -> None:
    """
    Give a forked child locks that are free.
    """
    for world in _worlds:  # pragma: no cover - runs in a forked child
        world.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_unlock)


class World:
    """
    What WeChat knows of apps, users and parcels.

    Args:
        settings: How it behaves where that can be set.

        clock: Its time.

        mint: Makes its ids and tokens.
    """

    def __init__(self, settings: Settings, clock: Clock, mint: Mint) -> None:
        self.settings = settings
        self.clock = clock
        self.mint = mint
        #: Held while anything here is read or changed.
        self.lock = threading.RLock()
        #: Grows whenever something here changes, for those who show it.
        self.changes = 0
        self.quotas = Quotas(clock, settings.quota_reset_hour)
        self.tokens = Tokens(settings, clock, mint)
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
        self.refused_image = re.compile(settings.refused_image)
        _worlds.add(self)

    def become(self, other: World) -> None:
        """
        Take over all of *other*, at once for all that hold this world.
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

    def openid(self, openid: str | None) -> str:
        """
        Return *openid*, or one made up; a ValueError if it cannot be one.
        """
        if openid is None:
            openid = "o" + self.mint.text(27)
        if not OPENID.fullmatch(openid):
            raise ValueError(f"an openid is o and 27 letters, digits, - or _: {openid}")
        return openid

    def add_user(self, openid: str | None, appid: str) -> str:
        """
        Make *openid*, or one made up, a user of *appid*.
        """
        openid = self.openid(openid)
        self.users[openid] = self.tokens.app(appid).appid
        return openid

    def add_parcel(self, waybill_id: str, delivery_id: str | None = None) -> Parcel:
        """
        Let a parcel begin its route.
        """
        now = self.clock.now()
        default = self.settings.default_delivery_id
        magic = MAGIC.match(waybill_id)
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

    def subject(self, payload: Mapping[str, Any]) -> tuple[str, str]:
        """
        The openid and the waybill_id that a call is about, as far as it names them.
        """
        openid, waybill_id, token = (
            value if isinstance(value, str) else ""
            for value in map(payload.get, ("openid", "waybill_id", "waybill_token"))
        )
        registration = self.registrations.get(token)
        if registration is not None:
            return registration.openid, registration.waybill_id
        return openid, waybill_id
