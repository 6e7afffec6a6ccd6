"""What goes over the wire in between: encodings, strange answers, other people's."""

import gzip
import json
import zlib
from typing import Any, Callable, Iterator

import chaos
import pytest
import requests
from chaos import ChaosServer
from private import HOST, OPEN_MSG, QUERY_URL
from responses import RequestsMock

from wxlogistics import (
    ApiError,
    Client,
    GoodsDetail,
    GoodsInfo,
    TransportError,
    UnexpectedResponseError,
    WaybillNotFoundError,
    WaybillStatus,
)

PLAIN = f"{HOST}/cgi-bin/test"

REPLY = '{"errcode":0,"delivery_info":{"delivery_name":"顺丰"}}'.encode()

MEBIBYTE = 1024 * 1024

Answered = Callable[..., dict[str, Any]]


@pytest.fixture
def answered(rsps: RequestsMock, client: Client) -> Answered:
    """Answers a call by path and returns the reply."""

    def answered(body: bytes | str | Exception, **options: Any) -> dict[str, Any]:
        rsps.post(PLAIN, body=body, **options)
        return client.request("/cgi-bin/test", {})

    return answered


class TestRequest:
    def test_body__utf8_without_escapes(self, rsps, client):
        """WeChat shows or refuses escapes."""
        rsps.post(f"{HOST}{OPEN_MSG}update_waybill_goods", json={})
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
    def test_url__token_encoded(self, rsps, token, query):
        rsps.post(f"{HOST}/a%2Fb/~c", json={})
        Client(token).request("/a%2Fb/~c", {})

        assert f"{HOST}/a%2Fb/~c?{query}" == rsps.calls[0].request.url
        assert {"access_token": token} == rsps.calls[0].request.params


class TestReplies:
    @pytest.mark.parametrize(
        "body, options",
        [
            *(
                (REPLY, {"content_type": content_type})
                for content_type in [
                    *("application/json; encoding=utf-8", "application/json"),
                    *("text/plain", "text/plain; charset=iso-8859-1"),
                    "text/html; charset=gbk",
                    *("application/json; charset=no-such-charset", "", None),
                ]
            ),
            (b"\xef\xbb\xbf" + REPLY, {}),
            (b" \r\n" + REPLY + b"\n", {}),
            (gzip.compress(REPLY), {"headers": {"Content-Encoding": "gzip"}}),
            (zlib.compress(REPLY), {"headers": {"Content-Encoding": "deflate"}}),
            (REPLY, {"headers": {"Transfer-Encoding": "chunked"}}),
            *((REPLY, {"status": status}) for status in [200, 201, 202, 299]),
        ],
    )
    def test_reply__utf8_whatever_the_headers(self, answered, body, options):
        expected = {"errcode": 0, "delivery_info": {"delivery_name": "顺丰"}}

        assert expected == answered(body, **options)

    @pytest.mark.parametrize(
        "body, expected",
        [
            # Couriers' texts hold raw line ends, tabs and worse.
            ('{"a":"签收\n\t\x00\x1f谢谢"}'.encode(), {"a": "签收\n\t\x00\x1f谢谢"}),
            (rb'{"a":"\u987a\u4e30\ud83d\udce6"}', {"a": "顺丰📦"}),
            # A missing errcode is success; a string counts as its number.
            (b"{}", {}),
            (b'{"errcode":"0"}', {"errcode": "0"}),
            (b'{"errcode":null}', {"errcode": None}),
            (b'{"errcode":0.0}', {"errcode": 0.0}),
            (b'{"errmsg":"ok"}', {"errmsg": "ok"}),
            (
                b'{"b":-Infinity,"c":1e999,"d":1}',
                {"b": float("-inf"), "c": float("inf"), "d": 1},
            ),
        ],
    )
    def test_reply__lenient(self, answered, body, expected):
        assert expected == answered(body)

    def test_reply__five_mib(self, answered):
        assert {} == answered(b"{}".ljust(5 * MEBIBYTE))

    def test_reply__huge_number(self, rsps, client):
        rsps.post(QUERY_URL, body=b'{"waybill_info":{"status":' + b"9" * 300 + b"}}")

        assert WaybillStatus(10**300 - 1) == client.query_trace("x").status


