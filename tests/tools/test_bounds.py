"""Bounds: redaction's time, calls for tokens, what a cache can do, where secrets go."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from typing import Any, Callable

import cachelib
import chaos
import pytest
import requests
import responses
from chaos import ChaosServer, closed_port
from toolbox import (
    APPID,
    OPENID,
    PHONE,
    SECRET,
    TOKEN,
    TokenWeChat,
    in_threads,
    needed,
    outcome,
    query,
    texts,
)

from wxlogistics import (
    AccessTokenError,
    ApiError,
    AuthorizerToken,
    Client,
    InvalidArgumentError,
    StableToken,
    WxLogisticsError,
)
from wxlogistics.sandbox import Sandbox

HOST = "https://api.weixin.qq.com"
KIB = 1024

#: Pieces of which a hostile text may consist; each cost hours, or may.
WORST = {
    "phone": "phone",
    "token_": "token_",
    "access_token=": "access_token=",
    '"openid":"': '"openid":"',
    "digits": "1",
    "openid without its end": OPENID[:-1],
    "openid": OPENID,
    "token without its end": TOKEN[:-1],
    "phone number": PHONE,
    "hint:[": "hint:[",
    "hints: [": "hints: [ ",
    "rid: ": "rid: ",
    "blanks": " ",
    "backslashes": "\\",
    "quotes": "'\"",
    "percent": "%2",
    "<": "<",
    "second": "second ",
    "line ends": "\n",
}

BODIES: dict[str, Callable[[str], tuple[int, str]]] = {
    "errmsg": lambda text: (200, json.dumps({"errcode": -1, "errmsg": text})),
    "page": lambda text: (500, text),
    "gateway": lambda text: (502, text),
    "no JSON": lambda text: (200, text),
}


ROWS = [
    *((piece, "errmsg") for piece in WORST),
    *((piece, body) for piece in ("token_", "phone", "openid") for body in BODIES),
]


class TestRedaction:
    @pytest.mark.parametrize("piece, body", dict.fromkeys(ROWS))
    def test_time__linear(self, piece: str, body: str) -> None:
        """
        Twenty times the text costs less than forty times the time.

        A twentieth of what 5 MiB of harmless text cost is the least unit: to read and
        decode that much is slower, for memory comes in large pieces.
        """
        # What is quadratic would take hours for the whole of it.
        plain = self.seconds(body, "x", 5120, times=1)
        assert self.seconds(body, WORST[piece], 64, times=1) < 40 * plain
        harmless = self.seconds(body, re.sub("[A-Za-z0-9]", "x", WORST[piece]), 5120)
        small = self.seconds(body, WORST[piece], 256)
        large = self.seconds(body, WORST[piece], 5120)

        assert large < 40 * max(small, harmless / 20)

    def seconds(self, body: str, piece: str, kib: int, times: int = 3) -> float:
        """Return the least CPU time of a call whose answer is so long."""
        client = Client(TOKEN, retries=0)
        status, answer = BODIES[body](repeated(piece, kib * KIB))
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


class TestTokenCalls:
    @pytest.mark.parametrize("fresh", [True, False], ids=["new tokens", "the same"])
    def test_refused__every_token(self, fresh: bool) -> None:
        """
        32 threads that meet an API which refuses every token for five seconds ask for
        fewer than ten.
        """
        with TokenWeChat(refused=lambda token: True, fresh=fresh) as server:
            client = Client(StableToken(APPID, SECRET), base_url=server.url)
            ends = time.monotonic() + 5

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

    def test_refused__one_token(self) -> None:
        """
        32 threads that meet one refused token all get an answer after one renewal.
        """
        with TokenWeChat(refused="TOKEN-1".__eq__) as server:
            client = Client(StableToken(APPID, SECRET), base_url=server.url)
            got = in_threads(32, lambda number: query(client, number))
            client.close()

        assert list(map(str, range(32))) == got
        assert [None, None, True] == [
            payload.get("force_refresh") or None for payload in server.fetches
        ]

    def test_missing_token__no_renewal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        41001, a call a minute for 25 minutes, renews nothing by force: the answer says
        that no token was sent, and one was.
        """
        ahead = Ahead(monkeypatch)
        with Sandbox().mock() as wechat:
            wechat.fail("get_delivery_list", errcode=41001, times=None)
            client = Client(StableToken(wechat.appid, wechat.secret))
            for _ in range(25):
                with pytest.raises(ApiError) as caught:
                    client.get_delivery_list()
                ahead.seconds += 60
                assert 41001 == caught.value.errcode
            fetched = [call for call in wechat.calls if "token" in call.endpoint]

        assert 1 == len(fetched)

    def test_fetch__not_waited_for_beyond_the_deadline(self) -> None:
        """A call whose deadline is over does not wait for another thread's fetch."""
        asked, ended, release = (threading.Event() for _ in range(3))

        def slow(peer: chaos.Peer, request: chaos.Request) -> None:
            asked.set()
            release.wait(20)
            ended.set()
            peer.close()

        with ChaosServer(then=slow) as server:
            token = StableToken(APPID, SECRET)
            first = Client(token, base_url=server.url, timeout=30, retries=0)
            second = Client(token, base_url=server.url, deadline=1)
            thread = threading.Thread(target=lambda: outcome(lambda: query(first)))
            thread.start()
            assert asked.wait(10)
            error = outcome(lambda: query(second))
            second_was_first = not ended.is_set()
            release.set()
            thread.join()

        assert second_was_first
        assert isinstance(error, WxLogisticsError)
        assert 1 == len(server.requests)


