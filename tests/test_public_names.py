"""The public names, signatures and defaults."""

import inspect
import logging
import pkgutil
from pathlib import Path

import pytest

import wxlogistics
from wxlogistics import Client

PACKAGE = Path(wxlogistics.__file__).parent

#: What was promised; more may come, but none of these may go.
PROMISED = set("""
    AccessTokenError AccessTokenExpiredError ApiError AuthorizerToken CallLimitError
    Client CredentialError DailyQuotaError DeliveryInfo GoodsDetail GoodsImageError
    GoodsInfo HONG_KONG_URL InvalidArgumentError IpNotAllowedError MAIN_URL
    MalformedRequestError NotAuthorizedError OpenidError OpenidMismatchError
    PathAction Post QuotaError RateLimitError SECOND_URL SHANGHAI_URL SHENZHEN_URL
    ShopInfo StableToken SystemBusyError TokenProvider Trace TransportError
    UnexpectedResponseError UpdateLimitError WECHAT_URLS WaybillInfo
    WaybillNotFoundError WaybillStatus WaybillTokenError WxLogisticsError
    __version__
    """.split())


class TestNames:
    def test_all__every_promised_name(self):
        assert set() == PROMISED - set(wxlogistics.__all__)

    def test_all__sorted(self):
        assert sorted(set(wxlogistics.__all__)) == wxlogistics.__all__

    def test_all__no_other_public_names(self):
        names = filter(str.isidentifier, vars(wxlogistics))
        shown = {name for name in names if not name.startswith("_")}
        modules = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}

        assert shown - set(wxlogistics.__all__) <= modules | {"logging"}

    def test_urls__as_documented(self):
        assert (
            "https://api.weixin.qq.com",
            "https://api2.weixin.qq.com",
            "https://sh.api.weixin.qq.com",
            "https://sz.api.weixin.qq.com",
            "https://hk.api.weixin.qq.com",
        ) == wxlogistics.WECHAT_URLS


class TestSignatures:
    @pytest.mark.parametrize(
        "name, signature",
        [
            (
                "trace_waybill",
                "(self, *, openid: 'str', waybill_id: 'str', receiver_phone: 'str', "
                "goods_info: 'GoodsInfo', sender_phone: 'str | None' = None, "
                "trans_id: 'str | None' = None, delivery_id: 'str | None' = None, "
                "order_detail_path: 'str | None' = None, "
                "extra: 'Mapping[str, Any] | None' = None) -> 'str'",
            ),
            (
                "query_trace",
                "(self, waybill_token: 'str', *, openid: 'str | None' = None, "
                "extra: 'Mapping[str, Any] | None' = None) -> 'Trace'",
            ),
            (
                "update_waybill_goods",
                "(self, waybill_token: 'str', goods_info: 'GoodsInfo', *, "
                "openid: 'str | None' = None, "
                "extra: 'Mapping[str, Any] | None' = None) -> 'None'",
            ),
            ("get_delivery_list", "(self) -> 'tuple[DeliveryInfo, ...]'"),
            (
                "request",
                "(self, path: 'str', payload: 'Mapping[str, Any]') -> "
                "'dict[str, Any]'",
            ),
        ],
    )
    def test_methods__signatures(self, name, signature):
        assert signature == str(inspect.signature(getattr(Client, name)))

    @pytest.mark.parametrize(
        "query, message",
        [
            ("trace_waybill", "follow_waybill"),
            ("query_trace", "query_follow_trace"),
            ("update_waybill_goods", "update_follow_waybill_goods"),
        ],
    )
    def test_methods__same_in_both_components(self, query, message):
        assert inspect.signature(getattr(Client, query)) == inspect.signature(
            getattr(Client, message)
        )

    def test_init__defaults(self):
        parameters = inspect.signature(Client).parameters

        assert "https://api.weixin.qq.com" == parameters["base_url"].default
        assert (3.05, 20) == parameters["timeout"].default
        assert 60 == parameters["deadline"].default
        assert 2 == parameters["retries"].default
        assert parameters["session"].default is None


class TestPackage:
    def test_logging__null_handler(self):
        logger = logging.getLogger("wxlogistics")

        assert [logging.NullHandler] == [type(each) for each in logger.handlers]
        assert logging.NOTSET == logger.level
        assert logger.propagate is True
