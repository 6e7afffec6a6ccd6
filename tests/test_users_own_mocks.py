"""A user's unit tests, written with `responses` as people write them.

And a user's session: what requests would do with it, the client does.
"""

import io
import json
from typing import Any

import chaos
import pytest
import requests
import responses
from chaos import ChaosServer
from private import GOODS, HOST, OPEN_MSG, QUERY_URL
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import HTTPDigestAuth
from responses import matchers

from wxlogistics import (
    Client,
    TransportError,
    UnexpectedResponseError,
    WaybillStatus,
)

TRACE = {"errcode": 0, "waybill_info": {"status": 4}}


class TestResponses:
    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    @responses.activate
    def test_query_trace__matched(self, own):
        rule = responses.post(
            QUERY_URL,
            json=TRACE,
            match=[
                matchers.query_param_matcher({"access_token": "ACCESS_TOKEN"}),
                matchers.json_params_matcher({"waybill_token": "the-token"}),
                matchers.header_matcher({"Content-Type": "application/json"}),
            ],
        )
        with requests.Session() as session:
            # urllib3's Retry on the user's own adapter does no harm.
            session.mount("https://", HTTPAdapter(max_retries=3))
            client = Client("ACCESS_TOKEN", session=None if own else session)

            assert WaybillStatus.SIGNED is client.query_trace("the-token").status
        assert 1 == rule.call_count

    @responses.activate
    def test_query_trace__callback(self):
        def answer(request: Any) -> tuple[int, dict[str, str], str]:
            token = json.loads(request.body)["waybill_token"]
            info = {"status": 4, "waybill_id": token}
            return 200, {}, json.dumps({"waybill_info": info})

        url = f"{QUERY_URL}?access_token=ACCESS_TOKEN"
        responses.add_callback(responses.POST, url, answer)

        assert "abc" == Client("ACCESS_TOKEN").query_trace("abc").waybill_id

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
    def test_update_waybill_goods__no_answer(self, error):
        responses.post(f"{HOST}{OPEN_MSG}update_waybill_goods", body=error)
        with pytest.raises(TransportError) as caught:
            Client("ACCESS_TOKEN").update_waybill_goods("the-token", GOODS)

        assert caught.value.maybe_applied is True
        assert 1 == len(responses.calls)

    def test_send__patched(self, monkeypatch):
        made = requests.Response()
        made.status_code = 200
        made._content = b'{"waybill_info": {"status": 4}}'
        monkeypatch.setattr(requests.Session, "send", lambda *_, **__: made)

        for _ in range(2):
            assert Client("ACCESS_TOKEN").query_trace("x").status == 4

    def test_send__patched_without_content(self, monkeypatch):
        made = requests.Response()
        made.status_code = 500
        monkeypatch.setattr(requests.Session, "send", lambda *_, **__: made)
        with pytest.raises(UnexpectedResponseError) as caught:
            Client("ACCESS_TOKEN").query_trace("x")

        assert (500, "") == (caught.value.status, caught.value.excerpt)


class Answering(BaseAdapter):
    """A user's transport adapter: keeps each request, and answers ok."""

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
        response.raw = io.BytesIO(json.dumps(TRACE).encode())
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

    def test_headers__of_the_session(self, session, adapter):
        session.headers.update({"User-Agent": "shop/1.0", "Content-Type": "text/plain"})
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        assert {
            "User-Agent": "shop/1.0",
            "Content-Type": "application/json",
            "Content-Length": "29",
        }.items() <= dict(adapter.requests[0].headers).items()

    def test_auth__registers_a_hook(self, session, adapter):
        """The hook must stay with its request."""
        seen: list[str] = []

        def watch(request: Any) -> Any:
            name = f"{len(adapter.requests)} {len(request.body)}"
            request.register_hook("response", lambda *_, **__: seen.append(name))
            return request

        session.auth = watch
        client = Client("ACCESS_TOKEN", session=session)
        for token in ("the-token", "another-token"):
            client.query_trace(token)

        assert ["0 29", "1 33"] == seen

    def test_auth__digest(self):
        challenge = 'WWW-Authenticate: Digest realm="shop", nonce="1", qop="auth"'
        with ChaosServer(chaos.status(401, b"", challenge)) as server:
            with requests.Session() as session:
                session.auth = HTTPDigestAuth("shop", "pass")
                client = Client("TOKEN", base_url=server.url, session=session)
                assert "x" == client.query_trace("x").waybill_id

        sent = [each.headers.get("authorization", "") for each in server.requests]
        assert ["", "Digest"] == [value.partition(" ")[0] for value in sent]

    @pytest.mark.parametrize(
        "hooks, calls",
        [
            (lambda hook: None, 0),
            (lambda hook: {}, 0),
            (lambda hook: {"response": None}, 0),
            (lambda hook: {"response": []}, 0),
            # As requests takes it, a hook need not stand in a list.
            (lambda hook: {"response": hook}, 2),
            (lambda hook: {"response": [hook]}, 2),
        ],
    )
    def test_hooks__in_any_form(self, session, hooks, calls):
        seen: list[int] = []
        session.hooks = hooks(lambda response, **_: seen.append(response.status_code))
        client = Client("ACCESS_TOKEN", session=session)
        client.query_trace("the-token")
        client.query_trace("the-token")

        assert [200] * calls == seen

    def test_settings__of_the_session(self, session, adapter):
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

    @pytest.mark.parametrize("trust_env", [True, False])
    def test_settings__trust_env(self, session, adapter, monkeypatch, trust_env):
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/company.pem")
        session.trust_env = trust_env
        Client("ACCESS_TOKEN", session=session).query_trace("the-token")

        expected = ("http://proxy.example:3128", "/etc/ssl/company.pem")
        assert (expected if trust_env else (None, True)) == (
            adapter.options[0]["proxies"].get("https"),
            adapter.options[0]["verify"],
        )
