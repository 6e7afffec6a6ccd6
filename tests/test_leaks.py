"""No error and no log line holds a token, a secret, an openid or a phone number."""

import json
import logging
from typing import Any, Callable
from urllib.parse import quote

import pytest
import requests
import responses
import urllib3.exceptions
from chaos import ChaosServer, repeat_the_request
from clients import make_client
from private import (
    CALLS,
    HOST,
    OPEN_MSG,
    OPENID,
    PHONE,
    QUERY_URL,
    REQUIRED,
    SECRET,
    SENDER,
    SENT,
    TOKEN,
    WAYBILL_TOKEN,
    chain,
    private_parts,
    spoken,
)
from pytest import LogCaptureFixture

from wxlogistics import (
    ApiError,
    Client,
    GoodsDetail,
    GoodsInfo,
    InvalidArgumentError,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)

#: A URL as requests and urllib3 show it in their errors.
URL = f"{OPEN_MSG}query_trace?access_token={TOKEN}"


@pytest.fixture
def client() -> Client:
    return make_client(TOKEN, retries=1)


@pytest.fixture
def log(caplog: LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


#: Answers that repeat a request, as pages and as WeChat's refusals.
ECHOES: dict[str, Callable[[Any, tuple[str, ...]], Any]] = {
    "page": lambda request, sent: f"<html>{request.url} {request.body.decode()}</html>",
    "page, the URL encoded": lambda request, sent: f"<html>{quote(request.url)}</html>",
    "page of the values": lambda request, sent: f"<html>{' '.join(sent)}</html>",
    "errmsg": lambda request, sent: {
        "errcode": 933001,
        "errmsg": f"cannot read {request.body.decode()} of {request.url} rid: 1-2-3",
    },
    "rid": lambda request, sent: {
        "errcode": 40003,
        "errmsg": f"invalid openid rid: {'-'.join(sent)}",
    },
    "detail and hint": lambda request, sent: {
        "errcode": 40003,
        "errmsg": f"invalid openid detail: [{sent}] hint: [{sent}]",
    },
    "errcode": lambda request, sent: {"errcode": request.url, "errmsg": str(sent)},
}


class TestAnswers:
    @pytest.mark.parametrize(
        "name, echo",
        dict.fromkeys(
            [*((name, "errmsg") for name in CALLS), *(("request", e) for e in ECHOES)]
        ),
    )
    def test_error__answer_repeats_the_request(self, rsps, client, log, name, echo):
        def answer(request: Any) -> tuple[int, dict[str, str], str]:
            said = ECHOES[echo](request, SENT[name])
            status = 404 if isinstance(said, str) else 200
            return status, {"X-Echo": request.url}, json.dumps(said)

        rsps.add_callback(responses.POST, f"{HOST}{OPEN_MSG}{name}", answer)
        with pytest.raises(WxLogisticsError) as caught:
            CALLS[name](client)

        assert [] == private_parts(spoken(caught.value) + log.text)
        assert "wxlogistics" in {record.name for record in log.records}

    def test_excerpt__cut_within_a_value(self, rsps, client):
        for before in range(100, 200, 7):
            page = "-" * before + TOKEN + OPENID + WAYBILL_TOKEN
            rsps.post(QUERY_URL, body=page, status=404)
            with pytest.raises(UnexpectedResponseError) as caught:
                CALLS["query_trace"](client)
            rsps.remove(responses.POST, QUERY_URL)
            shown = caught.value.excerpt.lstrip("-")

            assert "" == shown.replace("***", "").strip("*")

    @pytest.mark.parametrize("token", ["a/b+c=d e&f", "令牌令牌令牌", "x%41y?z"])
    def test_token__that_needs_encoding(self, rsps, token):
        rsps.add_callback(
            responses.POST,
            QUERY_URL,
            lambda request: (404, {}, f"<p>{request.url} said: {token}</p>"),
        )
        with pytest.raises(UnexpectedResponseError) as caught:
            Client(token).query_trace("x")

        assert f"<p>{QUERY_URL}?access_token=*** said: ***</p>" == caught.value.excerpt
        assert token not in spoken(caught.value)
        assert quote(token, safe="") not in spoken(caught.value)

    @pytest.mark.parametrize(
        "errmsg",
        [
            "invalid openid detail: [openid错误] rid: 634bb0cb-6dc8b467-065d137e",
            "invalid credential, access_token is invalid or not latest, could get "
            "access_token by getStableAccessToken, more details at "
            "https://mmbizurl.cn/s/JtxxFh33r rid: 654df33c-64386a2f-29857782",
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: "
            "68231586-663e56da-1e04e5eb",
            "courier 139 0013 9000, another's openid ovtZW4yB7DIj3CxOb6ii-nk4HhFO",
        ],
    )
    def test_errmsg__other_values_stay(self, rsps, client, errmsg):
        rsps.post(QUERY_URL, json={"errcode": 933001, "errmsg": errmsg})
        with pytest.raises(ApiError) as caught:
            CALLS["query_trace"](client)

        assert errmsg == caught.value.errmsg

    def test_errmsg__private_from_4_characters(self, rsps, client):
        """Values of 4 characters or more under private keys are replaced, no others."""
        errmsg = "1234 567 SF1000001"
        rsps.post(f"{HOST}/x", json={"errcode": 933001, "errmsg": errmsg})
        with pytest.raises(ApiError) as caught:
            client.request("/x", {"openid": "1234", "phone": "567", "id": "SF1000001"})

        assert "*** 567 SF1000001" == caught.value.errmsg


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


class TestNoAnswer:
    @pytest.mark.parametrize(
        "failure", NETWORK_ERRORS, ids=lambda failure: type(failure).__name__
    )
    def test_error__replaced_and_not_chained(self, rsps, client, log, failure):
        """The errors of requests and urllib3 hold the URL."""
        rsps.post(f"{HOST}{OPEN_MSG}request", body=failure)
        with pytest.raises((TransportError, UnexpectedResponseError)) as caught:
            CALLS["request"](client)

        assert [] == private_parts(spoken(caught.value) + log.text)
        assert all(isinstance(each, WxLogisticsError) for each in chain(caught.value))

    @pytest.mark.parametrize("name", CALLS)
    def test_log__urllib3_without_token(self, log, name):
        with ChaosServer(then=repeat_the_request) as server:
            with pytest.raises(UnexpectedResponseError) as caught:
                CALLS[name](make_client(TOKEN, base_url=server.url))

        assert [] == private_parts(spoken(caught.value) + log.text)
        assert "access_token=*** HTTP/1" in log.text


def registered(client: Client, **arguments: Any) -> str:
    return client.trace_waybill(**REQUIRED["trace_waybill"] | arguments)


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
            lambda client: registered(client, receiver_phone=int(PHONE)),
            lambda client: registered(client, goods_info={"receiver_phone": PHONE}),
            lambda client: registered(client, goods_info=GoodsInfo([PHONE])),
            lambda client: registered(
                client, goods_info=GoodsInfo([GoodsDetail(int(PHONE), OPENID.encode())])
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
    def test_error__names_the_field_only(self, client, call):
        """A wrong argument may still be an openid."""
        with pytest.raises(InvalidArgumentError) as caught:
            call(client)

        # The traceback shows this file's lines, which name the values' names only.
        assert [] == private_parts(spoken(caught.value))
        assert [caught.value] == list(chain(caught.value))


@pytest.mark.once
class TestShown:
    def test_failure__shown_by_pytest(self, pytester):
        """
        pytest prints the arguments of the last function: it must be the test's
        own line.
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


class TestLog:
    @pytest.mark.parametrize(
        ("level", "waybill_token"),
        [(logging.INFO, "x"), (logging.DEBUG, "")],
        ids=["INFO", "nothing sent"],
    )
    def test_log__nothing_above_debug_or_unsent(
        self, client, caplog, level, waybill_token
    ):
        caplog.set_level(level)
        with responses.RequestsMock(assert_all_requests_are_fired=False) as rsps:
            rsps.post(QUERY_URL, status=502)
            with pytest.raises(WxLogisticsError):
                client.query_trace(waybill_token)

        assert [] == caplog.records
