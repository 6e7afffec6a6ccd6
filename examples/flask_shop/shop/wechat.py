"""
The way to WeChat: one client for each application, and its errors in plain words.
"""

import json

import requests
from cachelib import FileSystemCache, RedisCache
from flask import current_app
from werkzeug.local import LocalProxy

from wxlogistics import (
    AccessTokenError,
    ApiError,
    Client,
    CredentialError,
    GoodsImageError,
    InvalidArgumentError,
    IpNotAllowedError,
    NotAuthorizedError,
    OpenidError,
    OpenidMismatchError,
    QuotaError,
    StableToken,
    SystemBusyError,
    UpdateLimitError,
    WaybillNotFoundError,
    WaybillTokenError,
    WxLogisticsError,
)

#: The application's client and cache.
client = LocalProxy(lambda: current_app.extensions["wxlogistics"])
cache = LocalProxy(lambda: current_app.extensions["cachelib"])

#: While one of these lasts, no order's call succeeds.
ACCOUNT_ERRORS = (
    AccessTokenError,
    CredentialError,
    IpNotAllowedError,
    NotAuthorizedError,
)


def init_app(app):
    """
    Give *app* its client; the processes that serve it share one token.
    """
    if app.config["REDIS_URL"]:
        import redis

        app.extensions["cachelib"] = RedisCache(
            redis.Redis.from_url(app.config["REDIS_URL"]), key_prefix="shop:"
        )
    else:
        app.extensions["cachelib"] = FileSystemCache(
            app.config["CACHE_DIR"], mode=0o600
        )
    # A person waits at the other end of each request.
    app.extensions["wxlogistics"] = make_client(app, deadline=20)


def make_client(app, **options):
    """
    Return another client with *options* for *app*.
    """
    tokens = StableToken(
        app.config["WXLOGISTICS_APPID"],
        app.config["WXLOGISTICS_SECRET"],
        cache=app.extensions["cachelib"],
    )
    return Client(tokens, base_url=app.config["WXLOGISTICS_BASE_URL"], **options)


def openid_for_code(code):
    """
    Exchange the code that wx.login gave for the customer's openid (code2Session).

    Returns:
        None if WeChat does not take the code.
    """
    reply = None
    try:
        response = requests.get(
            f"{current_app.config['WXLOGISTICS_BASE_URL']}/sns/jscode2session",
            params={
                "appid": current_app.config["WXLOGISTICS_APPID"],
                "secret": current_app.config["WXLOGISTICS_SECRET"],
                "js_code": code,
                "grant_type": "authorization_code",
            },
            timeout=(3.05, 10),
        )
        reply = json.loads(response.content)
    except (requests.RequestException, ValueError) as error:
        # Its kind only: its text holds the address with the AppSecret.
        current_app.logger.warning("code2Session: %s", type(error).__name__)
    if not isinstance(reply, dict):
        return None
    if not reply.get("openid"):
        current_app.logger.warning("code2Session: errcode %s", reply.get("errcode"))
    return reply.get("openid")


# The first that fits counts.
_MESSAGES = (
    (
        WaybillNotFoundError,
        "微信暂时查不到这个运单。刚发货的包裹要等快递揽收后几小时才查得到，系统会自动重试；"
        "超过一天仍查不到，请核对运单号和快递公司。",
    ),
    (UpdateLimitError, "这个运单的商品信息修改次数已用完，不能再改。"),
    (QuotaError, "微信接口的调用次数暂时用完了，系统稍后会自动重试。"),
    (GoodsImageError, "微信打不开商品图片，请检查图片地址。"),
    (
        (OpenidError, OpenidMismatchError),
        "顾客的微信身份与本小程序不符，请联系技术人员。",
    ),
    (WaybillTokenError, "微信不认识这个订单的物流凭证，请联系技术人员。"),
    (ACCOUNT_ERRORS, "小程序的物流接口配置有误，请联系技术人员。"),
    (SystemBusyError, "微信系统繁忙，系统稍后会自动重试。"),
    (InvalidArgumentError, "订单资料不完整，请检查收件人手机号、运单号和商品。"),
    (ApiError, "微信拒绝了这次请求，请联系技术人员。"),
    (WxLogisticsError, "暂时连不上微信，系统稍后会自动重试。"),
)


def message_for(error):
    """
    Say what is wrong, and what the shop's staff can do about it.
    """
    message = next(text for kinds, text in _MESSAGES if isinstance(error, kinds))
    if isinstance(error, ApiError):
        message += f"（错误码 {error.errcode}）"
    return message
