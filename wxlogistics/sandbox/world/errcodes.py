"""The errmsg of each errcode as WeChat sends it, and how a refusal is raised."""

from __future__ import annotations

#: errcode -> errmsg up to the rid. Seen in real replies, but for those marked below.
TEXTS: dict[int, str] = {
    -1: "system error detail: [未知异常,请稍后重试]",
    40001: (
        "invalid credential, access_token is invalid or not latest, could get "
        "access_token by getStableAccessToken, more details at "
        "https://mmbizurl.cn/s/JtxxFh33r"
    ),
    40002: "invalid grant_type",
    40003: "invalid openid detail: [openid错误]",
    40013: "invalid appid",
    40014: "invalid access_token",  # No sample known; the document's meaning.
    40029: "invalid code",
    40066: "invalid url",
    40125: "invalid appsecret",
    40163: "code been used",
    40164: "invalid ip {ip} ipv6 {ipv6}, not in whitelist",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",  # This one and the next from WeChat's list of errcodes.
    43002: "require POST method",
    42001: "access_token expired",
    44002: "empty post data",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    48001: "api unauthorized",
    # From WeChat's documents; no sample known.
    48006: "forbid to clear quota because of reaching the limit",
    61003: "component is not authorized by this account",
    61004: "access clientip is not registered requestIP: {ip}",
    61006: "component ticket is invalid",  # No sample known.
    61007: "api is unauthorized to component",
    61010: "code is expired",  # From WeChat's list of errcodes.
    61023: "refresh_token is invalid",
    # From WeChat's documents; no sample known.
    76001: "rid not found",
    76021: "cgi_path not found, please check",
    76022: "could not use this cgi_path, no permission",
    931023: "waybill not exist detail: [运单不存在]",
    9300507: (
        "invalid token, can't decryption or decryption result is different from "
        "the plaintext detail: [waybill_token参数错误]"
    ),
    # Of the next three no sample is known: English after the siblings' manner, and
    # the document's Chinese as the detail.
    9300513: "call times reach limit detail: [调用次数达到上限]",
    9300559: "waybill not exist detail: [运单不存在]",
    9300560: "update times reach limit detail: [达到修改次数上限]",
    9300534: "invalid appid, not same body detail: [access_token与openid不匹配]",
    9300561: "图片url错误",
}

#: The text of 45009 when calls come too fast within a second.
TOO_FAST = "reach max api second frequence limit"


class Refusal(Exception):
    """
    WeChat refuses a call.

    Attributes:
        errcode: The number.

        text: The errmsg up to the rid.
    """

    def __init__(self, errcode: int, text: str | None = None, *, ip: str = "") -> None:
        super().__init__(errcode, text)
        self.errcode = errcode
        if text is None:
            ipv6 = ip if ":" in ip else f"::ffff:{ip}"
            text = TEXTS.get(errcode, "unknown error")
            text = text.replace("{ip}", ip).replace("{ipv6}", ipv6)
        self.text = text

    def errmsg(self, rid: str) -> str:
        """
        Return the whole errmsg; 47001 alone was seen without the space before *rid*.
        """
        space = "" if self.errcode == 47001 else " "
        return f"{self.text} rid:{space}{rid}"
