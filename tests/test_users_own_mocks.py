"""A user's unit tests, written with `responses` as people write them.

And a user's session: what requests would do with it, the client does.
"""

from __future__ import annotations

import http.server
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import vcr
from clients import make_client
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import HTTPDigestAuth
from responses import matchers
from vcr.errors import CannotOverwriteExistingCassetteException

from wxlogistics import (
    Client,
    GoodsDetail,
    GoodsInfo,
    TransportError,
    UnexpectedResponseError,
    WaybillNotFoundError,
    WaybillStatus,
)

OPEN_MSG = "https://api.weixin.qq.com/cgi-bin/express/delivery/open_msg/"

TRACE = {"errcode": 0, "waybill_info": {"status": 4}}
GOODS = GoodsInfo([GoodsDetail("羊毛围巾", "https://img.example.com/1.jpg")])


class TestResponses:
    @responses.activate
    def test_trace_waybill__matched_by_query_and_body(self) -> None:
        """The two matchers that people use see the token and the JSON."""
        responses.post(
            OPEN_MSG + "trace_waybill",
            json={"errcode": 0, "errmsg": "ok", "waybill_token": "the-token"},
            match=[
                matchers.query_param_matcher({"access_token": "ACCESS_TOKEN"}),
                matchers.json_params_matcher(
                    {
                        "openid": "ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
                        "waybill_id": "SF1234567890123",
                        "receiver_phone": "13800138000",
                        "goods_info": {
                            "detail_list": [
                                {
                                    "goods_name": "羊毛围巾",
                                    "goods_img_url": "https://img.example.com/1.jpg",
                                }
                            ]
                        },
                    }
                ),
            ],
        )

        client = Client("ACCESS_TOKEN")
        waybill_token = client.trace_waybill(
            openid="ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
            waybill_id="SF1234567890123",
            receiver_phone="13800138000",
            goods_info=GOODS,
        )

        assert "the-token" == waybill_token

    @responses.activate
    def test_query_trace__what_was_sent(self) -> None:
        """The calls that responses keeps hold URL, headers and body."""
        responses.post(OPEN_MSG + "query_trace", json={"waybill_info": {"status": 4}})

        trace = Client("ACCESS_TOKEN").query_trace("the-token")

        assert WaybillStatus.SIGNED is trace.status
        assert 1 == len(responses.calls)
        request = responses.calls[0].request
        assert "POST" == request.method
        assert f"{OPEN_MSG}query_trace?access_token=ACCESS_TOKEN" == request.url
        assert {"access_token": "ACCESS_TOKEN"} == request.params
        assert "application/json" == request.headers["Content-Type"]
        assert b'{"waybill_token":"the-token"}' == request.body
        assert {"waybill_token": "the-token"} == json.loads(request.body)
        assert responses.assert_call_count(request.url, 1)

    @responses.activate
    def test_query_trace__url_with_the_token(self) -> None:
        """The token may stand in the mock's URL as well."""
        responses.post(OPEN_MSG + "query_trace?access_token=ACCESS_TOKEN", json=TRACE)

        assert Client("ACCESS_TOKEN").query_trace("the-token").status == 4

    @responses.activate
    def test_query_trace__header_matcher(self) -> None:
        """A mock may insist on a header."""
        responses.post(
            OPEN_MSG + "query_trace",
            json=TRACE,
            match=[matchers.header_matcher({"Content-Type": "application/json"})],
        )

        assert Client("ACCESS_TOKEN").query_trace("the-token").status == 4

    @responses.activate
    def test_query_trace__a_callback(self) -> None:
        """A mock may compute its answer from the request."""

        def answer(request: Any) -> tuple[int, dict[str, str], str]:
            token = json.loads(request.body)["waybill_token"]
            return (
                200,
                {},
                json.dumps({"waybill_info": {"status": 4, "waybill_id": token}}),
            )

        responses.add_callback(responses.POST, OPEN_MSG + "query_trace", answer)

        assert "abc" == Client("ACCESS_TOKEN").query_trace("abc").waybill_id

    @responses.activate
    def test_query_trace__one_answer_after_the_other(self) -> None:
        """The parcel moves between two calls."""
        for status in (2, 4):
            responses.post(
                OPEN_MSG + "query_trace", json={"waybill_info": {"status": status}}
            )
        client = Client("ACCESS_TOKEN")

        assert WaybillStatus.IN_TRANSIT is client.query_trace("the-token").status
        assert WaybillStatus.SIGNED is client.query_trace("the-token").status

    @responses.activate
    def test_query_trace__a_refusal(self) -> None:
        """An errcode raises its exception."""
        responses.post(
            OPEN_MSG + "query_trace",
            json={
                "errcode": 931023,
                "errmsg": "waybill not exist detail: [运单不存在] rid: 1-2-3",
            },
        )

        with pytest.raises(WaybillNotFoundError) as caught:
            Client("ACCESS_TOKEN").query_trace("the-token")

        assert 931023 == caught.value.errcode
        assert "运单不存在" == caught.value.detail

    @pytest.mark.parametrize(
        "error",
        [
            requests.ConnectionError(),
            requests.ReadTimeout(),
            requests.exceptions.ChunkedEncodingError(),
            requests.RequestException(),
            ConnectionError(),
            ConnectionResetError(),
            TimeoutError(),
        ],
        ids=lambda error: type(error).__qualname__,
    )
    @responses.activate
    def test_update_waybill_goods__no_answer(self, error: Exception) -> None:
        """A bare error as body stands for a call that may have arrived."""
        responses.post(OPEN_MSG + "update_waybill_goods", body=error)

        with pytest.raises(TransportError) as caught:
            Client("ACCESS_TOKEN").update_waybill_goods("the-token", GOODS)

        assert caught.value.maybe_applied is True
        assert 1 == len(responses.calls)

    @responses.activate
    def test_update_waybill_goods__no_connection(self) -> None:
        """A connect timeout says that nothing was sent, so it is tried again."""
        responses.post(
            OPEN_MSG + "update_waybill_goods", body=requests.ConnectTimeout()
        )
        responses.post(OPEN_MSG + "update_waybill_goods", json=TRACE)
        client = make_client("ACCESS_TOKEN", sleep=lambda seconds: None)

        assert client.update_waybill_goods("the-token", GOODS) is None

    @responses.activate
    def test_query_trace__no_answer_then_one(self) -> None:
        """A query is sent again; its pauses go where the test says."""
        responses.post(OPEN_MSG + "query_trace", body=requests.ReadTimeout())
        responses.post(OPEN_MSG + "query_trace", body=ConnectionError())
        responses.post(OPEN_MSG + "query_trace", json=TRACE)
        pauses: list[float] = []
        client = make_client("ACCESS_TOKEN", sleep=pauses.append, random=lambda: 0.5)

        assert client.query_trace("the-token").status == 4
        assert [0.25, 0.5] == pauses

    @responses.activate
    def test_query_trace__no_rule(self) -> None:
        """A test that forgot its mock is told so, in a word of responses'."""
        with pytest.raises(TransportError) as caught:
            Client("ACCESS_TOKEN", retries=0).query_trace("the-token")

        assert "Connection refused by Responses" in caught.value.reason
        assert "doesn't match any registered mock" in str(caught.value)

    @responses.activate
    def test_query_trace__no_rule_that_matches(self) -> None:
        """A rule for another body does not answer this one."""
        responses.post(
            OPEN_MSG + "query_trace",
            json=TRACE,
            match=[matchers.json_params_matcher({"waybill_token": "another"})],
        )

        with pytest.raises(TransportError) as caught:
            Client("ACCESS_TOKEN", retries=0).query_trace("the-token")

        assert "doesn't match any registered mock" in caught.value.reason

    @responses.activate
    def test_query_trace__a_page(self) -> None:
        """A proxy's page is easily mocked."""
        responses.post(OPEN_MSG + "query_trace", body="<html>", status=407)

        with pytest.raises(UnexpectedResponseError) as caught:
            Client("ACCESS_TOKEN").query_trace("the-token")

        assert 407 == caught.value.status

    def test_query_trace__requests_mock_of_their_own(self) -> None:
        """A RequestsMock in a block asserts that its rules were used."""
        with responses.RequestsMock(assert_all_requests_are_fired=True) as rsps:
            rule = rsps.post(OPEN_MSG + "query_trace", json=TRACE)
            Client("ACCESS_TOKEN").query_trace("the-token")

            assert 1 == rule.call_count

    @responses.activate
    def test_query_trace__through_their_session(self) -> None:
        """Mocks answer a session of the caller's too."""
        responses.post(OPEN_MSG + "query_trace", json=TRACE)
        with requests.Session() as session:
            client = Client("ACCESS_TOKEN", session=session)

            assert client.query_trace("the-token").status == 4


