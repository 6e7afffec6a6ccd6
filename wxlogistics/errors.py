"""What can go wrong, as a tree of exceptions and one table of WeChat's errcodes.

A caller chooses the level to catch at: `WxLogisticsError` for everything, `ApiError`
for every refusal of WeChat's, or one leaf.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Mapping, NamedTuple

__all__ = [
    "AccessTokenError",
    "AccessTokenExpiredError",
    "ApiError",
    "CallLimitError",
    "CredentialError",
    "DailyQuotaError",
    "GatewayError",
    "GoodsImageError",
    "InvalidArgumentError",
    "IpNotAllowedError",
    "MalformedRequestError",
    "NotAuthorizedError",
    "OpenidError",
    "OpenidMismatchError",
    "QuotaError",
    "RateLimitError",
    "SystemBusyError",
    "TransportError",
    "UnexpectedResponseError",
    "UpdateLimitError",
    "WaybillNotFoundError",
    "WaybillTokenError",
    "WxLogisticsError",
]


class WxLogisticsError(Exception):
    """
    Base of every error of this library; never raised itself.
    """

    # Every leaf hands its fields to Exception in order, so that ``args`` alone
    # rebuilds it: that is what pickle and copy rely on.

    @property
    def retryable(self) -> bool:
        """
        Whether the same call may succeed a moment (at most a minute) later.

        Where a TransportError says maybe_applied, look before you repeat.
        """
        return isinstance(self, (TransportError, SystemBusyError, RateLimitError))


class InvalidArgumentError(WxLogisticsError, ValueError):
    """
    An argument cannot be right; nothing was sent.

    Attributes:
        field: Which argument, as a path: ``goods_info.detail_list[2].goods_name``.

        problem: What is wrong with it and what to do.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class TransportError(WxLogisticsError):
    """
    No answer of WeChat's came back.

    Attributes:
        endpoint: The endpoint's name, or its path where it was called by path.

        reason: What happened, for a person.

        maybe_applied: True if the request may have reached WeChat all the same: a
            registration or an update may have taken effect.
    """

    def __init__(self, endpoint: str, reason: str, maybe_applied: bool) -> None:
        super().__init__(endpoint, reason, maybe_applied)
        self.endpoint = endpoint
        self.reason = reason
        self.maybe_applied = maybe_applied

    def __str__(self) -> str:
        fate = "may have reached WeChat" if self.maybe_applied else "was not sent"
        return f"{self.endpoint}: {self.reason} (the request {fate})"


class UnexpectedResponseError(WxLogisticsError):
    """
    An answer came, but not one of WeChat's API: a proxy's page, say.

    Attributes:
        endpoint: The endpoint's name, or its path where it was called by path.

        status: The HTTP status.

        excerpt: The beginning of the body as text, without secrets.

        reason: What was wrong with the answer, for a person.
    """

    def __init__(self, endpoint: str, status: int, excerpt: str, reason: str) -> None:
        super().__init__(endpoint, status, excerpt, reason)
        self.endpoint = endpoint
        self.status = status
        self.excerpt = excerpt
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.endpoint}: {self.reason} (HTTP {self.status}, "
            f"body begins {self.excerpt!r})"
        )


class GatewayError(TransportError, UnexpectedResponseError):
    """
    HTTP 502, 503 or 504: something on the way answered in WeChat's place.

    That is no answer of WeChat's, which may have had the request all the same, and it
    is a strange answer; so it can be caught as either.
    """

    def __init__(self, endpoint: str, status: int, excerpt: str) -> None:
        reason = f"HTTP {status} from a gateway"
        UnexpectedResponseError.__init__(self, endpoint, status, excerpt, reason)
        self.maybe_applied = True
        # Without the reason: these are for this __init__, when it is unpickled.
        self.args = endpoint, status, excerpt


