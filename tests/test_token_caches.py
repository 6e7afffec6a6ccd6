"""Tokens shared through a cache: each kind that people have, and how it can fail."""

import json
import logging
import re
import time
import types
from typing import Any, Iterator, NamedTuple
from unittest import mock

import cachelib
import django.core.cache
import pytest
import redis
from pytest import LogCaptureFixture
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import (
    APPID,
    CHANGED,
    COMPONENT,
    NOON,
    NORMAL,
    REFRESH,
    SECRET,
    Asker,
    MemoryCache,
    ScriptedWeChat,
    Time,
    authorized,
    issued,
    redis_server,
)

from wxlogistics import AuthorizerToken, Client, InvalidArgumentError, StableToken
from wxlogistics.sandbox import Sandbox

# The last cachelib for Python 3.10 calls what the newest redis deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*setex:DeprecationWarning")

STABLE_KEY = "wxlogistics:stable_token:wx1234567890abcdef:token"
AUTHORIZER_KEY = (
    "wxlogistics:api_authorizer_token:wx1234567890abcdef:wx8888888888888888:token"
)


def stable(wechat: ScriptedWeChat, cache: Any, appid: str = APPID) -> Asker:
    return Asker(StableToken(appid, SECRET, cache=cache), wechat)


def authorizer(
    wechat: ScriptedWeChat, cache: Any, shop: str = APPID, component: str = COMPONENT
) -> Asker:
    provider = AuthorizerToken(component, "component's", shop, REFRESH, cache=cache)
    return Asker(provider, wechat)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time as the providers see it. It starts now, for real caches see no other."""
    clock = Time()
    clock.now = time.time()
    monkeypatch.setattr("wxlogistics.tokens.time", clock)
    return clock


@pytest.fixture
def log(caplog: LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "wxlogistics")
    return caplog


# Caches


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


class Store(NamedTuple):
    """A cache as two processes have it."""

    one: Any
    other: Any


def django_cache(backend: str, location: str) -> Any:
    """Return `django.core.cache.cache` of a project with this backend."""
    backend = f"django.core.cache.backends.{backend}"
    settings = {"default": {"BACKEND": backend, "LOCATION": location}}
    handler = django.core.cache.CacheHandler(settings)
    return django.core.cache.ConnectionProxy(handler, "default")


def minimal(request: pytest.FixtureRequest) -> Store:
    cache = MemoryCache(request.getfixturevalue("clock"))
    return Store(cache, cache)


def django_local_memory(request: pytest.FixtureRequest) -> Store:
    name = request.node.name
    one, other = (django_cache("locmem.LocMemCache", name) for _ in range(2))
    return Store(one, other)


def django_files(request: pytest.FixtureRequest) -> Store:
    directory = str(request.getfixturevalue("tmp_path"))
    one, other = (django_cache("filebased.FileBasedCache", directory) for _ in range(2))
    return Store(one, other)


def django_redis(request: pytest.FixtureRequest) -> Store:
    url = f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/1"
    one, other = (django_cache("redis.RedisCache", url) for _ in range(2))
    one.clear()
    for cache in (one, other):
        request.addfinalizer(cache._cache.get_client().close)
    return Store(one, other)


def cachelib_simple(request: pytest.FixtureRequest) -> Store:
    cache = cachelib.SimpleCache()
    return Store(cache, cache)


def cachelib_files(request: pytest.FixtureRequest) -> Store:
    directory = str(request.getfixturevalue("tmp_path"))
    one, other = (cachelib.FileSystemCache(directory) for _ in range(2))
    return Store(one, other)


def cachelib_redis(request: pytest.FixtureRequest) -> Store:
    port = request.getfixturevalue("redis_port")
    one, other = (redis.Redis("127.0.0.1", port, 2) for _ in range(2))
    one.flushdb()
    for client in (one, other):
        request.addfinalizer(client.close)
    return Store(cachelib.RedisCache(one), cachelib.RedisCache(other))


STORES = [
    minimal,
    django_local_memory,
    django_files,
    django_redis,
    cachelib_simple,
    cachelib_files,
    cachelib_redis,
]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    return request.param(request)


class TestEveryCache:
    """The contract of `Cache`, for each kind that a provider takes."""

    def test_get__shared(self, store, clock):
        wechat = ScriptedWeChat(issued("first"))

        assert "first" == stable(wechat, store.one).get()
        assert "first" == stable(wechat, store.other).get()
        assert [NORMAL] == wechat.payloads

    def test_get__shared_until_its_end(self, store, clock):
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        stable(wechat, store.one).get()
        asker = stable(wechat, store.other)
        clock.now += 7139
        assert "first" == asker.get()

        clock.now += 1
        assert "second" == asker.get()

    def test_get__entry(self, store, clock):
        """The longest token of WeChat has 512 characters."""
        token = "84_" + "-_Az09" * 84 + "AAAHQ"
        assert 512 == len(token)
        stable(ScriptedWeChat(issued(token, 300)), store.one).get()
        entry = store.other.get(STABLE_KEY)

        assert isinstance(entry, str)
        assert [token, clock.now + 240] == json.loads(entry)
        assert token == stable(ScriptedWeChat(), store.other).get()

    def test_renew__refused_token_in_the_cache(self, store, clock):
        wechat = ScriptedWeChat(issued("first"), issued("second"), issued("second"))
        one, other = stable(wechat, store.one), stable(wechat, store.other)
        one.get()
        other.get()

        assert "second" == one.renew("first")
        assert "second" == stable(wechat, store.other).get()
        # The other process has its own refused call, and asks for itself.
        assert "second" == other.renew("first")
        assert [NORMAL, NORMAL, NORMAL] == wechat.payloads

    def test_authorizer_token__shared(self, store, clock):
        wechat = ScriptedWeChat(authorized("first", CHANGED), authorized("second"))

        assert "first" == authorizer(wechat, store.one).get()
        assert "first" == authorizer(wechat, store.other).get()
        assert "second" == authorizer(wechat, store.other).renew("first")
        assert [REFRESH, REFRESH] == [
            payload["authorizer_refresh_token"] for payload in wechat.payloads
        ]


class TestEntries:
    """What stands in the cache, and under which name."""

    def test_entries__no_secret(self, clock):
        cache = MemoryCache(clock)
        stable(ScriptedWeChat(issued("a"), issued("b")), cache).renew("a")
        authorizer(ScriptedWeChat(authorized("c", CHANGED)), cache).get()

        end = clock.now + 7140
        assert {
            STABLE_KEY: (json.dumps(["b", end]), end),
            AUTHORIZER_KEY: (json.dumps(["c", end]), end),
        } == cache.entries

    @pytest.mark.parametrize("life", [1, 2])
    def test_timeout__never_zero(self, clock, life):
        """0 means "for ever" to some caches."""
        cache = MemoryCache(clock)
        stable(ScriptedWeChat(issued("first", life)), cache).get()

        assert [clock.now + 1] == [end for _, end in cache.entries.values()]

    def test_calls__get_and_set_alone(self, clock):
        cache = mock.Mock(spec_set=["get", "set"])
        cache.get.return_value = None
        stable(ScriptedWeChat(issued("first")), cache).get()

        entry = json.dumps(["first", clock.now + 7140])
        assert [
            mock.call.get(STABLE_KEY),
            mock.call.set(STABLE_KEY, entry, timeout=7140),
        ] == cache.method_calls

    @pytest.mark.parametrize(
        "appid", ["微信", "a b", "a\nb", "a\x00b", "x" * 65, "ü", "a:b"]
    )
    def test_key__odd_appid(self, clock, appid):
        """memcached takes visible ASCII characters only."""
        cache = MemoryCache(clock)
        authorizer(ScriptedWeChat(authorized("first")), cache, appid, appid).get()

        [key] = cache.entries
        assert re.fullmatch("[!-~]+", key)

    def test_key__unique(self, clock):
        cache = MemoryCache(clock)
        for appid in ["微信", "微 信", "a:b", "a;b", "a%3Ab", "a%b"]:
            stable(ScriptedWeChat(issued("x")), cache, appid).get()
        for shop, component in [("a:b", "c"), ("a", "b:c")]:
            wechat = ScriptedWeChat(authorized("first"))
            authorizer(wechat, cache, shop, component).get()

        assert 8 == len(cache.entries)


class TestWhatServes:
    """What cannot serve as a cache is refused when the provider is made."""

    class Diskcache:
        """The signatures of diskcache.Cache."""

        def get(self, key: str, default: Any = None, read: bool = False) -> Any: ...

        def set(self, key: str, value: Any, expire: float | None = None) -> bool: ...

    @pytest.mark.parametrize(
        "cache, kind",
        [
            ({}, "dict"),
            (5, "int"),
            (cachelib.SimpleCache, "type"),
            (type("Any", (), {"get": max, "set": lambda *args, **kw: None}), "type"),
            (redis.Redis(), "Redis"),
            (Diskcache(), "Diskcache"),
            (types.SimpleNamespace(get=None, set=mock.Mock()), "SimpleNamespace"),
        ],
    )
    @pytest.mark.parametrize("make", [stable, authorizer])
    def test_init__refused(self, make, cache, kind):
        with pytest.raises(InvalidArgumentError) as caught:
            make(ScriptedWeChat(), cache)

        assert (
            "cache",
            f"is of type {kind}; give an object with get(key) and "
            "set(key, value, timeout=seconds), such as a Django cache",
        ) == caught.value.args

    class Forwards:
        """A cache that hides its parameters, as Flask-Caching's does."""

        def __init__(self, cache: Any) -> None:
            self.cache = cache

        def get(self, *args: Any, **kwargs: Any) -> Any:
            return self.cache.get(*args, **kwargs)

        def set(self, *args: Any, **kwargs: Any) -> Any:
            return self.cache.set(*args, **kwargs)

    @pytest.mark.parametrize(
        "make", [Forwards, lambda cache: mock.Mock(wraps=cache)], ids=["args", "Mock"]
    )
    def test_init__hidden_parameters(self, clock, make):
        cache = make(MemoryCache(clock))
        stable(ScriptedWeChat(issued("first")), cache).get()

        assert "first" == stable(ScriptedWeChat(), cache).get()

    @pytest.mark.parametrize(
        "cache",
        [
            mock.Mock(),
            mock.MagicMock(),
            # Written in C: its parameters are unknown.
            types.SimpleNamespace(get={}.get, set={}.update),
        ],
        ids=["Mock", "MagicMock", "C"],
    )
    def test_init__not_a_cache_after_all(self, cache):
        assert "first" == stable(ScriptedWeChat(issued("first")), cache).get()

    def test_init__does_not_call_the_cache(self):
        cache = mock.Mock(**{"get.side_effect": OSError, "set.side_effect": OSError})
        stable(ScriptedWeChat(), cache)

        assert [] == cache.method_calls


