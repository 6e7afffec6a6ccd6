"""What a shop writes: the README's code, and more of its kind, for type checkers.

mypy --strict, pyright and basedpyright accept it without an ignore; tox's environment
"lint" runs them. Nothing of it is executed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import requests
import responses
from cachelib import FileSystemCache, RedisCache, SimpleCache
from responses import matchers

from wxlogistics import (
    WECHAT_URLS,
    AccessTokenError,
    ApiError,
    AuthorizerToken,
    Client,
    DeliveryInfo,
    GoodsDetail,
    GoodsInfo,
    InvalidArgumentError,
    Post,
    StableToken,
    TokenProvider,
    Trace,
    TransportError,
    UnexpectedResponseError,
    WaybillNotFoundError,
    WaybillStatus,
    WxLogisticsError,
)
from wxlogistics.bulk import QueryResult, query_many
from wxlogistics.sandbox import Sandbox

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from typing import assert_type
    else:
        from typing_extensions import assert_type

QUERY_TRACE = "https://api.weixin.qq.com/cgi-bin/express/delivery/open_msg/query_trace"

# Tokens

stable = StableToken("wx0123456789abcdef", "your AppSecret")
stable = StableToken("wx0123456789abcdef", "your AppSecret", cache=SimpleCache())
stable = StableToken(
    appid="wx0123456789abcdef", secret="AppSecret", cache=FileSystemCache("tokens")
)
stable = StableToken("wx0123456789abcdef", "secret", cache=RedisCache("localhost"))
stable = StableToken("wx0123456789abcdef", "secret", cache=None)


class ShopsCache:
    def get(self, key: str) -> object:
        return None

    def set(self, key: str, value: object, timeout: int) -> None:
        """Keep it."""


stable = StableToken("wx0123456789abcdef", "secret", cache=ShopsCache())

refresh_tokens = {"wx2": "refresh_token"}


def save(refresh_token: str) -> None:
    refresh_tokens["wx2"] = refresh_token


authorizer = AuthorizerToken("wx1", "component_access_token", "wx2", "refresh_token")
authorizer = AuthorizerToken(
    component_appid="wx1",
    component_token=lambda: "component_access_token",
    authorizer_appid="wx2",
    refresh_token=lambda: refresh_tokens["wx2"],
    cache=SimpleCache(),
    on_refresh_token=save,
)
authorizer = AuthorizerToken(
    "wx1", stable, "wx2", "refresh_token", on_refresh_token=print
)


class ShopsToken(TokenProvider):
    def __init__(self) -> None:
        self.token = ""

    def get(self, post: Post) -> str:
        return self.token or self.renew("", post)

    def renew(self, rejected: str, post: Post) -> str:
        reply = post("/cgi-bin/stable_token", {"appid": "wx", "secret": "AppSecret"})
        self.token = str(reply["access_token"])
        return self.token


class OtherToken:
    def get(self, post: Post) -> str:
        return "ACCESS_TOKEN"

    def renew(self, rejected: str, post: Post) -> str:
        return rejected


# Clients

client = Client(ShopsToken())
client = Client(OtherToken())
client = Client("ACCESS_TOKEN")
client = Client(lambda: "ACCESS_TOKEN")
client = Client(authorizer, base_url=WECHAT_URLS)
client = Client(stable, base_url=["https://api.weixin.qq.com"], timeout=5)
client = Client(
    stable,
    base_url="http://127.0.0.1:8790",
    timeout=(3.05, 20),
    deadline=30,
    retries=1,
    session=requests.Session(),
)
client = Client.from_env()
client = Client.from_env(timeout=(3.05, 30))
assert_type(client.access_token(), str)


def trace_and_query() -> None:
    waybill_token = client.trace_waybill(
        openid="ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
        waybill_id="SF1234567890123",
        receiver_phone="13800138000",
        goods_info=GoodsInfo([GoodsDetail("Tea", "https://shop.example/tea.jpg")]),
    )
    assert_type(waybill_token, str)
    trace = client.query_trace(waybill_token)
    assert_type(trace, Trace)
    print(trace.status, trace.status.label, trace.status.is_final)
    assert_type(trace.status, WaybillStatus)
    assert_type(trace.waybill_id.upper(), str)
    assert_type(trace.status is WaybillStatus.SIGNED, bool)
    assert_type(trace.goods, tuple[GoodsDetail, ...])
    for goods in trace.goods:
        print(goods.goods_name.upper(), goods.goods_img_url.upper())
    if trace.delivery_info is not None:
        print(trace.delivery_info.delivery_name.upper())
    assert_type(trace.delivery_info, DeliveryInfo | None)
    print(sorted(trace.raw), trace.raw["waybill_info"])


def other_calls(waybill_token: str) -> None:
    goods = GoodsInfo(
        detail_list=tuple(
            [GoodsDetail(goods_name="a", goods_img_url="", goods_desc="b")]
        )
    )
    followed = client.follow_waybill(
        openid="o",
        waybill_id="SF1",
        receiver_phone="1",
        goods_info=goods,
        sender_phone="2",
        trans_id="3",
        delivery_id="SF",
        order_detail_path="pages/order",
        extra={"more": 1},
    )
    assert_type(followed, str)
    client.update_waybill_goods(waybill_token, goods, openid="o")
    client.update_follow_waybill_goods(waybill_token, goods)
    print(client.query_follow_trace(waybill_token).status.label)
    carriers = client.get_delivery_list()
    assert_type(carriers, tuple[DeliveryInfo, ...])
    print({carrier.delivery_id: carrier.delivery_name for carrier in carriers})
    print(client.request("/cgi-bin/other", {"a": [1]})["errcode"])
    with Client("ACCESS_TOKEN") as other:
        assert_type(other, Client)


def many(waybill_tokens: list[str]) -> None:
    for result in query_many(client, waybill_tokens, workers=8):
        assert_type(result, QueryResult)
        if result.error is None:
            print(result.token, result.trace.status)
            print(result.trace.status.label, result.trace.waybill_id.lower())
        elif isinstance(result.error, ApiError):
            print(result.error.errcode)


def errors(waybill_token: str) -> str:
    try:
        return client.query_trace(waybill_token).status.label
    except WaybillNotFoundError:
        return "no route yet"
    except AccessTokenError as error:
        return error.errmsg
    except ApiError as error:
        print(error.errcode + 1, error.rid, error.detail, error.retryable)
        return error.advice
    except InvalidArgumentError as error:
        return error.field
    except TransportError as error:
        assert_type(error.maybe_applied, bool)
        return error.reason
    except UnexpectedResponseError as error:
        print(error.status + 1)
        return error.excerpt
    except WxLogisticsError as error:
        return str(error)


@responses.activate
def test_signed() -> None:
    responses.post(
        QUERY_TRACE,
        json={"errcode": 0, "errmsg": "ok", "waybill_info": {"status": 4}},
        match=[
            matchers.query_param_matcher({"access_token": "ACCESS_TOKEN"}),
            matchers.json_params_matcher({"waybill_token": "WAYBILL_TOKEN"}),
        ],
    )
    trace = Client("ACCESS_TOKEN").query_trace("WAYBILL_TOKEN")
    assert trace.status.is_final


def test_parcel_arrives(wechat: Sandbox) -> None:
    wechat.move("SF1234567890123", WaybillStatus.SIGNED)
    with Sandbox().mock() as mocked:
        assert mocked.client.get_delivery_list()
    with wechat.serve() as server:
        print(Client(wechat.access_token(), base_url=server.url).get_delivery_list())
