"""Where access tokens come from, how long they are kept, and how they are renewed."""

from __future__ import annotations

import copy
import gc
import json
import logging
import os
import pickle
import threading
import time
import traceback
import weakref
from typing import Any, Callable, Iterator

import attrs
import pytest
import requests
from servers import NOON, MemoryCache, PoliteCache, ScriptedWeChat, Time

from wxlogistics import (
    AccessTokenError,
    ApiError,
    AuthorizerToken,
    Client,
    CredentialError,
    DailyQuotaError,
    GatewayError,
    InvalidArgumentError,
    IpNotAllowedError,
    MalformedRequestError,
    NotAuthorizedError,
    RateLimitError,
    StableToken,
    SystemBusyError,
    TokenProvider,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)
from wxlogistics.sandbox import Clock, Sandbox
from wxlogistics.tokens import token_provider

APPID = "wx1234567890abcdef"
SECRET = "c2b1a09f8e7d6c5b4a39281706f5e4d3"
COMPONENT = "wx8888888888888888"
COMPONENT_TOKEN = "84_Q09NUE9ORU5UIEFDQ0VTUw"
REFRESH = "refreshtoken@@@QmVjYXVzZSBpdCBpcyBhIHRlc3Q"
CHANGED = "refreshtoken@@@Q2hhbmdlZCBieSBXZUNoYXQ"

STABLE_URL = "https://api.weixin.qq.com/cgi-bin/stable_token"
AUTHORIZER_URL = (
    "https://api.weixin.qq.com/cgi-bin/component/api_authorizer_token"
    "?component_access_token="
)

NORMAL = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
FORCED = {**NORMAL, "force_refresh": True}

BUSY = {"errcode": -1, "errmsg": "system error rid: 1-2-3"}
INVALID = {"errcode": 40001, "errmsg": "invalid credential rid: 1-2-3"}


def issued(token: str, expires_in: Any = 7200) -> dict[str, Any]:
    """
    What stable_token answers.
    """
    return {"access_token": token, "expires_in": expires_in}


def authorized(token: str, refresh_token: Any = REFRESH) -> dict[str, Any]:
    """
    What api_authorizer_token answers.
    """
    return {
        "authorizer_access_token": token,
        "expires_in": 7200,
        "authorizer_refresh_token": refresh_token,
    }


def stable(wechat: ScriptedWeChat, clock: Time, **options: Any) -> StableToken:
    """
    A provider that talks to *wechat* and never waits.
    """
    options = {"sleep": clock.sleep, "random": lambda: 1.0} | options
    return StableToken(APPID, SECRET, session=wechat.session, clock=clock, **options)


def authorizer(
    wechat: ScriptedWeChat,
    clock: Time,
    *,
    component_token: Any = COMPONENT_TOKEN,
    refresh_token: str = REFRESH,
    **options: Any,
) -> AuthorizerToken:
    """
    A service provider's provider that talks to *wechat* and never waits.
    """
    options = {"sleep": clock.sleep, "random": lambda: 1.0} | options
    return AuthorizerToken(
        COMPONENT,
        component_token,
        APPID,
        refresh_token,
        session=wechat.session,
        clock=clock,
        **options,
    )


def at_once(
    count: int, function: Callable[[], Any], gate: Gate | None = None
) -> list[Any]:
    """
    What *function* returns or raises in so many threads that begin together; when all
    have begun, *gate* is opened.
    """
    results: list[Any] = []
    barrier = threading.Barrier(count + 1)

    def run() -> None:
        barrier.wait(10)
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait(10)
    if gate:
        gate.open_later()
    for thread in threads:
        thread.join(10)
    assert count == len(results), "a thread hangs"
    return results


class Gate:
    """
    Holds an answer back until it is opened.
    """

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> Any:
        self.reached.set()
        assert self.opened.wait(10)
        return self.answer

    def open_later(self) -> None:
        """
        Give other threads time to come and wait.
        """
        assert self.reached.wait(10)
        threading.Timer(0.2, self.opened.set).start()


@pytest.fixture
def clock() -> Time:
    return Time()


# What every provider does


@attrs.define
class Case:
    """
    A provider, and what to expect of it.
    """

    provider: Any
    secrets: list[str]
    renews: bool = True


