"""Libraries that stand in for parts of requests, of the clock or of the network.

With each of them the client does what plain requests does.
"""

import contextlib
import copy
import io
import json
import logging
import socket
import ssl
import threading
import traceback
from typing import Any, Callable, Iterator

import chaos
import pytest
import requests
import responses
import rich.console
import rich.traceback
import vcr
from chaos import ChaosServer, answer, close_after_request, closed_port, raw
from private import APPID, HOST, OPENID, PHONE, QUERY_URL, SECRET, TOKEN
from programs import needed
from responses import matchers
from toolbox import TokenWeChat, installed, query, run_python
from vcr.errors import CannotOverwriteExistingCassetteException

from wxlogistics import (
    ApiError,
    AuthorizerToken,
    Client,
    InvalidArgumentError,
    StableToken,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)


# vcrpy drops warm connections without closing them.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestVCR:
    def test_cassette__warm_connection(self, tmp_path):
        recorder = vcr.VCR(record_mode=vcr.mode.NONE)
        with ChaosServer() as server, Client("TOKEN", base_url=server.url) as client:
            query(client)
            with recorder.use_cassette(str(tmp_path / "empty.yaml")):
                with pytest.raises(CannotOverwriteExistingCassetteException):
                    query(client)

        assert 1 == len(server.requests)

    def test_cassette__recorded_and_played(self, tmp_path):
        cassette = str(tmp_path / "query.yaml")
        with ChaosServer() as server, Client("TOKEN", base_url=server.url) as client:
            query(client)
            with vcr.VCR().use_cassette(cassette):
                assert "A" == query(client, "A")
            with vcr.VCR(record_mode=vcr.mode.NONE).use_cassette(cassette):
                assert "A" == query(client, "A")
            assert "B" == query(client, "B")

        assert 3 == len(server.requests)


class TestResponses:
    @responses.activate
    def test_no_match__shows_the_reasons(self):
        match = [
            matchers.query_param_matcher({"access_token": "OTHER"}),
            matchers.json_params_matcher({"waybill_token": "W", "openid": "another"}),
        ]
        responses.post(QUERY_URL, json={}, match=match)
        responses.post(f"{HOST}/other", json={})
        with pytest.raises(TransportError) as caught:
            Client(TOKEN, retries=0).query_trace("W", openid=OPENID)

        text = str(caught.value)
        assert "Connection refused by Responses - the call doesn't match" in text
        assert QUERY_URL in text
        assert f"POST {HOST}/other URL does not match" in text
        assert "Parameters do not match" in text or "request.body doesn't match" in text
        assert TOKEN not in text and OPENID not in text

    @pytest.mark.parametrize(
        "body, said",
        [
            (ssl.SSLCertVerificationError(1, "x"), "verify failed: x"),
            (ssl.SSLError("x"), "answer had come: x"),
            (ssl.SSLError(), "answer had come"),
            (OSError(), "answer had come"),
            (ConnectionError("x"), "answer had come: x"),
            (requests.exceptions.SSLError(), "answer had come"),
            (requests.exceptions.ProxyError("x"), "answer had come: x"),
            (requests.ConnectionError(ssl.SSLCertVerificationError("x")), "failed: x"),
        ],
        ids=repr,
    )
    @responses.activate
    def test_error__made_by_hand(self, body, said):
        """The real errors have attributes that these lack."""
        responses.post(QUERY_URL, body=body)
        with pytest.raises(TransportError) as caught:
            query(Client(TOKEN, retries=0))

        assert caught.value.reason.endswith(said)
        assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.once
class TestRequestsMock:
    def test_no_match__raises(self):
        """The error of requests-mock is not one of requests."""
        needed("requests_mock", "requests-mock")
        import requests_mock

        with requests_mock.Mocker(), pytest.raises(Exception) as caught:
            Client("TOKEN", retries=0).query_trace("W", openid=OPENID)

        assert isinstance(caught.value, (requests_mock.NoMockAddress, TransportError))
        assert f"No mock address: POST {QUERY_URL}?access_token=" in str(caught.value)

    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_match__after_the_first_call(self, own):
        needed("requests_mock", "requests-mock")
        import requests_mock

        found = {"waybill_info": {"status": 4, "waybill_id": "SF"}}
        replies: list[dict[str, Any]] = [
            {"json": found},
            {"status_code": 502},
            {"exc": requests.exceptions.ReadTimeout},
            {"exc": requests.exceptions.ConnectTimeout},
        ]
        with ChaosServer() as server, requests.Session() as session:
            client = Client(
                TOKEN, base_url=server.url, retries=0, session=None if own else session
            )
            query(client)
            with requests_mock.Mocker() as mocker:
                mocker.post(requests_mock.ANY, replies)
                assert "SF" == query(client)
                for maybe_applied in (True, True, False):
                    with pytest.raises(TransportError) as caught:
                        query(client)
                    assert maybe_applied is caught.value.maybe_applied
            assert "W" == query(client)
            client.close()


