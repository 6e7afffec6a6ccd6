"""Each endpoint: the bytes that go out, where they go, and what comes back."""

import inspect
import json
from typing import Any, Callable, NamedTuple

import pytest
import requests
from clients import make_client
from private import CALLS, HOST, OPEN_MSG, OPENID, REQUIRED, WAYBILL_TOKEN
from responses import RequestsMock

from wxlogistics import (
    Client,
    DeliveryInfo,
    GoodsDetail,
    GoodsInfo,
    PathAction,
    ShopInfo,
    SystemBusyError,
    Trace,
    TransportError,
    UnexpectedResponseError,
    WaybillInfo,
    WaybillNotFoundError,
    WaybillStatus,
    __version__,
)

ASKED = "o_ARWHaxIxzWHmdui-AIw8SuE1QtaUZK8aUnZguAn1nsZ72ZjWlq8btV8j-wAc94"
FOLLOWED = "nfmz8TwcXKEeg6vcrHmUzlQ0v3gYPkW2-tS7R5ZbJqL1oE9iDhAaFxGuC4yBMNkd"

TWO_GOODS = GoodsInfo(
    [GoodsDetail("测试名字", "www.qq.com"), GoodsDetail("测试名字2", "www.qq.com")]
)
UPDATED_GOODS = GoodsInfo([GoodsDetail("测试更新商品", "www.qq.com")])
SCARF = GoodsInfo(
    [
        GoodsDetail(
            "羊毛围巾", "https://img.example.com/%E5%9B%B4%E5%B7%BE.jpg", "红色 一条"
        )
    ]
)
EVERY_PARAMETER: dict[str, Any] = {
    "openid": OPENID,
    "waybill_id": "SF1234567890123",
    "receiver_phone": "13800138000",
    "goods_info": SCARF,
    "sender_phone": "13900139000",
    "trans_id": "4200002026202605201234567890",
    "delivery_id": "SF",
    "order_detail_path": "pages/order/detail?id=42",
}
LEAST = REQUIRED["trace_waybill"]

#: A reply that is good for every endpoint.
OK: dict[str, Any] = {"errcode": 0, "waybill_token": "x", "waybill_info": {"status": 4}}


class Exchange(NamedTuple):
    request: str
    call: Callable[[Client], Any]
    reply: str
    result: Any

    @property
    def path(self) -> str:
        return OPEN_MSG + self.request.partition(".")[0]


def trace(status: int, waybill_id: str, *path: PathAction) -> Callable[[bytes], Trace]:
    return lambda reply: Trace(
        WaybillInfo(WaybillStatus(status), waybill_id, path),
        ShopInfo(SCARF),
        DeliveryInfo("SF", "顺丰速运"),
        json.loads(reply),
    )


EXCHANGES = [
    Exchange(
        "trace_waybill.request",
        lambda client: client.trace_waybill(
            openid=OPENID,
            waybill_id="WXTESTEXPRESS0000014",
            sender_phone="12345678901",
            receiver_phone="123456566",
            goods_info=TWO_GOODS,
        ),
        "trace_waybill.reply",
        WAYBILL_TOKEN,
    ),
    Exchange(
        "trace_waybill.request.every_parameter",
        lambda client: client.trace_waybill(**EVERY_PARAMETER),
        "trace_waybill.reply",
        WAYBILL_TOKEN,
    ),
    Exchange(
        "query_trace.request",
        lambda client: client.query_trace(ASKED, openid=OPENID),
        "query_trace.reply",
        lambda reply: Trace(
            WaybillInfo(WaybillStatus.NOT_COLLECTED, "WXTESTEXPRESS0000014"),
            ShopInfo(TWO_GOODS),
            None,
            json.loads(reply),
        ),
    ),
    Exchange(
        "query_trace.request.token_only",
        lambda client: client.query_trace(ASKED),
        "query_trace.reply.delivery_info",
        trace(2, "SF1234567890123"),
    ),
    Exchange(
        "update_waybill_goods.request",
        lambda client: client.update_waybill_goods(ASKED, UPDATED_GOODS, openid=OPENID),
        "update_waybill_goods.reply",
        None,
    ),
    Exchange(
        "update_waybill_goods.request.token_only",
        lambda client: client.update_waybill_goods(ASKED, UPDATED_GOODS),
        "update_waybill_goods.reply",
        None,
    ),
    Exchange(
        "get_delivery_list.request",
        lambda client: client.get_delivery_list(),
        "get_delivery_list.reply",
        (
            DeliveryInfo("(AU)", "Interparcel"),
            DeliveryInfo("SF", "顺丰速运"),
            DeliveryInfo("YTO", "圆通速递"),
        ),
    ),
    Exchange(
        "follow_waybill.request",
        lambda client: client.follow_waybill(**EVERY_PARAMETER),
        "follow_waybill.reply",
        FOLLOWED,
    ),
    Exchange(
        "query_follow_trace.request",
        lambda client: client.query_follow_trace(FOLLOWED, openid=OPENID),
        "query_follow_trace.reply",
        trace(1, "SF1234567890123"),
    ),
    Exchange(
        "query_follow_trace.request.token_only",
        lambda client: client.query_follow_trace(FOLLOWED),
        "query_follow_trace.reply.path_action",
        trace(
            3,
            "SF1234567890123",
            PathAction(
                1779249600, 500001, "快件正在派送中,快递员:张三,电话:13800138000"
            ),
            PathAction(1779206400, 500001, "快件已到达【杭州转运中心】"),
            PathAction(0, 500001, "顺丰速运 已收取快件"),
        ),
    ),
    Exchange(
        "update_follow_waybill_goods.request",
        lambda client: client.update_follow_waybill_goods(
            FOLLOWED, SCARF, openid=OPENID
        ),
        "update_follow_waybill_goods.reply",
        None,
    ),
    Exchange(
        "update_follow_waybill_goods.request.token_only",
        lambda client: client.update_follow_waybill_goods(FOLLOWED, SCARF),
        "update_follow_waybill_goods.reply",
        None,
    ),
    Exchange(
        "open_query_plugin.request",
        lambda client: client.request(OPEN_MSG + "open_query_plugin", {}),
        "open_query_plugin.reply",
        {"errcode": 0, "errmsg": "ok"},
    ),
]

