"""Tokens shared through a cache: each kind that people have, and how it can fail."""

from __future__ import annotations

import json
import logging
import pathlib
import re
import time
from typing import Any, Callable, Iterator

import attrs
import cachelib
import django.core.cache
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import NOON, MemoryCache, PoliteCache, ScriptedWeChat, Time, redis_server

from wxlogistics import (
    AccessTokenError,
    AuthorizerToken,
    Client,
    CredentialError,
    StableToken,
)
from wxlogistics.sandbox import Sandbox

APPID = "wx1234567890abcdef"
SECRET = "c2b1a09f8e7d6c5b4a39281706f5e4d3"
COMPONENT = "wx8888888888888888"
REFRESH = "refreshtoken@@@QmVjYXVzZSBpdCBpcyBhIHRlc3Q"
CHANGED = "refreshtoken@@@Q2hhbmdlZCBieSBXZUNoYXQ"
AGAIN = "refreshtoken@@@QW5kIG9uY2UgYWdhaW4"

# The last cachelib for Python 3.10 calls what the newest redis deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*setex:DeprecationWarning")

NORMAL = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
FORCED = {**NORMAL, "force_refresh": True}

STABLE_KEY = "wxlogistics:stable_token:wx1234567890abcdef:"
AUTHORIZER_KEY = (
    "wxlogistics:api_authorizer_token:wx1234567890abcdef:wx8888888888888888:"
)


def issued(token: str, expires_in: Any = 7200) -> dict[str, Any]:
    """
    What stable_token answers.
    """
    return {"access_token": token, "expires_in": expires_in}


def authorized(token: str, refresh_token: str = REFRESH) -> dict[str, Any]:
    """
    What api_authorizer_token answers.
    """
    return {
        "authorizer_access_token": token,
        "expires_in": 7200,
        "authorizer_refresh_token": refresh_token,
    }


def stable(
    wechat: ScriptedWeChat, cache: Any, clock: Time, **options: Any
) -> StableToken:
    options = {"sleep": clock.sleep} | options
    return StableToken(
        APPID, SECRET, cache=cache, session=wechat.session, clock=clock, **options
    )


def authorizer(
    wechat: ScriptedWeChat,
    cache: Any,
    clock: Time,
    refresh_token: str = REFRESH,
    on_refresh_token: Callable[[str], object] | None = None,
) -> AuthorizerToken:
    return AuthorizerToken(
        COMPONENT,
        "component's",
        APPID,
        refresh_token,
        cache=cache,
        on_refresh_token=on_refresh_token,
        session=wechat.session,
        clock=clock,
        sleep=clock.sleep,
    )


@pytest.fixture
def clock() -> Time:
    """
    It starts now: the real caches have no other time.
    """
    clock = Time()
    clock.now = time.time()
    return clock


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@attrs.define
class Store:
    """
    A cache as two processes have it.
    """

    one: Any
    other: Any
    close: Callable[[], object] = lambda: None


def django_cache(backend: str, location: str) -> Any:
    """
    What ``from django.core.cache import cache`` gives in a project with this backend.
    """
    handler = django.core.cache.CacheHandler(
        {
            "default": {
                "BACKEND": f"django.core.cache.backends.{backend}",
                "LOCATION": location,
            }
        }
    )
    return django.core.cache.ConnectionProxy(handler, "default")


def minimal(request: pytest.FixtureRequest) -> Store:
    cache = MemoryCache(request.getfixturevalue("clock"))
    return Store(cache, cache)


def with_add(request: pytest.FixtureRequest) -> Store:
    cache = PoliteCache(request.getfixturevalue("clock"))
    return Store(cache, cache)


def django_local_memory(request: pytest.FixtureRequest) -> Store:
    name = request.node.name
    return Store(
        django_cache("locmem.LocMemCache", name),
        django_cache("locmem.LocMemCache", name),
    )


def django_files(request: pytest.FixtureRequest) -> Store:
    directory = str(request.getfixturevalue("tmp_path"))
    return Store(
        django_cache("filebased.FileBasedCache", directory),
        django_cache("filebased.FileBasedCache", directory),
    )


