"""No error and no log line holds a token, a secret, an openid or a phone number."""

from __future__ import annotations

import copy
import http.server
import json
import logging
import pickle
import threading
import traceback
from typing import Any, Callable, Iterator
from urllib.parse import quote

import pytest
import requests
import responses
import urllib3.exceptions

from wxlogistics import (
    ApiError,
    Client,
    GoodsDetail,
    GoodsInfo,
    InvalidArgumentError,
    StableToken,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)

TOKEN = "84_q1W2e3R4t5Y6u7I8o9P0-aSdFgHjKlZxCvBnM_qWeRtYuIoP"
OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
PHONE = "13812345678"
SENDER = "13987654321"
WAYBILL_TOKEN = "o_ARWHaxIxzWHmdui-AIw9KBr8qNnbmc08V0KhDyXE-IMLo6AcOqJkPsNLcLzfTb"
SECRET = "c2b1a09f8e7d6c5b4a39281706f5e4d3"

PRIVATE = [TOKEN, OPENID, PHONE, SENDER, WAYBILL_TOKEN, SECRET]

HOST = "https://api.weixin.qq.com"
OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"

#: A URL as requests and urllib3 show it in their errors.
URL = f"{OPEN_MSG}query_trace?access_token={TOKEN}"

GOODS = GoodsInfo([GoodsDetail("围巾", "https://img.example.com/1.jpg")])

#: A call of each method, with everything private that it can hold.
CALLS: dict[str, Callable[[Client], Any]] = {
    "trace_waybill": lambda client: client.trace_waybill(
        openid=OPENID,
        waybill_id="SF1234567890123",
        receiver_phone=PHONE,
        sender_phone=SENDER,
        goods_info=GOODS,
    ),
    "follow_waybill": lambda client: client.follow_waybill(
        openid=OPENID,
        waybill_id="SF1234567890123",
        receiver_phone=PHONE,
        sender_phone=SENDER,
        goods_info=GOODS,
    ),
    "query_trace": lambda client: client.query_trace(WAYBILL_TOKEN, openid=OPENID),
    "query_follow_trace": lambda client: client.query_follow_trace(
        WAYBILL_TOKEN, openid=OPENID, extra={"phones": [PHONE, SENDER]}
    ),
    "update_waybill_goods": lambda client: client.update_waybill_goods(
        WAYBILL_TOKEN, GOODS, openid=OPENID
    ),
    "update_follow_waybill_goods": lambda client: client.update_follow_waybill_goods(
        WAYBILL_TOKEN, GOODS, openid=OPENID
    ),
    "get_delivery_list": lambda client: client.get_delivery_list(),
    "request": lambda client: client.request(
        OPEN_MSG + "request",
        {
            "touser": OPENID,
            "appid": "wx1234567890abcdef",
            "secret": SECRET,
            "buyer": {"mobile": PHONE, "phone_list": [{"number": SENDER}]},
            "authorizer_refresh_token": WAYBILL_TOKEN,
        },
    ),
}

#: What of all that each of them sends.
SENT = {
    "trace_waybill": [TOKEN, OPENID, PHONE, SENDER],
    "follow_waybill": [TOKEN, OPENID, PHONE, SENDER],
    "query_trace": [TOKEN, OPENID, WAYBILL_TOKEN],
    "query_follow_trace": [TOKEN, OPENID, PHONE, SENDER, WAYBILL_TOKEN],
    "update_waybill_goods": [TOKEN, OPENID, WAYBILL_TOKEN],
    "update_follow_waybill_goods": [TOKEN, OPENID, WAYBILL_TOKEN],
    "get_delivery_list": [TOKEN],
    "request": [TOKEN, OPENID, PHONE, SENDER, WAYBILL_TOKEN, SECRET],
}


def chain(error: BaseException) -> Iterator[BaseException]:
    """
    *error* and everything that hangs on it.
    """
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and not any(each is other for other in seen):
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__]