@pytest.mark.once
class TestRequestsCache:
    @pytest.mark.parametrize("backend", ["memory", "sqlite"])
    def test_session__second_call_from_the_cache(self, backend, tmp_path):
        needed("requests_cache", "requests-cache")
        import requests_cache

        session = requests_cache.CachedSession(
            str(tmp_path / "cache"), backend=backend, allowable_methods=["GET", "POST"]
        )
        with ChaosServer() as server, contextlib.closing(session):
            client = Client("TOKEN", base_url=server.url, session=session)
            carriers = [client.get_delivery_list() for _ in range(3)]
            found = [query(client, name) for name in "ABAB"]
            session.close()

        assert [carriers[0]] * 3 == carriers != [()] * 3
        assert list("ABAB") == found
        assert 3 == len(server.requests)


@pytest.fixture
def dns_server() -> Iterator[int]:
    """A name server that answers 127.0.0.1 to every question; its port."""
    needed("dns", "dnspython")
    import dns.message
    import dns.rrset

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, peer = sock.recvfrom(4096)
                if not data:
                    return
                asked = dns.message.from_wire(data)
                reply = dns.message.make_response(asked)
                if asked.question[0].rdtype == 1:
                    name = asked.question[0].name
                    address = dns.rrset.from_text(name, 60, "IN", "A", "127.0.0.1")
                    reply.answer.append(address)
                sock.sendto(reply.to_wire(), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield sock.getsockname()[1]
        sock.sendto(b"", sock.getsockname())
        thread.join()


class TestResolvers:
    @pytest.mark.once
    def test_dnspython__override_system_resolver(self, dns_server):
        import dns.resolver

        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], dns_server
        with ChaosServer() as server:
            hosts = f"http://wechat.test:{server.port}", server.url
            dns.resolver.override_system_resolver(resolver)
            try:
                got = [query(Client("TOKEN", base_url=host)) for host in hosts]
            finally:
                dns.resolver.restore_system_resolver()

        assert ["W", "W"] == got


@contextlib.contextmanager
def frozen() -> Iterator[Callable[[float], object]]:
    needed("freezegun")
    import freezegun

    with freezegun.freeze_time("2026-05-20 12:00:00") as clock:
        yield clock.tick


@contextlib.contextmanager
def travelled() -> Iterator[Callable[[float], object]]:
    needed("time_machine", "time-machine")
    import time_machine

    with time_machine.travel("2026-05-20 12:00:00Z", tick=False) as clock:
        yield clock.shift


@pytest.mark.once
@pytest.mark.parametrize("clock", [frozen, travelled])
@pytest.mark.parametrize("made", ["before", "within"])
class TestClocks:
    def test_token__ends_as_the_clock_says(self, clock, made):
        with TokenWeChat() as server, contextlib.ExitStack() as stack:
            if made == "within":
                move = stack.enter_context(clock())
            client = Client(StableToken(APPID, SECRET), base_url=server.url)
            if made == "before":
                move = stack.enter_context(clock())
            counts = []
            for seconds in (0, 3600, 3600, 1):
                move(float(seconds))
                assert "W" == query(client)
                counts.append(len(server.fetches))

        assert [1, 1, 2, 2] == counts

    def test_call__repeated(self, clock, made):
        with ChaosServer(close_after_request, answer) as server, clock():
            client = Client("TOKEN", base_url=server.url, deadline=5)

            assert "W" == query(client)


@pytest.mark.once
class TestOtherVersions:
    """In environments of their own, which need PyPI."""

    def test_urllib3_future__works(self, tmp_path):
        python = installed(
            tmp_path / "venv", "requests attrs", "urllib3-future", "niquests"
        )
        script = """
import json, sys, urllib3
from concurrent.futures import ThreadPoolExecutor
from wxlogistics import Client, TransportError
client = Client("TOKEN", base_url=sys.argv[1], retries=1)
def query(name):
    return client.query_trace(str(name)).waybill_id
got = [query(name) for name in "ABC"]
with ThreadPoolExecutor(4) as pool:
    got += pool.map(query, "DEFG")
try:
    Client("TOKEN", base_url=sys.argv[2], retries=0).get_delivery_list()
except TransportError as error:
    got.append(error.maybe_applied)
print(json.dumps([urllib3.__version__, *got]))
"""
        with ChaosServer(answer, close_after_request) as server:
            with closed_port() as nowhere:
                printed = run_python(script, server.url, nowhere, python=python)

        version, *got = json.loads(printed)
        assert int(version.split(".")[2]) >= 900
        assert [*"ABCDEFG", False] == got

    def test_socks__proxy_is_down(self, tmp_path):
        python = installed(tmp_path / "venv", "requests[socks] attrs")
        with closed_port() as nowhere:
            address = nowhere.removeprefix("http://")
            proxy = f"socks5h://user:pass-word@{address}"
            reason = run_python(SOCKS, python=python, ALL_PROXY=proxy)

        assert address in reason
        assert "pass-word" not in reason


