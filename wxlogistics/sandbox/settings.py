"""What can be set about a sandbox, with WeChat's figures as defaults."""

from __future__ import annotations

import math
import re
from typing import Any, Iterable, TypeVar

import attrs

from ..models import WaybillStatus
from .carriers import CARRIERS
from .checks import check, check_fields

_T = TypeVar("_T")

#: The settings that are errcodes, which may be negative; other numbers are amounts.
_ERRCODES = {
    "unknown_waybill",
    "uncollected",
    "missing_goods",
    "unicode_escapes",
    "wrong_openid",
    "appid_limit_errcode",
    "user_limit_errcode",
    "bound_limit_errcode",
    "force_refresh_too_soon",
}

#: More than anybody waits for or counts to, and still a number of seconds.
_LARGEST_AMOUNT = 10**15


def _route(value: Any) -> tuple[tuple[float, WaybillStatus], ...]:
    try:
        route = tuple((float(hours), WaybillStatus(status)) for hours, status in value)
    except (TypeError, ValueError, OverflowError):
        route = ((math.nan, WaybillStatus.NOT_COLLECTED),)
    if not all(math.isfinite(hours) for hours, _ in route):
        raise ValueError(f"route is pairs of hours and status, not {value!r}")
    return route


def whitelist(addresses: Iterable[str] | None) -> tuple[str, ...] | None:
    """
    *addresses* as a tuple, if they are no lone string.
    """
    return None if addresses is None else several("ip_whitelist", addresses, str)


def several(name: str, values: Iterable[_T], kind: type[_T]) -> tuple[_T, ...]:
    """
    *values* as a tuple, if all are of that *kind* and they are no lone string.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} takes a list, not {values!r}")
    kept = tuple(values)
    for value in kept:
        check(f"each of {name}", value, kind)
    return kept


@attrs.frozen(kw_only=True)
class Settings:
    """
    Keyword arguments of `Sandbox`, beyond seed and clock.

    Where WeChat's behaviour is not known, the default is a guess, marked so.

    Attributes:
        appid: appid of the default app; empty: one is made up.

        secret: AppSecret of the default app; empty: one is made up.

        opened: Whether the default app has the logistics service; False answers 48001.

        ip_whitelist: Addresses that may fetch the default app's tokens; others get
            40164. None lets every address.

        unknown_waybill: errcode for registering a waybill_id that nobody added before.
            0 lets it begin a route, so that a first try works; WeChat itself answers
            931023, its document says 9300559.

        uncollected: errcode for a waybill before it is collected. 0 answers status 0,
            as in the document's example; WeChat was seen to answer 931023, its
            document says 9300559.

        route: Pairs of hours after the beginning and status: how parcels move by the
            clock. Empty: only by hand.

        default_delivery_id: Carrier of a parcel whose number tells none and that was
            registered without a delivery_id.

        delivery_info: Whether a collected parcel's delivery_info is in the replies:
            the document's table lists it, its example lacks it.

        path: Whether query_trace tells the route, as query_follow_trace was seen to.
            Guess: the document is silent.

        edit_limit: How often the goods of a registration may be changed before
            9300560. Guess: the document names no figure.

        missing_goods: errcode for registering without goods_info. 0 registers without
            goods. Guess.

        refused_image: Regular expression of what must not be in a goods_img_url; a
            match answers 9300561. Guess as to the exact characters.

        unicode_escapes: errcode for a body with ``\\uXXXX`` escapes. 0 reads them;
            sibling APIs of WeChat's show or refuse them.

        wrong_openid: errcode for an openid that is not the one the waybill_token was
            made for. 0 ignores it. Guess, after the errmsg of 9300507.

        appid_daily_limit: Calls of one app a day, for each component.

        appid_limit_errcode: What is answered above. Guess: the platform's 45009.

        user_daily_limit: Calls about one user a day through the query component.

        user_daily_limit_message: The same through the message component.

        user_limit_errcode: What is answered above.

        bound_limit: Open waybills that one user can be bound to by follow_waybill.

        bound_limit_errcode: What is answered above. Guess.

        calls_per_minute: Calls of one app a minute before 45011; None: no limit.

        calls_per_second: Calls of one app a second before 45009; None: no limit.

        token_lifetime: Seconds an access_token lives.

        token_daily_limit: Calls of stable_token of one app a day, before 45009.

        token_minute_limit: Calls of stable_token of one app a minute, before 45011.

        classic_token_daily_limit: Calls of /cgi-bin/token of one app a day, before
            45009.

        force_refresh_daily_limit: Forced calls of stable_token a day, before 45009.

        force_refresh_interval: Seconds that must lie between two forced ones.

        force_refresh_too_soon: errcode when they do not. 0 hands out the same token.
            Guess.

        keep_calls: How many calls are remembered.
    """

    appid: str = ""
    secret: str = ""
    opened: bool = True
    ip_whitelist: tuple[str, ...] | None = attrs.field(
        default=None, converter=whitelist
    )

    unknown_waybill: int = 0
    uncollected: int = 0
    route: tuple[tuple[float, WaybillStatus], ...] = attrs.field(
        default=((1, 1), (5, 2), (20, 2), (30, 3), (33, 4)), converter=_route
    )
    default_delivery_id: str = "ZTO"
    delivery_info: bool = True
    path: bool = True

    edit_limit: int = 5
    missing_goods: int = 47001
    refused_image: str = r"[^\x21-\x7e]|[][(){}<>]"
    unicode_escapes: int = 0
    wrong_openid: int = 9300507

    appid_daily_limit: int = 100_000
    appid_limit_errcode: int = 45009
    user_daily_limit: int = 100
    user_daily_limit_message: int = 50
    user_limit_errcode: int = 9300513
    bound_limit: int = 100
    bound_limit_errcode: int = 9300513
    calls_per_minute: int | None = None
    calls_per_second: int | None = None

    token_lifetime: int = 7200
    token_daily_limit: int = 500_000
    token_minute_limit: int = 10_000
    classic_token_daily_limit: int = 2_000
    force_refresh_daily_limit: int = 20
    force_refresh_interval: int = 30
    force_refresh_too_soon: int = 45011

    keep_calls: int = 1_000

    def __attrs_post_init__(self) -> None:
        # Here, for a wrong setting would otherwise break a call much later.
        check_fields(self)
        for name, value in attrs.asdict(self, recurse=False).items():
            if type(value) is int and name not in _ERRCODES:
                if not 0 <= value <= _LARGEST_AMOUNT:
                    raise ValueError(f"{name} is from 0 to 10**15, not {value}")
        try:
            re.compile(self.refused_image)
        except re.error as error:
            raise ValueError(
                f"refused_image is no regular expression: {error}"
            ) from None
        if self.default_delivery_id not in CARRIERS:
            raise ValueError(
                f"default_delivery_id: no carrier {self.default_delivery_id!r}"
            )