class OwnProvider:
    """
    A provider of the user's, which knows nothing of this library.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def get(self) -> str:
        return self.sandbox.access_token()

    def renew(self, rejected: str) -> str:
        return self.sandbox.access_token()


def case_str(sandbox: Sandbox) -> Case:
    token = sandbox.access_token()
    return Case(token, [token], renews=False)


def case_callable(sandbox: Sandbox) -> Case:
    return Case(lambda: sandbox.access_token(), [])


def case_stable_token(sandbox: Sandbox) -> Case:
    return Case(StableToken(sandbox.appid, sandbox.secret), [sandbox.secret])


def case_authorizer_token(sandbox: Sandbox) -> Case:
    component = sandbox.add_component()
    refresh_token = sandbox.authorize(component.appid)
    token = sandbox.component_access_token(component.appid)
    # Not a str: revoking all tokens revokes this one too.
    provider = AuthorizerToken(
        component.appid,
        lambda: sandbox.component_access_token(component.appid),
        sandbox.appid,
        refresh_token,
    )
    return Case(provider, [refresh_token, token])


def case_own_class(sandbox: Sandbox) -> Case:
    return Case(OwnProvider(sandbox), [])


CASES = [
    case_str,
    case_callable,
    case_stable_token,
    case_authorizer_token,
    case_own_class,
]


@pytest.mark.parametrize("make", CASES)
class TestEveryProvider:
    """
    The contract of `TokenProvider`, for whatever a client may be given.
    """

    @pytest.fixture
    def sandbox(self) -> Iterator[Sandbox]:
        sandbox = Sandbox(clock=Clock(NOON, speed=0))
        with sandbox.mock():
            yield sandbox

    def test_get__good_for_a_call(
        self, sandbox: Sandbox, make: Callable[[Sandbox], Case]
    ) -> None:
        """
        WeChat takes the token.
        """
        assert Client(make(sandbox).provider).get_delivery_list()

    def test_get__a_str_the_same_while_it_is_good(
        self, sandbox: Sandbox, make: Callable[[Sandbox], Case]
    ) -> None:
        """
        A token is used for more than one call.
        """
        provider: TokenProvider = token_provider(make(sandbox).provider)
        first = provider.get()

        assert isinstance(first, str)
        assert first
        assert first == provider.get()

    def test_get__from_many_threads(
        self, sandbox: Sandbox, make: Callable[[Sandbox], Case]
    ) -> None:
        """
        Threads may share it.
        """
        provider = token_provider(make(sandbox).provider)

        assert 1 == len(set(at_once(8, provider.get)))

    def test_renew__another_or_none(
        self, sandbox: Sandbox, make: Callable[[Sandbox], Case]
    ) -> None:
        """
        A revoked token is replaced, if anybody can.
        """
        case = make(sandbox)
        provider = token_provider(case.provider)
        rejected = provider.get()
        sandbox.revoke_tokens()
        renewed = provider.renew(rejected)

        assert case.renews == (renewed != rejected)
        assert renewed == provider.get()

    @pytest.mark.parametrize("how", ["revoked", "expired"])
    def test_client__token_refused(
        self, sandbox: Sandbox, make: Callable[[Sandbox], Case], how: str
    ) -> None:
        """
        A call whose token WeChat refuses succeeds with another one, if there is one.
        """
        case = make(sandbox)
        client = Client(case.provider)
        client.get_delivery_list()
        if how == "revoked":
            sandbox.revoke_tokens()
        else:
            sandbox.clock.tick(seconds=7200)
        before = len(sandbox.calls)

        if case.renews:
            assert client.get_delivery_list()
        else:
            with pytest.raises(AccessTokenError):
                client.get_delivery_list()
            assert 1 == len(sandbox.calls) - before

    def test_repr__shows_no_secret(
        self, sandbox: Sandbox, make: Callable[[Sandbox], Case]
    ) -> None:
        """
        Neither a token nor a secret is in the repr.
        """
        case = make(sandbox)
        provider = token_provider(case.provider)
        case.secrets.append(provider.get())

        assert [] == [secret for secret in case.secrets if secret in repr(provider)]


class TestTokenProvider:
    """
    What is taken for a provider.
    """

    @pytest.mark.parametrize("missing", ["get", "renew"])
    def test_token_provider__half(self, missing: str) -> None:
        """
        Half a provider is none.
        """

        class Half:
            pass

        half: Any = Half()
        setattr(half, "renew" if missing == "get" else "get", lambda *args: "x")
        with pytest.raises(InvalidArgumentError) as caught:
            token_provider(half)

        assert (
            "token: is of type Half; give a str, a callable that returns one, or a "
            "TokenProvider" == str(caught.value)
        )


# A shop's own token


class TestStableToken:
    def test_get__request(self, clock: Time, sample: Callable[[str], bytes]) -> None:
        """
        The sample's request gets the sample's token.
        """
        wechat = ScriptedWeChat((200, sample("stable_token.reply.json").decode()))
        token = stable(wechat, clock).get()

        assert [json.loads(sample("stable_token.request.json"))] == wechat.payloads
        assert [STABLE_URL] == wechat.urls
        assert token == (
            "84_Tm9uZSBvZiB5b3VyIGJ1c2luZXNz-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_"
            "-AAAHQI"
        )

    @pytest.mark.parametrize(
        "expires_in, kept",
        [
            # A minute less than WeChat says.
            (7200, 7140),
            (300, 240),
            ("7200", 7140),
            (7200.0, 7140),
            # A short life is used by half.
            (100, 50),
            (1, 0.5),
            # Nobody knows; five minutes is the least that WeChat says.
            (None, 240),
            ("soon", 240),
            ("", 240),
            ([], 240),
            (True, 240),
            (1.5, 240),
            (float("inf"), 240),
            (float("nan"), 240),
            (0, 240),
            ("0", 240),
            (-1, 240),
            (-7200, 240),
            # Longer than WeChat lets a token live.
            (7201, 7140),
            (10**9, 7140),
            (10**400, 7140),
            (1e300, 7140),
        ],
    )
    def test_get__kept(self, clock: Time, expires_in: Any, kept: float) -> None:
        """
        A token is used until shortly before its end, and then another is fetched.
        """
        wechat = ScriptedWeChat(issued("first", expires_in), issued("second"))
        provider = stable(wechat, clock)
        tokens = [provider.get()]
        clock.now = NOON + kept - 0.1
        tokens.append(provider.get())
        clock.now = NOON + kept
        tokens.append(provider.get())

        assert ["first", "first", "second"] == tokens
        assert [NORMAL, NORMAL] == wechat.payloads

    def test_get__no_expires_in(self, clock: Time) -> None:
        """
        A reply that names no life at all is used too.
        """
        wechat = ScriptedWeChat({"access_token": "first"}, issued("second"))
        provider = stable(wechat, clock)
        tokens = [provider.get()]
        clock.now += 239
        tokens.append(provider.get())
        clock.now += 1
        tokens.append(provider.get())

        assert ["first", "first", "second"] == tokens

    def test_get__life_counts_from_the_question(self, clock: Time) -> None:
        """
        The time that the answer takes is no part of the token's life.
        """

        def slow() -> dict[str, Any]:
            clock.now += 20
            return issued("first", 300)

        wechat = ScriptedWeChat(slow, issued("second"))
        provider = stable(wechat, clock)
        provider.get()
        clock.now = NOON + 239
        assert "first" == provider.get()

        clock.now = NOON + 240
        assert "second" == provider.get()

    def test_get__many_calls_with_no_life_left(self, clock: Time) -> None:
        """
        A server that says 0 for every token is not asked for each call.
        """
        wechat = ScriptedWeChat(issued("first", 0))
        provider = stable(wechat, clock)

        assert {"first"} == {provider.get() for _ in range(1000)}
        assert 1 == len(wechat.payloads)

    @pytest.mark.parametrize("put_back", [61, 3600, 10**7])
    def test_get__clock_put_back(self, clock: Time, put_back: float) -> None:
        """
        A clock that was put back does not keep a token for longer than it can live.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        provider = stable(wechat, clock)
        provider.get()
        clock.now -= put_back

        assert "second" == provider.get()

    def test_get__token_as_long_as_wechat_says(self, clock: Time) -> None:
        """
        512 characters have room.
        """
        token = "a" * 512

        assert token == stable(ScriptedWeChat(issued(token)), clock).get()

    @pytest.mark.parametrize(
        "reply, keys",
        [
            ({}, ""),
            ({"errcode": 0, "errmsg": "ok"}, "errcode, errmsg"),
            ({"access_token": ""}, "access_token"),
            ({"access_token": None}, "access_token"),
            ({"access_token": 5}, "access_token"),
            ({"access_token": ["x"]}, "access_token"),
            ({"84_AbCd": 1, SECRET: 2, "expires_in": 3}, "expires_in"),
        ],
    )
    def test_get__no_token_in_the_reply(
        self, clock: Time, reply: dict[str, Any], keys: str
    ) -> None:
        """
        A reply without a token is none of WeChat's.
        """
        with pytest.raises(UnexpectedResponseError) as caught:
            stable(ScriptedWeChat(reply), clock).get()

        error = caught.value
        assert ("stable_token", 200, keys, "no access_token") == error.args

    def test_get__nothing_is_sent_before(self, clock: Time) -> None:
        """
        Making a provider fetches nothing.
        """
        wechat = ScriptedWeChat()
        stable(wechat, clock)

        assert [] == wechat.payloads

    def test_renew__normal_mode_first(self, clock: Time) -> None:
        """
        Where WeChat has another token already, nothing is forced.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        provider = stable(wechat, clock)
        provider.get()

        assert "second" == provider.renew("first")
        assert "second" == provider.get()
        assert [NORMAL, NORMAL] == wechat.payloads

    def test_renew__forced_when_it_comes_back(
        self, clock: Time, sample: Callable[[str], bytes]
    ) -> None:
        """
        Only where normal mode hands out the refused token again a new one is forced.
        """
        wechat = ScriptedWeChat(issued("first"), issued("first"), issued("second"))
        provider = stable(wechat, clock)
        provider.get()

        assert "second" == provider.renew("first")
        assert "second" == provider.get()
        assert [NORMAL, NORMAL, FORCED] == wechat.payloads
        forced = json.loads(sample("stable_token.request.force_refresh.json"))
        assert forced == wechat.payloads[-1]

    def test_renew__compared_first(self, clock: Time) -> None:
        """
        Where somebody has renewed already, nothing is sent.
        """
        wechat = ScriptedWeChat(issued("second"))
        provider = stable(wechat, clock)
        provider.get()

        assert "second" == provider.renew("first")
        assert 1 == len(wechat.payloads)

    def test_renew__of_a_token_that_was_never_had(self, clock: Time) -> None:
        """
        A provider that has no token yet fetches one.
        """
        wechat = ScriptedWeChat(issued("first"))

        assert "first" == stable(wechat, clock).renew("somebody's")
        assert [NORMAL] == wechat.payloads

    def test_renew__never_forced_twice_within_30_s(self, clock: Time) -> None:
        """
        The refused token is returned instead, as WeChat has no other.
        """
        wechat = ScriptedWeChat(
            issued("first"),  # renew("first"), normal mode
            issued("second"),  # forced
            issued("second"),  # renew("second") after 29.9 s
            issued("second"),  # renew("second") after 30 s
            issued("third"),  # forced
        )
        provider = stable(wechat, clock)
        tokens = [provider.renew("first")]
        clock.now += 29.9
        tokens.append(provider.renew("second"))
        clock.now += 0.1
        tokens.append(provider.renew("second"))

        assert ["second", "second", "third"] == tokens
        assert [NORMAL, FORCED, NORMAL, NORMAL, FORCED] == wechat.payloads

    def test_renew__pause_counts_from_the_answer(self, clock: Time) -> None:
        """
        WeChat may have taken its time: it sees no less than 30 s.
        """

        def slow() -> dict[str, Any]:
            clock.now += 20
            return issued("second")

        wechat = ScriptedWeChat(issued("first"), slow, issued("second"))
        provider = stable(wechat, clock)
        provider.renew("first")
        clock.now += 29.9

        assert "second" == provider.renew("second")
        assert [NORMAL, FORCED, NORMAL] == wechat.payloads

    @pytest.mark.parametrize(
        "failure, error",
        [
            (requests.ReadTimeout("slow"), TransportError),
            (requests.ConnectionError("broken"), TransportError),
            ((502, "<html>"), GatewayError),
            ({"errcode": 45009, "errmsg": "reach max api daily quota limit"}, ApiError),
        ],
    )
    def test_renew__a_failed_one_counts_too(
        self, clock: Time, failure: Any, error: type[Exception]
    ) -> None:
        """
        A forced renewal that may have reached WeChat is not repeated, nor soon made
        again.
        """
        wechat = ScriptedWeChat(issued("first"), failure, issued("first"))
        provider = stable(wechat, clock)
        with pytest.raises(error):
            provider.renew("first")
        clock.now += 29.9

        assert "first" == provider.renew("first")
        assert [NORMAL, FORCED, NORMAL] == wechat.payloads

    def test_renew__clock_put_back(self, clock: Time) -> None:
        """
        A clock that was put back does not forbid forced renewals for all that time.
        """
        wechat = ScriptedWeChat(
            issued("first"), issued("second"), issued("second"), issued("third")
        )
        provider = stable(wechat, clock)
        provider.renew("first")
        clock.now -= 86400

        assert "third" == provider.renew("second")
        assert [NORMAL, FORCED, NORMAL, FORCED] == wechat.payloads

    def test_renew__no_other__nothing_is_sent_twice(self) -> None:
        """
        Where WeChat sticks to a token that it refuses, its refusal comes out.
        """
        sandbox = Sandbox()
        sandbox.fail("get_delivery_list", errcode=40001, times=None)
        with sandbox.mock():
            client = Client(StableToken(sandbox.appid, sandbox.secret))
            for _ in range(3):
                with pytest.raises(AccessTokenError) as caught:
                    client.get_delivery_list()

        assert "get_delivery_list" == caught.value.endpoint
        assert 1 == sandbox.token_fetches.forced
        calls = [call.endpoint for call in sandbox.calls]
        # The first call is made with the forced token too, the others only once.
        assert 4 == calls.count("get_delivery_list")

    @pytest.mark.parametrize("errcode", [40001, 40014, 42001])
    def test_client__refused(self, errcode: int) -> None:
        """
        Each of the three errcodes renews the token, once for one call.
        """
        sandbox = Sandbox()
        sandbox.fail("get_delivery_list", errcode=errcode)
        with sandbox.mock():
            client = Client(StableToken(sandbox.appid, sandbox.secret))
            client.get_delivery_list()
            client.get_delivery_list()

        fetches = sandbox.token_fetches
        assert (3, 1, 0) == (fetches.total, fetches.forced, fetches.refused)

    def test_client__through_the_hours(self) -> None:
        """
        As time goes by on both sides, no call is ever refused.
        """
        sandbox = Sandbox(clock=Clock(NOON, speed=0))
        with sandbox.mock():
            provider = StableToken(
                sandbox.appid, sandbox.secret, clock=sandbox.clock.now
            )
            client = Client(provider)
            for _ in range(2 * 24 * 12):
                client.get_delivery_list()
                sandbox.clock.tick(minutes=5)

        refused = [
            call for call in sandbox.calls if call.reply and call.reply.get("errcode")
        ]
        assert [] == refused
        fetches = sandbox.token_fetches
        # Two days hold 24 lives of two hours; towards the end of each WeChat hands the
        # same token out again.
        assert 24 <= fetches.total <= 50
        assert 0 == fetches.forced

    @pytest.mark.parametrize(
        "field, arguments",
        [
            ("appid", ("", SECRET)),
            ("appid", (" ", SECRET)),
            ("appid", (None, SECRET)),
            ("secret", (APPID, "")),
            ("secret", (APPID, None)),
            ("secret", (APPID, b"secret")),
        ],
    )
    def test_init__bad_credentials(self, field: str, arguments: Any) -> None:
        """
        What cannot be right is refused at once, by its name and not by its value.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            StableToken(*arguments)

        assert field == caught.value.field
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "field, options",
        [
            ("cache", {"cache": {}}),
            ("cache", {"cache": 5}),
            ("base_url", {"base_url": "api.weixin.qq.com"}),
            ("timeout", {"timeout": 0}),
            ("deadline", {"deadline": -1}),
            ("retries", {"retries": 1.5}),
        ],
    )
    def test_init__bad_options(self, field: str, options: Any) -> None:
        """
        An option that cannot be right is refused at once.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            StableToken(APPID, SECRET, **options)

        assert field == caught.value.field

    def test_init__options_are_named(self) -> None:
        """
        Only appid and secret go by their place.
        """
        with pytest.raises(TypeError):
            StableToken(APPID, SECRET, None)  # type: ignore[misc]

    def test_repr(self) -> None:
        """
        The repr shows the appid.
        """
        assert "<StableToken of wx1234567890abcdef>" == repr(StableToken(APPID, SECRET))


class TestRefusedFetches:
    """
    What WeChat says when it hands out no token.
    """

    @pytest.fixture
    def sandbox(self) -> Iterator[Sandbox]:
        sandbox = Sandbox()
        with sandbox.mock():
            yield sandbox

    def refusal(self, client: Client) -> ApiError:
        with pytest.raises(ApiError) as caught:
            client.get_delivery_list()
        return caught.value

    def test_get__wrong_secret(self, sandbox: Sandbox) -> None:
        """
        40125 is about the credentials.
        """
        error = self.refusal(Client(StableToken(sandbox.appid, SECRET)))

        assert CredentialError is type(error)
        assert (40125, "stable_token") == (error.errcode, error.endpoint)
        assert "AppSecret" in error.advice

    def test_get__unknown_appid(self, sandbox: Sandbox) -> None:
        """
        40013 is about the credentials.
        """
        error = self.refusal(Client(StableToken(APPID, SECRET)))

        assert CredentialError is type(error)
        assert 40013 == error.errcode

    def test_get__address_not_on_the_whitelist(self, sandbox: Sandbox) -> None:
        """
        40164 names the address to put on the whitelist.
        """
        app = sandbox.add_app(ip_whitelist=["203.0.113.9"])
        error = self.refusal(Client(StableToken(app.appid, app.secret)))

        assert isinstance(error, IpNotAllowedError)
        assert (40164, "127.0.0.1") == (error.errcode, error.ip)
        assert "whitelist" in error.advice

    def test_get__address_as_really_seen(
        self, clock: Time, sample: Callable[[str], bytes]
    ) -> None:
        """
        The address is read out of WeChat's own text.
        """
        reply = sample("error.40164.reply.json").decode()
        with pytest.raises(IpNotAllowedError) as caught:
            stable(ScriptedWeChat((200, reply)), clock).get()

        assert "203.0.113.7" == caught.value.ip

    @pytest.mark.parametrize(
        "errcode, error",
        [
            (40002, MalformedRequestError),
            (41002, CredentialError),
            (41004, CredentialError),
            (40243, CredentialError),
            (50004, NotAuthorizedError),
            (45009, DailyQuotaError),
            (45011, RateLimitError),
            (89503, ApiError),
        ],
    )
    def test_get__other_refusals(
        self, sandbox: Sandbox, errcode: int, error: type[ApiError]
    ) -> None:
        """
        Any other refusal comes out as what it is, after one request.
        """
        sandbox.fail("stable_token", errcode=errcode, errmsg="no")
        refusal = self.refusal(Client(StableToken(sandbox.appid, sandbox.secret)))

        assert (error, errcode) == (type(refusal), refusal.errcode)
        assert ["stable_token"] == [call.endpoint for call in sandbox.calls]

    def test_get__over_the_limit(self) -> None:
        """
        The platform's limit a minute is a RateLimitError.
        """
        sandbox = Sandbox(token_minute_limit=1, clock=Clock(NOON, speed=0))
        with sandbox.mock():
            StableToken(sandbox.appid, sandbox.secret).get()
            error = self.refusal(Client(StableToken(sandbox.appid, sandbox.secret)))

        assert isinstance(error, RateLimitError)
        assert 45011 == error.errcode

    def test_get__refused_token_endpoint_is_no_refused_token(
        self, sandbox: Sandbox
    ) -> None:
        """
        A token endpoint that answers 40001 is not asked again for that.
        """
        sandbox.fail("stable_token", errcode=40001, times=None)
        error = self.refusal(Client(StableToken(sandbox.appid, sandbox.secret)))

        assert (40001, "stable_token") == (error.errcode, error.endpoint)
        assert 1 == len(sandbox.calls)


class TestBoundsAndRepetition:
    """
    Token calls go by the same wire as every call.
    """

    @pytest.mark.parametrize(
        "failure",
        [
            (502, "<html>"),
            (503, ""),
            (504, ""),
            BUSY,
            {"errcode": 45009, "errmsg": "reach max api second frequence limit"},
            requests.ConnectionError("broken"),
            requests.ReadTimeout("slow"),
            requests.ConnectTimeout("slow"),
        ],
    )
    @pytest.mark.parametrize("make", [stable, authorizer])
    def test_get__repeated(
        self, clock: Time, make: Callable[..., TokenProvider], failure: Any
    ) -> None:
        """
        What passes by is tried again, after a pause.
        """
        wechat = ScriptedWeChat(failure, {**issued("first"), **authorized("first")})

        assert "first" == make(wechat, clock).get()
        assert 2 == len(wechat.payloads)
        assert wechat.payloads[0] == wechat.payloads[1]
        assert 1 == len(clock.slept)

    def test_get__repeated_no_more_than_retries(self, clock: Time) -> None:
        """
        At most so often as was said.
        """
        wechat = ScriptedWeChat(BUSY, BUSY, BUSY, BUSY)
        with pytest.raises(SystemBusyError):
            stable(wechat, clock, retries=3).get()

        assert 4 == len(wechat.payloads)

    def test_get__not_repeated_by_the_call_that_needs_it(self, clock: Time) -> None:
        """
        A call adds no repetitions of its own to those of its token.
        """
        wechat = ScriptedWeChat(BUSY, BUSY, BUSY)
        client = Client(stable(wechat, clock), sleep=clock.sleep)
        with pytest.raises(SystemBusyError) as caught:
            client.get_delivery_list()

        assert "stable_token" == caught.value.endpoint
        assert 3 == len(wechat.payloads)

    def test_renew__busy_forced(self, clock: Time) -> None:
        """
        A forced renewal that WeChat was too busy for is tried again.
        """
        wechat = ScriptedWeChat(issued("first"), BUSY, issued("second"))

        assert "second" == stable(wechat, clock).renew("first")
        assert [NORMAL, FORCED, FORCED] == wechat.payloads

    def test_get__several_hosts(self, clock: Time) -> None:
        """
        A host that cannot be reached is passed over.
        """
        wechat = ScriptedWeChat(requests.ConnectTimeout("down"), issued("first"))
        hosts = ["https://api.weixin.qq.com", "https://sh.api.weixin.qq.com"]
        stable(wechat, clock, base_url=hosts).get()

        assert [
            "https://api.weixin.qq.com/cgi-bin/stable_token",
            "https://sh.api.weixin.qq.com/cgi-bin/stable_token",
        ] == wechat.urls

    def test_get__timeout(self) -> None:
        """
        A WeChat that does not answer is waited for as long as was said.
        """
        sandbox = Sandbox()
        sandbox.fail("stable_token", delay=5, times=None)
        with sandbox.serve() as server:
            provider = StableToken(
                sandbox.appid,
                sandbox.secret,
                base_url=server.url,
                timeout=0.1,
                retries=0,
            )
            began = time.monotonic()
            with pytest.raises(TransportError) as caught:
                provider.get()

        assert "no answer within 0.1 s" == caught.value.reason
        assert time.monotonic() - began < 2

    def test_get__within_the_deadline_of_the_call(self) -> None:
        """
        A call is over at its deadline though it is its token that takes so long.
        """
        sandbox = Sandbox()
        sandbox.fail("stable_token", delay=5, times=None)
        with sandbox.serve() as server:
            provider = StableToken(sandbox.appid, sandbox.secret, base_url=server.url)
            with Client(provider, base_url=server.url, deadline=0.2) as client:
                began = time.monotonic()
                with pytest.raises(TransportError) as caught:
                    client.get_delivery_list()

        assert time.monotonic() - began < 2
        assert "stable_token" == caught.value.endpoint
        assert caught.value.reason.startswith("no answer within the deadline")

    def test_get__no_connection_is_kept(self) -> None:
        """
        The next fetch is hours away: nothing stays open for it.
        """
        sandbox = Sandbox()
        with sandbox.serve() as server:
            provider = StableToken(sandbox.appid, sandbox.secret, base_url=server.url)
            provider.get()
            pools = provider._wire._session.get_adapter(server.url).poolmanager.pools

            assert 0 == len(pools)


class TestSecrets:
    """
    No text shows a secret, a token or a refresh token.
    """

    @pytest.mark.parametrize(
        "make, secrets",
        [(stable, [SECRET]), (authorizer, [REFRESH, COMPONENT_TOKEN])],
        ids=["stable", "authorizer"],
    )
    @pytest.mark.parametrize(
        "failure",
        [
            lambda echo: {"errcode": 40125, "errmsg": f"invalid {echo} rid: 1-2-3"},
            lambda echo: {"errcode": 61023, "errmsg": f"invalid {echo}"},
            lambda echo: {"errcode": 99999, "errmsg": echo},
            lambda echo: {"errcode": echo},
            lambda echo: (200, f"<html>{echo}</html>"),
            lambda echo: (404, json.dumps({"refused": echo})),
            lambda echo: (502, f"cannot reach https://x/?a={echo}"),
            lambda echo: {echo: 1, "access_token": 5},
            lambda echo: requests.ConnectionError(f"https://x/?a={echo}"),
            lambda echo: requests.ConnectionError(f"cannot send {echo}"),
            lambda echo: requests.ReadTimeout(f"https://x/?a={echo}"),
        ],
    )
    def test_get__fails(
        self,
        clock: Time,
        make: Callable[..., TokenProvider],
        secrets: list[str],
        failure: Callable[[str], Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """
        Whatever WeChat, or a machine on the way, sends back of what it was sent.
        """
        caplog.set_level(logging.DEBUG)
        wechat = ScriptedWeChat(failure(" and ".join(secrets)))
        provider = make(wechat, clock, retries=0)
        with pytest.raises(WxLogisticsError) as caught:
            Client(provider).get_delivery_list()

        error = caught.value
        shown = [str(error), repr(error), repr(error.args), caplog.text]
        shown += [repr(vars(error)), repr(provider), pickle.dumps(error).decode("l1")]
        shown += traceback.format_exception(error)
        told = "\n".join(shown)
        assert [] == [secret for secret in secrets if secret in told]

    def test_get__works(self, clock: Time, caplog: pytest.LogCaptureFixture) -> None:
        """
        The log tells of the fetch and not of the token.
        """
        caplog.set_level(logging.DEBUG)
        stable(ScriptedWeChat(issued("84_AbCdEf")), clock).get()

        assert "stable_token: ok" in caplog.text
        assert "84_AbCdEf" not in caplog.text
        assert SECRET not in caplog.text


class TestPickle:
    """
    A provider can be handed to another process.
    """

    def test_stable_token__works_over_there(self) -> None:
        """
        It has what it was made from, and fetches for itself.
        """
        sandbox = Sandbox()
        with sandbox.mock():
            provider = StableToken(sandbox.appid, sandbox.secret, retries=0)
            kept = provider.get()
            pickled = pickle.dumps(provider)
            unpickled = pickle.loads(pickled)

            assert kept == unpickled.get()
            assert 2 == sandbox.token_fetches.total
        assert kept.encode() not in pickled
        assert "<StableToken of " + sandbox.appid + ">" == repr(unpickled)

    def test_stable_token__only_what_was_said(self) -> None:
        """
        No lock and no connection goes along, nor what nobody has set: the state of the
        random numbers, say.
        """
        provider = StableToken(APPID, SECRET, timeout=5)

        state = {"appid": APPID, "secret": SECRET, "timeout": 5}
        assert state == provider.__getstate__()

    def test_stable_token__the_callers_session(self) -> None:
        """
        The caller's session, its proxies say, goes along.
        """
        session = requests.Session()
        session.proxies["https"] = "http://proxy.example:3128"
        provider = StableToken(APPID, SECRET, session=session)
        unpickled = pickle.loads(pickle.dumps(provider))

        assert session.proxies == unpickled.__getstate__()["session"].proxies

    def test_authorizer_token__newest_refresh_token(self, clock: Time) -> None:
        """
        It goes on with the newest refresh token.
        """
        wechat = ScriptedWeChat(authorized("first", CHANGED))
        provider = authorizer(wechat, clock)
        provider.get()
        state = provider.__getstate__()

        assert CHANGED == state["refresh_token"]
        restored = AuthorizerToken(COMPONENT, COMPONENT_TOKEN, APPID, CHANGED)
        unpickled = pickle.loads(pickle.dumps(restored))
        assert CHANGED == unpickled.refresh_token
        assert repr(restored) == repr(unpickled)

    def test_copy__has_locks_of_its_own(self) -> None:
        """
        A copy shares nothing but what it was made from.
        """
        provider = StableToken(APPID, SECRET)
        copied = copy.deepcopy(provider)

        assert provider.__getstate__() == copied.__getstate__()
        assert provider._locks is not copied._locks


class TestSwapped:
    @pytest.mark.parametrize(
        "field, make",
        [
            ("appid", lambda secret: StableToken(secret, APPID)),
            (
                "component_appid",
                lambda secret: AuthorizerToken(secret, "token", "wx2", "refresh"),
            ),
            (
                "authorizer_appid",
                lambda secret: AuthorizerToken("wx1", "token", secret, "refresh"),
            ),
        ],
    )
    def test_init__appsecret_for_an_appid(
        self, field: str, make: Callable[[str], object]
    ) -> None:
        """
        An appid is shown here and there, so an AppSecret in its place is refused.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            make("8a0d6dc0f1e2d3c4b5a6978877665544")

        assert (
            field,
            "looks like an AppSecret; give wx and 16 more characters",
        ) == caught.value.args

    @pytest.mark.parametrize("appid, secret", [("wx1\n", "s"), ("wx1", " s")])
    def test_init__blanks_around(self, appid: str, secret: str) -> None:
        """
        What was read from a file often ends with its line's end.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            StableToken(appid, secret)

        assert (
            "begins or ends with a blank or a line's end; strip() it"
            == caught.value.problem
        )


class TestSingleFlight:
    """
    However many threads ask, one fetches.
    """

    @pytest.mark.parametrize("make", [stable, authorizer])
    def test_get__no_token_yet(
        self, clock: Time, make: Callable[..., TokenProvider]
    ) -> None:
        """
        64 threads without a token make one fetch.
        """
        gate = Gate({**issued("first"), **authorized("first")})
        wechat = ScriptedWeChat(gate)
        provider = make(wechat, clock)

        assert ["first"] * 64 == at_once(64, provider.get, gate)
        assert 1 == len(wechat.payloads)

    def test_renew__the_same_refused(self, clock: Time) -> None:
        """
        64 threads whose token was refused make one renewal.
        """
        gate = Gate(issued("second"))
        wechat = ScriptedWeChat(issued("first"), gate)
        provider = stable(wechat, clock)
        provider.get()

        renewed = at_once(64, lambda: provider.renew("first"), gate)
        assert ["second"] * 64 == renewed
        assert [NORMAL, NORMAL] == wechat.payloads

    def test_renew__the_same_refused_and_forced(self, clock: Time) -> None:
        """
        64 threads whose token must be forced make one normal fetch and one forced.
        """
        gate = Gate(issued("second"))
        wechat = ScriptedWeChat(issued("first"), issued("first"), gate)
        provider = stable(wechat, clock)
        provider.get()

        renewed = at_once(64, lambda: provider.renew("first"), gate)
        assert ["second"] * 64 == renewed
        assert [NORMAL, NORMAL, FORCED] == wechat.payloads

    def test_renew__there_is_no_other(self, clock: Time) -> None:
        """
        64 threads that cannot have another token do not ask for it one by one.
        """
        wechat = ScriptedWeChat(issued("first"), issued("second"))
        provider = stable(wechat, clock)
        provider.renew("first")
        gate = Gate(issued("second"))
        wechat.answers.append(gate)

        renewed = at_once(64, lambda: provider.renew("second"), gate)
        assert ["second"] * 64 == renewed
        assert [NORMAL, FORCED, NORMAL] == wechat.payloads

    def test_get__while_a_refused_token_is_renewed(self, clock: Time) -> None:
        """
        Nobody is handed a token that is known to be refused: they wait for the new one.
        """
        gate = Gate(issued("second"))
        wechat = ScriptedWeChat(issued("first"), gate)
        provider = stable(wechat, clock)
        provider.get()
        renewing = threading.Thread(target=provider.renew, args=("first",))
        renewing.start()
        gate.open_later()

        assert ["second"] * 8 == at_once(8, provider.get)
        renewing.join()
        assert 2 == len(wechat.payloads)

    @pytest.mark.parametrize(
        "failure, error",
        [
            (
                {"errcode": 40125, "errmsg": "invalid appsecret rid: 1-2-3"},
                CredentialError("stable_token", 40125, "invalid appsecret rid: 1-2-3"),
            ),
            ((502, "no"), GatewayError("stable_token", 502, "no")),
            (
                (200, "<html>"),
                UnexpectedResponseError(
                    "stable_token", 200, "<html>", "no JSON object"
                ),
            ),
        ],
    )
    def test_get__fails(
        self, clock: Time, failure: Any, error: WxLogisticsError
    ) -> None:
        """
        If the fetch fails, all who wait see that error, each a copy of its own; the
        next call tries again.
        """
        gate = Gate(failure)
        wechat = ScriptedWeChat(gate)
        provider = stable(wechat, clock, retries=0)
        failures = at_once(64, provider.get, gate)

        assert {type(error)} == {type(each) for each in failures}
        assert {error.args} == {each.args for each in failures}
        assert 64 == len({id(each) for each in failures})
        assert 1 == len(wechat.payloads)

        wechat.answers.append(issued("first"))
        assert "first" == provider.get()
        assert 2 == len(wechat.payloads)

    def test_get__tracebacks_do_not_grow(self, clock: Time) -> None:
        """
        Each thread's traceback is its own.
        """
        gate = Gate({"errcode": 40125, "errmsg": "no"})
        provider = stable(ScriptedWeChat(gate), clock)
        failures = at_once(16, provider.get, gate)

        longest = max(
            len(traceback.extract_tb(each.__traceback__)) for each in failures
        )
        assert longest < 12

    def test_get__foreign_error(self, clock: Time) -> None:
        """
        An error of the caller's own function is not handed around: who waited asks it
        again.
        """
        asked = []

        def no_token() -> str:
            asked.append(1)
            raise LookupError("the vault is shut")

        provider = authorizer(ScriptedWeChat(), clock, component_token=no_token)
        failures = at_once(8, provider.get)

        assert {"LookupError('the vault is shut')"} == {repr(e) for e in failures}
        assert 8 == len(asked)

    def test_get__interrupted(self, clock: Time) -> None:
        """
        Ctrl-C in one thread is no other thread's business.
        """
        gate = Gate(KeyboardInterrupt())
        wechat = ScriptedWeChat(gate, issued("first"))
        provider = stable(wechat, clock)
        ended: list[str] = []

        def interrupted() -> None:
            with pytest.raises(KeyboardInterrupt):
                provider.get()
            ended.append("interrupted")

        leader = threading.Thread(target=interrupted)
        leader.start()
        gate.open_later()

        assert "first" == provider.get()
        leader.join()
        assert ["interrupted"] == ended

    def test_renew__two_old_tokens(self, clock: Time) -> None:
        """
        Two threads whose calls were refused with different old tokens do not renew
        twice.
        """
        gate = Gate(issued("third"))
        wechat = ScriptedWeChat(issued("second"), gate)
        provider = stable(wechat, clock)
        provider.get()
        olds = ["first", "second"] * 8
        # The refusal of the newer one comes first, so that the renewal is under way.
        first = threading.Thread(target=provider.renew, args=("second",))
        first.start()
        assert gate.reached.wait(10)

        renewed = at_once(16, lambda: provider.renew(olds.pop()), gate)
        first.join()
        assert ["third"] * 16 == renewed
        assert 2 == len(wechat.payloads)
        assert "third" == provider.renew("first")
        assert "third" == provider.renew("second")
        assert 2 == len(wechat.payloads)

    def test_renew__the_fetch_under_way_brings_the_refused_one(
        self, clock: Time
    ) -> None:
        """
        A fetch that began before the refusal may bring the refused token: then the
        thread that waited for it renews.
        """
        gate = Gate(issued("first"))
        wechat = ScriptedWeChat(gate, issued("second"))
        provider = stable(wechat, clock)
        fetched: list[str] = []
        fetching = threading.Thread(target=lambda: fetched.append(provider.get()))
        fetching.start()
        gate.open_later()

        assert "second" == provider.renew("first")
        fetching.join()
        assert ["first"] == fetched
        assert [NORMAL, NORMAL] == wechat.payloads

    @pytest.mark.parametrize("timeout", [0.05, (0.05, 0.05)])
    def test_get__waiting_is_bounded(self, clock: Time, timeout: Any) -> None:
        """
        A thread waits for another's fetch no longer than for one of its own.
        """
        gate = Gate(issued("first"))
        provider = stable(ScriptedWeChat(gate), clock, timeout=timeout)
        fetching = threading.Thread(target=provider.get)
        fetching.start()
        assert gate.reached.wait(10)
        began = time.monotonic()
        with pytest.raises(TransportError) as caught:
            provider.get()
        waited = time.monotonic() - began
        gate.opened.set()
        fetching.join()

        assert (
            "stable_token",
            "another thread's fetch of the token takes too long",
            False,
        ) == caught.value.args
        assert 0.09 < waited < 0.8
        assert "first" == provider.get()

    def test_get__waiting_ends_with_the_deadline(self, clock: Time) -> None:
        """
        Nor longer than the call that needs the token may take.
        """
        gate = Gate(issued("first"))
        provider = stable(ScriptedWeChat(gate), clock)
        fetching = threading.Thread(target=provider.get)
        fetching.start()
        assert gate.reached.wait(10)
        began = time.monotonic()
        with Client(provider, deadline=0.1) as client:
            with pytest.raises(TransportError) as caught:
                client.get_delivery_list()
        waited = time.monotonic() - began
        gate.opened.set()
        fetching.join()

        assert "stable_token" == caught.value.endpoint
        assert waited < 2

    def test_get__after_the_deadline(self, clock: Time) -> None:
        """
        A call that is late already waits for nobody.
        """
        gate = Gate(issued("first"))
        provider = stable(ScriptedWeChat(gate), clock)
        fetching = threading.Thread(target=provider.get)
        fetching.start()
        assert gate.reached.wait(10)
        with Client(provider, deadline=1e-9) as client:
            with pytest.raises(TransportError) as caught:
                client.get_delivery_list()
        gate.opened.set()
        fetching.join()

        assert "stable_token" == caught.value.endpoint

    def test_get__the_deadline_of_another(self, clock: Time) -> None:
        """
        A fetch that fails for its own call's deadline fails for no other call.
        """
        gate = Gate((502, "no"))
        wechat = ScriptedWeChat(gate, issued("second"))
        provider = stable(wechat, clock)
        in_haste = Client(provider, deadline=0.05)
        calling = threading.Thread(
            target=lambda: pytest.raises(TransportError, in_haste.get_delivery_list)
        )
        calling.start()
        gate.open_later()

        assert "second" == provider.get()
        calling.join()
        assert [NORMAL, NORMAL] == wechat.payloads

    def test_get__a_failure_keeps_nothing_alive(self, clock: Time) -> None:
        """
        What is remembered of a failed fetch is not its traceback, which would keep the
        caller's objects.
        """

        class Basket:
            pass

        provider = stable(ScriptedWeChat({"errcode": 40125, "errmsg": "no"}), clock)
        baskets = []

        def view() -> None:
            basket = Basket()
            baskets.append(weakref.ref(basket))
            provider.get()

        with pytest.raises(CredentialError):
            view()
        gc.collect()

        assert baskets[0]() is None

    def test_client__64_threads_and_a_revoked_token(self) -> None:
        """
        Over HTTP: every call of 64 threads succeeds, with one fetch for all.
        """
        sandbox = Sandbox()
        with sandbox.serve() as server:
            provider = StableToken(sandbox.appid, sandbox.secret, base_url=server.url)
            with Client(provider, base_url=server.url) as client:
                first = at_once(64, client.get_delivery_list)
                sandbox.revoke_tokens()
                second = at_once(64, client.get_delivery_list)

        assert [] == [each for each in first + second if not isinstance(each, tuple)]
        assert 2 == sandbox.token_fetches.total
        assert 0 == sandbox.token_fetches.forced

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_get__fork_in_the_midst_of_a_fetch(self, clock: Time) -> None:
        """
        A child that was forked while a thread of its parent fetched does not wait for
        that thread, which it does not have.
        """
        gate = Gate(issued("parent's"))
        wechat = ScriptedWeChat(gate)
        provider = stable(wechat, clock)
        fetching = threading.Thread(target=provider.get)
        fetching.start()
        assert gate.reached.wait(10)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover
            try:
                # The adapter's own lock is not held while an answer is waited for.
                wechat.answers.append(issued("child's"))
                os.write(writer, provider.get().encode())
            finally:
                os._exit(0)
        os.close(writer)
        gate.opened.set()
        fetching.join()
        with open(reader, "rb") as said:
            # The end of the file comes when the child has ended.
            answer = said.read()
        os.waitpid(child, 0)

        assert b"child's" == answer
        assert "parent's" == provider.get()


# A service provider's


class TestAuthorizerToken:
    def test_get__request(self, clock: Time, sample: Callable[[str], bytes]) -> None:
        """
        The sample's request gets the sample's token.
        """
        reply = sample("api_authorizer_token.reply.json").decode()
        wechat = ScriptedWeChat((200, reply))
        token = authorizer(wechat, clock).get()

        request = json.loads(sample("api_authorizer_token.request.json"))
        assert [request] == wechat.payloads
        assert [AUTHORIZER_URL + COMPONENT_TOKEN] == wechat.urls
        assert token == (
            "84_QXV0aG9yaXplciBvZiB0aGUgc2hvcA-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_"
            "-BBBHQI"
        )

    def test_get__kept(self, clock: Time) -> None:
        """
        It is kept as long as a shop's own.
        """
        wechat = ScriptedWeChat(authorized("first"), authorized("second"))
        provider = authorizer(wechat, clock)
        tokens = [provider.get()]
        clock.now += 7139
        tokens.append(provider.get())
        clock.now += 1
        tokens.append(provider.get())

        assert ["first", "first", "second"] == tokens

    def test_client__renewed(self) -> None:
        """
        A revoked token is replaced, with never a forced renewal.
        """
        sandbox = Sandbox()
        component = sandbox.add_component()
        refresh_token = sandbox.authorize(component.appid)
        with sandbox.mock():
            provider = AuthorizerToken(
                component.appid,
                lambda: sandbox.component_access_token(component.appid),
                sandbox.appid,
                refresh_token,
            )
            client = Client(provider)
            client.get_delivery_list()
            sandbox.revoke_tokens(sandbox.appid)
            client.get_delivery_list()

        fetches = sandbox.token_fetches
        assert (2, 0, 0) == (fetches.total, fetches.forced, fetches.refused)

    def test_renew__the_same_token_again(self, clock: Time) -> None:
        """
        Here nothing can be forced: the refused token is returned.
        """
        wechat = ScriptedWeChat(authorized("first"), authorized("first"))
        provider = authorizer(wechat, clock)
        provider.get()

        assert "first" == provider.renew("first")
        assert 2 == len(wechat.payloads)

    # The component token

    def test_component_token__called_for_each_fetch(self, clock: Time) -> None:
        """
        A callable gives the component token of the moment.
        """
        wechat = ScriptedWeChat(authorized("first"), authorized("second"))
        given = iter(["one", "two"])
        provider = authorizer(wechat, clock, component_token=lambda: next(given))
        provider.get()
        provider.renew("first")

        assert [AUTHORIZER_URL + "one", AUTHORIZER_URL + "two"] == wechat.urls

    def test_component_token__refused_and_renewed(self, clock: Time) -> None:
        """
        A refused component token is renewed through its own provider.
        """

        class ComponentToken:
            def get(self) -> str:
                return "old"

            def renew(self, rejected: str) -> str:
                assert "old" == rejected
                return "new"

        wechat = ScriptedWeChat(INVALID, authorized("first"))
        provider = authorizer(wechat, clock, component_token=ComponentToken())

        assert "first" == provider.get()
        assert [AUTHORIZER_URL + "old", AUTHORIZER_URL + "new"] == wechat.urls

    def test_component_token__refused_str(self) -> None:
        """
        A str that WeChat refuses is an AccessTokenError of the token endpoint.
        """
        sandbox = Sandbox()
        component = sandbox.add_component()
        refresh_token = sandbox.authorize(component.appid)
        token = sandbox.component_access_token(component.appid)
        sandbox.revoke_tokens()
        with sandbox.mock():
            client = Client(
                AuthorizerToken(component.appid, token, sandbox.appid, refresh_token)
            )
            with pytest.raises(AccessTokenError) as caught:
                client.get_delivery_list()

        assert "api_authorizer_token" == caught.value.endpoint
        assert ["api_authorizer_token"] == [call.endpoint for call in sandbox.calls]

    def test_component_token__its_own_error(self, clock: Time) -> None:
        """
        An error of the caller's function comes out as it is.
        """

        def no_token() -> str:
            raise LookupError("the vault is shut")

        client = Client(authorizer(ScriptedWeChat(), clock, component_token=no_token))
        with pytest.raises(LookupError, match="the vault is shut"):
            client.get_delivery_list()

    def test_component_token__a_cached_provider_of_the_same_kind(
        self, clock: Time
    ) -> None:
        """
        A provider may itself be one that fetches.
        """
        shop = ScriptedWeChat(authorized("first"))
        own = ScriptedWeChat(issued("component's"))
        provider = authorizer(shop, clock, component_token=stable(own, clock))

        assert "first" == provider.get()
        assert [AUTHORIZER_URL + "component's".replace("'", "%27")] == shop.urls

    # The refresh token

    def test_refresh_token__unchanged(self, clock: Time) -> None:
        """
        The same one again is nothing to tell.
        """
        told: list[str] = []
        wechat = ScriptedWeChat(authorized("first"))
        provider = authorizer(wechat, clock, on_refresh_token=told.append)
        provider.get()

        assert [] == told
        assert REFRESH == provider.refresh_token

    @pytest.mark.parametrize("refresh_token", [None, "", 5, ["x"]])
    def test_refresh_token__none_in_the_reply(
        self, clock: Time, refresh_token: Any
    ) -> None:
        """
        What is no refresh token changes nothing.
        """
        told: list[str] = []
        wechat = ScriptedWeChat(authorized("first", refresh_token))
        provider = authorizer(wechat, clock, on_refresh_token=told.append)

        assert "first" == provider.get()
        assert [] == told
        assert REFRESH == provider.refresh_token

    def test_refresh_token__changed(self, clock: Time) -> None:
        """
        A changed one is told once, and used from then on.
        """
        told: list[str] = []
        wechat = ScriptedWeChat(
            authorized("first", CHANGED), authorized("second", CHANGED)
        )
        provider = authorizer(wechat, clock, on_refresh_token=told.append)
        provider.get()
        provider.renew("first")

        assert [CHANGED] == told
        assert CHANGED == provider.refresh_token
        sent = [payload["authorizer_refresh_token"] for payload in wechat.payloads]
        assert [REFRESH, CHANGED] == sent

    def test_refresh_token__changed_and_nobody_asks(self, clock: Time) -> None:
        """
        Without a callback it is used from then on all the same.
        """
        wechat = ScriptedWeChat(
            authorized("first", CHANGED), authorized("second", CHANGED)
        )
        provider = authorizer(wechat, clock)
        provider.get()
        provider.renew("first")

        assert CHANGED == wechat.payloads[1]["authorizer_refresh_token"]

    def test_refresh_token__told_before_the_access_token_is_used(self) -> None:
        """
        It is stored before WeChat sees a call with the new access token.
        """
        sandbox = Sandbox()
        component = sandbox.add_component()
        old = sandbox.authorize(component.appid)
        new = sandbox.change_refresh_token(component.appid)
        seen: list[Any] = []

        def store(refresh_token: str) -> None:
            seen.append((refresh_token, [call.endpoint for call in sandbox.calls]))

        with sandbox.mock():
            token = sandbox.component_access_token(component.appid)
            client = Client(
                AuthorizerToken(
                    component.appid, token, sandbox.appid, old, on_refresh_token=store
                )
            )
            client.get_delivery_list()

        assert [(new, ["api_authorizer_token"])] == seen
        assert ["api_authorizer_token", "get_delivery_list"] == [
            call.endpoint for call in sandbox.calls
        ]

    @pytest.mark.parametrize("minutes, works", [(4.9, True), (5, False)])
    def test_refresh_token__old_one_lives_five_minutes(
        self, minutes: float, works: bool
    ) -> None:
        """
        Whoever comes in time gets the new one; later, WeChat's refusal says what to do.
        """
        sandbox = Sandbox(clock=Clock(NOON, speed=0))
        component = sandbox.add_component()
        old = sandbox.authorize(component.appid)
        new = sandbox.change_refresh_token(component.appid)
        sandbox.clock.tick(minutes=minutes)
        token = sandbox.component_access_token(component.appid)
        provider = AuthorizerToken(component.appid, token, sandbox.appid, old)
        with sandbox.mock():
            if works:
                provider.get()
                assert new == provider.refresh_token
            else:
                with pytest.raises(CredentialError) as caught:
                    provider.get()
                assert 61023 == caught.value.errcode
                assert (
                    "Use the newest authorizer_refresh_token, or let the account "
                    "authorize the service provider again." == caught.value.advice
                )

    def test_refresh_token__callback_raises(self, clock: Time) -> None:
        """
        Nothing is lost: the error surfaces, the new one is on the provider and in the
        cache, and the callback is called again before the next fetch.
        """
        told: list[str] = []

        def store(refresh_token: str) -> None:
            told.append(refresh_token)
            if len(told) < 3:
                raise OSError("the database is down")

        cache = PoliteCache(clock)
        wechat = ScriptedWeChat(authorized("first", CHANGED))
        provider = authorizer(wechat, clock, cache=cache, on_refresh_token=store)
        for _ in range(2):
            with pytest.raises(OSError, match="the database is down"):
                Client(provider).get_delivery_list()
            assert CHANGED == provider.refresh_token
            assert [REFRESH, CHANGED] == json.loads(
                cache.get(
                    "wxlogistics:api_authorizer_token:"
                    "wx1234567890abcdef:wx8888888888888888:refresh_token"
                )
            )
        wechat.answers.append(authorized("second", CHANGED))

        assert "second" == provider.get()
        assert [CHANGED, CHANGED, CHANGED] == told
        # None while the callback failed.
        assert 2 == len(wechat.payloads)
        # Nobody else was handed the first access token.
        assert "first" not in str(cache.entries)

    def test_refresh_token__changed_in_a_reply_without_access_token(
        self, clock: Time
    ) -> None:
        """
        The old one is as good as dead: the new one is kept even so.
        """
        told: list[str] = []
        wechat = ScriptedWeChat({"authorizer_refresh_token": CHANGED})
        provider = authorizer(wechat, clock, on_refresh_token=told.append)
        with pytest.raises(UnexpectedResponseError):
            provider.get()

        assert [CHANGED] == told
        assert CHANGED == provider.refresh_token

    def test_refresh_token__64_threads(self, clock: Time) -> None:
        """
        However many threads ask, it is told once.
        """
        told: list[str] = []
        gate = Gate(authorized("first", CHANGED))
        wechat = ScriptedWeChat(gate)
        provider = authorizer(wechat, clock, on_refresh_token=told.append)

        assert ["first"] * 64 == at_once(64, provider.get, gate)
        assert [CHANGED] == told

    def test_refresh_token__callback_fails_for_64_threads(self, clock: Time) -> None:
        """
        A failing callback does not make them all fetch.
        """

        def store(refresh_token: str) -> None:
            raise OSError("the database is down")

        gate = Gate(authorized("first", CHANGED))
        wechat = ScriptedWeChat(gate)
        provider = authorizer(wechat, clock, on_refresh_token=store)
        failures = at_once(64, provider.get, gate)

        assert {"OSError('the database is down')"} == {repr(e) for e in failures}
        assert 1 == len(wechat.payloads)

    def test_refresh_token__set_by_the_user(self, clock: Time) -> None:
        """
        After a new authorization it can be set, and is used from then on.
        """
        wechat = ScriptedWeChat(authorized("first", "refreshtoken@@@again"))
        provider = authorizer(wechat, clock)
        provider.refresh_token = "refreshtoken@@@again"
        provider.get()

        sent = wechat.payloads[0]["authorizer_refresh_token"]
        assert "refreshtoken@@@again" == sent

    # Refusals

    def test_get__not_authorized(self) -> None:
        """
        61003: this shop has not authorized this service provider.
        """
        sandbox = Sandbox()
        component = sandbox.add_component()
        token = sandbox.component_access_token(component.appid)
        provider = AuthorizerToken(component.appid, token, sandbox.appid, REFRESH)
        with sandbox.mock(), pytest.raises(NotAuthorizedError) as caught:
            Client(provider).get_delivery_list()

        assert 61003 == caught.value.errcode
        assert "permission set 45" in caught.value.advice

    def test_client__permission_missing(self) -> None:
        """
        61007: the authorization lacks permission set 45; no renewal helps.
        """
        sandbox = Sandbox()
        component = sandbox.add_component()
        refresh_token = sandbox.authorize(component.appid, permissions=[1, 2])
        token = sandbox.component_access_token(component.appid)
        provider = AuthorizerToken(component.appid, token, sandbox.appid, refresh_token)
        with sandbox.mock(), pytest.raises(NotAuthorizedError) as caught:
            Client(provider).get_delivery_list()

        assert 61007 == caught.value.errcode
        assert "permission set 45" in caught.value.advice
        assert 1 == sandbox.token_fetches.total

    def test_get__address_not_registered(self) -> None:
        """
        61004 names the address, too.
        """
        sandbox = Sandbox()
        component = sandbox.add_component(ip_whitelist=["203.0.113.9"])
        refresh_token = sandbox.authorize(component.appid)
        token = sandbox.component_access_token(component.appid)
        provider = AuthorizerToken(component.appid, token, sandbox.appid, refresh_token)
        with sandbox.mock(), pytest.raises(IpNotAllowedError) as caught:
            provider.get()

        assert (61004, "127.0.0.1") == (caught.value.errcode, caught.value.ip)

    @pytest.mark.parametrize(
        "field, arguments, options",
        [
            ("component_appid", ("", COMPONENT_TOKEN, APPID, REFRESH), {}),
            ("component_token", (COMPONENT, "", APPID, REFRESH), {}),
            ("component_token", (COMPONENT, None, APPID, REFRESH), {}),
            ("component_token", (COMPONENT, 5, APPID, REFRESH), {}),
            ("authorizer_appid", (COMPONENT, COMPONENT_TOKEN, None, REFRESH), {}),
            ("refresh_token", (COMPONENT, COMPONENT_TOKEN, APPID, " "), {}),
            (
                "on_refresh_token",
                (COMPONENT, COMPONENT_TOKEN, APPID, REFRESH),
                {"on_refresh_token": "store"},
            ),
        ],
    )
    def test_init__bad_arguments(
        self, field: str, arguments: Any, options: Any
    ) -> None:
        """
        What cannot be right is refused at once, by its name and not by its value.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            AuthorizerToken(*arguments, **options)

        assert field == caught.value.field

    def test_repr(self) -> None:
        """
        The repr shows the appids.
        """
        provider = AuthorizerToken(COMPONENT, COMPONENT_TOKEN, APPID, REFRESH)

        assert "<AuthorizerToken of wx1234567890abcdef for wx8888888888888888>" == repr(
            provider
        )


class TestMemoryCache:
    """
    The doubles of these tests are caches as `StableToken` takes them.
    """

    def test_get_and_set(self, clock: Time) -> None:
        cache = MemoryCache(clock)
        cache.set("key", "value", timeout=5)
        clock.now += 4.9
        assert "value" == cache.get("key")

        clock.now += 0.1
        assert cache.get("key") is None