def spoken(error: BaseException) -> str:
    """
    Everything that *error* could tell somebody who logs, shows or sends it.
    """
    texts = []
    for each in chain(error):
        texts += [str(each), repr(each), repr(each.args), repr(vars(each))]
        texts += traceback.format_exception(each)
    if isinstance(error, WxLogisticsError):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            texts.append(pickle.dumps(error, protocol).decode("latin-1"))
        texts.append(repr(copy.deepcopy(error)))
        if isinstance(error, ApiError):
            texts += [str(error.rid), str(error.detail), error.advice]
    return "\n".join(texts)


def private_parts(text: str) -> list[str]:
    return [value for value in PRIVATE if value in text]


@pytest.fixture
def client() -> Client:
    return Client(TOKEN, retries=1, sleep=lambda seconds: None)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """
    Everything that anybody logs.
    """
    caplog.set_level(logging.DEBUG)
    return caplog


class TestChain:
    def test_spoken__finds_what_is_hidden(self) -> None:
        """
        The search itself finds a token in a text, a field, a cause and a context.
        """
        plain = WxLogisticsError("x")
        plain.note = TOKEN  # type: ignore[attr-defined]
        caused = WxLogisticsError("x")
        caused.__cause__ = ValueError(OPENID)
        hidden = WxLogisticsError("x")
        hidden.__context__ = ValueError("x")
        hidden.__context__.__context__ = ValueError(PHONE)
        hidden.__suppress_context__ = True

        assert [TOKEN] == private_parts(spoken(plain))
        assert [OPENID] == private_parts(spoken(caused))
        assert [PHONE] == private_parts(spoken(hidden))
        assert [SECRET] == private_parts(spoken(TransportError("x", SECRET, True)))


def echo_as_page(request: Any, name: str) -> str:
    return f"<html>{request.url} {request.headers} {request.body.decode()}</html>"


def echo_encoded(request: Any, name: str) -> str:
    return f"<html>{quote(request.url)} {quote(request.body)}</html>"


def echo_bare(request: Any, name: str) -> str:
    return f"<html>{' '.join(SENT[name])}</html>"


def echo_as_errmsg(request: Any, name: str) -> str:
    said = f"cannot read {request.body.decode()} of {request.url} rid: 1-2-3"
    return json.dumps({"errcode": 933001, "errmsg": said})


def echo_as_rid(request: Any, name: str) -> str:
    said = f"invalid openid rid: {'-'.join(SENT[name])}"
    return json.dumps({"errcode": 40003, "errmsg": said})


def echo_as_detail(request: Any, name: str) -> str:
    said = f"invalid openid detail: [{SENT[name]}] hint: [{SENT[name]}]"
    return json.dumps({"errcode": 40003, "errmsg": said})


def echo_as_errcode(request: Any, name: str) -> str:
    return json.dumps({"errcode": request.url, "errmsg": request.body.decode()})


def echo_of_another_call(request: Any, name: str) -> str:
    return (
        f"access_token={TOKEN}&secret={SECRET} "
        f'{{"openid": "{OPENID}", "receiver_phone":"{PHONE}", '
        f"'waybill_token': '{WAYBILL_TOKEN}', sender_phone: {SENDER}}}"
    )


