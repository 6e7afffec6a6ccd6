"""What can be set about a sandbox, with WeChat's figures as defaults."""

from __future__ import annotations

import math
import re
from typing import Any, Iterable, TypedDict

import attrs

from ...models import WaybillStatus
from .carriers import CARRIERS
from .fields import checked, tuple_of, typed

#: Beyond every use, and still a number of seconds.
_LARGEST_AMOUNT = 10**15


def _between(least: int, most: int, shown: str, default: int | None) -> Any:
    def check(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not least <= value <= most:
            raise ValueError(f"{field.name} is from {least} to {shown}, not {value}")

    return checked(check, default=default)


def _amount(default: int | None, least: int = 0) -> Any:
    return _between(least, _LARGEST_AMOUNT, "10**15", default)


def _route(value: Any) -> tuple[tuple[float, WaybillStatus], ...]:
    try:
        route = tuple((float(hours), WaybillStatus(status)) for hours, status in value)
    except (TypeError, ValueError, OverflowError):
        route = ((math.nan, WaybillStatus.NOT_COLLECTED),)
    hours = [when for when, _ in route]
    if hours != sorted(hours) or not all(abs(h) <= _LARGEST_AMOUNT for h in hours):
        wanted = "pairs of hours, in ascending order, and status"
        raise ValueError(f"route is {wanted}, not {value!r:.200}")
    return route


class SettingsArgs(TypedDict, total=False):
    """
    The keyword arguments of `Settings`, for editors and type checkers.
    """

    appid: str
    secret: str
    opened: bool
    ip_whitelist: Iterable[str] | None
    first_use: bool | None
    unknown_waybill: int
    uncollected: int
    route: Iterable[tuple[float, int]]
    default_delivery_id: str
    delivery_info: bool
    path: bool
    edit_limit: int
    missing_goods: int
    refused_image: str
    unicode_escapes: int
    wrong_openid: int
    same_token: bool
    foreign_token: int
    misshapen_token: int
    opening_unauthorized: int
    any_content_type: bool
    leading_slashes: bool
    appid_daily_limit: int
    appid_limit_errcode: int
    user_daily_limit: int
    user_daily_limit_message: int
    user_limit_errcode: int
    bound_limit: int
    bound_limit_errcode: int
    calls_per_minute: int | None
    calls_per_second: int | None
    quota_reset_hour: int
    clear_quota_monthly_limit: int
    token_lifetime: int
    token_daily_limit: int
    token_minute_limit: int
    classic_token_daily_limit: int
    force_refresh_daily_limit: int
    force_refresh_interval: int
    force_refresh_too_soon: int
    largest_body: int
    keep_calls: int
    keep_body: int


@attrs.frozen(kw_only=True, field_transformer=typed)
class Settings:
    """
    Keyword arguments of `Sandbox`, beyond seed and clock.

    Where WeChat's behaviour is not known, the default is a guess, marked so.

    Attributes:
        appid: appid of the default app; empty: one is made up.

        secret: AppSecret of the default app; empty: one is made up.

        opened: Whether the default app has the logistics service; False answers 48001.

        ip_whitelist: Addresses that may fetch the default app's tokens; others get
            40164. None allows every address.

        unknown_waybill: errcode for registering a waybill_id that was not added before.
            0 begins a route, so that a first try works; WeChat itself answers
            931023, its document says 9300559.

        uncollected: errcode for a waybill before it is collected. 0 answers status 0,
            as in the document's example; WeChat was seen to answer 931023, its
            document says 9300559.

        route: Pairs of hours after the beginning and status: how parcels move by the
            clock. Empty: only by hand.

        default_delivery_id: Carrier of a parcel that was registered without a
            delivery_id, and whose number looks like no carrier's.

        delivery_info: Whether a collected parcel's delivery_info is in the replies:
            the document's table lists it, its example lacks it.

        path: Whether query_trace returns the route, as query_follow_trace was seen to.
            Guess: the document is silent.

        edit_limit: How often the goods of a registration may be changed before
            9300560. Guess: the document names no figure.

        missing_goods: errcode for registering without goods_info. 0 registers without
            goods. Guess.

        refused_image: Regular expression of what must not be in a goods_img_url; a
            match answers 9300561. Guess as to the exact characters.

        unicode_escapes: errcode for a body with ``\\uXXXX`` escapes. 0 reads it and
            flags the call; WeChat's sibling APIs show or refuse the escapes.

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

        force_refresh_too_soon: errcode when they do not. 0 hands out the token in use,
            as the document says.

        keep_calls: How many calls are remembered.

        first_use: Whether the first use of an appid and its secret makes them known,
            as it does with openids. None: behind `Sandbox.mock()` alone.

        leading_slashes: Whether several slashes at the beginning of a path count as
            one; False answers 40066. Guess.

        misshapen_token: errcode for an access_token that cannot be one. Guess.

        same_token: Whether registering again gives the same waybill_token; False gives
            a new one, and both work. Guess.

        foreign_token: errcode for a waybill_token of another app; 0 accepts it.
            Guess.

        opening_unauthorized: errcode of open_query_plugin and open_openmsg for a
            service provider without permission set 45; 0 opens. Guess.

        any_content_type: Whether the calls beside the plugin, stable_token apart, read
            JSON whatever its Content-Type. Guess.

        quota_reset_hour: Hour in China when the day's quotas begin again. Guess:
            midnight.

        clear_quota_monthly_limit: How often a month an app may clear its quotas, before
            48006.

        largest_body: Bytes of a body; a larger one gets HTTP 413. Guess.

        keep_body: Bytes of a request or reply that are remembered of a call; a longer
            one is left out.
    """

    appid: str = ""
    secret: str = ""
    opened: bool = True
    ip_whitelist: tuple[str, ...] | None = tuple_of(str, "texts", None)
    first_use: bool | None = None

    unknown_waybill: int = 0
    uncollected: int = 0
    route: tuple[tuple[float, WaybillStatus], ...] = attrs.field(
        default=((1, 1), (5, 2), (20, 2), (30, 3), (33, 4)), converter=_route
    )
    default_delivery_id: str = "ZTO"
    delivery_info: bool = True
    path: bool = True

    edit_limit: int = _amount(5)
    missing_goods: int = 47001
    refused_image: str = r"[^\x21-\x7e]|[][(){}<>]"
    unicode_escapes: int = 0
    wrong_openid: int = 9300507
    same_token: bool = True
    foreign_token: int = 9300507
    misshapen_token: int = 40014
    opening_unauthorized: int = 61007
    any_content_type: bool = True
    leading_slashes: bool = True

    appid_daily_limit: int = _amount(100_000)
    appid_limit_errcode: int = 45009
    user_daily_limit: int = _amount(100)
    user_daily_limit_message: int = _amount(50)
    user_limit_errcode: int = 9300513
    bound_limit: int = _amount(100)
    bound_limit_errcode: int = 9300513
    calls_per_minute: int | None = _amount(None)
    calls_per_second: int | None = _amount(None)
    quota_reset_hour: int = _between(0, 23, "23", 0)
    clear_quota_monthly_limit: int = _amount(10)

    token_lifetime: int = _amount(7200, least=1)
    token_daily_limit: int = _amount(500_000)
    token_minute_limit: int = _amount(10_000)
    classic_token_daily_limit: int = _amount(2_000)
    force_refresh_daily_limit: int = _amount(20)
    force_refresh_interval: int = _amount(30)
    force_refresh_too_soon: int = 0

    largest_body: int = _amount(1024 * 1024)
    keep_calls: int = _amount(1_000)
    keep_body: int = _amount(16 * 1024)

    @classmethod
    def of(cls, settings: SettingsArgs) -> Settings:
        """
        Return what keyword arguments stand for.
        """
        fields: dict[str, Any] = {**settings}
        return cls(**fields)

    def __attrs_post_init__(self) -> None:
        # Here, for a wrong setting would otherwise break a call much later.
        try:
            re.compile(self.refused_image)
        except re.error as error:
            problem = f"refused_image is not a regular expression: {error}"
            raise ValueError(problem) from None
        carrier = self.default_delivery_id
        if carrier not in CARRIERS:
            raise ValueError(f"default_delivery_id: no carrier {carrier!r}")
