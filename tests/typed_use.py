"""What a shop writes, for a type checker that knows attrs only as a dataclass.

Pyright, which Visual Studio Code's Pylance is, does not know how attrs names the
arguments of private attributes; mypy does. Checked by tox's environment "lint".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import assert_type

from wxlogistics import (
    AuthorizerToken,
    Client,
    DeliveryInfo,
    GoodsDetail,
    GoodsInfo,
    StableToken,
    Trace,
    WaybillStatus,
)

stable = StableToken("wx0123456789abcdef", "AppSecret")
stable = StableToken(
    appid="wx0123456789abcdef",
    secret="AppSecret",
    cache=None,
    base_url="https://api.weixin.qq.com",
    timeout=(3, 20),
    deadline=30,
    retries=1,
    session=None,
)
authorizer = AuthorizerToken("wx1", "component_access_token", "wx2", "refresh_token")
authorizer = AuthorizerToken(
    component_appid="wx1",
    component_token=lambda: "component_access_token",
    authorizer_appid="wx2",
    refresh_token="refresh_token",
    cache=None,
    on_refresh_token=print,
)
assert_type(authorizer.refresh_token, str)

client = Client(stable, base_url=["https://api.weixin.qq.com"], retries=1)
goods = GoodsInfo([GoodsDetail("龙井茶", "https://shop.example/tea.jpg")])
goods = GoodsInfo(
    detail_list=tuple([GoodsDetail(goods_name="a", goods_img_url="", goods_desc="b")])
)


def use() -> None:
    """
    Call each kind of method.
    """
    waybill_token = client.trace_waybill(
        openid="openid", waybill_id="SF1", receiver_phone="1", goods_info=goods
    )
    assert_type(waybill_token, str)
    trace = client.query_trace(waybill_token)
    assert_type(trace, Trace)
    assert_type(trace.status, WaybillStatus | None)
    assert_type(trace.goods, tuple[GoodsDetail, ...])
    client.update_waybill_goods(waybill_token, goods)
    assert_type(client.get_delivery_list(), tuple[DeliveryInfo, ...])