@pytest.mark.parametrize("name", CALLS)
class TestAnswers:
    @pytest.mark.parametrize("status", [200, 302, 404, 500, 502])
    @pytest.mark.parametrize(
        "echo",
        [
            echo_as_page,
            echo_encoded,
            echo_bare,
            echo_as_errmsg,
            echo_as_rid,
            echo_as_detail,
            echo_as_errcode,
            echo_of_another_call,
        ],
    )
    def test_error__server_that_echoes(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        log: pytest.LogCaptureFixture,
        name: str,
        status: int,
        echo: Callable[[Any, str], str],
    ) -> None:
        """
        A page or a text that shows what was sent shows it no further.
        """
        rsps.add_callback(
            responses.POST,
            f"{HOST}{OPEN_MSG}{name}",
            lambda request: (status, {"X-Echo": request.url}, echo(request, name)),
        )
        with pytest.raises(WxLogisticsError) as caught:
            CALLS[name](client)

        assert [] == private_parts(spoken(caught.value))
        assert [] == private_parts(log.text)
        assert "wxlogistics" in {record.name for record in log.records}

    def test_error__page_longer_than_its_excerpt(
        self, rsps: responses.RequestsMock, client: Client, name: str
    ) -> None:
        """
        An excerpt that ends in the middle of a token shows no half of it.
        """
        for before in range(150, 200, 7):
            rsps.add_callback(
                responses.POST,
                f"{HOST}{OPEN_MSG}{name}",
                lambda request: (404, {}, "-" * before + request.url + TOKEN + OPENID),
            )
            with pytest.raises(UnexpectedResponseError) as caught:
                CALLS[name](client)
            rsps.remove(responses.POST, f"{HOST}{OPEN_MSG}{name}")

            assert TOKEN[:8] not in caught.value.excerpt
            assert OPENID[:8] not in caught.value.excerpt

    @pytest.mark.parametrize("token", ["a/b+c=d e&f", "令牌令牌令牌", "x%41y?z"])
    def test_error__token_that_needs_encoding(
        self, rsps: responses.RequestsMock, name: str, token: str
    ) -> None:
        """
        A token is hidden as it is and as it stands in the URL.
        """
        rsps.add_callback(
            responses.POST,
            f"{HOST}{OPEN_MSG}{name}",
            lambda request: (404, {}, f"{request.url} said: {token}"),
        )
        with pytest.raises(UnexpectedResponseError) as caught:
            CALLS[name](Client(token))

        said = spoken(caught.value)
        assert token not in said
        assert quote(token, safe="") not in said
        assert caught.value.excerpt.endswith("?access_token=*** said: ***")


def max_retries(reason: Exception) -> urllib3.exceptions.MaxRetryError:
    pool: Any = "HTTPSConnectionPool(host='api.weixin.qq.com', port=443)"
    return urllib3.exceptions.MaxRetryError(pool, URL, reason)


NETWORK_ERRORS = [
    requests.ConnectionError(
        f"HTTPSConnectionPool(host='api.weixin.qq.com', port=443): Max retries "
        f"exceeded with url: {URL} (Caused by NewConnectionError('refused'))"
    ),
    requests.ConnectionError(max_retries(ConnectionRefusedError(111, "refused"))),
    requests.ConnectTimeout(max_retries(TimeoutError(f"timed out: {HOST}{URL}"))),
    requests.ReadTimeout(f"Read timed out: {HOST}{URL}"),
    requests.exceptions.SSLError(max_retries(Exception(f"bad certificate {URL}"))),
    requests.exceptions.ProxyError(max_retries(OSError(f"Tunnel failed for {URL}"))),
    requests.exceptions.ChunkedEncodingError(f"Connection broken: {URL}"),
    requests.exceptions.ContentDecodingError(f"cannot decode {URL}"),
    requests.exceptions.InvalidURL(f"Invalid URL {HOST}{URL}"),
    requests.exceptions.InvalidSchema(f"No connection adapters for {HOST}{URL}"),
    requests.exceptions.InvalidProxyURL(f"Please check proxy URL for {HOST}{URL}"),
    requests.TooManyRedirects(f"Exceeded 30 redirects: {HOST}{URL}"),
    requests.RequestException(f"{OPENID} {PHONE} {SENDER} {WAYBILL_TOKEN} {SECRET}"),
    urllib3.exceptions.ProtocolError(f"Connection aborted: {URL}"),
    urllib3.exceptions.LocationParseError(f"{HOST}{URL}"),
    ConnectionResetError(104, f"reset while sending {HOST}{URL}"),
    ConnectionError(f"{URL} {OPENID} {PHONE} {SENDER} {WAYBILL_TOKEN} {SECRET}"),
    OSError(f"Could not find a suitable TLS CA certificate bundle for {URL}"),
    TimeoutError(f"timed out: {URL}"),
]


