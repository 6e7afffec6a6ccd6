"""The words for WeChat's errcodes, in Chinese and in English.

`wxlogistics.errors` decides which exception an errcode raises, the sandbox when it
answers it. If WeChat's document explains an errcode, the Chinese meaning quotes it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping, NamedTuple

__all__ = ["SLOW_DOWN", "UNKNOWN", "WORDS", "Words"]


class Words(NamedTuple):
    """
    What one errcode means and what to do about it.

    Attributes:
        meaning_zh: What it means, in Chinese.

        meaning: The same in English.

        advice: One sentence on what to do, in English.

        advice_zh: The same in Chinese.
    """

    meaning_zh: str
    meaning: str
    advice: str
    advice_zh: str


_RENEW = (
    "Fetch a new access_token; only one place may keep and renew it.",
    "请重新获取 access_token，并统一由一处获取和刷新。",
)
_REPORT = (
    "This looks like a fault of the request; report it with the rid.",
    "看起来是请求本身有问题，请带上 rid 反馈。",
)
_TOMORROW = (
    "Go on after midnight, China time; the quota is per day.",
    "请在北京时间零点以后继续；调用额度按天计算。",
)
_NO_ROUTE = (
    "Check waybill_id and delivery_id; a waybill that has no route yet counts as not "
    "existing, so try again after some hours, up to a day.",
    "请核对 waybill_id 和 delivery_id；还没有物流轨迹的运单也算不存在，"
    "过几个小时再试，最长可能要一天。",
)
_RESTRICTED = (
    "See the mini-program's notices in WeChat's console: it is restricted.",
    "该小程序受到限制，请查看微信公众平台的通知。",
)
_GRANT = (
    "Let the account authorize the service provider, with permission set 45.",
    "请让该账号授权给第三方平台，授权时要包含权限集 45。",
)
_LOG_IN_AGAIN = (
    "Call wx.login again; each code can be used once, within 5 minutes.",
    "请重新调用 wx.login；每个 code 只能使用一次，5 分钟内有效。",
)
_NEXT_MONTH = (
    "Wait for the quota to reset; it can be cleared a few times a month only.",
    "请等待额度自动恢复；每月只能清零几次。",
)
_OPENING = (
    "See WeChat's page on the call that opens the component; quote the rid to its "
    "staff.",
    "请查看微信开通该组件接口的文档，或带上 rid 咨询官方人员。",
)
_OPENING_MEANING = ("无法开通物流组件", "the component cannot be opened")

#: The advice for a pace that is too fast: 45011, and 45009 with "second" in its text.
SLOW_DOWN = (
    "Wait for the next second or minute, then call at a slower pace.",
    "请等到下一秒或下一分钟，并降低调用频率。",
)

#: For an errcode that the table does not know.
UNKNOWN = Words(
    "",
    "",
    "Look the errcode up in WeChat's document, or quote the rid to its staff.",
    "请在微信文档中查找该错误码，或带上 rid 咨询官方人员。",
)

#: errcode -> its words.
WORDS: Mapping[int, Words] = MappingProxyType(
    {
        -1: Words(
            "系统错误",
            "WeChat is busy",
            "Try again a little later; if it stays, check that there are at most 10 "
            "goods and that WeChat can load each goods_img_url.",
            "请稍后再试；如果一直这样，请确认商品不超过 10 件，并且微信能访问每一个 "
            "goods_img_url。",
        ),
        40001: Words(
            "access_token 无效或不是最新", "access_token invalid or replaced", *_RENEW
        ),
        40002: Words("grant_type 错误", "grant_type wrong", *_REPORT),
        40003: Words(
            "openid参数错误",
            "openid wrong",
            "Use the customer's openid as wx.login gave it for this mini-program.",
            "请使用用户在本小程序 wx.login 得到的 openid。",
        ),
        40013: Words(
            "appid 错误",
            "appid wrong",
            "Check the appid: wx and 16 more characters.",
            "请核对 appid：wx 加 16 位字符。",
        ),
        40014: Words("access_token 不合法", "access_token invalid", *_RENEW),
        40029: Words("js_code 无效", "js_code invalid", *_LOG_IN_AGAIN),
        40066: Words("请求路径错误", "path wrong", *_REPORT),
        40125: Words(
            "AppSecret 错误",
            "AppSecret wrong",
            "Check the AppSecret; resetting it in the console ends the old one.",
            "请核对 AppSecret；在微信公众平台重置以后，旧的就失效了。",
        ),
        40163: Words("js_code 已被使用", "js_code already used", *_LOG_IN_AGAIN),
        40164: Words(
            "调用方 IP 不在白名单",
            "address not on the IP whitelist",
            "Put the address in .ip on the IP whitelist in WeChat's console.",
            "请在微信公众平台把该地址加入 IP 白名单。",
        ),
        40234: Words(
            "账号开启了 API 安全，请求没有签名",
            "API security is on, and the call is not signed",
            "Turn API security off for this account in WeChat's console; this client "
            "does not sign.",
            "请在微信公众平台关闭该账号的 API 安全；本客户端不支持签名。",
        ),
        40243: Words(
            "AppSecret 已被冻结",
            "AppSecret frozen",
            "Unfreeze the AppSecret in WeChat's console.",
            "请在微信公众平台解冻 AppSecret。",
        ),
        41001: Words(
            "缺少 access_token",
            "access_token missing",
            "Send the access_token in the URL; a proxy may have removed the query.",
            "请在 URL 中带上 access_token；也可能是代理去掉了查询参数。",
        ),
        41002: Words(
            "缺少 appid", "appid missing", "Give the appid.", "请提供 appid。"
        ),
        41004: Words(
            "缺少 AppSecret",
            "AppSecret missing",
            "Give the AppSecret.",
            "请提供 AppSecret。",
        ),
        41008: Words(
            "缺少 js_code",
            "js_code missing",
            "Give the code that wx.login returns.",
            "请提供 wx.login 返回的 code。",
        ),
        42001: Words("access_token 已过期", "access_token expired", *_RENEW),
        43002: Words("需要 POST 请求", "POST required", *_REPORT),
        44002: Words("POST 的数据为空", "body empty", *_REPORT),
        45009: Words("当日调用次数达到上限", "the day's calls are used up", *_TOMORROW),
        45011: Words("调用太频繁", "too many calls in a minute", *SLOW_DOWN),
        47001: Words("数据格式错误", "data malformed", *_REPORT),
        48001: Words(
            "接口未授权",
            "logistics service not opened",
            "Open the logistics service (物流服务) for this mini-program in WeChat's "
            "console.",
            "请在微信公众平台为该小程序开通「物流服务」。",
        ),
        48006: Words("额度清零次数已用完", "no clearing of quotas left", *_NEXT_MONTH),
        48017: Words(
            "接口地址已下线",
            "address withdrawn",
            "Remove WeChat's names from the hosts file, and use its documented hosts.",
            "请删除 hosts 文件中微信的域名，使用文档中的接口地址。",
        ),
        50002: Words("用户受限", "mini-program restricted", *_RESTRICTED),
        50004: Words("禁止使用 token 接口", "access tokens forbidden", *_RESTRICTED),
        61003: Words(
            "该账号未授权给第三方平台",
            "service provider not authorized by the account",
            *_GRANT,
        ),
        61004: Words(
            "第三方平台的 IP 未登记",
            "service provider's address not registered",
            "Put the address in .ip on the service provider's IP whitelist, on "
            "WeChat's open platform.",
            "请在微信开放平台把该地址加入第三方平台的 IP 白名单。",
        ),
        61006: Words(
            "component_verify_ticket 无效",
            "component_verify_ticket invalid",
            "Use the component_verify_ticket that WeChat pushed last.",
            "请使用微信最近一次推送的 component_verify_ticket。",
        ),
        61007: Words(
            "第三方平台无此接口权限", "service provider lacks the permission", *_GRANT
        ),
        61010: Words(
            "授权码已过期或已被使用",
            "authorization_code expired or already used",
            "Let the account authorize the service provider again; each "
            "authorization_code can be used once.",
            "请让该账号重新授权给第三方平台；每个授权码只能使用一次。",
        ),
        61023: Words(
            "refresh_token 无效",
            "refresh_token invalid",
            "Use the newest authorizer_refresh_token, or let the account authorize "
            "the service provider again.",
            "请使用最新的 authorizer_refresh_token，或让该账号重新授权给第三方平台。",
        ),
        76001: Words(
            "rid 不存在",
            "rid not found",
            "Use a rid of this account from the last 7 days.",
            "请使用本账号最近 7 天内的 rid。",
        ),
        76021: Words("cgi_path 不存在", "cgi_path not found", *_REPORT),
        76022: Words("cgi_path 无权限", "cgi_path without a quota", *_REPORT),
        931023: Words("运单不存在", "no such waybill, or no route yet", *_NO_ROUTE),
        933000: Words(*_OPENING_MEANING, *_OPENING),
        933001: Words(*_OPENING_MEANING, *_OPENING),
        933002: Words(*_OPENING_MEANING, *_OPENING),
        933003: Words(*_OPENING_MEANING, *_OPENING),
        933004: Words(*_OPENING_MEANING, *_OPENING),
        9300507: Words(
            "waybill_token参数错误",
            "waybill_token wrong",
            "Use the whole waybill_token of this mini-program; those of trace_waybill "
            "and follow_waybill belong to their own endpoints.",
            "请使用本小程序完整的 waybill_token；trace_waybill 和 follow_waybill "
            "返回的只能用于各自的接口。",
        ),
        9300513: Words("调用次数达到上限", "out of calls", *_TOMORROW),
        9300534: Words(
            "access_token与openid参数不匹配",
            "openid and access_token do not match",
            "Use the openid and the access_token of one and the same mini-program.",
            "openid 和 access_token 必须属于同一个小程序。",
        ),
        9300559: Words("运单不存在", "no such waybill", *_NO_ROUTE),
        9300560: Words(
            "达到修改次数上限",
            "out of changes",
            "Leave the goods as they are: this waybill takes no further change.",
            "商品信息只能保持现状：该运单不能再修改商品信息了。",
        ),
        9300561: Words(
            "图片url错误",
            "goods_img_url refused",
            "Check goods_img_url: percent-encode what is not ASCII, and let it lead "
            "to a public image.",
            "请检查 goods_img_url：非 ASCII 字符要做 URL 编码，图片必须能从公网访问。",
        ),
    }
)