SOCKS = """
from wxlogistics import Client, TransportError
try:
    Client("TOKEN", base_url="http://wechat.invalid", retries=0).get_delivery_list()
except TransportError as error:
    assert not error.maybe_applied
    print(error)
"""


class TestSOCKS:
    def test_pysocks__missing(self):
        script = "import sys; sys.modules['socks'] = None" + SOCKS
        reason = run_python(script, ALL_PROXY="socks5://127.0.0.1:1")

        assert "Missing dependencies for SOCKS support" in reason


REFRESH = "refreshtoken@@@c2b1a09f8e7d6c5b4a39281706f5e4d3"
COMPONENT = "61_component_access_token_qWeRtYuIoPaSdFgHjKl"
PRIVATE = (TOKEN, SECRET, REFRESH, COMPONENT, OPENID, PHONE, "TOKEN-1")


def holders(server: TokenWeChat) -> dict[str, Any]:
    """Objects that hold something private, each after a call."""
    stable = StableToken(APPID, SECRET)
    authorizer = AuthorizerToken(APPID, COMPONENT, "wx1", REFRESH)
    with Client(stable, base_url=server.url) as client:
        query(client)
    return {
        "StableToken": stable,
        "AuthorizerToken": authorizer,
        "Client with a str": Client(TOKEN),
        "Client with a StableToken": client,
        "Client with an AuthorizerToken": Client(authorizer),
    }


def errors() -> dict[str, Exception]:
    """An error of each kind whose call and answer held all that is private."""
    echo = f"{TOKEN} {OPENID} {PHONE}"
    answers = {
        ApiError: raw(chaos.whole(json.dumps({"errcode": 7, "errmsg": echo}).encode())),
        UnexpectedResponseError: chaos.repeat_the_request,
        TransportError: close_after_request,
    }
    found: dict[str, Exception] = {}
    for kind, fault in answers.items():
        with ChaosServer(then=fault) as server, pytest.raises(kind) as caught:
            client = Client(TOKEN, base_url=server.url, retries=0)
            client.query_trace("W", openid=OPENID, extra={"phone": PHONE})
        found[kind.__name__] = caught.value
    with pytest.raises(InvalidArgumentError) as refused:
        StableToken(APPID, SECRET + "\n")
    return found | {"InvalidArgumentError": refused.value}


# No path of an installation is broken in two.
WIDE = 500


def shown(*objects: Any) -> str:
    console = rich.console.Console(file=io.StringIO(), width=WIDE, record=True)
    console.print(*objects)
    return console.export_text()


REFUSAL = chaos.reply({"errcode": 40013, "errmsg": "invalid appid"})


class TestRich:
    def test_print__nothing_private(self):
        """rich.print reads the fields of attrs classes."""
        with TokenWeChat() as server:
            objects = holders(server) | errors()
        seen = {name: shown(each, [each]) for name, each in objects.items()}
        seen |= {f"vars of {name}": repr(each) for name, each in objects.items()}

        assert {} == {
            name: text
            for name, text in seen.items()
            if any(value in text for value in PRIVATE)
        }
        assert APPID in seen["StableToken"]

    @pytest.mark.parametrize(
        "provider, most, beyond",
        [
            (TOKEN, 0, REFUSAL),
            *(
                (provider, *row)
                for provider in (
                    StableToken(APPID, SECRET),
                    AuthorizerToken(APPID, COMPONENT, "wx1", REFRESH),
                )
                for row in [
                    # How many fetches of a token succeed, and how the next ends.
                    (0, close_after_request),
                    (0, REFUSAL),
                    (1, REFUSAL),
                    (1000, REFUSAL),
                ]
            ),
        ],
    )
    def test_traceback__nothing_private(self, provider, most, beyond):
        """rich.traceback prints the objects of each frame."""
        with TokenWeChat(lambda token: True, most=most, beyond=beyond) as server:
            token = copy.copy(provider)
            seen = self.traceback(Client(token, base_url=server.url, retries=0))

        assert [] == [value for value in PRIVATE if value in seen]
        assert "in get_delivery_list" in seen

    def traceback(self, client: Client) -> str:
        try:
            client.get_delivery_list()
        except WxLogisticsError as error:
            found = rich.traceback.Traceback.from_exception(
                type(error), error, error.__traceback__, width=WIDE, show_locals=True
            )
            return shown(found)
        return ""


class TestWarningsOfUrllib3:
    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_failed_to_parse_headers__no_token(self, own, caplog):
        caplog.set_level(logging.DEBUG)
        with ChaosServer(chaos.garbage_head_lines) as server:
            with requests.Session() as session:
                client = Client(
                    TOKEN, base_url=server.url, session=None if own else session
                )
                query(client)
                client.close()
        seen = [
            logging.Formatter().format(record) + repr(vars(record))
            for record in caplog.records
        ]

        assert any("Failed to parse headers" in text for text in seen)
        assert [] == [text for text in seen if TOKEN in text]