@pytest.mark.parametrize("name", CALLS)
class TestNoAnswer:
    @pytest.mark.parametrize(
        "failure", NETWORK_ERRORS, ids=lambda failure: type(failure).__name__
    )
    def test_error__replaced_and_not_chained(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        log: pytest.LogCaptureFixture,
        name: str,
        failure: Exception,
    ) -> None:
        """
        requests' and urllib3's own errors hold the URL, so they stay behind.
        """
        rsps.post(f"{HOST}{OPEN_MSG}{name}", body=failure)
        with pytest.raises((TransportError, UnexpectedResponseError)) as caught:
            CALLS[name](client)

        said = spoken(caught.value) + log.text
        assert [] == [value for value in SENT[name] if value in said]
        assert [caught.value] == list(chain(caught.value))

    def test_error__unmatched_rule(
        self, rsps: responses.RequestsMock, client: Client, name: str
    ) -> None:
        """
        A mock that does not match shows the request; the error does not.
        """
        with pytest.raises(TransportError) as caught:
            CALLS[name](client)

        assert [] == private_parts(spoken(caught.value))


class TestArguments:
    @pytest.mark.parametrize(
        "call",
        [
            lambda client: client.query_trace(WAYBILL_TOKEN.encode()),
            lambda client: client.query_trace([WAYBILL_TOKEN]),
            lambda client: client.query_trace(WAYBILL_TOKEN + "\ud83d"),
            lambda client: client.query_trace("x", openid=OPENID.encode()),
            lambda client: client.query_trace("x", openid={"openid": OPENID}),
            lambda client: client.query_trace("x", extra=[OPENID, PHONE]),
            lambda client: client.query_trace(
                WAYBILL_TOKEN, openid=OPENID, extra={"a": {SECRET, PHONE}}
            ),
            lambda client: client.query_trace(
                WAYBILL_TOKEN, openid=OPENID, extra={"a": f"{PHONE}\udfff"}
            ),
            lambda client: client.trace_waybill(
                openid=OPENID,
                waybill_id="x",
                receiver_phone=int(PHONE),
                goods_info=GOODS,
            ),
            lambda client: client.trace_waybill(
                openid=OPENID,
                waybill_id="x",
                receiver_phone=PHONE,
                goods_info={"receiver_phone": PHONE},
            ),
            lambda client: client.trace_waybill(
                openid=OPENID,
                waybill_id="x",
                receiver_phone=PHONE,
                goods_info=GoodsInfo([PHONE]),
            ),
            lambda client: client.trace_waybill(
                openid=OPENID,
                waybill_id="x",
                receiver_phone=PHONE,
                goods_info=GoodsInfo([GoodsDetail(int(PHONE), OPENID.encode())]),
            ),
            lambda client: client.request(f"/x?access_token={TOKEN}", {}),
            lambda client: client.request(f"{HOST}/x?secret={SECRET}", {}),
            lambda client: client.request("/x", f"secret={SECRET}"),
            lambda client: client.request("/x", {"secret": SECRET.encode()}),
            lambda client: client.request("/x", {"a": {"secret": SECRET, "b": b""}}),
            lambda client: Client(TOKEN.encode()),
            lambda client: Client([TOKEN]),
            lambda client: Client(TOKEN + "\ud83d"),
            lambda client: Client(lambda: TOKEN.encode()).get_delivery_list(),
            lambda client: Client(TOKEN, base_url=f"https://me:{SECRET}@a.example"),
            lambda client: Client(TOKEN, base_url=f"{HOST}?access_token={TOKEN}"),
            lambda client: Client(TOKEN, timeout=SECRET),
            lambda client: GoodsInfo(f"{OPENID} {PHONE}"),
            lambda client: GoodsInfo({OPENID: PHONE}),
        ],
    )
    def test_error__names_the_field_only(
        self, client: Client, call: Callable[[Client], Any]
    ) -> None:
        """
        An argument that cannot be right may still be somebody's openid.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            call(client)

        # The traceback shows this file's lines, which name the values' names only.
        assert [] == private_parts(spoken(caught.value))
        assert [caught.value] == list(chain(caught.value))


class TestShown:
    def test_repr__client_and_its_parts(self, client: Client) -> None:
        """
        A client shown in a traceback or in a debugger shows no token.
        """
        assert [] == private_parts(repr(client))
        assert [] == private_parts(str(client))

    @pytest.mark.parametrize("name", CALLS)
    def test_variables__of_a_traceback(
        self, rsps: responses.RequestsMock, client: Client, name: str
    ) -> None:
        """
        What records each frame's variables finds no access token in them.
        """
        rsps.post(
            f"{HOST}{OPEN_MSG}{name}", json={"errcode": 48001, "errmsg": "no rid: 1-2"}
        )
        with pytest.raises(ApiError) as caught:
            CALLS[name](client)
        shown = traceback.TracebackException.from_exception(
            caught.value, capture_locals=True
        )
        variables = "".join(shown.format())

        assert TOKEN not in variables
        assert (
            f"call = <call of {name if name != 'request' else OPEN_MSG + name}>"
            in variables
        )

    def test_variables__of_a_token_fetch(self, rsps: responses.RequestsMock) -> None:
        """
        Nor an AppSecret, where the token is fetched.
        """
        rsps.post(
            f"{HOST}/cgi-bin/stable_token", json={"errcode": 40013, "errmsg": "no"}
        )
        provider = StableToken("wx1", SECRET)
        with pytest.raises(ApiError) as caught:
            provider.get()
        shown = traceback.TracebackException.from_exception(
            caught.value, capture_locals=True
        )
        variables = "".join(shown.format())

        assert SECRET not in variables
        assert "call = <call of stable_token>" in variables

    def test_failure__of_a_test(self, pytester: pytest.Pytester) -> None:
        """
        pytest shows the arguments of the last function: it is the test's own line.
        """
        pytester.makepyfile(f"""
            from wxlogistics import Client, StableToken
            from wxlogistics.sandbox import Sandbox

            class Secrets:
                token = {TOKEN!r}
                secret = {SECRET!r}
                phone = {int(PHONE)}

            def test_refused():
                with Sandbox().mock():
                    Client(Secrets.token).query_trace("x")

            def test_no_token():
                with Sandbox().mock():
                    Client(StableToken("wx1", Secrets.secret)).query_trace("x")

            def test_argument():
                Client(Secrets.token).trace_waybill(
                    openid="o", waybill_id="w", receiver_phone=Secrets.phone,
                    goods_info=None,
                )

            def test_json():
                Client(Secrets.token).query_trace("x", extra={{"a": {{Secrets.phone}}}})
            """)
        ran = pytester.runpytest_subprocess()
        ran.assert_outcomes(failed=4)
        shown = ran.stdout.str()
        _, _, failures = shown.partition("FAILURES")

        assert '>           Client(Secrets.token).query_trace("x")' in shown
        assert "receiver_phone: is of type int; give a str" in shown
        assert [] == private_parts(failures)


#: What WeChat or somebody on the way says, and what is shown of it.
PERSONAL = {
    "电话\uff1a13900139000": "电话\uff1a***",
    "phone 139 0013 9000.": "phone ***.",
    "phone 139-0013-9000.": "phone ***.",
    "+8613900139000": "+8613900139000",
    "0571-88888888": "***",
    "openid ovtZW4yB7DIj3CxOb6ii-nk4HhFo": "openid ***",
    "to ovtZW4yB7DIj3CxOb6ii-nk4HhFo.": "to ***.",
    "SF13900139000 and 97813900139000": "SF13900139000 and 97813900139000",
    "rid: 66557522-13900139-00735e87": "rid: 66557522-13900139-00735e87",
}


class TestPersonal:
    """
    Somebody's number or openid is hidden though the call did not hold it.
    """

    @pytest.mark.parametrize("said, shown", PERSONAL.items())
    def test_errmsg__of_another(
        self, rsps: responses.RequestsMock, client: Client, said: str, shown: str
    ) -> None:
        """
        A courier's, say, in WeChat's text.
        """
        rsps.post(
            f"{HOST}{OPEN_MSG}query_trace", json={"errcode": 40003, "errmsg": said}
        )
        with pytest.raises(ApiError) as caught:
            client.query_trace("x")

        assert shown == caught.value.errmsg

    @pytest.mark.parametrize("said, shown", PERSONAL.items())
    @pytest.mark.parametrize("status", [200, 500])
    def test_excerpt__of_another(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        said: str,
        shown: str,
        status: int,
    ) -> None:
        """
        Or in an answer that breaks off.
        """
        body = '{"action_msg":"%s"'
        rsps.post(
            f"{HOST}{OPEN_MSG}query_trace", body=(body % said).encode(), status=status
        )
        with pytest.raises(UnexpectedResponseError) as caught:
            client.query_trace("x")

        assert body % shown == caught.value.excerpt

    def test_field__that_is_an_openid(self, client: Client) -> None:
        """
        A key that could be anything is not named.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            client.request("/x", {OPENID: object()})

        assert "extra" == caught.value.field