class ApiError(WxLogisticsError):
    """
    WeChat refused the call.

    Raised itself for an errcode that the table does not know.

    Attributes:
        endpoint: The endpoint's name, or its path where it was called by path.

        errcode: WeChat's number for the refusal.

        errmsg: WeChat's text as it came, rid included.
    """

    def __init__(self, endpoint: str, errcode: int, errmsg: str) -> None:
        super().__init__(endpoint, errcode, errmsg)
        self.endpoint = endpoint
        self.errcode = errcode
        self.errmsg = errmsg

    def __str__(self) -> str:
        text = _RID.sub("", self.errmsg).strip() or "no errmsg"
        rid = f", rid {self.rid}" if self.rid else ""
        return f"{self.endpoint}: {text} (errcode {self.errcode}{rid})"

    @property
    def rid(self) -> str | None:
        """
        WeChat's number of this one call, to be quoted when asking its staff.
        """
        found = _RID.search(self.errmsg)
        return found.group(1) or found.group(2) if found else None

    @property
    def detail(self) -> str | None:
        """
        The Chinese explanation that some refusals carry: ``运单不存在``.
        """
        found = _DETAIL.search(self.errmsg)
        return found.group(1) if found else None

    @property
    def advice(self) -> str:
        """
        One sentence on what to do about it.
        """
        if self.errcode == 45009 and isinstance(self, RateLimitError):
            return _SLOW_DOWN
        return ERRCODES.get(self.errcode, _UNKNOWN).advice


# "rid: 66557522-735e87a4-648726cc" at the end, even right behind another word; before
# 2020 "hint: [xxxx]".
_RID = re.compile(
    r"(?:\brid|rid(?=: *[0-9a-f]{8}-)): *([0-9A-Za-z-]+)\s*$"
    r"|\bhint: *\[([^\]]{0,200})\]\s*$"
)
_DETAIL = re.compile(r"detail: *\[([^\]]{0,500})\]")


class SystemBusyError(ApiError):
    """
    WeChat is busy, or it dislikes the goods or their images and does not say so.
    """


class OpenidError(ApiError):
    """
    The openid is wrong, or WeChat could not read the body.
    """


class OpenidMismatchError(ApiError):
    """
    The openid belongs to another mini-program than the access_token.
    """


class WaybillTokenError(ApiError):
    """
    The waybill_token is not one that this endpoint gave out.
    """


class WaybillNotFoundError(ApiError):
    """
    No such waybill, or none with a route yet.
    """


class GoodsImageError(ApiError):
    """
    A goods_img_url was refused.
    """


class QuotaError(ApiError):
    """
    Something is used up: calls, edits, or the pace.
    """


class CallLimitError(QuotaError):
    """
    The calls of this mini-program or of this user are used up.
    """


class UpdateLimitError(QuotaError):
    """
    The goods of this waybill cannot be changed any more.
    """


class DailyQuotaError(QuotaError):
    """
    The calls of the day are used up.
    """


class RateLimitError(QuotaError):
    """
    Too many calls in this second or this minute.
    """


class AccessTokenError(ApiError):
    """
    The access_token is missing, wrong or replaced by a newer one.
    """


class AccessTokenExpiredError(AccessTokenError):
    """
    The access_token has reached its end.
    """


class CredentialError(ApiError):
    """
    An appid, AppSecret or refresh token is missing or wrong.
    """


class IpNotAllowedError(ApiError):
    """
    The caller's address is not on the whitelist.
    """

    @property
    def ip(self) -> str | None:
        """
        The address to put on the whitelist, as WeChat saw it.
        """
        found = _IP.search(self.errmsg)
        return found.group(1) if found else None


_IP = re.compile(r"(?:invalid ip|requestIP:)\s*([0-9A-Fa-f.:]*[0-9A-Fa-f])")


class NotAuthorizedError(ApiError):
    """
    The mini-program or the service provider lacks the permission.
    """


class MalformedRequestError(ApiError):
    """
    WeChat could not make sense of the request's form.
    """


class Errcode(NamedTuple):
    """
    A row of the errcode table.

    Attributes:
        error: The exception's class.

        meaning: What WeChat says by it: the document's words, where it has any.

        advice: One sentence on what to do about it.
    """

    error: type[ApiError]
    meaning: str
    advice: str


_RENEW = "Fetch a new access_token; only one place may keep and renew it."
_SLOW_DOWN = "Wait for the next second or minute, then call at a slower pace."
_TOMORROW = "Go on after midnight, China time; the quota is per day."
_NO_ROUTE = (
    "Check waybill_id and delivery_id; a waybill that has no route yet counts as not "
    "existing, so try again after some hours, up to a day."
)
_REPORT = "This looks like a fault of the request; report it with the rid."
_WHITELIST = "Put the address in .ip on the IP whitelist in WeChat's console."
_RESTRICTED = "See the mini-program's notices in WeChat's console: it is restricted."
_GRANT = "Let the account authorize the service provider, with permission set 45."

_UNKNOWN = Errcode(
    ApiError,
    "",
    "Look the errcode up in WeChat's document, or quote the rid to its staff.",
)