def django_redis(request: pytest.FixtureRequest) -> Store:
    url = f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/1"
    one = django_cache("redis.RedisCache", url)
    other = django_cache("redis.RedisCache", url)
    one.clear()

    def close() -> None:
        for cache in (one, other):
            for pool in cache._cache._pools.values():
                pool.disconnect()

    return Store(one, other, close)


def cachelib_simple(request: pytest.FixtureRequest) -> Store:
    cache = cachelib.SimpleCache()
    return Store(cache, cache)


def cachelib_files(request: pytest.FixtureRequest) -> Store:
    directory = str(request.getfixturevalue("tmp_path"))
    return Store(
        cachelib.FileSystemCache(directory), cachelib.FileSystemCache(directory)
    )


def cachelib_redis(request: pytest.FixtureRequest) -> Store:
    port = request.getfixturevalue("redis_port")
    one = redis.Redis("127.0.0.1", port, 2)
    other = redis.Redis("127.0.0.1", port, 2)
    one.flushdb()

    def close() -> None:
        one.close()
        other.close()

    return Store(cachelib.RedisCache(one), cachelib.RedisCache(other), close)


WITH_ADD = [
    with_add,
    django_local_memory,
    django_files,
    django_redis,
    cachelib_simple,
    cachelib_files,
    cachelib_redis,
]


@pytest.fixture(params=[minimal, *WITH_ADD])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """
    Each cache in turn.
    """
    store = request.param(request)
    yield store
    store.close()


only_with_add = pytest.mark.parametrize("store", WITH_ADD, indirect=True)


