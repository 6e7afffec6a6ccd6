"""
One client for each application, and texts for its errors.
"""

import functools
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

from .words import _

#: The application's client and cache. Without credentials a call of the client raises
#: an InvalidArgumentError; the application starts all the same.
client = LocalProxy(lambda: current_app.extensions["wxlogistics"]())
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
    Give *app* its client and its cache, through which processes share the token.
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
    # A person waits for each reply.
    app.extensions["wxlogistics"] = functools.cache(
        lambda: make_client(app, deadline=20)
    )


def make_client(app, **options):
    """
    Return a new client for *app*.
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
        None if WeChat refuses the code or does not answer.
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
        # The type only: the text holds the URL with the AppSecret.
        current_app.logger.warning("code2Session: %s", type(error).__name__)
    if not isinstance(reply, dict):
        return None
    if not reply.get("openid"):
        current_app.logger.warning("code2Session: errcode %s", reply.get("errcode"))
    return reply.get("openid")


#: Short name -> the errors that it stands for, and the text. The first match counts.
_PROBLEMS = {
    "no-route": (
        WaybillNotFoundError,
        "WeChat does not know this waybill yet. A parcel becomes known some hours "
        "after the carrier has collected it; the shop retries by itself. After a "
        "day, check the waybill number and the carrier.",
    ),
    "no-edit": (
        UpdateLimitError,
        "The goods of this waybill cannot be changed any more.",
    ),
    "quota": (
        QuotaError,
        "The calls to WeChat are used up for now; the shop retries by itself.",
    ),
    "image": (
        GoodsImageError,
        "WeChat cannot load an image of the goods; check its address.",
    ),
    "openid": (
        (OpenidError, OpenidMismatchError),
        "The customer's openid does not fit this mini-program; ask a developer.",
    ),
    "token": (
        WaybillTokenError,
        "WeChat does not know this order's waybill_token; ask a developer.",
    ),
    "account": (
        ACCOUNT_ERRORS,
        "The mini-program's access to WeChat is not set up; ask a developer.",
    ),
    "busy": (SystemBusyError, "WeChat is busy; the shop retries by itself."),
    "data": (
        InvalidArgumentError,
        "Something is missing; check phone number, waybill number and goods.",
    ),
    "refused": (ApiError, "WeChat refused the call; ask a developer."),
    "no-answer": (
        WxLogisticsError,
        "WeChat cannot be reached; the shop retries by itself.",
    ),
    "exception": ((), "The parcel is held up; ask the carrier."),
}


def problem_of(error):
    """
    Return what is wrong in a form to be stored: ``openid 40003``.
    """
    if isinstance(error, InvalidArgumentError) and error.field in ("appid", "secret"):
        return "account"
    name = next(
        name for name, (kinds, text) in _PROBLEMS.items() if isinstance(error, kinds)
    )
    return f"{name} {error.errcode}" if isinstance(error, ApiError) else name


def describe(problem):
    """
    Return what is wrong and what the staff can do about it, in the page's language.
    """
    name, blank, errcode = problem.partition(" ")
    text = _(_PROBLEMS[name][1])
    if not errcode:
        return text
    return _("{text} (errcode {errcode})", text=text, errcode=errcode)
