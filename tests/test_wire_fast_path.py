"""What a call leaves out to be fast, and that nobody misses it."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from typing import Any, Iterator

import chaos
import pytest
import requests
from chaos import ChaosServer

from wxlogistics import Client, _pool


@pytest.fixture
def server() -> Iterator[ChaosServer]:
    """
    A server that answers rightly.
    """
    with ChaosServer() as server:
        yield server


@pytest.fixture
def client(server: ChaosServer) -> Iterator[Client]:
    with Client("TOKEN", base_url=server.url) as client:
        yield client


class TestSending:
    def test_request__in_one_piece(self) -> None:
        """
        Head and body are one packet, so that the server need not wait for the second.
        """
        pieces: list[bytes] = []

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                for _ in range(2):
                    pieces.append(peer.recv(65536))
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with Client("TOKEN", base_url=url) as client:
                client.query_trace("first")
                client.query_trace("second")
            thread.join()

        assert [b'{"waybill_token":"first"}', b'{"waybill_token":"second"}'] == [
            piece.partition(b"\r\n\r\n")[2] for piece in pieces
        ]

    def test_request__that_cannot_be_written(self, server: ChaosServer) -> None:
        """
        Nothing was sent when the head cannot be written.
        """
        connection = _pool._CallingConnection("127.0.0.1", server.port, timeout=5)
        with contextlib.closing(connection), pytest.raises(ValueError):
            connection.request("POST", "/", body=b"{}", headers={"A": "b\nc"})

        assert _pool.call.sent is False
        assert [] == server.requests


class TestSurroundings:
    def test_proxies__looked_up_once(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The environment is read for the first call only.
        """
        asked: list[str] = []

        def look_up(url: str, **options: Any) -> dict[str, str]:
            asked.append(url)
            return {}

        monkeypatch.setattr(requests.sessions, "get_environ_proxies", look_up)
        for _ in range(3):
            client.get_delivery_list()

        assert 1 == len(asked)

    def test_pool__looked_up_once(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The pool of a host is known from the first call on; after close() it is another.
        """
        found: list[Any] = []
        look_up = requests.adapters.HTTPAdapter.get_connection_with_tls_context

        def looked_up(*args: Any, **kwargs: Any) -> Any:
            found.append(look_up(*args, **kwargs))
            return found[-1]

        monkeypatch.setattr(
            requests.adapters.HTTPAdapter, "get_connection_with_tls_context", looked_up
        )
        client.get_delivery_list()
        client.query_trace("a-token")
        before = len(found)
        # Nobody but the client's own session is to keep it.
        found.clear()
        client.close()
        client.query_trace("a-token")

        assert (1, 1) == (before, len(found))


class TestAnswer:
    def test_response__as_tracers_see_it(
        self, client: Client, server: ChaosServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A tracer around `Session.send` finds all it looks for.
        """
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
        assert 0 < response.elapsed.total_seconds() < 5
        assert [] == list(response.cookies)
        assert isinstance(response.connection, requests.adapters.HTTPAdapter)

    def test_response__read_by_a_tracer(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        One that reads the body first takes it from nobody.
        """
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
    def test_body__of_any_size(
        self, client: Client, server: ChaosServer, size: int, packed: bool
    ) -> None:
        """
        However long it is, and however little of it goes over the wire.
        """
        body = json.dumps({"errcode": 0, "text": "x" * size}).encode()
        server.script(
            then=chaos.encoded(gzip.compress(body)) if packed else chaos.reply(body)
        )
        replies = [client.request("/cgi-bin/other", {}) for _ in range(2)]

        assert ["x" * size] * 2 == [reply["text"] for reply in replies]
        assert 1 == server.connections