#: An edit costs one of few: it is not made again when it may have arrived.
EDITS = {"update_waybill_goods", "update_follow_waybill_goods", "request"}

Sample = Callable[[str], bytes]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.request)
class TestEndpoints:
    def test_request__exactly_the_sample(self, rsps, client, sample, exchange):
        rsps.post(HOST + exchange.path, json=OK)
        exchange.call(client)
        request = rsps.calls[0].request
        body = sample(f"{exchange.request}.json")

        assert body == request.body
        assert "POST" == request.method
        assert f"{HOST}{exchange.path}?access_token=ACCESS_TOKEN" == request.url
        assert {
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            "User-Agent": f"wxlogistics/{__version__}",
        } == dict(request.headers)

    def test_result__of_the_sample(self, rsps, client, sample, exchange):
        reply = sample(f"{exchange.reply}.json")
        rsps.post(HOST + exchange.path, body=reply)

        expected = exchange.result
        if callable(expected):
            expected = expected(reply)

        assert expected == exchange.call(client)


def test_methods__each_has_an_exchange_and_a_call():
    methods = {
        name
        for name, _ in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_") and name not in ("close", "access_token")
    }
    exchanged = {exchange.path.rpartition("/")[2] for exchange in EXCHANGES}

    assert methods == set(CALLS)
    assert methods - {"request"} == exchanged - {"open_query_plugin"}


class TestParameters:
    @pytest.fixture
    def body(
        self, rsps: RequestsMock, client: Client
    ) -> Callable[[Callable[[Client], Any]], Any]:
        def made(call: Callable[[Client], Any]) -> Any:
            rsps.post(f"{HOST}{OPEN_MSG}trace_waybill", json=OK)
            call(client)
            return json.loads(rsps.calls[0].request.body)

        return made

    def test_optional__left_out(self, body):
        sent = body(lambda client: client.trace_waybill(**LEAST, sender_phone=None))

        assert {*LEAST} == set(sent)

    @pytest.mark.parametrize(
        "field", ["sender_phone", "trans_id", "delivery_id", "order_detail_path"]
    )
    def test_optional__each_alone(self, body, field):
        sent = body(lambda client: client.trace_waybill(**LEAST, **{field: "given"}))

        assert "given" == sent[field]
        assert {*LEAST, field} == set(sent)

    def test_goods_info__ten_without_image(self, body):
        """WeChat takes ten, and an empty URL for no image."""
        goods_info = GoodsInfo([GoodsDetail("围巾", "")] * 10)
        sent = body(
            lambda client: client.trace_waybill(**LEAST | {"goods_info": goods_info})
        )

        expected = [{"goods_name": "围巾", "goods_img_url": ""}] * 10
        assert {"detail_list": expected} == sent["goods_info"]

    def test_extra__overrides_and_adds(self, body):
        sent = body(
            lambda client: client.trace_waybill(
                **LEAST, extra={"new": [1, None], "waybill_id": "other"}
            )
        )

        assert [1, None] == sent["new"]
        assert "other" == sent["waybill_id"]
        assert OPENID == sent["openid"]

    def test_extra__not_changed(self, body):
        extra: dict[str, Any] = {}
        body(lambda client: client.trace_waybill(**LEAST, extra=extra))

        assert {} == extra

    @pytest.mark.parametrize("name", REQUIRED)
    def test_extra__of_each_method(self, rsps, client, name):
        rsps.post(HOST + OPEN_MSG + name, json=OK)
        getattr(client, name)(**REQUIRED[name], extra={"new": "新"})

        assert "新" == json.loads(rsps.calls[0].request.body)["new"]


