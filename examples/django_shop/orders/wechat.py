"""
The way to WeChat: one client for the process, and its errors in the staff's words.
"""

import functools

from django.conf import settings
from django.core.cache import cache
from django.core.signals import setting_changed
from django.dispatch import receiver

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

#: While one of these lasts, no order's call succeeds.
ACCOUNT_ERRORS = (
    AccessTokenError,
    CredentialError,
    IpNotAllowedError,
    NotAuthorizedError,
)


@functools.cache
def client(**options):
    """
    Return this process's client with these *options*; its threads share it.
    """
    tokens = StableToken(
        settings.WXLOGISTICS_APPID, settings.WXLOGISTICS_SECRET, cache=cache
    )
    return Client(tokens, base_url=settings.WXLOGISTICS_BASE_URL, **options)


@receiver(setting_changed)
def forget_clients(*, setting, **kwargs):
    """
    Tests change the settings.
    """
    if setting.startswith("WXLOGISTICS_"):
        client.cache_clear()


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
