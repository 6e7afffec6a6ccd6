"""Connections that died, answers left in them, and sessions that change."""

import contextlib
import socket
import sys
import threading
import time
import warnings
from typing import Any, Callable, Iterator

import chaos
import pytest
import requests
import trustme
from chaos import ChaosServer, answer, head
from private import GOODS
from requests.adapters import HTTPAdapter
from servers import outcome
from toolbox import in_threads, query, together, trickled

from wxlogistics import (
    Client,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)

THREADS = 16

both = pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])


def made(server: ChaosServer, own: bool = True, **settings: Any) -> Client:
    """Return a client of *server*, with its own session or with a caller's."""
    session = None if own else requests.Session()
    if session:
        session.mount("http://", HTTPAdapter(pool_maxsize=2 * THREADS))
    return Client("TOKEN", base_url=server.url, session=session, **settings)


def forgetful(fault: chaos.Fault) -> chaos.Fault:
    """Play a NAT that has forgotten the first connections: *fault* meets those."""

    def nat(peer: chaos.Peer, request: chaos.Request) -> None:
        (fault if peer.number <= THREADS else answer)(peer, request)

    return nat


@contextlib.contextmanager
def forgotten(
    fault: chaos.Fault = chaos.reset_after_request, own: bool = True, **settings: Any
) -> Iterator[tuple[ChaosServer, Client]]:
    """Yield a server and its client, whose idle connections a NAT has forgotten."""
    with ChaosServer(then=together(THREADS)) as server:
        client = made(server, own, **settings)
        in_threads(THREADS, lambda number: query(client))
        assert THREADS == server.connections
        server.script(then=forgetful(fault))
        yield server, client
        client.close()


class TestNAT:
    @both
    @pytest.mark.parametrize(
        "fault", [chaos.reset_after_request, chaos.silence], ids=["RST", "silence"]
    )
    def test_query__second_attempt_by_a_new_connection(self, fault, own):
        with forgotten(fault, own, timeout=(5, 1)) as (server, client):
            found = [query(client, name) for name in "ABCDE"]
            client.update_waybill_goods("F", GOODS)
            used = [request.connection for request in server.requests[THREADS:]]

        new = [number for number in used if number > THREADS]
        assert list("ABCDE") == found
        assert 6 == len(new)
        if own:
            assert 1 == len(used) - len(new)
            assert 1 == len(set(new))

    def test_update__may_have_been_applied(self):
        with forgotten() as (server, client):
            with pytest.raises(TransportError) as caught:
                client.update_waybill_goods("A", GOODS)
            client.update_waybill_goods("B", GOODS)

        assert caught.value.maybe_applied
        assert THREADS + 2 == len(server.requests)

    def test_idle__all_dropped_after_one_broke(self):
        with forgotten(retries=0) as (server, client):
            with pytest.raises(TransportError):
                query(client)
            server.then = together(THREADS)
            names = list(map(str, range(THREADS)))
            assert names == in_threads(THREADS, lambda number: query(client, number))

        assert 2 * THREADS == server.connections

    def test_threads__all_connections_dead(self):
        with forgotten() as (server, client):
            names = list(map(str, range(THREADS)))
            assert names == in_threads(THREADS, lambda number: query(client, number))

    @pytest.mark.parametrize("seconds, connections", [(50, [1, 1]), (61, [1, 2])])
    def test_idle__for_a_minute(self, seconds, connections, monkeypatch):
        real = time.monotonic
        with ChaosServer() as server, made(server) as client:
            query(client)
            monkeypatch.setattr(time, "monotonic", lambda: real() + seconds)
            query(client)

        assert connections == [request.connection for request in server.requests]


