"""WeChat's errcodes with the texts it was seen to send, and how a refusal is raised."""

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
    40066: "invalid url",
    40125: "invalid appsecret",
    40164: "invalid ip {ip} ipv6 {ipv6}, not in whitelist",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    42001: "access_token expired",
    43002: "require POST method",  # From WeChat's list of errcodes; no sample known.
    44002: "empty post data",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    48001: "api unauthorized",
    61003: "component is not authorized by this account",
    61004: "access clientip is not registered requestIP: {ip}",
    61006: "component ticket is invalid",  # No sample known.
    61007: "api is unauthorized to component",
    61023: "refresh_token is invalid",
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
    9300534: ("invalid appid, not same body detail: [access_token与openid不匹配]"),
    9300561: "图片url错误",
}

#: errcode -> what it means, in Chinese (the document's words, where it has any) and in
#: English.
MEANINGS: dict[int, tuple[str, str]] = {
    -1: ("系统错误", "WeChat is busy"),
    40001: ("access_token 无效或不是最新", "the access_token was replaced"),
    40002: ("grant_type 错误", "wrong grant_type"),
    40003: ("openid参数错误", "wrong openid"),
    40013: ("appid 错误", "wrong appid"),
    40014: ("access_token 不合法", "no access_token at all"),
    40066: ("请求路径错误", "no such path"),
    40125: ("AppSecret 错误", "wrong AppSecret"),
    40164: ("调用方 IP 不在白名单", "the caller's address is not whitelisted"),
    41001: ("缺少 access_token", "access_token missing"),
    41002: ("缺少 appid", "appid missing"),
    41004: ("缺少 AppSecret", "AppSecret missing"),
    42001: ("access_token 已过期", "the access_token has expired"),
    43002: ("需要 POST 请求", "it takes a POST"),
    44002: ("POST 的数据为空", "empty body"),
    45009: ("当日调用次数达到上限", "the day's quota is spent"),
    45011: ("调用太频繁", "too many calls in a minute"),
    47001: ("数据格式错误", "malformed body"),
    48001: ("接口未授权", "the logistics service is not opened"),
    61003: ("该账号未授权给第三方平台", "not authorized for the service provider"),
    61004: ("第三方平台的 IP 未登记", "the service provider's address is unknown"),
    61006: ("component_verify_ticket 无效", "wrong component_verify_ticket"),
    61007: ("第三方平台无此接口权限", "the service provider lacks permission set 45"),
    61023: ("refresh_token 无效", "wrong refresh_token"),
    931023: ("运单不存在", "no such waybill, or no route yet"),
    9300507: ("waybill_token参数错误", "wrong waybill_token"),
    9300513: ("调用次数达到上限", "too many calls"),
    9300534: (
        "access_token与openid参数不匹配",
        "the openid belongs to another app",
    ),
    9300559: ("运单不存在", "no such waybill"),
    9300560: ("达到修改次数上限", "too many changes of the goods"),
    9300561: ("图片url错误", "wrong goods_img_url"),
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
        The whole errmsg; 47001 alone was seen without the space before *rid*.
        """
        space = "" if self.errcode == 47001 else " "
        return f"{self.text} rid:{space}{rid}"