class TestStillReadable:
    """
    Hiding stops where nothing is to hide, or nobody could read WeChat's texts.
    """

    @pytest.mark.parametrize(
        "errmsg",
        [
            "invalid openid detail: [openid错误] rid: 634bb0cb-6dc8b467-065d137e",
            "invalid credential, access_token is invalid or not latest, could get "
            "access_token by getStableAccessToken, more details at "
            "https://mmbizurl.cn/s/JtxxFh33r rid: 654df33c-64386a2f-29857782",
            "invalid token, can't decryption or decryption result is different from "
            "the plaintext detail: [waybill_token参数错误] rid: "
            "61e2813f-1aded077-0adf79d4",
            "access_token missing rid: 5f9a0b1c-2d3e4f50-61728394",
            "appsecret missing rid: 65b38743-6a944608-679bfd15",
            "refresh_token is invalid rid: 6351110b-3677a1ed-080b10ce",
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: "
            "68231586-663e56da-1e04e5eb",
        ],
    )
    @pytest.mark.parametrize("name", CALLS)
    def test_errmsg__of_wechat(
        self, rsps: responses.RequestsMock, client: Client, name: str, errmsg: str
    ) -> None:
        """
        WeChat's own texts speak of tokens and openids, and hold none.
        """
        rsps.post(f"{HOST}{OPEN_MSG}{name}", json={"errcode": 933001, "errmsg": errmsg})
        with pytest.raises(ApiError) as caught:
            CALLS[name](client)

        assert errmsg == caught.value.errmsg

    def test_errmsg__values_of_a_unit_test(self, rsps: responses.RequestsMock) -> None:
        """
        Somebody's test may call a thing by its name.
        """
        errmsg = "invalid openid, access_token and token rid: 1-2-3"
        rsps.post(
            f"{HOST}{OPEN_MSG}query_trace", json={"errcode": 40003, "errmsg": errmsg}
        )
        with pytest.raises(ApiError) as caught:
            Client("access_token").query_trace("token", openid="openid")

        assert errmsg == caught.value.errmsg

    def test_excerpt__of_a_page(
        self, rsps: responses.RequestsMock, client: Client
    ) -> None:
        """
        What stands around a token is still there.
        """
        rsps.add_callback(
            responses.POST,
            f"{HOST}{OPEN_MSG}query_trace",
            lambda request: (404, {}, f"<p>No {request.url} here.</p>"),
        )
        with pytest.raises(UnexpectedResponseError) as caught:
            client.query_trace("x")

        assert (
            f"<p>No {HOST}{OPEN_MSG}query_trace?access_token=*** here.</p>"
            == caught.value.excerpt
        )