class Ahead:
    """Moves `time.time` and `time.monotonic` forward by `seconds`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        for name in ("time", "monotonic"):
            monkeypatch.setattr(time, name, self.moved(getattr(time, name)))

    def moved(self, clock: Callable[[], float]) -> Callable[[], float]:
        return lambda: clock() + self.seconds


class Cache:
    """
    The least that serves; counts what it is asked for.

    Args:
        entry: Returned for every key, in the place of what was set.
    """

    def __init__(self, entry: Any = None, error: Exception | None = None) -> None:
        self.entry = entry
        self.error = error
        self.operations = 0

    def get(self, key: str) -> Any:
        self.operations += 1
        if self.error:
            raise self.error
        return self.entry() if callable(self.entry) else self.entry

    def set(self, key: str, value: Any, timeout: int) -> None:
        self.operations += 1
        if self.error:
            raise self.error


def later() -> float:
    return time.time() + 7000


def entry(*values: Any) -> Callable[[], str]:
    """Return what makes the JSON of *values* and an end that is to come."""
    return lambda: json.dumps([*values, time.time() + 7000])


#: What others may have put where the token is kept.
JUNK: dict[str, Any] = {
    "line end": entry("TOK\n"),
    "blank before": entry(" TOK"),
    "empty": entry(""),
    "a number": entry(7),
    "null": entry(None),
    "three": entry("TOK", "TOK"),
    "one": entry(),
    "no end": '["TOK"]',
    "end is a text": '["TOK", "soon"]',
    "end is NaN": '["TOK", NaN]',
    "end is infinite": '["TOK", Infinity]',
    "end is huge": '["TOK", 1%s]' % ("0" * 400),
    "end is true": '["TOK", true]',
    "nested": "[" * 100_000,
    "a mapping": '{"token": "TOK", "good_until": 1}',
    "a text": "TOK\n",
    "no text": "",
    "half of it": '["TOK", ',
    "a list": ["TOK\n", 4e9],
    "bytes": b"\xff\xfe",
    "int": 7,
    "true": True,
    "object": object(),
}


class TestCaches:
    @pytest.mark.parametrize("name", JUNK)
    def test_entry__is_junk(self, name: str) -> None:
        """What cannot be a token is passed over, and one is fetched."""
        with TokenWeChat() as server:
            token = StableToken(APPID, SECRET, cache=Cache(JUNK[name]))
            with Client(token, base_url=server.url) as client:
                assert "W" == query(client)
                assert "TOKEN-1" == client.access_token()

        assert {"TOKEN-1"} == {each.token for each in server.requests if each.token}

    @pytest.mark.parametrize(
        "error", [OSError("down"), ConnectionError(), KeyError("x"), ValueError()]
    )
    def test_cache__is_down(self, error: Exception) -> None:
        """A cache that raises costs a fetch, no call."""
        with TokenWeChat() as server:
            token = StableToken(APPID, SECRET, cache=Cache(error=error))
            with Client(token, base_url=server.url) as client:
                assert ["W", "W"] == [query(client), query(client)]

        assert 1 == len(server.fetches)

    @pytest.mark.once
    def test_cache__celerys_time_limit(self) -> None:
        """Celery's SoftTimeLimitExceeded, raised while a cache works, ends the task."""
        needed("celery")
        from celery.exceptions import SoftTimeLimitExceeded

        cache = Cache(error=SoftTimeLimitExceeded())
        with TokenWeChat() as server:
            token = StableToken(APPID, SECRET, cache=cache)
            with Client(token, base_url=server.url) as client:
                with pytest.raises(SoftTimeLimitExceeded):
                    query(client)

    def test_cache__slow(self) -> None:
        """
        A call waits for few operations of a slow cache, however many threads call.
        """

        class Slow(Cache):
            def get(self, key: str) -> Any:
                time.sleep(0.1)
                return super().get(key)

            def set(self, key: str, value: Any, timeout: int) -> None:
                time.sleep(0.1)
                super().set(key, value, timeout)

        cache = Slow()
        with TokenWeChat() as server:
            token = StableToken(APPID, SECRET, cache=cache)
            client = Client(token, base_url=server.url, deadline=2)
            got = in_threads(16, lambda number: outcome(lambda: query(client, number)))
            client.close()

        assert list(map(str, range(16))) == got
        assert 4 >= cache.operations
        assert 1 == len(server.fetches)

    @pytest.mark.parametrize(
        "cache",
        [
            cachelib.SimpleCache,
            {},
            object(),
            "redis://localhost",
            pytest.param("redis.Redis", id="redis.Redis()"),
            pytest.param("diskcache", id="diskcache"),
            pytest.param("set without timeout", id="set without timeout"),
        ],
        ids=repr,
    )
    def test_cache__cannot_serve(self, cache: Any) -> None:
        """What cannot serve as a cache is refused at once, with what to do."""
        if cache == "redis.Redis":
            import redis

            cache = redis.Redis()
        elif cache == "diskcache":
            cache = DiskCache()
        elif cache == "set without timeout":
            cache = Endless()
        for make in (
            lambda: StableToken(APPID, SECRET, cache=cache),
            lambda: AuthorizerToken("wx1", TOKEN, "wx2", "refresh", cache=cache),
        ):
            with pytest.raises(InvalidArgumentError) as caught:
                make()

            assert "cache" == caught.value.field

    def test_cache__serves(self, tmp_path: Any) -> None:
        """Caches of cachelib and Django serve, and so does any with a timeout."""
        from django.conf import settings

        if not settings.configured:
            settings.configure()
        from django.core.cache.backends.locmem import LocMemCache

        for cache in (
            cachelib.SimpleCache(),
            cachelib.FileSystemCache(str(tmp_path)),
            LocMemCache("tokens", {}),
        ):
            with TokenWeChat() as server:
                for _ in range(2):
                    token = StableToken(APPID, SECRET, cache=cache)
                    with Client(token, base_url=server.url) as client:
                        assert "W" == query(client)

            assert 1 == len(server.fetches)