@pytest.mark.parametrize("name", CALLS)
class TestFailures:
    def test_refusal__names_the_endpoint(self, rsps, client, sample, name):
        rsps.post(HOST + OPEN_MSG + name, body=sample("error.931023.reply.json"))
        with pytest.raises(WaybillNotFoundError) as caught:
            CALLS[name](client)

        expected = OPEN_MSG + "request" if name == "request" else name
        assert expected == caught.value.endpoint
        assert 931023 == caught.value.errcode
        assert "66557522-735e87a4-648726cc" == caught.value.rid

    def test_no_answer__repeated_only_where_harmless(self, rsps, client, pauses, name):
        """An update counts against a limit, so it must not be sent twice."""
        attempts = 1 if name in EDITS else 3
        rsps.post(HOST + OPEN_MSG + name, body=requests.ReadTimeout())
        with pytest.raises(TransportError) as caught:
            CALLS[name](client)

        assert attempts == len(rsps.calls)
        assert attempts - 1 == len(pauses)
        assert caught.value.maybe_applied is True

    def test_busy__repeated(self, rsps, client, sample, pauses, name):
        """-1 means that WeChat did nothing, so updates are repeated as well."""
        rsps.post(HOST + OPEN_MSG + name, body=sample("error.-1.reply.json"))
        with pytest.raises(SystemBusyError):
            CALLS[name](client)

        assert 3 == len(rsps.calls)
        assert [0.5, 1.0] == pauses


class TestRegister:
    @pytest.mark.parametrize(
        "reply",
        [
            {"errcode": 0, "errmsg": "ok"},
            {"errcode": 0, "errmsg": "ok", "waybill_token": ""},
            {"errcode": 0, "errmsg": "ok", "waybill_token": None},
            {"errcode": 0, "errmsg": "ok", "waybill_token": ["x"]},
        ],
    )
    @pytest.mark.parametrize("name", ["trace_waybill", "follow_waybill"])
    def test_register__success_without_token(self, rsps, client, name, reply):
        rsps.post(HOST + OPEN_MSG + name, json=reply)
        with pytest.raises(UnexpectedResponseError) as caught:
            CALLS[name](client)

        assert name == caught.value.endpoint
        assert 200 == caught.value.status
        assert "no waybill_token" == caught.value.reason
        assert caught.value.excerpt.startswith("errcode, errmsg")
        assert 1 == len(rsps.calls)

    def test_trace_waybill__token_as_a_number(self, rsps, client):
        rsps.post(HOST + OPEN_MSG + "trace_waybill", json={"waybill_token": 12})

        assert "12" == client.trace_waybill(**LEAST)

    def test_query_trace__success_without_status(self, rsps, client):
        rsps.post(HOST + OPEN_MSG + "query_trace", json={"waybill_info": {}})
        with pytest.raises(UnexpectedResponseError) as caught:
            CALLS["query_trace"](client)

        assert "no waybill_info.status" == caught.value.reason


class TestRequest:
    def test_request__payload_as_given(self, rsps, client):
        rsps.post(HOST + "/cgi-bin/message/custom/send", json={"errcode": 0})
        client.request(
            "/cgi-bin/message/custom/send",
            {
                "touser": OPENID,
                "text": {"content": "您的包裹已签收 📦"},
                "a": [1.5, None],
            },
        )

        assert (
            '{"touser":"ovtZW4yB7DIj3CxOb6ii-nk4HhFo",'
            '"text":{"content":"您的包裹已签收 📦"},"a":[1.5,null]}'.encode()
            == rsps.calls[0].request.body
        )


class TestClient:
    def test_repr__hosts_without_token(self):
        client = Client("a-secret-token", base_url=["https://a.example", HOST])

        assert "<Client of https://a.example, https://api.weixin.qq.com>" == repr(
            client
        )

    def test_init__options_by_keyword_only(self):
        with pytest.raises(TypeError):
            Client("ACCESS_TOKEN", HOST)

    def test_base_url__with_a_path(self, rsps):
        url = "http://127.0.0.1:8000/wechat" + OPEN_MSG + "get_delivery_list"
        rsps.post(url, json={"errcode": 0})
        client = Client("ACCESS_TOKEN", base_url="http://127.0.0.1:8000/wechat/")

        assert () == client.get_delivery_list()
        assert f"{url}?access_token=ACCESS_TOKEN" == rsps.calls[0].request.url

    def test_exit__error_in_the_block(self):
        with pytest.raises(ZeroDivisionError), Client("ACCESS_TOKEN"):
            raise ZeroDivisionError

    @pytest.mark.parametrize(
        "timeout, expected",
        [((3.05, 20), (3.05, 20.0)), (5, (5.0, 5.0)), ((1, 2.5), (1.0, 2.5))],
    )
    def test_timeout__as_requests_takes_it(self, rsps, timeout, expected):
        rsps.post(HOST + OPEN_MSG + "get_delivery_list", json={"errcode": 0})
        Client("ACCESS_TOKEN", timeout=timeout).get_delivery_list()

        assert expected == rsps.calls[0].request.req_kwargs["timeout"]

    def test_deadline__cuts_the_timeout(self, rsps):
        rsps.post(HOST + OPEN_MSG + "get_delivery_list", json={"errcode": 0})
        make_client("ACCESS_TOKEN", deadline=2, clock=lambda: 0.0).get_delivery_list()

        assert (2.0, 2.0) == rsps.calls[0].request.req_kwargs["timeout"]
