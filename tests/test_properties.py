"""What holds for any reply and any text, tried with many that hypothesis thinks up."""

import contextlib
import io
import json
import math
from typing import Any

import chaos
import pytest
import requests
import urllib3
from chaos import ChaosServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from private import GOODS
from requests.adapters import HTTPAdapter

from wxlogistics import (
    ApiError,
    Client,
    DeliveryInfo,
    GoodsDetail,
    GoodsInfo,
    InvalidArgumentError,
    Trace,
    UnexpectedResponseError,
    WaybillStatus,
    WxLogisticsError,
)

#: The same examples each time; no deadline, so that a slow machine passes.
thorough = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
#: For what opens a connection each time.
brief = settings(thorough, max_examples=50)


class Canned(HTTPAdapter):
    """Answers each request with what was set before, and keeps what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.answer_with(b"{}")
        self.body = b""
        self.url = ""

    def answer_with(self, reply: bytes, status: int = 200) -> None:
        self.reply = reply
        self.status = status

    def send(self, request: Any, **kwargs: Any) -> requests.Response:
        self.body = request.body
        self.url = request.url
        raw = urllib3.HTTPResponse(
            io.BytesIO(self.reply), {}, self.status, preload_content=False
        )
        return self.build_response(request, raw)


adapter = Canned()
session = requests.Session()
session.mount("https://", adapter)
client = Client("TOKEN", session=session, retries=0)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from([0, "0", -1, "-1", 45009, 1e400, "1" * 5000, "\ud800"])
)
#: Any JSON.
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)
#: WeChat's keys, with anything under them.
keys = st.sampled_from(
    "errcode errmsg waybill_token waybill_info status waybill_id path path_action "
    "action_time action_type action_msg shop_info goods_info detail_list goods_name "
    "goods_img_url goods_desc delivery_info delivery_id delivery_name "
    "delivery_list count".split()
)
#: Objects as WeChat's, some of them nearly right.
replies = st.dictionaries(
    keys,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=6),
        max_leaves=30,
    ),
    max_size=6,
)

#: Text that can be an argument, and some that cannot be written as UTF-8.
whole_text = st.text(min_size=1).filter(lambda text: text == text.strip())
broken_text = st.tuples(st.text(), st.characters(categories=["Cs"]), st.text()).map(
    "".join
)


def asked(reply: bytes, status: int = 200) -> list[Any]:
    """Return what each kind of call makes of *reply*: a value or an error."""
    adapter.answer_with(reply, status)
    results: list[Any] = []
    for call in (
        lambda: client.query_trace("W"),
        client.get_delivery_list,
        lambda: client.trace_waybill(
            openid="o123", waybill_id="W", receiver_phone="13", goods_info=GOODS
        ),
        lambda: client.update_waybill_goods("W", GOODS),
        lambda: client.request("/x", {}),
    ):
        try:
            results.append(call())
        except WxLogisticsError as error:
            assert str(error)
            assert str(repr(error))
            results.append(error)
    return results


def query(data: bytes) -> None:
    """Make a call that is answered with *data*, head included."""
    with ChaosServer(then=chaos.raw(data)) as server:
        with Client("TOKEN", base_url=server.url, retries=0, timeout=5) as client:
            with contextlib.suppress(WxLogisticsError):
                client.query_trace("W")


class TestAnyBytes:
    @thorough
    @given(st.binary(), st.integers(100, 599))
    def test_body__any_bytes(self, body, status):
        """Each test asserts a value or an error of this library."""
        for result in asked(body, status):
            if not 200 <= status < 300:
                assert isinstance(result, WxLogisticsError)

    @thorough
    @given(values, st.sampled_from(["utf-8", "utf-16", "gbk", "latin-1"]))
    def test_body__any_json_in_any_encoding(self, value, encoding):
        asked(json.dumps(value, ensure_ascii=False).encode(encoding, "replace"))

    @pytest.mark.parametrize("brackets", ["[", '{"a":'])
    @pytest.mark.parametrize("depth", [900, 100_000])
    def test_body__nested_deep(self, brackets, depth):
        for result in asked(brackets.encode() * depth):
            assert isinstance(result, UnexpectedResponseError)

    @brief
    @given(st.binary(max_size=200), st.booleans())
    def test_answer__any_bytes(self, data, status_line):
        if status_line:
            data = b"HTTP/1.1 200 OK\r\n" + data
        query(data)

    @brief
    @given(
        st.lists(
            st.sampled_from(
                [
                    b"HTTP/1.1 200 OK\r\n",
                    b"HTTP/1.0 204 No\r\n",
                    b"HTTP/1.1 100 Continue\r\n\r\n",
                    b"Content-Length: 2\r\n",
                    b"Content-Length: 3, 3\r\n",
                    b"Content-Length: -1\r\n",
                    b"Content-Length: x\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Content-Encoding: gzip\r\n",
                    b"Content-Encoding: deflate\r\n",
                    b"Content-Encoding: br\r\n",
                    b"Connection: close\r\n",
                    b"Location: \xff://[\r\n",
                    b"Set-Cookie: a=b; expires=\xff; domain=.\r\n",
                    b"Set-Cookie: \r\n",
                    b"Content-Type: text/html; =\r\n",
                    b"Refresh: 0\r\n",
                    b": nameless\r\n",
                    b"\r\n",
                    b"2\r\n{}\r\n",
                    b"-2\r\n",
                    b"ffffffffffffffff\r\n",
                    b"0\r\n\r\n",
                    b"{}",
                    b"\x1f\x8b\x08",
                    chaos.compressed(b"{}"),
                ]
            ),
            max_size=12,
        ).map(b"".join)
    )
    def test_answer__any_frame(self, data):
        query(data)


class TestAnyObject:
    @thorough
    @given(replies | st.dictionaries(st.text(), values, max_size=5))
    def test_query__trace_or_error(self, reply):
        body = json.dumps(reply).encode()
        try:
            decoded = json.loads(body)
        except ValueError:
            decoded = None
        trace, carriers, token, nothing, whole = asked(body)

        if isinstance(whole, WxLogisticsError):
            errors = (trace, carriers, token, nothing, whole)
            assert 1 == len({type(error) for error in errors})
            return
        assert decoded == whole
        assert nothing is None
        assert all(isinstance(each, DeliveryInfo) for each in carriers)
        assert isinstance(token, (str, UnexpectedResponseError))
        if isinstance(trace, Trace):
            assert decoded == trace.raw
            assert isinstance(trace.status, WaybillStatus)
            assert isinstance(trace.waybill_id, str)
            trace.goods, repr(trace), hash(trace)
        else:
            assert "no waybill_info.status" == trace.reason

    @thorough
    @given(st.integers(), st.text())
    def test_errcode__any(self, errcode, errmsg):
        body = json.dumps({"errcode": errcode, "errmsg": errmsg}).encode()
        for result in asked(body):
            if errcode:
                assert isinstance(result, ApiError)
                assert errcode == result.errcode
                assert result.advice and f"errcode {errcode}" in str(result)
            else:
                assert not isinstance(result, ApiError)


class TestAnyText:
    @thorough
    @given(whole_text, st.dictionaries(st.text(), values, max_size=4))
    def test_text__unchanged_in_the_request(self, text, extra):
        extra.pop("waybill_token", None)
        adapter.answer_with(b'{"waybill_info": {"status": 2}}')
        try:
            client.query_trace(text, extra=extra)
        except InvalidArgumentError:
            # Something that JSON cannot say: half a character, or infinity.
            assert not sayable(extra)
        else:
            assert {"waybill_token": text, **extra} == json.loads(adapter.body)
            assert json.dumps(text, ensure_ascii=False).encode() in adapter.body

    @thorough
    @given(whole_text)
    def test_text__unchanged_in_the_reply(self, text):
        reply = {"waybill_info": {"status": 2, "waybill_id": text}}
        adapter.answer_with(json.dumps(reply, ensure_ascii=False).encode())

        assert text == client.query_trace("W").waybill_id

    @brief
    @given(whole_text)
    def test_text__unchanged_over_a_connection(self, text):
        with ChaosServer() as server, Client("TOKEN", base_url=server.url) as client:
            assert text == client.query_trace(text).waybill_id

    @thorough
    @given(broken_text, st.sampled_from(["waybill_token", "openid", "goods", "extra"]))
    def test_text__half_a_character(self, text, place):
        adapter.body = b"nothing was sent"
        with pytest.raises(InvalidArgumentError):
            if place == "goods":
                goods = GoodsInfo([GoodsDetail(text, "")])
                client.update_waybill_goods("W", goods)
            elif place == "extra":
                client.query_trace("W", extra={"remark": [text]})
            else:
                client.query_trace(**{"waybill_token": "W", place: text})

        assert b"nothing was sent" == adapter.body

    @thorough
    @given(whole_text)
    def test_token__any(self, token):
        adapter.answer_with(b"{}")
        Client(token, session=session).request("/x", {})
        query = requests.utils.urlparse(adapter.url).query

        assert ["access_token", token] == [
            requests.utils.unquote(part) for part in query.split("=")
        ]


def sayable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(sayable, value)) and all(map(sayable, value.values()))
    if isinstance(value, list):
        return all(map(sayable, value))
    if isinstance(value, str):
        return value.isascii() or value.encode("utf-8", "replace").decode() == value
    return not isinstance(value, float) or math.isfinite(value)