class TestOtherMocks:
    def test_send__patched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A response made by hand has no raw part."""
        made = requests.Response()
        made.status_code = 200
        made._content = b'{"waybill_info": {"status": 4}}'
        monkeypatch.setattr(requests.Session, "send", lambda *_, **__: made)

        for _ in range(2):
            assert Client("ACCESS_TOKEN").query_trace("x").status == 4

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_vcrpy__plays_and_lets_nothing_out(
        self, tmp_path: Path, scheme: str
    ) -> None:
        """
        vcrpy, which stands in for urllib3's connections, answers instead of WeChat.
        """
        url = f"{scheme}://wechat.invalid"
        path = "/cgi-bin/express/delivery/open_msg/query_trace"
        cassette = tmp_path / "cassette.yaml"
        cassette.write_text(
            json.dumps(
                {
                    "version": 1,
                    "interactions": [
                        {
                            "request": {
                                "method": "POST",
                                "uri": f"{url}{path}",
                                "headers": {},
                                "body": "",
                            },
                            "response": {
                                "status": {"code": 200, "message": "OK"},
                                "headers": {"Content-Length": ["31"]},
                                "body": {"string": '{"waybill_info": {"status": 4}}'},
                            },
                        }
                    ],
                }
            )
        )
        recorder = vcr.VCR(record_mode="none", filter_query_parameters=["access_token"])
        client = Client("ACCESS_TOKEN", base_url=url)
        with recorder.use_cassette(str(cassette)) as played:
            assert client.query_trace("x").status == 4
            assert 1 == played.play_count
            with pytest.raises(CannotOverwriteExistingCassetteException):
                client.get_delivery_list()


class Answering(BaseAdapter):
    """A transport of the user's: keeps what it is asked to send, and says ok."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []

    def send(self, request: Any, **options: Any) -> requests.Response:
        self.requests.append(request)
        self.options.append(options)
        response = requests.Response()
        response.status_code = 200
        response.request = request
        response.raw = io.BytesIO(b'{"errcode":0,"waybill_info":{"status":4}}')
        return response

    def close(self) -> None:
        pass