#: Every errcode with a meaning of its own here; any other raises `ApiError` itself.
ERRCODES: Mapping[int, Errcode] = MappingProxyType(
    {
        -1: Errcode(
            SystemBusyError,
            "系统错误",
            "Try again a little later; if it stays, check that there are at most 10 "
            "goods and that WeChat can load each goods_img_url.",
        ),
        40001: Errcode(AccessTokenError, "access_token 无效或不是最新", _RENEW),
        40002: Errcode(MalformedRequestError, "grant_type 错误", _REPORT),
        40003: Errcode(
            OpenidError,
            "openid参数错误",
            "Use the customer's openid as wx.login gave it for this mini-program.",
        ),
        40013: Errcode(
            CredentialError, "appid 错误", "Check the appid: wx and 16 more characters."
        ),
        40014: Errcode(AccessTokenError, "access_token 不合法", _RENEW),
        40066: Errcode(MalformedRequestError, "请求路径错误", _REPORT),
        40125: Errcode(
            CredentialError,
            "AppSecret 错误",
            "Check the AppSecret; it changes when somebody resets it in the console.",
        ),
        40164: Errcode(IpNotAllowedError, "调用方 IP 不在白名单", _WHITELIST),
        40243: Errcode(
            CredentialError,
            "AppSecret 已被冻结",
            "Unfreeze the AppSecret in WeChat's console.",
        ),
        41001: Errcode(AccessTokenError, "缺少 access_token", _RENEW),
        41002: Errcode(CredentialError, "缺少 appid", "Give the appid."),
        41004: Errcode(CredentialError, "缺少 AppSecret", "Give the AppSecret."),
        42001: Errcode(AccessTokenExpiredError, "access_token 已过期", _RENEW),
        43002: Errcode(MalformedRequestError, "需要 POST 请求", _REPORT),
        44002: Errcode(MalformedRequestError, "POST 的数据为空", _REPORT),
        45009: Errcode(DailyQuotaError, "当日调用次数达到上限", _TOMORROW),
        45011: Errcode(RateLimitError, "调用太频繁", _SLOW_DOWN),
        47001: Errcode(MalformedRequestError, "数据格式错误", _REPORT),
        48001: Errcode(
            NotAuthorizedError,
            "接口未授权",
            "Open the logistics service (物流服务) for this mini-program in WeChat's "
            "console.",
        ),
        50002: Errcode(NotAuthorizedError, "用户受限", _RESTRICTED),
        50004: Errcode(NotAuthorizedError, "禁止使用 token 接口", _RESTRICTED),
        61003: Errcode(NotAuthorizedError, "该账号未授权给第三方平台", _GRANT),
        61004: Errcode(
            IpNotAllowedError,
            "第三方平台的 IP 未登记",
            "Put the address in .ip on the service provider's IP whitelist, on "
            "WeChat's open platform.",
        ),
        61007: Errcode(NotAuthorizedError, "第三方平台无此接口权限", _GRANT),
        61023: Errcode(
            CredentialError,
            "refresh_token 无效",
            "Use the newest authorizer_refresh_token, or let the account authorize "
            "the service provider again.",
        ),
        931023: Errcode(WaybillNotFoundError, "运单不存在", _NO_ROUTE),
        9300507: Errcode(
            WaybillTokenError,
            "waybill_token参数错误",
            "Use the whole waybill_token of this mini-program; those of trace_waybill "
            "and follow_waybill belong to their own endpoints.",
        ),
        9300513: Errcode(CallLimitError, "调用次数达到上限", _TOMORROW),
        9300534: Errcode(
            OpenidMismatchError,
            "access_token与openid参数不匹配",
            "Use the openid and the access_token of one and the same mini-program.",
        ),
        9300559: Errcode(WaybillNotFoundError, "运单不存在", _NO_ROUTE),
        9300560: Errcode(
            UpdateLimitError,
            "达到修改次数上限",
            "Leave the goods as they are: this waybill takes no further change.",
        ),
        9300561: Errcode(
            GoodsImageError,
            "图片url错误",
            "Check goods_img_url: percent-encode what is not ASCII, and let it lead "
            "to a public image.",
        ),
    }
)


def api_error(endpoint: str, errcode: int, errmsg: str) -> ApiError:
    """
    Return the exception for *errcode* as *endpoint* answered it.
    """
    error = ERRCODES.get(errcode, _UNKNOWN).error
    # One errcode, two meanings: the day's quota, or the pace.
    if errcode == 45009 and ("second" in errmsg or "minute" in errmsg):
        error = RateLimitError
    return error(endpoint, errcode, errmsg)