class DiskCache:
    """The shape of diskcache.Cache."""

    def get(self, key: str, default: Any = None, read: bool = False) -> Any: ...

    def set(self, key: str, value: Any, expire: float | None = None) -> bool: ...


class Endless:
    """Keeps what it is given for ever."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any) -> None: ...


class TestRefreshTokens:
    def test_callable__asked_at_each_fetch(self) -> None:
        """
        The shop's database is the one truth: a refresh token that changed there is
        used, whatever the cache holds, and a changed one is handed on before use.
        """
        database = {"refresh": "R0"}
        handed: list[tuple[str, int]] = []
        sent: list[str] = []

        def wechat(peer: chaos.Peer, request: chaos.Request) -> None:
            if "api_authorizer_token" not in request.target:
                chaos.answer(peer, request)
                return
            given = request.payload["authorizer_refresh_token"]
            sent.append(given)
            reply: dict[str, Any] = {
                "errcode": 61023,
                "errmsg": "refresh_token invalid",
            }
            if given == database["right"]:
                database["right"] = f"R{len(sent)}"
                reply = {
                    "authorizer_access_token": f"AUTHORIZER-{len(sent)}",
                    "authorizer_refresh_token": database["right"],
                    "expires_in": 7200,
                }
            chaos.reply(reply)(peer, request)

        def keep(refresh_token: str) -> None:
            queries = [
                each for each in server.requests if each.endpoint == "query_trace"
            ]
            handed.append((refresh_token, len(queries)))
            database["refresh"] = refresh_token

        database["right"] = "R0"
        cache = Cache(["R0", "evil"])
        with ChaosServer(then=wechat) as server:
            for number in range(3):
                token = AuthorizerToken(
                    "wx1",
                    "COMPONENT",
                    "wx2",
                    lambda: database["refresh"],
                    cache=cache,
                    on_refresh_token=keep,
                )
                with Client(token, base_url=server.url) as client:
                    assert "W" == query(client)

        assert ["R0", "R1", "R2"] == sent
        assert [("R1", 0), ("R2", 1), ("R3", 2)] == handed


class TestSecrets:
    @pytest.mark.parametrize(
        "token, secret",
        [
            (StableToken(APPID, SECRET), SECRET),
            (AuthorizerToken("wx1", "COMPONENT", "wx2", "REFRESH"), "REFRESH"),
        ],
        ids=["StableToken", "AuthorizerToken"],
    )
    def test_secret__goes_to_the_clients_host_only(
        self, token: Any, secret: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nothing is sent to a host that is not the client's; not even a name is resolved.
        """
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

    def test_secret__by_the_clients_session(self) -> None:
        """
        The call for a token goes through the client's session, as all its calls do.
        """
        with TokenWeChat() as server, requests.Session() as session:
            session.headers["X-Shop"] = "two"
            token = StableToken(APPID, SECRET)
            query(Client(token, base_url=server.url, session=session))

        assert ["two", "two"] == [each.headers["x-shop"] for each in server.requests]

    def test_access_token__of_the_client(self) -> None:
        """`Client.access_token` returns the token in use, for other calls."""
        with TokenWeChat() as server:
            client = Client(StableToken(APPID, SECRET), base_url=server.url)
            got = [client.access_token(), client.access_token()]
            query(client)
            client.close()

        assert ["TOKEN-1", "TOKEN-1"] == got
        assert 1 == len(server.fetches)
        assert "TOKEN" == Client("TOKEN").access_token()
        assert "TOKEN" == Client(lambda: "TOKEN").access_token()
