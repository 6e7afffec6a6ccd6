"""The tree of exceptions, and one table from errcode to exception.

A caller chooses the level to catch at: `WxLogisticsError` for everything, `ApiError`
for every refusal, or one leaf.
"""

import re
from types import MappingProxyType
from typing import Mapping, NamedTuple

from .errcodes import SLOW_DOWN, UNKNOWN, WORDS


class WxLogisticsError(Exception):
    """
    Base of every error of this library; never raised itself.
    """

    # Every leaf passes its fields to Exception in order: pickle and copy rebuild it
    # from ``args``.

    @property
    def retryable(self) -> bool:
        """
        Whether the same call may succeed a moment (at most a minute) later.

        If a TransportError has maybe_applied, query before you retry.
        """
        return isinstance(self, (TransportError, SystemBusyError, RateLimitError))


class InvalidArgumentError(WxLogisticsError, ValueError):
    """
    An argument is invalid; nothing was sent.

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
    No answer came back from WeChat.

    Attributes:
        endpoint: The endpoint's name; the path in the case of `Client.request`.

        reason: What happened, as text.

        maybe_applied: True if the request may have reached WeChat: a registration or
            an update may have taken effect.
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
    The answer is not from the WeChat API: a proxy's page, for example.

    Attributes:
        endpoint: The endpoint's name; the path in the case of `Client.request`.

        status: The HTTP status.

        excerpt: The beginning of the body as text, without secrets.

        reason: What is wrong with the answer, as text.
    """

    def __init__(self, endpoint: str, status: int, excerpt: str, reason: str) -> None:
        super().__init__(endpoint, status, excerpt, reason)
        self.endpoint = endpoint
        self.status = status
        self.excerpt = excerpt
        self.reason = reason

    def __str__(self) -> str:
        found = f"HTTP {self.status}, body begins {self.excerpt!r}"
        return f"{self.endpoint}: {self.reason} ({found})"


class ApiError(WxLogisticsError):
    """
    WeChat refused the call.

    Raised itself for an errcode that the table does not know.

    Attributes:
        endpoint: The endpoint's name; the path in the case of `Client.request`.

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
        WeChat's id of this call, to quote to its staff.
        """
        found = _RID.search(self.errmsg)
        return found.group(1) or found.group(2) if found else None

    @property
    def detail(self) -> str | None:
        """
        The Chinese explanation in some errmsgs: ``运单不存在``.
        """
        found = _DETAIL.search(self.errmsg)
        return found.group(1) if found else None

    @property
    def advice(self) -> str:
        """
        One sentence on what to do about it.
        """
        if self.errcode == 45009 and isinstance(self, RateLimitError):
            return SLOW_DOWN[0]
        return ERRCODES.get(self.errcode, UNKNOWN).advice


# "rid: 66557522-735e87a4-648726cc" at the end, even right behind another word; before
# 2022 "hint: [xxxx]", "hints: [xxxx!]" and "hints: [ req_id: xxxx ]".
_RID = re.compile(
    r"(?:\brid|rid(?=: *[0-9a-f]{8}-)): *([0-9A-Za-z-]+)\s*$"
    r"|\bhints?: *\[ *(?:req_id: *)?([^\]\s]{0,200}) *\]\s*$"
)
_DETAIL = re.compile(r"detail: *\[([^\]]{0,500})\]")


class SystemBusyError(ApiError):
    """
    WeChat is busy, or it refuses the goods or their images without naming them.
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
    The waybill_token is not one that this endpoint's component returned.
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
    A limit is reached: of calls, of changes, or of the rate.
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
    WeChat could not parse the request.
    """


class Errcode(NamedTuple):
    """
    A row of the errcode table.

    Attributes:
        error: The exception's class.

        meaning: What it means, in the document's words if it has any.

        advice: One sentence on what to do about it.
    """

    error: type[ApiError]
    meaning: str
    advice: str


#: errcode -> its exception; any other raises `ApiError` itself.
_ERRORS: dict[int, type[ApiError]] = {
    -1: SystemBusyError,
    40001: AccessTokenError,
    40002: MalformedRequestError,
    40003: OpenidError,
    40013: CredentialError,
    40014: AccessTokenError,
    40066: MalformedRequestError,
    40125: CredentialError,
    40164: IpNotAllowedError,
    40243: CredentialError,
    41001: AccessTokenError,
    41002: CredentialError,
    41004: CredentialError,
    42001: AccessTokenExpiredError,
    43002: MalformedRequestError,
    44002: MalformedRequestError,
    45009: DailyQuotaError,
    45011: RateLimitError,
    47001: MalformedRequestError,
    48001: NotAuthorizedError,
    50002: NotAuthorizedError,
    50004: NotAuthorizedError,
    61003: NotAuthorizedError,
    61004: IpNotAllowedError,
    61007: NotAuthorizedError,
    61023: CredentialError,
    931023: WaybillNotFoundError,
    9300507: WaybillTokenError,
    9300513: CallLimitError,
    9300534: OpenidMismatchError,
    9300559: WaybillNotFoundError,
    9300560: UpdateLimitError,
    9300561: GoodsImageError,
}

#: Every errcode with an exception of its own.
ERRCODES: Mapping[int, Errcode] = MappingProxyType(
    {
        errcode: Errcode(error, WORDS[errcode].meaning_zh, WORDS[errcode].advice)
        for errcode, error in _ERRORS.items()
    }
)


def api_error(endpoint: str, errcode: int, errmsg: str) -> ApiError:
    """
    Return the exception for *errcode* as *endpoint* answered it.
    """
    error = _ERRORS.get(errcode, ApiError)
    # One errcode, two meanings: the daily quota, or the rate limit.
    if errcode == 45009 and ("second" in errmsg or "minute" in errmsg):
        error = RateLimitError
    return error(endpoint, errcode, errmsg)
