"""Bounds: redaction's time, calls for tokens, what a cache can do, where secrets go."""

import json
import re
import socket
import time
from typing import Any, Callable

import chaos
import pytest
import requests
import responses
from chaos import ChaosServer, closed_port
from private import APPID, HOST, OPENID, PHONE, SECRET, TOKEN
from programs import needed
from toolbox import TokenWeChat, in_threads, query, texts

from wxlogistics import (
    AccessTokenError,
    AuthorizerToken,
    Client,
    StableToken,
    WxLogisticsError,
)

#: Pieces of a hostile text: what is masked or looked for, and what nearly is.
WORST = [
    *(TOKEN, TOKEN[:-1], OPENID, OPENID[:-1], PHONE, "access_token=", '"openid":"'),
    *("hint:[", "hints: [ ", "rid: ", "detail: [", " ", "second ", "\\", "\n"),
]

BODIES: dict[str, Callable[[str], tuple[int, str]]] = {
    "errmsg": lambda text: (200, json.dumps({"errcode": -1, "errmsg": text})),
    "page": lambda text: (500, text),
    "gateway": lambda text: (502, text),
    "no JSON": lambda text: (200, text),
}

ROWS = [*((piece, "errmsg") for piece in WORST), *((OPENID, body) for body in BODIES)]


@pytest.mark.once
class TestRedaction:
    @pytest.mark.parametrize("piece, body", dict.fromkeys(ROWS), ids=repr)
    def test_time__linear(self, piece, body):
        """
        A twentieth of the time of a harmless text is the least unit, because reading
        that much is slower per byte.
        """
        # What is quadratic would take hours for the whole of it.
        plain = self.seconds(body, "x", 1280, times=1)
        assert self.seconds(body, piece, 64, times=1) < 40 * plain
        harmless = self.seconds(body, re.sub("[A-Za-z0-9]", "x", piece), 1280)
        small = self.seconds(body, piece, 64)
        large = self.seconds(body, piece, 1280)

        assert large < 40 * max(small, harmless / 20)

    def seconds(self, body: str, piece: str, kib: int, times: int = 3) -> float:
        """Return the least CPU time of a call whose answer is so long."""
        client = Client(TOKEN, retries=0)
        status, answer = BODIES[body](repeated(piece, kib * 1024))
        taken = []
        with responses.RequestsMock() as rsps:
            rsps.post(f"{HOST}/x", status=status, body=answer)
            for _ in range(times):
                start = time.thread_time()
                with pytest.raises(WxLogisticsError) as caught:
                    client.request("/x", {"openid": OPENID, "phone": PHONE})
                list(texts(caught.value))
                taken.append(time.thread_time() - start)
        return min(taken)


def repeated(piece: str, length: int) -> str:
    """Return *piece* over and over; as JSON it stays within *length*."""
    return piece * ((length - 100) // len(json.dumps(piece)[1:-1]))


class Cache:
    """The least that serves: slow, keeps nothing, counts what it is asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.operations = 0

    def get(self, key: str) -> None:
        time.sleep(0.1)
        self.operations += 1
        if self.error:
            raise self.error

    def set(self, key: str, value: Any, timeout: int) -> None:
        self.get(key)


class TestCaches:
    @pytest.mark.once
    def test_cache__celerys_time_limit(self):
        needed("celery")
        from celery.exceptions import SoftTimeLimitExceeded

        token = StableToken(APPID, SECRET, cache=Cache(SoftTimeLimitExceeded()))
        with TokenWeChat() as server, Client(token, base_url=server.url) as client:
            with pytest.raises(SoftTimeLimitExceeded):
                query(client)

    def test_cache__slow(self):
        cache = Cache()
        token = StableToken(APPID, SECRET, cache=cache)
        with TokenWeChat() as server:
            with Client(token, base_url=server.url) as client:
                got = in_threads(16, lambda number: query(client, number))

        assert list(map(str, range(16))) == got
        assert 4 >= cache.operations
        assert 1 == len(server.fetches)


@pytest.mark.once
class TestTokenCalls:
    @pytest.mark.parametrize("fresh", [True, False], ids=["new tokens", "the same"])
    def test_refused__every_token(self, fresh):
        """32 threads that meet 40001 for all tokens fetch fewer than ten."""
        with TokenWeChat(refused=lambda token: True, fresh=fresh) as server:
            client = Client(StableToken(APPID, SECRET), base_url=server.url)
            ends = time.monotonic() + 1.5

            def work(number: int) -> int:
                calls = 0
                while time.monotonic() < ends:
                    with pytest.raises(AccessTokenError):
                        query(client)
                    calls += 1
                return calls

            calls = in_threads(32, work)
            client.close()

        assert 32 <= sum(calls)
        assert 1 <= len(server.fetches) < 10


class TestSecrets:
    @pytest.mark.parametrize(
        "token, secret",
        [
            (StableToken(APPID, SECRET), SECRET),
            (AuthorizerToken("wx1", "COMPONENT", "wx2", "REFRESH"), "REFRESH"),
        ],
        ids=["StableToken", "AuthorizerToken"],
    )
    def test_secret__only_to_the_clients_host(self, token, secret, monkeypatch):
        hosts = []
        real = socket.getaddrinfo

        def recorded(host: str, *args: Any, **kwargs: Any) -> Any:
            hosts.append(host)
            return real(host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", recorded)
        reply = {
            "access_token": TOKEN,
            "authorizer_access_token": TOKEN,
            "authorizer_refresh_token": "REFRESH",
            "expires_in": 7200,
        }
        with ChaosServer(chaos.reply(reply)) as server, closed_port() as nowhere:
            with Client(token, base_url=[nowhere, server.url]) as client:
                assert "W" == query(client)

        assert {"127.0.0.1"} == set(hosts)
        assert secret.encode() in server.requests[0].body
        assert TOKEN == server.requests[1].token

    def test_secret__by_the_clients_session(self):
        with TokenWeChat() as server, requests.Session() as session:
            session.headers["X-Shop"] = "two"
            token = StableToken(APPID, SECRET)
            query(Client(token, base_url=server.url, session=session))

        assert ["two", "two"] == [each.headers["x-shop"] for each in server.requests]