class TestSession:
    @pytest.fixture
    def adapter(self) -> Answering:
        return Answering()

    @pytest.fixture
    def session(self, adapter: Answering) -> requests.Session:
        session = requests.Session()
        session.mount("https://", adapter)
        return session

    def test_adapters__mounted(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """An adapter mounted on the session carries the call."""
        client = Client("ACCESS_TOKEN", session=session)

        assert WaybillStatus.SIGNED is client.query_trace("the-token").status
        assert (
            f"{OPEN_MSG}query_trace?access_token=ACCESS_TOKEN"
            == adapter.requests[0].url
        )

    def test_adapters__mounted_for_one_host(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """requests chooses the adapter whose prefix fits best."""
        special = Answering()
        session.mount("https://api2.weixin.qq.com", special)
        Client(
            "ACCESS_TOKEN", session=session, base_url="https://api2.weixin.qq.com"
        ).query_trace("the-token")

        assert (0, 1) == (len(adapter.requests), len(special.requests))

    def test_headers__of_the_session(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """The session's headers go out; that the body is JSON stays true."""
        session.headers.update(
            {"User-Agent": "shop/1.0", "X-Trace": "42", "Content-Type": "text/plain"}
        )
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        sent = adapter.requests[0].headers
        assert "shop/1.0" == sent["User-Agent"]
        assert "42" == sent["X-Trace"]
        assert "application/json" == sent["Content-Type"]
        assert "29" == sent["Content-Length"]

    def test_headers__unchanged_by_a_call(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """The client leaves nothing on the caller's session."""
        before = dict(session.headers)
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert before == dict(session.headers)
        assert {"response": []} == session.hooks
        assert 0 == len(session.cookies)

    def test_auth__of_the_session(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """A gateway in front of WeChat may ask for a password."""
        session.auth = ("shop", "pass")
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert "Basic c2hvcDpwYXNz" == adapter.requests[0].headers["Authorization"]

    def test_auth__sees_each_request(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """An auth that signs the body signs each one."""

        def sign(request: Any) -> Any:
            request.headers["X-Signature"] = str(len(request.body))
            return request

        session.auth = sign
        client = Client("ACCESS_TOKEN", session=session)
        client.query_trace("the-token")
        client.query_trace("another-token")

        assert ["29", "33"] == [
            request.headers["X-Signature"] for request in adapter.requests
        ]

    def test_auth__that_hooks_itself_in(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """A hook that an auth gives to one request is not the next one's too."""
        seen: list[int] = []

        def watch(request: Any) -> Any:
            number = len(adapter.requests) + 1
            request.register_hook("response", lambda *_, **__: seen.append(number))
            return request

        session.auth = watch
        client = Client("ACCESS_TOKEN", session=session)
        for _ in range(3):
            client.query_trace("the-token")

        assert [1, 2, 3] == seen

    def test_auth__digest(self) -> None:
        """Digest, which answers a 401 by sending the request again, does."""
        asked: list[str] = []

        class Server(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                said = self.headers.get("Authorization", "")
                asked.append(said.partition(" ")[0])
                self.send_response(200 if said else 401)
                if not said:
                    challenge = 'Digest realm="shop", nonce="1", qop="auth"'
                    self.send_header("WWW-Authenticate", challenge)
                body = json.dumps(TRACE).encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with requests.Session() as session:
                session.auth = HTTPDigestAuth("shop", "pass")
                url = f"http://127.0.0.1:{server.server_port}"
                Client("TOKEN", base_url=url, session=session).query_trace("x")
            server.shutdown()

        assert ["", "Digest"] == asked

    @pytest.mark.parametrize("hooks", [{}, {"response": []}, {"response": None}])
    def test_hooks__none(
        self, session: requests.Session, adapter: Answering, hooks: Any
    ) -> None:
        """A session without hooks may say so as it likes."""
        session.hooks = hooks
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert 1 == len(adapter.requests)

    def test_hooks__one_function(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """As requests takes it, a hook need not stand in a list."""
        seen: list[int] = []
        session.hooks = {
            "response": lambda response, **options: seen.append(response.status_code)
        }
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert [200] == seen

    def test_hooks__of_the_session(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """A response hook sees each answer."""
        seen: list[int] = []
        session.hooks["response"].append(
            lambda response, **options: seen.append(response.status_code)
        )
        client = Client("ACCESS_TOKEN", session=session)
        client.query_trace("the-token")
        client.query_trace("the-token")

        assert [200, 200] == seen

    def test_cookies__of_the_session(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """A cookie that a load balancer wants goes out."""
        session.cookies.set("route", "a", domain="api.weixin.qq.com")
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert "route=a" == adapter.requests[0].headers["Cookie"]

    def test_settings__tls_and_proxies(
        self, session: requests.Session, adapter: Answering
    ) -> None:
        """Certificates and proxies are the session's."""
        session.verify = "/etc/ssl/shop.pem"
        session.cert = ("/etc/ssl/client.pem", "/etc/ssl/client.key")
        session.proxies["https"] = "http://proxy.example:3128"
        Client("ACCESS_TOKEN", session=session, timeout=5).query_trace("the-token")

        assert {
            "verify": "/etc/ssl/shop.pem",
            "cert": ("/etc/ssl/client.pem", "/etc/ssl/client.key"),
            "proxies": {"https": "http://proxy.example:3128"},
            "stream": True,
            "timeout": (5.0, 5.0),
        } == {**adapter.options[0], "proxies": dict(adapter.options[0]["proxies"])}

    @pytest.mark.parametrize(
        "trust_env, proxy", [(True, "http://proxy.example:3128"), (False, None)]
    )
    def test_settings__of_the_surroundings(
        self,
        session: requests.Session,
        adapter: Answering,
        monkeypatch: pytest.MonkeyPatch,
        trust_env: bool,
        proxy: str | None,
    ) -> None:
        """The session decides whether the environment has a say."""
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
        session.trust_env = trust_env
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert proxy == adapter.options[0]["proxies"].get("https")

    def test_settings__a_bundle_of_the_surroundings(
        self,
        session: requests.Session,
        adapter: Answering,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A company's own certificates are found where requests finds them."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/company.pem")
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert "/etc/ssl/company.pem" == adapter.options[0]["verify"]

    def test_adapters__error_of_their_own(self, session: requests.Session) -> None:
        """An adapter's failure becomes one of this library's."""

        class Failing(Answering):
            def send(self, request: Any, **options: Any) -> Any:
                raise requests.ConnectionError("the tunnel is shut")

        session.mount("https://", Failing())
        with pytest.raises(TransportError, match="the tunnel is shut"):
            Client("ACCESS_TOKEN", session=session, retries=0).query_trace("the-token")

    @responses.activate
    def test_adapters__with_retries(self) -> None:
        """urllib3's Retry on the user's own adapter does no harm."""
        responses.post(OPEN_MSG + "query_trace", json=TRACE)
        with requests.Session() as session:
            session.mount("https://", HTTPAdapter(max_retries=3))
            client = Client("ACCESS_TOKEN", session=session)

            assert client.query_trace("the-token").status == 4