class TestErrcode:
    @pytest.mark.parametrize(
        "fields, error, errcode, errmsg",
        [
            # WeChat once sent the errcode as a string.
            ('931023,"errmsg":"no"', WaybillNotFoundError, 931023, "no"),
            ('"931023","errmsg":"no"', WaybillNotFoundError, 931023, "no"),
            ('931023.0,"errmsg":"no"', WaybillNotFoundError, 931023, "no"),
            # With or without a text; an unknown one is an ApiError.
            ("933001", ApiError, 933001, ""),
            ('933001,"errmsg":""', ApiError, 933001, ""),
            ('933001,"errmsg":null', ApiError, 933001, ""),
            ('933001,"errmsg":["x"]', ApiError, 933001, ""),
            ('933001,"errmsg":5', ApiError, 933001, "5"),
        ],
    )
    def test_reply__refusal(self, answered, fields, error, errcode, errmsg):
        with pytest.raises(ApiError) as caught:
            answered(f'{{"errcode":{fields}}}')

        assert error is type(caught.value)
        assert (errcode, errmsg) == (caught.value.errcode, caught.value.errmsg)

    def test_errmsg__cut(self, answered):
        with pytest.raises(ApiError) as caught:
            answered(json.dumps({"errcode": 933001, "errmsg": "x" * 1001}))

        assert "x" * 1000 == caught.value.errmsg


#: Bodies of status 200 that are no reply, why not, and how their excerpts begin.
STRANGE: list[tuple[bytes, str, str | None]] = [
    *(
        (body, "no JSON object", body.decode())
        for body in [
            *(b"<html>It works!</html>", b"", b"   ", b"[]", b'[{"errcode":0}]'),
            *(b"null", b"0", b'"ok"', b"true", b'{"errcode":0,"waybill_in'),
            *(b'{"errcode":0} trailing', b"{'errcode':0}", b"\x00\x00"),
        ]
    ),
    (b'{"a":"\xcb\xb3\xb7\xe1"}', "no JSON object", '{"a":"\u02f3\ufffd\ufffd"}'),
    (b'{"a":"\xe9\xa1', "no JSON object", '{"a":"\ufffd'),
    ('{"errcode":0}'.encode("utf-16"), "no JSON object", None),
    # Python refuses to read a number of so many digits, which takes long.
    (b'{"errcode":0,"a":' + b"9" * 100_000 + b"}", "no JSON object", None),
    (b"<html>" + b"x" * 100_000, "no JSON object", "<html>" + "x" * 194),
    *(
        (b'{"errcode":%s}' % value, "an errcode that is not a number", None)
        for value in [b'"x"', b'""', b"true", b"false", b"[]", b"{}", b"1.5", b"NaN"]
        + [b"Infinity"]
    ),
]


class TestStrangeAnswers:
    @pytest.mark.parametrize(
        "body, reason, excerpt", STRANGE, ids=lambda value: repr(value)[:30]
    )
    def test_reply__strange(self, answered, body, reason, excerpt):
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(body)

        assert UnexpectedResponseError is type(caught.value)
        assert ("/cgi-bin/test", 200, reason) == (
            caught.value.endpoint,
            caught.value.status,
            caught.value.reason,
        )
        if excerpt is not None:
            assert excerpt == caught.value.excerpt

    @pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
    def test_reply__too_large(self, answered, packed):
        body = b'{"a":"'.ljust(5 * MEBIBYTE + 1, b"x")
        headers = {"Content-Encoding": "gzip"} if packed else {}
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(gzip.compress(body, 1) if packed else body, headers=headers)

        assert caught.value.reason.endswith("more than 5 MiB")
        assert '{"a":"' + "x" * 194 == caught.value.excerpt

    @pytest.mark.parametrize(
        "status, body, reason",
        [
            # WeChat refuses with status 200; any other is not from WeChat, and final.
            *(
                (status, b'{"errcode":0}', "not WeChat's answer")
                for status in [300, 301, 302, 307, 308, 400, 401, 404, 412, 413, 429]
                + [500, 501]
            ),
            # These statuses have no body.
            (204, b"", "no JSON object"),
            (304, b"", "not WeChat's answer"),
        ],
    )
    def test_reply__status(self, answered, pauses, status, body, reason):
        with pytest.raises(UnexpectedResponseError) as caught:
            answered(body, status=status)

        assert (status, reason) == (caught.value.status, caught.value.reason)
        assert body.decode() == caught.value.excerpt
        assert [] == pauses