class TestHandshakes:
    def test_first_calls__one_handshake_per_thread(self, monkeypatch):
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        with authority.cert_pem.tempfile() as pem:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", pem)
            with ChaosServer(certificate=certificate) as server:
                client = made(server)
                for _ in range(5):
                    server.then = together(THREADS)
                    in_threads(THREADS, lambda number: query(client))
                client.close()

        assert THREADS == server.connections
        assert 5 * THREADS == len(server.requests)

    def test_first_calls__race(self):
        """No connection is lost with a second session."""
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ChaosServer() as server:
                for _ in range(20):
                    before = server.connections
                    server.script(then=together(THREADS))
                    client = made(server)
                    barrier = threading.Barrier(THREADS)

                    def work(number: int) -> None:
                        barrier.wait()
                        query(client)

                    in_threads(THREADS, work)
                    in_threads(THREADS, work)
                    assert THREADS == server.connections - before
                    client.close()
        finally:
            sys.setswitchinterval(interval)

    @pytest.mark.parametrize(
        "call",
        [query, lambda client: client.update_waybill_goods("W", GOODS)],
        ids=["query", "update"],
    )
    def test_hang_up__next_host(self, call, monkeypatch):
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        with authority.cert_pem.tempfile() as pem:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", pem)
            good = ChaosServer(certificate=certificate)
            with ChaosServer(then=hang_up) as bad, good:
                hosts = [bad.url.replace("http", "https"), good.url]
                with Client("TOKEN", base_url=hosts, retries=1) as client:
                    assert call(client) in ("W", None)
                    assert call(client) in ("W", None)

        assert 1 == bad.connections
        assert 2 == len(good.requests)

    def test_hang_up__nothing_was_applied(self):
        with ChaosServer(then=hang_up) as bad:
            url = bad.url.replace("http", "https")
            with Client("TOKEN", base_url=url, retries=1) as client:
                with pytest.raises(TransportError) as caught:
                    client.update_waybill_goods("W", GOODS)

        assert not caught.value.maybe_applied
        assert 2 == bad.connections


@chaos.at_accept
def hang_up(peer: chaos.Peer, request: chaos.Request) -> None:
    """Read the ClientHello, send FIN."""
    peer.receive()
    peer.sock.shutdown(socket.SHUT_WR)
    peer.wait_until_left()


class TestInterim:
    @both
    @pytest.mark.parametrize("code", [100, 101, 102, 103, 199])
    def test_next_call__after_an_interim_answer(self, code, own):
        def interim(peer: chaos.Peer, request: chaos.Request) -> None:
            peer.send(head(code, "Link: </style.css>"))
            peer.wait(0.05)
            answer(peer, request)

        with ChaosServer(then=interim) as server:
            client = made(server, own, retries=0)
            got = []
            for name in "ABCDE":
                try:
                    got.append(query(client, name) == name)
                except WxLogisticsError:
                    got.append(True)
            server.then = answer
            last = [query(client, name) for name in "FGH"]
            client.close()

        assert [True] * 5 == got
        assert list("FGH") == last

    @both
    def test_next_call__after_two_answers(self, own):
        with ChaosServer(chaos.two_answers) as server:
            client = made(server, own)
            got = [query(client, name) for name in "ABC"]
            client.close()

        assert list("ABC") == got


LONG = head(200, length=1_000_000)
CHUNKED = head(200, "Transfer-Encoding: chunked")
REDIRECT = head(302, "Location: /elsewhere", length=1_000_000)


class TestBodies:
    @both
    @pytest.mark.parametrize("status", [302, 307, 308])
    def test_redirect__body_not_read(self, status, own):
        sent = []

        def redirect(peer: chaos.Peer, request: chaos.Request) -> None:
            peer.send(head(status, "Location: /elsewhere", length=64 << 20))
            for _ in range(64):
                peer.send(b" " * (1 << 20))
                sent.append(1)

        with ChaosServer(redirect) as server:
            client = made(server, own)
            with pytest.raises(UnexpectedResponseError) as caught:
                client.update_waybill_goods("W", GOODS)
            assert "W" == query(client)
            client.close()

        assert status == caught.value.status
        assert 32 > len(sent)
        assert 2 == len(server.requests)

    @both
    @pytest.mark.parametrize(
        "start, piece",
        [(LONG, b" "), (CHUNKED, b"1\r\n \r\n"), (REDIRECT, b" ")],
        ids=["length", "chunks", "redirect"],
    )
    def test_trickling__ends_with_the_deadline(self, start, piece, own):
        over = threading.Event()
        with ChaosServer(trickled(start, piece, over)) as server:
            client = made(server, own, deadline=0.3)
            failure = outcome(lambda: client.update_waybill_goods("W", GOODS))
            returned_first = not over.is_set()
            client.close()

        assert returned_first
        if piece != b" " or start is LONG:
            assert isinstance(failure, TransportError) and failure.maybe_applied