class TestEveryCache:
    """
    The contract of `Cache`, for whatever a provider may be given.
    """

    def test_get__shared(self, store: Store, clock: Time) -> None:
        """
        A second process uses the token that the first one fetched.
        """
        wechat = ScriptedWeChat(issued("first"))

        assert "first" == stable(wechat, store.one, clock).get()
        assert "first" == stable(wechat, store.other, clock).get()
        assert [NORMAL] == wechat.payloads

    def test_get__as_long_as_it_is_good(self, store: Store, clock: Time) -> None:
        """
        A second process keeps it no longer than the first.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        stable(wechat, store.one, clock).get()
        provider = stable(wechat, store.other, clock)
        clock.now += 7139
        if not isinstance(store.one, MemoryCache):
            # Their time stands still for us, so they have it still.
            assert "first" == provider.get()
        clock.now += 1

        assert "second" == provider.get()

    def test_get__longest_token(self, store: Store, clock: Time) -> None:
        """
        512 characters, of the kind that tokens are made of, come back as they were.
        """
        token = "84_" + "-_Az09" * 84 + "AAAHQ"
        wechat = ScriptedWeChat(issued(token))
        stable(wechat, store.one, clock).get()

        assert 512 == len(token)
        assert token == stable(wechat, store.other, clock).get()

    def test_get__entry(self, store: Store, clock: Time) -> None:
        """
        What is stored is JSON in a str: any cache can keep it, any language read it.
        """
        stable(ScriptedWeChat(issued("first", 300)), store.one, clock).get()
        entry = store.other.get(STABLE_KEY + "token")

        assert isinstance(entry, str)
        assert ["first", clock.now + 240] == json.loads(entry)

    def test_get__two_appids(self, store: Store, clock: Time) -> None:
        """
        Two mini-programs share a cache and no token.
        """
        wechat = ScriptedWeChat(issued("first"), issued("other's"))
        stable(wechat, store.one, clock).get()
        other = StableToken(
            "wxffffffffffffffff",
            SECRET,
            cache=store.one,
            session=wechat.session,
            clock=clock,
        )

        assert "other's" == other.get()

    def test_renew__reaches_the_others(self, store: Store, clock: Time) -> None:
        """
        What one process renewed the others look up, each with one refused call.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        one = stable(wechat, store.one, clock)
        other = stable(wechat, store.other, clock)
        one.get()
        other.get()
        one.renew("first")

        assert "second" == other.renew("first")
        assert "second" == other.get()
        assert [NORMAL, NORMAL] == wechat.payloads

    def test_renew__refused_token_in_the_cache(self, store: Store, clock: Time) -> None:
        """
        A token that WeChat refuses is fetched anew though the cache holds it.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        stable(wechat, store.one, clock).get()
        other = stable(wechat, store.other, clock)
        other.get()

        assert "second" == other.renew("first")
        assert "second" == stable(wechat, store.one, clock).get()

    def test_renew__forced_once_for_all(self, store: Store, clock: Time) -> None:
        """
        Within 30 s of one process's forced renewal no other forces.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"), issued("second"))
        one = stable(wechat, store.one, clock)
        other = stable(wechat, store.other, clock)
        one.renew("first")

        assert "second" == other.renew("second")
        assert [NORMAL, FORCED, NORMAL] == wechat.payloads

    def test_renew__noted_before_it_is_forced(self, store: Store, clock: Time) -> None:
        """
        No other process forces while the forced renewal is under way.
        """
        seen: list[Any] = []

        def answer() -> dict[str, Any]:
            seen.append(store.other.get(STABLE_KEY + "forced"))
            return issued("second")

        stable(ScriptedWeChat(issued("first"), answer), store.one, clock).renew("first")

        assert ["claimed"] == seen

    def test_renew__claims_end(self, store: Store, clock: Time) -> None:
        """
        When the cache has dropped a lease or the note of a forced renewal, another
        process may go on: no expired entry stays in the way.
        """
        store.one.set(STABLE_KEY + "forced", "claimed", timeout=1)
        store.one.set(STABLE_KEY + "lease", "claimed", timeout=1)
        if isinstance(store.one, MemoryCache):
            clock.now += 1
        else:
            time.sleep(1.05)
        wechat = ScriptedWeChat(issued("first"), issued("second"))

        assert "second" == stable(wechat, store.other, clock).renew("first")
        assert [NORMAL, FORCED] == wechat.payloads
        assert [] == clock.slept

    @only_with_add
    def test_get__lease(self, store: Store, clock: Time) -> None:
        """
        Who fetches says so, for 10 s at most, and takes it back.
        """
        seen: list[Any] = []

        def answer() -> dict[str, Any]:
            seen.append(store.other.get(STABLE_KEY + "lease"))
            seen.append(store.other.add(STABLE_KEY + "lease", "x", timeout=10))
            return issued("first")

        stable(ScriptedWeChat(answer), store.one, clock).get()

        assert ["claimed", False] == seen
        assert store.other.get(STABLE_KEY + "lease") is None

    @only_with_add
    def test_get__lease_taken_back_after_a_failure(
        self, store: Store, clock: Time
    ) -> None:
        """
        A fetch that fails stands in nobody's way.
        """
        wechat = ScriptedWeChat({"errcode": 40125, "errmsg": "no"}, issued("first"))
        with pytest.raises(CredentialError):
            stable(wechat, store.one, clock).get()

        assert "first" == stable(wechat, store.other, clock).get()
        assert [] == clock.slept

    @only_with_add
    def test_get__while_another_fetches(self, store: Store, clock: Time) -> None:
        """
        A process that comes while another fetches waits for what that one gets.
        """
        store.one.add(STABLE_KEY + "lease", "claimed", timeout=10)
        entry = json.dumps(["first", clock.now + 5000])

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            if len(clock.slept) == 3:
                store.one.set(STABLE_KEY + "token", entry, timeout=5000)

        wechat = ScriptedWeChat()

        assert "first" == stable(wechat, store.other, clock, sleep=sleep).get()
        assert [0.05, 0.05, 0.05] == clock.slept
        # It is the other's to take back.
        assert "claimed" == store.one.get(STABLE_KEY + "lease")

    @only_with_add
    def test_get__after_another_failed(self, store: Store, clock: Time) -> None:
        """
        When the other has given up, the next one fetches.
        """
        store.one.add(STABLE_KEY + "lease", "claimed", timeout=10)

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            store.one.delete(STABLE_KEY + "lease")

        wechat = ScriptedWeChat(issued("first"))

        assert "first" == stable(wechat, store.other, clock, sleep=sleep).get()
        assert 1 == len(clock.slept)

    @only_with_add
    def test_get__after_another_died(self, store: Store, clock: Time) -> None:
        """
        A lease that is never taken back is waited for no longer than it lasts.
        """
        store.one.add(STABLE_KEY + "lease", "claimed", timeout=3600)
        wechat = ScriptedWeChat(issued("first"))

        assert "first" == stable(wechat, store.other, clock).get()
        assert 9.9 < sum(clock.slept) < 10.1

    def test_authorizer_token__shared(self, store: Store, clock: Time) -> None:
        """
        A service provider's token is shared too.
        """
        wechat = ScriptedWeChat(authorized("first"))

        assert "first" == authorizer(wechat, store.one, clock).get()
        assert "first" == authorizer(wechat, store.other, clock).get()
        assert 1 == len(wechat.payloads)

    def test_authorizer_token__changed_refresh_token(
        self, store: Store, clock: Time
    ) -> None:
        """
        A process that has an old refresh token goes on with the newest, and is told.
        """
        wechat = ScriptedWeChat(
            authorized("first", CHANGED),
            authorized("second", AGAIN),
            authorized("third", AGAIN),
        )
        told: list[str] = []
        one = authorizer(wechat, store.one, clock)
        one.get()
        one.renew("first")
        # As it stands in a configuration that nobody has changed.
        other = authorizer(wechat, store.other, clock, on_refresh_token=told.append)

        assert "second" == other.get()
        assert [] == told
        assert "third" == other.renew("second")
        assert [AGAIN] == told
        assert AGAIN == other.refresh_token
        sent = [payload["authorizer_refresh_token"] for payload in wechat.payloads]
        assert [REFRESH, CHANGED, AGAIN] == sent

    def test_authorizer_token__newly_authorized(
        self, store: Store, clock: Time
    ) -> None:
        """
        A refresh token that came of a new authorization is used, whatever is cached.
        """
        wechat = ScriptedWeChat(authorized("first", CHANGED))
        authorizer(wechat, store.one, clock).get()
        clock.now += 7200
        wechat.answers.append(authorized("second", "refreshtoken@@@new"))
        new = authorizer(wechat, store.other, clock, "refreshtoken@@@new")

        assert "second" == new.get()
        assert "refreshtoken@@@new" == wechat.payloads[1]["authorizer_refresh_token"]
        assert "refreshtoken@@@new" == new.refresh_token

    def test_client__one_refused_call_for_each_process(self, store: Store) -> None:
        """
        Against the sandbox: a revoked token costs one fetch, however many share it.
        """
        sandbox = Sandbox()
        with sandbox.mock():
            clients = [
                Client(StableToken(sandbox.appid, sandbox.secret, cache=cache))
                for cache in (store.one, store.other)
            ]
            for client in clients:
                client.get_delivery_list()
            sandbox.revoke_tokens()
            for client in clients:
                client.get_delivery_list()

        assert 2 == sandbox.token_fetches.total
        assert 0 == sandbox.token_fetches.forced