BROKEN = "the connection broke before the whole answer had come"


class TestNoAnswer:
    @pytest.mark.parametrize(
        "body, options, reason, maybe_applied",
        [
            (
                requests.ConnectionError("Connection aborted."),
                {},
                f"{BROKEN}: Connection aborted.",
                True,
            ),
            (requests.ReadTimeout("x"), {}, "no answer within 20 s", True),
            (
                requests.ConnectTimeout("x"),
                {},
                "no connection to api.weixin.qq.com within 3.05 s",
                False,
            ),
            (
                ConnectionResetError(104, "Connection reset by peer"),
                {},
                f"{BROKEN}: Connection reset by peer",
                True,
            ),
            (REPLY, {"headers": {"Content-Length": "1000"}}, BROKEN, True),
            *(
                ("<html>", {"status": code}, f"HTTP {code} from a gateway", True)
                for code in [502, 503, 504]
            ),
        ],
    )
    def test_post__no_answer(self, answered, body, options, reason, maybe_applied):
        with pytest.raises(TransportError) as caught:
            answered(body, **options)

        assert "/cgi-bin/test" == caught.value.endpoint
        assert reason == caught.value.reason
        assert maybe_applied is caught.value.maybe_applied

    def test_post__other_error(self, answered):
        with pytest.raises(ZeroDivisionError, match="a bug"):
            answered(ZeroDivisionError("a bug"))

    def test_reason__cut(self, answered):
        with pytest.raises(TransportError) as caught:
            answered(requests.ConnectionError("x" * 10_000))

        assert 10_000 == len(caught.value.reason)


class TestFastPath:
    """What a call leaves out to be fast, and what tracers still find."""

    @pytest.fixture
    def client(self, server: ChaosServer) -> Iterator[Client]:
        with Client("TOKEN", base_url=server.url) as client:
            yield client

    def test_proxies__looked_up_once(self, client, monkeypatch):
        asked: list[str] = []

        def look_up(url: str, **options: Any) -> dict[str, str]:
            asked.append(url)
            return {}

        monkeypatch.setattr(requests.sessions, "get_environ_proxies", look_up)
        for _ in range(3):
            client.get_delivery_list()

        assert 1 == len(asked)

    def test_response__as_tracers_see_it(self, client, server, monkeypatch):
        seen: list[requests.Response] = []
        send = requests.Session.send

        def traced(*args: Any, **kwargs: Any) -> requests.Response:
            seen.append(send(*args, **kwargs))
            return seen[-1]

        monkeypatch.setattr(requests.Session, "send", traced)
        client.query_trace("a-token")
        response = seen[0]

        assert (200, "Some", True) == (
            response.status_code,
            response.reason,
            response.ok,
        )
        assert response.headers["content-LENGTH"] == response.headers["Content-Length"]
        assert response.url == response.request.url
        assert f"{server.url}/" == response.url[: len(server.url) + 1]
        assert 11 == response.raw.version
        assert 0 < response.elapsed.total_seconds()
        assert [] == list(response.cookies)
        assert isinstance(response.connection, requests.adapters.HTTPAdapter)

    def test_response__read_by_a_tracer(self, client, monkeypatch):
        seen: list[bytes] = []
        send = requests.Session.send

        def traced(*args: Any, **kwargs: Any) -> requests.Response:
            response = send(*args, **kwargs)
            seen.append(response.content)
            return response

        monkeypatch.setattr(requests.Session, "send", traced)

        assert "a-token" == client.query_trace("a-token").waybill_id
        assert b"a-token" in seen[0]

    @pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 100_000])
    @pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
    def test_body__of_any_size(self, client, server, size, packed):
        body = json.dumps({"errcode": 0, "text": "x" * size}).encode()
        server.script(
            then=chaos.encoded(gzip.compress(body)) if packed else chaos.reply(body)
        )
        replies = [client.request("/cgi-bin/other", {}) for _ in range(2)]

        assert ["x" * size] * 2 == [reply["text"] for reply in replies]
        assert 1 == server.connections