class Broken(MemoryCache):
    def __init__(self, clock: Time, error: Exception, *methods: str) -> None:
        super().__init__(clock)
        self.error = error
        self.methods = methods

    def get(self, key: str) -> Any:
        if "get" in self.methods:
            raise self.error
        return super().get(key)

    def set(self, key: str, value: Any, timeout: int) -> None:
        if "set" in self.methods:
            raise self.error
        super().set(key, value, timeout)


def error_of(module: str, name: str, base: type = Exception) -> Exception:
    error: Exception = type(name, (base,), {"__module__": module})("hunter2")
    return error


class TestFailures:
    """Nothing that a cache does breaks a call that WeChat would have answered."""

    @pytest.mark.parametrize("methods", [["get"], ["set"], ["get", "set"]])
    @pytest.mark.parametrize(
        "error",
        [
            redis.ConnectionError("redis://:hunter2@10.0.0.5 is down"),
            RuntimeError("hunter2"),
            error_of("rqueue", "Error"),
            error_of("shop.celery", "Error"),
        ],
        ids=repr,
    )
    def test_get__cache_raises(self, clock, methods, error, log):
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        cache = Broken(clock, error, *methods)
        asker = stable(wechat, cache)

        assert ["first", "first"] == [asker.get(), asker.get()]
        assert [
            f"the cache's {method} failed ({type(error).__name__}): not used"
            for method in methods
        ] == log.messages
        # It is used again at the next fetch.
        cache.methods = ()
        asker.renew("first")
        assert "second" == stable(ScriptedWeChat(), cache).get()

    @pytest.mark.parametrize("method", ["get", "set"])
    @pytest.mark.parametrize(
        "error",
        [
            error_of("billiard.exceptions", "SoftTimeLimitExceeded"),
            error_of("celery.exceptions", "SoftTimeLimitExceeded"),
            error_of("rq.timeouts", "JobTimeoutException"),
            # A subclass of the application's own.
            error_of(
                "shop.tasks", "Late", type(error_of("rq.timeouts", "BaseTimeout"))
            ),
        ],
        ids=repr,
    )
    def test_get__time_limit_of_a_task_queue(self, clock, method, error, log):
        """
        The queue raises its time limit inside whatever runs, such as a cache's
        call.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        cache = Broken(clock, error, method)
        asker = stable(wechat, cache)
        with pytest.raises(type(error)) as caught:
            asker.client.get_delivery_list()

        assert error is caught.value
        assert [] == log.messages
        # The next task is not locked out.
        cache.methods = ()
        assert asker.get() in ("first", "second")

    RUBBISH = [
        *(b"\xff\xfe", "", " ", 5, ["84_secret", NOON], {"a": "84_secret"}, ...),
        *("84_secret", "null", "5", '"ab"', "[]", f'{{"84_secret": 1, "{NOON}": 2}}'),
        *('["84_secret"]', '["84_secret", 1, 2]', '["84_secret", null]'),
        *('["84_secret", "soon"]', f'["84_secret", "{NOON + 100}"]'),
        f'["84_secret", {10**400}]',
        *(f"[{token}, {NOON + 100}]" for token in ['""', '" TOK"', '"TOK\\n"']),
        *(f"[{token}, {NOON + 100}]" for token in ['"\\ud800"', "5", '["84_secret"]']),
        *("[" * 100_000, '{"a":' * 100_000, "84_secret" * 100_000),
    ]

    # Too old, or later than a token can end.
    ENDS = [NOON, 0, "true", NOON + 7201, 1e300, "NaN", "Infinity", "-Infinity"]

    @pytest.mark.parametrize(
        "entry, warnings",
        [(entry, 1) for entry in RUBBISH]
        + [(f'["84_secret", {end}]', 0) for end in ENDS],
        ids=lambda value: repr(value)[:30],
    )
    def test_get__not_a_good_entry(self, clock, entry, warnings, log):
        clock.now = NOON
        cache = MemoryCache(clock)
        cache.set(STABLE_KEY, entry, timeout=10**6)
        wechat = ScriptedWeChat(issued("first"))

        assert "first" == stable(wechat, cache).get()
        assert "first" == stable(wechat, cache).get()
        assert [NORMAL] == wechat.payloads
        assert [
            "the cache holds no token under wxlogistics:stable_token:wx1234567890abcdef"
            ":token: ignored"
        ] * warnings == log.messages
        assert {"wxlogistics"} >= {record.name for record in log.records}

    @pytest.mark.parametrize(
        "entry", [f'["first", {NOON + 7200}]', b'["first", 1779249600.5]']
    )
    def test_get__good_entry(self, clock, entry, log):
        clock.now = NOON
        cache = MemoryCache(clock)
        cache.set(STABLE_KEY, entry, timeout=10**6)

        assert "first" == stable(ScriptedWeChat(), cache).get()
        assert [] == log.messages

    def test_renew__cache_keeps_the_old_token(self, clock):
        cache = MemoryCache(clock)
        stable(ScriptedWeChat(issued("first")), cache).get()
        cache.set = lambda *args, **kwargs: False
        asker = stable(ScriptedWeChat(issued("second"), issued("third")), cache)

        assert "first" == asker.get()
        assert "second" == asker.renew("first")
        assert "second" == asker.get()
        clock.now += 10
        assert "third" == asker.renew("second")

    def test_get__redis_is_down(self, tmp_path):
        sandbox = Sandbox()
        with redis_server(tmp_path) as port:
            server = redis.Redis("127.0.0.1", port, retry=Retry(NoBackoff(), 0))
            cache = cachelib.RedisCache(server)
            with sandbox.mock():
                client = Client(StableToken(sandbox.appid, sandbox.secret, cache=cache))
                client.get_delivery_list()
        sandbox.revoke_tokens()
        with sandbox.mock():
            assert client.get_delivery_list()
        server.close()