class TestKeys:
    """
    What stands in the cache, and under which name.
    """

    def test_stable_token(self, clock: Time) -> None:
        """
        Keys name the appid and the kind, and no entry holds the AppSecret.
        """
        cache = PoliteCache(clock)
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        stable(wechat, cache, clock).renew("first")

        assert {
            "wxlogistics:stable_token:wx1234567890abcdef:token",
            "wxlogistics:stable_token:wx1234567890abcdef:forced",
        } == set(cache.entries)
        assert SECRET not in str(cache.entries)

    def test_authorizer_token(self, clock: Time) -> None:
        """
        Those of a service provider name both appids.
        """
        cache = PoliteCache(clock)
        wechat = ScriptedWeChat(authorized("first", CHANGED))
        authorizer(wechat, cache, clock).get()

        assert {AUTHORIZER_KEY + "token", AUTHORIZER_KEY + "refresh_token"} == set(
            cache.entries
        )
        assert not any("refreshtoken@@@" in key for key in cache.entries)
        assert "component's" not in str(cache.entries)

    def test_authorizer_token__unchanged(self, clock: Time) -> None:
        """
        A refresh token that stays is not written down.
        """
        cache = PoliteCache(clock)
        authorizer(ScriptedWeChat(authorized("first")), cache, clock).get()

        assert [AUTHORIZER_KEY + "token"] == list(cache.entries)

    def test_timeouts(self, clock: Time) -> None:
        """
        A token is kept for as long as it is used, a refresh token for a year, the note
        of a forced renewal for 30 s.
        """
        cache = PoliteCache(clock)
        stable(ScriptedWeChat(issued("a"), issued("b")), cache, clock).renew("a")
        authorizer(ScriptedWeChat(authorized("c", CHANGED)), cache, clock).get()

        assert {
            STABLE_KEY + "token": 7140,
            STABLE_KEY + "forced": 30,
            AUTHORIZER_KEY + "token": 7140,
            AUTHORIZER_KEY + "refresh_token": 31536000,
        } == {key: round(end - clock.now) for key, (_, end) in cache.entries.items()}

    @pytest.mark.parametrize("life", [1, 2])
    def test_timeouts__never_zero(self, clock: Time, life: int) -> None:
        """
        0 seconds mean "for ever" to some caches.
        """
        cache = PoliteCache(clock)
        stable(ScriptedWeChat(issued("first", life)), cache, clock).get()

        [(_, end)] = cache.entries.values()
        assert clock.now + 1 == end

    @pytest.mark.parametrize(
        "appid",
        ["微信", "a b", "a\nb", "a\x00b", "x" * 65, "x" * 120, "x" * 10_000, "ü"],
    )
    def test_odd_appids(self, clock: Time, appid: str) -> None:
        """
        Whatever the appid, memcached takes the keys: up to 250 visible characters,
        less what a cache puts before them.
        """
        cache = PoliteCache(clock)
        wechat = ScriptedWeChat(authorized("first", CHANGED))
        AuthorizerToken(
            appid, "x", appid, REFRESH, cache=cache, session=wechat.session, clock=clock
        ).get()

        assert 2 == len(cache.entries)
        for key in cache.entries:
            assert re.fullmatch("[!-~]{1,200}", key)

    def test_odd_appids__not_mixed_up(self, clock: Time) -> None:
        """
        Two appids never have one key.
        """
        cache = PoliteCache(clock)
        appids = ["微信", "微 信", "a:b", "a;b", "x" * 65, "x" * 66]
        for appid in appids:
            wechat = ScriptedWeChat(issued(appid))
            StableToken(appid, SECRET, cache=cache, session=wechat.session).get()

        assert len(appids) == len(cache.entries)

    def test_odd_appids__of_two(self, clock: Time) -> None:
        """
        Nor do two pairs of appids.
        """
        cache = PoliteCache(clock)
        for shop, component in [("a:b", "c"), ("a", "b:c")]:
            wechat = ScriptedWeChat(authorized("first"))
            AuthorizerToken(
                component, "x", shop, REFRESH, cache=cache, session=wechat.session
            ).get()

        assert 2 == len(cache.entries)


