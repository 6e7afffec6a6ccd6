"""
Python client for WeChat's mini-program logistics plugin (微信物流查询插件).
"""

import logging

from ._hosts import (
    HONG_KONG_URL,
    MAIN_URL,
    SECOND_URL,
    SHANGHAI_URL,
    SHENZHEN_URL,
    WECHAT_URLS,
)
from ._logs import mask_tokens as _mask_tokens
from ._version import __version__
from ._wire import Post
from .client import Client
from .errors import (
    AccessTokenError,
    AccessTokenExpiredError,
    ApiError,
    CallLimitError,
    CredentialError,
    DailyQuotaError,
    GoodsImageError,
    InvalidArgumentError,
    IpNotAllowedError,
    MalformedRequestError,
    NotAuthorizedError,
    OpenidError,
    OpenidMismatchError,
    QuotaError,
    RateLimitError,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    UpdateLimitError,
    WaybillNotFoundError,
    WaybillTokenError,
    WxLogisticsError,
)
from .models import (
    DeliveryInfo,
    GoodsDetail,
    GoodsInfo,
    PathAction,
    ShopInfo,
    Trace,
    WaybillInfo,
    WaybillStatus,
)
from .tokens import AuthorizerToken, StableToken, TokenProvider

__all__ = [
    "AccessTokenError",
    "AccessTokenExpiredError",
    "ApiError",
    "AuthorizerToken",
    "CallLimitError",
    "Client",
    "CredentialError",
    "DailyQuotaError",
    "DeliveryInfo",
    "GoodsDetail",
    "GoodsImageError",
    "GoodsInfo",
    "HONG_KONG_URL",
    "InvalidArgumentError",
    "IpNotAllowedError",
    "MAIN_URL",
    "MalformedRequestError",
    "NotAuthorizedError",
    "OpenidError",
    "OpenidMismatchError",
    "PathAction",
    "Post",
    "QuotaError",
    "RateLimitError",
    "SECOND_URL",
    "SHANGHAI_URL",
    "SHENZHEN_URL",
    "ShopInfo",
    "StableToken",
    "SystemBusyError",
    "TokenProvider",
    "Trace",
    "TransportError",
    "UnexpectedResponseError",
    "UpdateLimitError",
    "WECHAT_URLS",
    "WaybillInfo",
    "WaybillNotFoundError",
    "WaybillStatus",
    "WaybillTokenError",
    "WxLogisticsError",
    "__version__",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
# The one side effect of the import: urllib3's log lines hold the URL.
for _name in ("connection", "connectionpool", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_mask_tokens)
