"""What goes over the wire in between: encodings, strange answers, other people's."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any, Callable

import pytest
import requests
import responses

from wxlogistics import (
    ApiError,
    Client,
    GoodsDetail,
    GoodsInfo,
    RateLimitError,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    WaybillNotFoundError,
    WaybillStatus,
)

QUERY = "https://api.weixin.qq.com/cgi-bin/express/delivery/open_msg/query_trace"
PLAIN = "https://api.weixin.qq.com/cgi-bin/test"

REPLY = '{"errcode":0,"delivery_info":{"delivery_name":"顺丰"}}'.encode()

MEBIBYTE = 1024 * 1024


@pytest.fixture
def answered(
    rsps: responses.RequestsMock, client: Client
) -> Callable[..., dict[str, Any]]:
    """Answers a call by path and returns the reply."""

    def answered(body: bytes | str, **options: Any) -> dict[str, Any]:
        rsps.post(PLAIN, body=body, **options)
        return client.request("/cgi-bin/test", {})

    return answered


class TestRequest:
    def test_body__utf8_without_escapes(
        self, rsps: responses.RequestsMock, client: Client
    ) -> None:
        """Chinese and emoji go out as they are: WeChat shows or refuses escapes."""
        rsps.post(QUERY.replace("query_trace", "update_waybill_goods"), json={})
        client.update_waybill_goods("x", GoodsInfo([GoodsDetail('围巾🧣\n"', "")]))
        body = rsps.calls[0].request.body

        assert (
            '{"waybill_token":"x","goods_info":{"detail_list":['
            '{"goods_name":"围巾🧣\\n\\"","goods_img_url":""}]}}'.encode() == body
        )
        assert str(len(body)) == rsps.calls[0].request.headers["Content-Length"]

    @pytest.mark.parametrize(
        "token, query",
        [
            ("84_abc-DEF_123~x.y", "access_token=84_abc-DEF_123~x.y"),
            ("a b&c=d/e+f%g#h?i", "access_token=a%20b%26c%3Dd%2Fe%2Bf%25g%23h%3Fi"),
            ("令牌\r\nHost: x", "access_token=%E4%BB%A4%E7%89%8C%0D%0AHost%3A%20x"),
            ("x" * 512, "access_token=" + "x" * 512),
        ],
    )
    def test_url__token_encoded(
        self, rsps: responses.RequestsMock, token: str, query: str
    ) -> None:
        """A token is one query parameter, whatever it holds."""
        rsps.post(PLAIN, json={})
        Client(token).request("/cgi-bin/test", {})

        assert f"{PLAIN}?{query}" == rsps.calls[0].request.url
        assert {"access_token": token} == rsps.calls[0].request.params

    def test_url__path_as_given(
        self, rsps: responses.RequestsMock, client: Client
    ) -> None:
        """A path is not encoded a second time."""
        rsps.post("https://api.weixin.qq.com/a%2Fb/~c", json={})
        client.request("/a%2Fb/~c", {})

        assert (
            "https://api.weixin.qq.com/a%2Fb/~c?access_token=ACCESS_TOKEN"
            == rsps.calls[0].request.url
        )

    def test_headers__no_credentials_of_the_surroundings(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What ~/.netrc holds for WeChat's host is nothing to do with this API."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine api.weixin.qq.com login me password mine\n")
        monkeypatch.setenv("NETRC", str(netrc))
        rsps.post(PLAIN, json={})
        client.request("/cgi-bin/test", {})

        assert "Authorization" not in rsps.calls[0].request.headers

    def test_headers__no_cookies_kept(
        self, rsps: responses.RequestsMock, client: Client
    ) -> None:
        """A cookie of one answer does not go out with the next call."""
        rsps.post(PLAIN, json={}, headers={"Set-Cookie": "a=b; Path=/"})
        client.request("/cgi-bin/test", {})
        client.request("/cgi-bin/test", {})

        assert "Cookie" not in rsps.calls[1].request.headers

    def test_proxy__of_the_surroundings(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A proxy named in the environment is used, as by requests."""
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
        rsps.post(PLAIN, json={})
        client.request("/cgi-bin/test", {})

        assert (
            "http://proxy.example:3128"
            == rsps.calls[0].request.req_kwargs["proxies"]["https"]
        )