class Broken(PoliteCache):
    """
    Raises at some of its methods.
    """

    def __init__(self, clock: Time, *broken: str) -> None:
        super().__init__(clock)
        self.broken = broken

    def __getattribute__(self, name: str) -> Any:
        if name in ("get", "set", "add", "delete") and name in self.broken:

            def fails(*args: Any, **kwargs: Any) -> Any:
                raise redis.ConnectionError("redis://:hunter2@10.0.0.5 is down")

            return fails
        return super().__getattribute__(name)


class TestDoubted:
    """
    Nothing that a cache does breaks a call that WeChat would have answered.
    """

    @pytest.fixture(autouse=True)
    def log(self, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
        caplog.set_level(logging.WARNING, "wxlogistics")
        return caplog

    @pytest.mark.parametrize(
        "broken, warnings",
        [
            (["get"], ["get"]),
            (["set"], ["set"]),
            (["add"], ["add"]),
            (["delete"], ["delete"]),
            # No more than two: each may have taken seconds.
            (["get", "set", "add", "delete"], ["add", "get"]),
        ],
    )
    def test_get__raises(
        self,
        clock: Time,
        broken: list[str],
        warnings: list[str],
        log: pytest.LogCaptureFixture,
    ) -> None:
        """
        A cache that is down is done without; a warning tells of it, and not of the
        cache's own password.
        """
        wechat = ScriptedWeChat(issued("first"))
        provider = stable(wechat, Broken(clock, *broken), clock)

        assert "first" == provider.get()
        assert "first" == provider.get()
        assert [NORMAL] == wechat.payloads
        assert [
            f"the cache's {method} failed (ConnectionError): going on without"
            for method in warnings
        ] == log.messages
        assert "hunter2" not in log.text

    def test_renew__well_again(self, clock: Time) -> None:
        """
        A cache that was down is used again at the next fetch.
        """
        cache = Broken(clock, "get", "set", "add", "delete")
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        provider = stable(wechat, cache, clock)
        provider.get()
        cache.broken = ()
        provider.renew("first")

        assert "second" == stable(wechat, cache, clock).get()

    def test_renew__raises(self, clock: Time) -> None:
        """
        Even a forced renewal goes on without, and keeps its pause on this machine.
        """
        cache = Broken(clock, "get", "set", "add", "delete")
        wechat = ScriptedWeChat(issued("first"), issued("second"), issued("second"))
        provider = stable(wechat, cache, clock)

        assert "second" == provider.renew("first")
        assert "second" == provider.renew("second")
        assert [NORMAL, FORCED, NORMAL] == wechat.payloads

    def test_authorizer_token__raises(self, clock: Time) -> None:
        """
        A changed refresh token is told even so.
        """
        told: list[str] = []
        cache = Broken(clock, "get", "set", "add", "delete")
        wechat = ScriptedWeChat(authorized("first", CHANGED))
        provider = authorizer(wechat, cache, clock, on_refresh_token=told.append)

        assert "first" == provider.get()
        assert [CHANGED] == told

    RUBBISH = [
        b"\xff\xfe",
        b"",
        "",
        " ",
        5,
        0,
        1.5,
        True,
        False,
        [],
        ["84_secret", NOON],
        {"access_token": "84_secret"},
        object(),
        "84_secret",
        "null",
        "true",
        "5",
        '"84_secret"',
        '"ab"',
        "[]",
        "{}",
        '{"84_secret": 1, "b": 2}',
        '["84_secret"]',
        '["84_secret", 1, 2]',
        '["84_secret", null]',
        '["84_secret", "soon"]',
        '["84_secret", NaN]',
        '["84_secret", -Infinity]',
        # Far in the future.
        '["84_secret", Infinity]',
        '["84_secret", 1e300]',
        f'["84_secret", {int(NOON) + 7201}]',
        # Expired.
        '["84_secret", 0]',
        '["84_secret", true]',
        f'["84_secret", {int(NOON)}]',
        f'["", {int(NOON) + 100}]',
        f'[" ", {int(NOON) + 100}]',
        f'["\\ud800", {int(NOON) + 100}]',
        f"[5, {int(NOON) + 100}]",
        f"[null, {int(NOON) + 100}]",
        f'[["84_secret"], {int(NOON) + 100}]',
        "[" * 100_000,
        '{"a":' * 100_000,
        "84_secret" * 100_000,
    ]

    @pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
    def test_get__rubbish(
        self, clock: Time, rubbish: Any, log: pytest.LogCaptureFixture
    ) -> None:
        """
        What makes no sense is ignored, with one warning that shows none of it, and
        replaced.
        """
        clock.now = NOON
        cache = PoliteCache(clock)
        cache.set(STABLE_KEY + "token", rubbish, timeout=10**6)
        wechat = ScriptedWeChat(issued("first"))

        assert "first" == stable(wechat, cache, clock).get()
        assert [NORMAL] == wechat.payloads
        assert [
            "what the cache holds under wxlogistics:stable_token:wx1234567890abcdef:"
            "token is of no use: ignored"
        ] == log.messages
        assert "first" == stable(wechat, cache, clock).get()

    def test_get__good_entries(
        self, clock: Time, log: pytest.LogCaptureFixture
    ) -> None:
        """
        What is good is used without a word: as bytes too, up to WeChat's longest life.
        """
        clock.now = NOON
        for entry in ('["first", %d]' % (NOON + 7200), b'["first", 1779249600.5]'):
            cache = PoliteCache(clock)
            cache.set(STABLE_KEY + "token", entry, timeout=10**6)

            assert "first" == stable(ScriptedWeChat(), cache, clock).get()
        assert [] == log.messages

    @pytest.mark.parametrize(
        "rubbish",
        [
            b"\xff",
            "no json",
            [],
            5,
            "5",
            "null",
            '"abc"',
            '["refreshtoken@@@secret", null]',
            '["refreshtoken@@@secret", ""]',
            '["refreshtoken@@@secret", 5]',
            '[["refreshtoken@@@secret"]]',
            '{"refreshtoken@@@secret": 1}',
            f'{{"{REFRESH}": 1}}',
            f'"{REFRESH}abc"',
            f'["{REFRESH}", null]',
            f'["{REFRESH}", ""]',
            f'["{REFRESH}", 5]',
            f'["{REFRESH}", ["refreshtoken@@@secret"]]',
            f'[5, "{REFRESH}"]',
            "[]",
            "[" * 100_000,
        ],
    )
    def test_authorizer_token__rubbish(
        self, clock: Time, rubbish: Any, log: pytest.LogCaptureFixture
    ) -> None:
        """
        What makes no sense as refresh tokens is ignored and replaced.
        """
        cache = PoliteCache(clock)
        cache.set(AUTHORIZER_KEY + "refresh_token", rubbish, timeout=10**6)
        wechat = ScriptedWeChat(authorized("first", CHANGED))
        provider = authorizer(wechat, cache, clock)

        assert "first" == provider.get()
        assert REFRESH == wechat.payloads[0]["authorizer_refresh_token"]
        assert [REFRESH, CHANGED] == json.loads(
            cache.get(AUTHORIZER_KEY + "refresh_token")
        )
        assert "refreshtoken@@@" not in log.text

    def test_authorizer_token__line_does_not_grow_for_ever(self, clock: Time) -> None:
        """
        The nine newest refresh tokens are kept, and the one that it began with.
        """
        cache = PoliteCache(clock)
        line = [f"refreshtoken@@@{number}" for number in range(13)]
        wechat = ScriptedWeChat(
            *(authorized(f"token {token}", token) for token in line[1:])
        )
        provider = authorizer(wechat, cache, clock, line[0])
        token = provider.get()
        for _ in line[2:]:
            token = provider.renew(token)

        kept = [line[0], *line[4:]]
        assert kept == json.loads(cache.get(AUTHORIZER_KEY + "refresh_token"))

    def test_authorizer_token__begun_anew_time_and_again(self, clock: Time) -> None:
        """
        A process whose settings hold the first refresh token finds the newest.
        """
        cache = PoliteCache(clock)
        line = [REFRESH, *(f"refreshtoken@@@{number}" for number in range(13))]
        wechat = ScriptedWeChat(
            *(authorized(f"token {token}", token) for token in line[1:])
        )
        for token in line[1:]:
            rejected = wechat.answers[0]["authorizer_access_token"] + " before"
            authorizer(wechat, cache, clock).renew(rejected)
            cache.delete(AUTHORIZER_KEY + "token")

        assert line[:-1] == [
            payload["authorizer_refresh_token"] for payload in wechat.payloads
        ]

    def test_authorizer_token__not_told_before_wechat_has_taken_it(
        self, clock: Time
    ) -> None:
        """
        A cached refresh token that WeChat refuses is handed to nobody: the shop may
        have authorized anew, and the callback would overwrite that.
        """
        told: list[str] = []
        cache = PoliteCache(clock)
        line = json.dumps([REFRESH, CHANGED])
        cache.set(AUTHORIZER_KEY + "refresh_token", line, timeout=10**6)
        refused = {"errcode": 61023, "errmsg": "refresh_token is invalid"}
        wechat = ScriptedWeChat(refused, refused)
        provider = authorizer(wechat, cache, clock, on_refresh_token=told.append)
        for _ in range(2):
            with pytest.raises(CredentialError):
                provider.get()

        assert [] == told
        assert REFRESH == provider.refresh_token

    @pytest.mark.parametrize("rubbish", [5, [], b"\xff", "no", "", False, object()])
    def test_renew__rubbish_for_a_claim(self, clock: Time, rubbish: Any) -> None:
        """
        What is no claim of this library's stands in nobody's way.
        """
        cache = PoliteCache(clock)
        cache.set(STABLE_KEY + "lease", rubbish, timeout=10**6)
        cache.set(STABLE_KEY + "forced", rubbish, timeout=10**6)
        wechat = ScriptedWeChat(issued("first"), issued("second"))

        assert "second" == stable(wechat, cache, clock).renew("first")
        assert [NORMAL, FORCED] == wechat.payloads
        assert [] == clock.slept

    def test_renew__takes_nothing_new(self, clock: Time) -> None:
        """
        A cache that goes on showing an old token, because it takes no new one, does not
        bring that back into use.
        """
        cache = PoliteCache(clock)
        stable(ScriptedWeChat(issued("first")), cache, clock).get()
        cache.set = lambda *args, **kwargs: False  # type: ignore[method-assign]
        wechat = ScriptedWeChat(issued("second"), issued("third"))
        provider = stable(wechat, cache, clock)

        assert "first" == provider.get()
        assert "second" == provider.renew("first")
        assert "third" == provider.renew("second")

    def test_get__silent_caches(self, clock: Time) -> None:
        """
        Caches that keep nothing are as good as none.
        """
        dummy = django_cache("dummy.DummyCache", "")
        for cache in (cachelib.NullCache(), dummy):
            wechat = ScriptedWeChat(issued("first"), issued("first"), issued("second"))

            assert "first" == stable(wechat, cache, clock).get()
            assert "second" == stable(wechat, cache, clock).renew("first")
        assert [] == clock.slept

    def test_get__a_raw_redis_client(
        self, clock: Time, redis_port: int, log: pytest.LogCaptureFixture
    ) -> None:
        """
        What has a get and a set of another kind costs warnings, and no call.
        """
        with redis.Redis("127.0.0.1", redis_port, 3) as cache:
            wechat = ScriptedWeChat(issued("first"))

            assert "first" == stable(wechat, cache, clock).get()
        assert "the cache's set failed (TypeError): going on without" in log.messages

    def test_get__redis_is_down(self, clock: Time, tmp_path: pathlib.Path) -> None:
        """
        A Redis that ends while it is used is done without.
        """
        sandbox = Sandbox()
        with redis_server(tmp_path) as port:
            client_of_redis = redis.Redis(
                "127.0.0.1", port, retry=Retry(NoBackoff(), 0)
            )
            cache = cachelib.RedisCache(client_of_redis)
            with sandbox.mock():
                client = Client(StableToken(sandbox.appid, sandbox.secret, cache=cache))
                client.get_delivery_list()
        sandbox.revoke_tokens()
        with sandbox.mock():
            assert client.get_delivery_list()
        client_of_redis.close()

    def test_get__lease_wait_within_the_deadline(self, clock: Time) -> None:
        """
        Waiting for a process that may have died leaves the call time for the fetch.
        """
        sandbox = Sandbox()
        cache = PoliteCache(clock)
        key = f"wxlogistics:stable_token:{sandbox.appid}:lease"
        cache.set(key, "claimed", timeout=3600)
        provider = StableToken(sandbox.appid, sandbox.secret, cache=cache)
        with sandbox.mock(), Client(provider, deadline=2) as client:
            assert client.get_delivery_list()

    def test_client__no_other_token(self, clock: Time) -> None:
        """
        Where no token is taken, the refusal comes out though a cache is there.
        """
        sandbox = Sandbox()
        sandbox.fail("get_delivery_list", errcode=40001, times=None)
        cache = PoliteCache(clock)
        with sandbox.mock():
            for _ in range(2):
                provider = StableToken(sandbox.appid, sandbox.secret, cache=cache)
                with pytest.raises(AccessTokenError):
                    Client(provider).get_delivery_list()

        assert 1 == sandbox.token_fetches.forced


class TestServers:
    """
    What a missing server means.
    """

    @pytest.fixture(autouse=True)
    def none_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")

    def test_redis_server__missing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
    ) -> None:
        """
        It is a skip that says what to install.
        """
        monkeypatch.delenv("WXLOGISTICS_REQUIRE_SERVERS", raising=False)
        with pytest.raises(pytest.skip.Exception, match="apt-get install"):
            with redis_server(tmp_path):
                pass

    def test_redis_server__missing_where_it_must_be(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
    ) -> None:
        """
        Where every server is required it is a failure.
        """
        monkeypatch.setenv("WXLOGISTICS_REQUIRE_SERVERS", "1")
        with pytest.raises(pytest.fail.Exception, match="apt-get install"):
            with redis_server(tmp_path):
                pass