class TestLog:
    def test_debug__one_line_for_an_attempt(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """
        Endpoint, outcome, rid and milliseconds, and nothing else.
        """
        url = f"{HOST}{OPEN_MSG}query_trace"
        rsps.post(url, json={"errcode": -1, "errmsg": "system error rid: 1-2-3"})
        rsps.post(url, json={"errcode": 0, "errmsg": "ok"})
        seconds = iter(range(1000))
        client = Client(
            TOKEN, sleep=lambda seconds: None, clock=lambda: float(next(seconds))
        )
        client.query_trace("x")

        first, second = (
            record for record in log.records if record.name == "wxlogistics"
        )
        assert logging.DEBUG == first.levelno == second.levelno
        assert first.getMessage().startswith("query_trace: errcode -1, rid 1-2-3, ")
        assert second.getMessage().startswith("query_trace: ok, rid None, ")
        assert first.getMessage().endswith("000 ms")

    @pytest.mark.parametrize(
        "answer, line",
        [
            ({"body": requests.ReadTimeout()}, "query_trace: no answer within 20 s, "),
            ({"status": 502}, "query_trace: HTTP 502 from a gateway, "),
            ({"status": 404}, "query_trace: not WeChat's answer, "),
            (
                {"body": requests.ConnectTimeout()},
                "query_trace: no connection to api.weixin.qq.com within 3.05 s, ",
            ),
        ],
    )
    def test_debug__what_went_wrong(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        log: pytest.LogCaptureFixture,
        answer: dict[str, Any],
        line: str,
    ) -> None:
        """
        A line says what came instead of an answer.
        """
        rsps.post(f"{HOST}{OPEN_MSG}query_trace", **answer)
        with pytest.raises(WxLogisticsError):
            client.query_trace("x")

        lines = [
            record.getMessage()
            for record in log.records
            if record.name == "wxlogistics"
        ]
        assert {line + "rid None"} == {each.rpartition(", ")[0] for each in lines}

    def test_info__silent(
        self,
        rsps: responses.RequestsMock,
        client: Client,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """
        Who does not ask for DEBUG is left in peace, whatever happens.
        """
        caplog.set_level(logging.INFO)
        rsps.post(f"{HOST}{OPEN_MSG}query_trace", status=502)
        with pytest.raises(WxLogisticsError):
            client.query_trace("x")

        assert [] == caplog.records

    def test_debug__bad_argument(
        self, client: Client, log: pytest.LogCaptureFixture
    ) -> None:
        """
        Nothing was sent, so there is nothing to tell.
        """
        with pytest.raises(InvalidArgumentError):
            client.query_trace("")

        assert [] == log.records


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        page = f"<html>{self.path} {body.decode()}</html>".encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args: object) -> None:
        pass


class TestSocket:
    @pytest.fixture
    def url(self) -> Iterator[str]:
        """
        A server on this machine that answers 404 with what it was sent.
        """
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    @pytest.mark.parametrize("name", CALLS)
    def test_debug__everybodys_lines(
        self, url: str, log: pytest.LogCaptureFixture, name: str
    ) -> None:
        """
        urllib3 logs each request line at DEBUG, but without the token.
        """
        with Client(TOKEN, base_url=url) as client:
            with pytest.raises(UnexpectedResponseError) as caught:
                CALLS[name](client)

        assert [] == private_parts(spoken(caught.value))
        assert [] == private_parts(log.text)
        assert "access_token=*** HTTP/1" in log.text
        assert {"urllib3.connectionpool", "wxlogistics"} <= {
            record.name for record in log.records
        }

    def test_error__nobody_listens(self, log: pytest.LogCaptureFixture) -> None:
        """
        A refused connection is told with the host, but without the path.
        """
        client = Client(TOKEN, base_url="http://127.0.0.1:1", retries=0)
        with pytest.raises(TransportError) as caught:
            client.query_trace(WAYBILL_TOKEN, openid=OPENID)

        assert [] == private_parts(spoken(caught.value) + log.text)
        assert "no connection to 127.0.0.1:1: Connection refused" == caught.value.reason