class TestEncodings:
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json; encoding=utf-8",
            "application/json",
            "text/plain",
            "text/plain; charset=iso-8859-1",
            "text/html; charset=gbk",
            "application/json; charset=no-such-charset",
            "",
            None,
        ],
    )
    def test_reply__utf8_whatever_the_header_says(
        self, answered: Callable[..., Any], content_type: str | None
    ) -> None:
        """顺丰 stays 顺丰."""
        reply = answered(REPLY, content_type=content_type)

        assert "顺丰" == reply["delivery_info"]["delivery_name"]

    def test_reply__byte_order_mark(self, answered: Callable[..., Any]) -> None:
        """A BOM in front is no part of the JSON."""
        assert json.loads(REPLY) == answered(b"\xef\xbb\xbf" + REPLY)

    @pytest.mark.parametrize(
        "packed, name",
        [(gzip.compress(REPLY), "gzip"), (zlib.compress(REPLY), "deflate")],
    )
    def test_reply__compressed(
        self, answered: Callable[..., Any], packed: bytes, name: str
    ) -> None:
        """What the client says it can unpack, it unpacks."""
        assert json.loads(REPLY) == answered(packed, headers={"Content-Encoding": name})

    def test_reply__chunked(self, answered: Callable[..., Any]) -> None:
        """A reply needs no Content-Length."""
        assert json.loads(REPLY) == answered(
            REPLY, headers={"Transfer-Encoding": "chunked"}
        )

    def test_reply__control_characters(self, answered: Callable[..., Any]) -> None:
        """Couriers' texts hold raw line ends, tabs and worse inside of strings."""
        reply = answered('{"action_msg":"已签收\n\t\x00\x1f谢谢"}'.encode())

        assert {"action_msg": "已签收\n\t\x00\x1f谢谢"} == reply

    def test_reply__escapes(self, answered: Callable[..., Any]) -> None:
        """Escapes are read too, those beyond the first plane as one character."""
        assert {"a": "顺丰📦"} == answered(rb'{"a":"\u987a\u4e30\ud83d\udce6"}')

    def test_reply__space_around(self, answered: Callable[..., Any]) -> None:
        """Line ends around the object do no harm."""
        assert {"errcode": 0} == answered(b' \r\n{"errcode":0}\n')

    def test_reply__large(self, answered: Callable[..., Any]) -> None:
        """1,500 carriers, and anything else up to 5 MiB, is read whole."""
        name = "顺" * (5 * MEBIBYTE // 3 - 10)

        assert {"a": name} == answered(f'{{"a":"{name}"}}'.encode())


class TestErrcode:
    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b'{"errcode":0}',
            b'{"errcode":"0"}',
            b'{"errcode":null}',
            b'{"errcode":0.0}',
            b'{"errmsg":"ok"}',
        ],
    )
    def test_reply__success(self, answered: Callable[..., Any], body: bytes) -> None:
        """A missing errcode is success; a numeric string counts as its number."""
        assert json.loads(body) == answered(body)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"errcode":931023,"errmsg":"waybill not exist"}',
            b'{"errcode":"931023","errmsg":"waybill not exist"}',
            b'{"errcode":931023.0,"errmsg":"waybill not exist"}',
        ],
    )
    def test_reply__refusal(self, answered: Callable[..., Any], body: bytes) -> None:
        """WeChat once sent the errcode as a string."""
        with pytest.raises(WaybillNotFoundError) as caught:
            answered(body)

        assert 931023 == caught.value.errcode
        assert "waybill not exist" == caught.value.errmsg

    @pytest.mark.parametrize(
        "body, errmsg",
        [
            (b'{"errcode":933001}', ""),
            (b'{"errcode":933001,"errmsg":""}', ""),
            (b'{"errcode":933001,"errmsg":null}', ""),
            (b'{"errcode":933001,"errmsg":["x"]}', ""),
            (b'{"errcode":933001,"errmsg":5}', "5"),
        ],
    )
    def test_reply__errmsg_of_any_kind(
        self, answered: Callable[..., Any], body: bytes, errmsg: str
    ) -> None:
        """A refusal is one with or without a text; an unknown one is an ApiError."""
        with pytest.raises(ApiError) as caught:
            answered(body)

        assert ApiError is type(caught.value)
        assert errmsg == caught.value.errmsg

    @pytest.mark.parametrize(
        "errcode", ['"x"', '""', "true", "false", "[]", "{}", "1.5", "NaN", "Infinity"]
    )
    def test_reply__errcode_no_number(
        self, answered: Callable[..., Any], errcode: str
    ) -> None:
        """An errcode that is no number is not WeChat's."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(f'{{"errcode":{errcode}}}'.encode())

        assert "an errcode that is no number" == caught.value.reason

    @pytest.mark.parametrize(
        "errmsg, error",
        [
            ("system error", SystemBusyError),
            ("reach max api second frequence limit", RateLimitError),
        ],
    )
    def test_reply__refused_then_answered(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        pauses: list[float],
        errmsg: str,
        error: type[ApiError],
    ) -> None:
        """What passes in a moment is asked again; a limit by the second takes one."""
        errcode = -1 if error is SystemBusyError else 45009
        rsps.post(PLAIN, json={"errcode": errcode, "errmsg": errmsg})
        rsps.post(PLAIN, json={"errcode": 0})

        assert {"errcode": 0} == client.request("/cgi-bin/test", {})
        assert [0.5 if error is SystemBusyError else 1.5] == pauses


class TestStrangeAnswers:
    @pytest.mark.parametrize(
        "body, excerpt",
        [
            (b"<html>It works!</html>", "<html>It works!</html>"),
            (b"", ""),
            (b"   ", "   "),
            (b"[]", "[]"),
            (b'[{"errcode":0}]', '[{"errcode":0}]'),
            (b"null", "null"),
            (b"0", "0"),
            (b'"ok"', '"ok"'),
            (b"true", "true"),
            (b'{"errcode":0,"waybill_in', '{"errcode":0,"waybill_in'),
            (b'{"errcode":0} trailing', '{"errcode":0} trailing'),
            (b"{'errcode':0}", "{'errcode':0}"),
            (b'{"a":"\xcb\xb3\xb7\xe1"}', '{"a":"\u02f3\ufffd\ufffd"}'),
            (b'{"a":"\xe9\xa1', '{"a":"\ufffd'),
            ('{"errcode":0}'.encode("utf-16"), None),
            (b"\x00\x00", "\x00\x00"),
        ],
    )
    def test_reply__no_json_object(
        self, answered: Callable[..., Any], body: bytes, excerpt: str | None
    ) -> None:
        """A page with status 200 is no result, and neither is half a reply."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(body)

        assert UnexpectedResponseError is type(caught.value)
        assert "/cgi-bin/test" == caught.value.endpoint
        assert 200 == caught.value.status
        assert "no JSON object" == caught.value.reason
        if excerpt is not None:
            assert excerpt == caught.value.excerpt

    def test_reply__deep_nesting(self, answered: Callable[..., Any]) -> None:
        """A reply that would exhaust the stack is no reply."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(b'{"a":' * 200_000)

        assert "no JSON object" == caught.value.reason

    def test_reply__not_a_number(self, answered: Callable[..., Any]) -> None:
        """NaN and numbers beyond all measure do not break the rest of the reply."""
        reply = answered(b'{"a":NaN,"b":-Infinity,"c":1e999,"d":1}')

        assert reply["a"] != reply["a"]
        assert [float("-inf"), float("inf"), 1] == [reply["b"], reply["c"], reply["d"]]

    def test_reply__huge_number(
        self, rsps: responses.RequestsMock, client: Client
    ) -> None:
        """A status as long as a line is a status nobody knows."""
        rsps.post(QUERY, body=b'{"waybill_info":{"status":' + b"9" * 300 + b"}}")

        assert WaybillStatus(10**300 - 1) == client.query_trace("x").status

    def test_reply__number_of_a_hundred_thousand_digits(
        self, answered: Callable[..., Any]
    ) -> None:
        """Python refuses to read a number of so many digits, which takes long."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(b'{"errcode":0,"a":' + b"9" * 100_000 + b"}")

        assert "no JSON object" == caught.value.reason

    def test_reply__excerpt_is_short(self, answered: Callable[..., Any]) -> None:
        """An excerpt is the beginning of a page, not the page."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(b"<html>" + b"x" * 100_000)

        assert "<html>" + "x" * 194 == caught.value.excerpt

    @pytest.mark.parametrize(
        "options",
        [{}, {"headers": {"Content-Encoding": "gzip"}}],
        ids=["plain", "gzip"],
    )
    def test_reply__too_large(
        self, answered: Callable[..., Any], options: dict[str, Any]
    ) -> None:
        """More than 5 MiB is refused, unpacked as well."""
        body = b'{"a":"' + b"x" * (5 * MEBIBYTE) + b'"}'
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(gzip.compress(body, 1) if options else body, **options)

        assert caught.value.reason.endswith("more than 5 MiB")
        assert '{"a":"' + "x" * 194 == caught.value.excerpt

    def test_reply__broken_compression(self, answered: Callable[..., Any]) -> None:
        """What is called gzip and is not cannot be read."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(REPLY, headers={"Content-Encoding": "gzip"})

        assert "the body's compression is broken" == caught.value.reason
        assert 200 == caught.value.status

    def test_reply__shorter_than_announced(
        self, rsps: responses.RequestsMock, client: Client
    ) -> None:
        """A connection that broke in the middle of the body gave no answer."""
        rsps.post(PLAIN, body=REPLY, headers={"Content-Length": "1000"})
        with pytest.raises(TransportError) as caught:
            client.request("/cgi-bin/test", {})

        assert (
            "the connection broke before the whole answer had come"
            == caught.value.reason
        )
        assert caught.value.maybe_applied is True
        assert 1 == len(rsps.calls)