#: What is done to a session after the first call, and what changes in the request.
CHANGES: dict[str, tuple[Callable[[requests.Session], object], str, list[Any]]] = {
    "headers": (lambda s: s.headers.update({"X-Shop": "2"}), "x-shop", ["1", "2"]),
    "a header removed": (lambda s: s.headers.pop("X-Shop"), "x-shop", ["1", None]),
    "another User-Agent": (
        lambda s: s.headers.update({"User-Agent": "shop/2"}),
        "user-agent",
        ["shop/1", "shop/2"],
    ),
    "auth": (
        lambda s: setattr(s, "auth", ("user", "password")),
        "authorization",
        [None, "Basic dXNlcjpwYXNzd29yZA=="],
    ),
    "cookies": (lambda s: s.cookies.set("shop", "2"), "cookie", [None, "shop=2"]),
    "params": (
        lambda s: setattr(s, "params", {"shop": "2"}),
        "?",
        ["access_token=TOKEN", "access_token=TOKEN&shop=2"],
    ),
}


class TestChangedSession:
    """The caller's session changes between two calls of the client."""

    @pytest.mark.parametrize("name", CHANGES)
    def test_request__as_the_session_is_now(self, name):
        change, header, expected = CHANGES[name]
        with ChaosServer() as server, requests.Session() as session:
            session.headers.update({"X-Shop": "1", "User-Agent": "shop/1"})
            client = Client("TOKEN", base_url=server.url, session=session)
            query(client)
            change(session)
            query(client)

        assert expected == [
            request.headers.get(header, request.target.partition(header)[2] or None)
            for request in server.requests
        ]

    def test_proxies__changed(self):
        with ChaosServer() as server, ChaosServer() as proxy:
            with requests.Session() as session:
                client = Client("TOKEN", base_url=server.url, session=session)
                query(client, "A")
                session.proxies = {"http": proxy.url}
                query(client, "B")
                session.proxies = {}
                query(client, "C")

        assert ["A", "C"] == [each.payload["waybill_token"] for each in server.requests]
        assert ["B"] == [each.payload["waybill_token"] for each in proxy.requests]
        assert proxy.requests[0].target.startswith(f"{server.url}/cgi-bin/")

    def test_verify__changed(self):
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        with authority.cert_pem.tempfile() as pem, requests.Session() as session:
            server = ChaosServer(certificate=certificate)
            with server, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                client = Client("TOKEN", base_url=server.url, session=session)
                got = []
                for verify in (False, True, pem, True, False):
                    session.verify = verify
                    got.append(outcome(lambda: query(client)))

        assert ["W", "W", "W"] == [got[0], got[2], got[4]]
        for error in (got[1], got[3]):
            assert isinstance(error, TransportError) and not error.maybe_applied

    def test_mount__another_adapter(self):
        class Counting(HTTPAdapter):
            sent = 0

            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                self.sent += 1
                return super().send(*args, **kwargs)

        adapter = Counting()
        with ChaosServer() as server, requests.Session() as session:
            client = Client("TOKEN", base_url=server.url, session=session)
            query(client)
            session.mount("http://", adapter)
            query(client)

        assert 1 == adapter.sent
        assert 2 == len(server.requests)

    def test_session__unchanged_by_the_client(self):
        with ChaosServer(
            chaos.redirect("/elsewhere"), chaos.gateway(502), chaos.set_cookie
        ) as server:
            with requests.Session() as session:
                before = repr(sorted(session.__getstate__().items(), key=str))
                adapters = list(session.adapters.items())
                client = Client("TOKEN", base_url=server.url, session=session)
                for _ in range(4):
                    try:
                        client.request("/x", {})
                    except WxLogisticsError:
                        pass
                client.close()
                session.cookies.clear()
                assert adapters == list(session.adapters.items())
                assert before == repr(sorted(session.__getstate__().items(), key=str))
                assert 200 == session.post(server.url + "/x", data="{}").status_code
