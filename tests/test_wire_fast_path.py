"""What a call leaves out to be fast, and what tracers still find."""

from __future__ import annotations

import gzip
import json
from typing import Any, Iterator

import chaos
import pytest
import requests
from chaos import ChaosServer

from wxlogistics import Client


@pytest.fixture
def server() -> Iterator[ChaosServer]:
    """A server that answers rightly."""
    with ChaosServer() as server:
        yield server


@pytest.fixture
def client(server: ChaosServer) -> Iterator[Client]:
    with Client("TOKEN", base_url=server.url) as client:
        yield client


class TestSurroundings:
    def test_proxies__looked_up_once(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The environment is read at the first call to a host only."""
        asked: list[str] = []

        def look_up(url: str, **options: Any) -> dict[str, str]:
            asked.append(url)
            return {}

        monkeypatch.setattr(requests.sessions, "get_environ_proxies", look_up)
        for _ in range(3):
            client.get_delivery_list()

        assert 1 == len(asked)


class TestAnswer:
    def test_response__as_tracers_see_it(
        self, client: Client, server: ChaosServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A tracer around `Session.send` finds all it looks for."""
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

    def test_response__read_by_a_tracer(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that reads the body first leaves it to the call."""
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
        """However long it is, and however little of it goes over the wire."""
        body = json.dumps({"errcode": 0, "text": "x" * size}).encode()
        server.script(
            then=chaos.encoded(gzip.compress(body)) if packed else chaos.reply(body)
        )
        replies = [client.request("/cgi-bin/other", {}) for _ in range(2)]

        assert ["x" * size] * 2 == [reply["text"] for reply in replies]
        assert 1 == server.connections