class TestStatus:
    @pytest.mark.parametrize("status", [200, 201, 202, 299])
    def test_reply__two_hundreds(
        self, answered: Callable[..., Any], status: int
    ) -> None:
        """Any status from 200 to 299 is an answer."""
        assert {"errcode": 0} == answered(b'{"errcode":0}', status=status)

    @pytest.mark.parametrize(
        "status", [300, 301, 302, 307, 308, 400, 401, 404, 412, 413, 429, 500, 501]
    )
    def test_reply__not_wechats(
        self, answered: Callable[..., Any], pauses: list[float], status: int
    ) -> None:
        """WeChat refuses with status 200; any other is somebody else's, and final."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(b'{"errcode":0,"errmsg":"ok"}', status=status)

        assert UnexpectedResponseError is type(caught.value)
        assert status == caught.value.status
        assert "not WeChat's answer" == caught.value.reason
        assert '{"errcode":0,"errmsg":"ok"}' == caught.value.excerpt
        assert [] == pauses

    @pytest.mark.parametrize(
        "status, reason", [(204, "no JSON object"), (304, "not WeChat's answer")]
    )
    def test_reply__of_a_kind_without_body(
        self, answered: Callable[..., Any], status: int, reason: str
    ) -> None:
        """An answer that has no body by its kind says nothing."""
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(b"", status=status)

        assert status == caught.value.status
        assert reason == caught.value.reason

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_reply__gateway(
        self, answered: Callable[..., Any], pauses: list[float], status: int
    ) -> None:
        """A gateway's answer leaves open whether WeChat had the call."""
        with pytest.raises(TransportError) as caught:
            answered(b"<html>Bad Gateway</html>", status=status)

        assert f"HTTP {status} from a gateway" == caught.value.reason
        assert caught.value.maybe_applied is True
        assert [] == pauses

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_reply__gateway_then_answer(
        self, rsps: responses.RequestsMock, client: Client, status: int
    ) -> None:
        """A query is asked again."""
        rsps.post(QUERY, status=status)
        rsps.post(QUERY, json={"waybill_info": {"status": 4}})

        assert WaybillStatus.SIGNED is client.query_trace("x").status

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize(
        "location", ["https://evil.example/", "/elsewhere", "http://[", ""]
    )
    def test_reply__redirect_not_followed(
        self, rsps: responses.RequestsMock, client: Client, status: int, location: str
    ) -> None:
        """The token goes nowhere but to the host that it is for."""
        rsps.post(PLAIN, status=status, headers={"Location": location})
        with pytest.raises(UnexpectedResponseError) as caught:
            client.request("/cgi-bin/test", {})

        assert status == caught.value.status
        assert 1 == len(rsps.calls)


class TestNoAnswer:
    @pytest.mark.parametrize(
        "error, reason, maybe_applied",
        [
            (
                requests.ConnectionError("Connection aborted."),
                "the connection broke before the whole answer had come: "
                "Connection aborted.",
                True,
            ),
            (requests.ReadTimeout("x"), "no answer within 20 s", True),
            (
                requests.ConnectTimeout("x"),
                "no connection to api.weixin.qq.com within 3.05 s",
                False,
            ),
            (
                ConnectionResetError(104, "Connection reset by peer"),
                "the connection broke before the whole answer had come: "
                "Connection reset by peer",
                True,
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_post__reason(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        error: Exception,
        reason: str,
        maybe_applied: bool,
    ) -> None:
        """The reason is for a person; maybe_applied is for the program."""
        rsps.post(PLAIN, body=error)
        with pytest.raises(TransportError) as caught:
            client.request("/cgi-bin/test", {})

        assert "/cgi-bin/test" == caught.value.endpoint
        assert reason == caught.value.reason
        assert maybe_applied is caught.value.maybe_applied

    def test_post__bug_of_a_mock(
        self, rsps: responses.RequestsMock, client: Client
    ) -> None:
        """An error that is none of the network's comes out as it is."""
        rsps.post(PLAIN, body=ZeroDivisionError("a bug"))
        with pytest.raises(ZeroDivisionError, match="a bug"):
            client.request("/cgi-bin/test", {})
