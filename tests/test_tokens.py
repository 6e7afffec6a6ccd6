"""Where access tokens come from, how long they are kept, and how they are renewed."""

import copy
import gc
import json
import logging
import os
import pickle
import sys
import traceback
import types
import weakref
from typing import Any

import pytest
import requests
from chaos import ChaosServer, silence
from pytest import MonkeyPatch
from servers import (
    APPID,
    BUSY,
    CHANGED,
    COMPONENT,
    COMPONENT_TOKEN,
    FORCED,
    INVALID,
    NOON,
    NORMAL,
    REFRESH,
    SECRET,
    Asker,
    Gate,
    ScriptedWeChat,
    Time,
    at_once,
    authorized,
    issued,
    outcome,
)

from wxlogistics import (
    AccessTokenError,
    AuthorizerToken,
    Client,
    CredentialError,
    DailyQuotaError,
    InvalidArgumentError,
    NotAuthorizedError,
    StableToken,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)
from wxlogistics.sandbox import Clock, Sandbox
from wxlogistics.tokens import token_provider

STABLE_URL = "https://api.weixin.qq.com/cgi-bin/stable_token"
AUTHORIZER_URL = (
    "https://api.weixin.qq.com/cgi-bin/component/api_authorizer_token"
    "?component_access_token="
)


def stable(*answers: Any, **options: Any) -> tuple[ScriptedWeChat, Asker]:
    """A WeChat that gives *answers*, and a `StableToken` that asks it."""
    wechat = ScriptedWeChat(*answers)
    return wechat, Asker(StableToken(APPID, SECRET), wechat, **options)


def authorizer(
    *answers: Any,
    component_token: Any = COMPONENT_TOKEN,
    refresh_token: Any = REFRESH,
    on_refresh_token: Any = None,
    **options: Any,
) -> tuple[ScriptedWeChat, Asker]:
    """A WeChat that gives *answers*, and an `AuthorizerToken` that asks it."""
    wechat = ScriptedWeChat(*answers)
    provider = AuthorizerToken(
        COMPONENT,
        component_token,
        APPID,
        refresh_token,
        on_refresh_token=on_refresh_token,
    )
    return wechat, Asker(provider, wechat, **options)


BOTH = pytest.mark.parametrize("make", [stable, authorizer])


def reply(token: str) -> dict[str, Any]:
    """A reply that either provider reads *token* from."""
    return issued(token) | authorized(token)


#: A step of a test: get a token.
get = object()

#: What WeChat answers instead of a token.
FAILURES: dict[str, Any] = {
    "busy": BUSY,
    "slow": requests.ReadTimeout("slow"),
    "broken": requests.ConnectionError("broken"),
    "gateway": (502, "<html>"),
    "spent": {"errcode": 45009, "errmsg": "reach max api daily quota limit"},
}


@pytest.fixture
def clock(monkeypatch: MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr("wxlogistics.tokens.time", clock)
    return clock


@pytest.fixture
def sandbox(monkeypatch: MonkeyPatch) -> Sandbox:
    """A sandbox whose clock is the providers'."""
    sandbox = Sandbox(clock=Clock(NOON, speed=0))
    clock = types.SimpleNamespace(time=sandbox.clock.now)
    monkeypatch.setattr("wxlogistics.tokens.time", clock)
    return sandbox


# The contract of every provider


@pytest.mark.parametrize("missing", ["get", "renew"])
def test_token_provider__lacks_a_method(missing):
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


class TestAccessToken:
    def test_access_token__fetched_once(self, clock):
        wechat, asker = stable(issued("first"), issued("second"))
        tokens = [asker.client.access_token(), asker.client.access_token()]
        clock.now += 7140
        tokens.append(asker.client.access_token())

        assert ["first", "first", "second"] == tokens
        assert [STABLE_URL, STABLE_URL] == wechat.urls

    def test_access_token__not_a_token(self):
        with pytest.raises(InvalidArgumentError) as caught:
            Client(lambda: "mine\n").access_token()

        assert "token" == caught.value.field


# A shop's own token


class TestStableToken:
    def test_get__sample(self, sample):
        wechat, asker = stable((200, sample("stable_token.reply.json").decode()))
        token = asker.get()

        assert [json.loads(sample("stable_token.request.json"))] == wechat.payloads
        assert [STABLE_URL] == wechat.urls
        assert token == (
            "84_Tm9uZSBvZiB5b3VyIGJ1c2luZXNz-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_"
            "-AAAHQI"
        )

    @pytest.mark.parametrize(
        "fields, kept",
        [
            # A minute less than WeChat gives.
            ({"expires_in": 7200}, 7140),
            ({"expires_in": 300}, 240),
            ({"expires_in": "7200"}, 7140),
            ({"expires_in": 7200.0}, 7140),
            # Half of a short life.
            ({"expires_in": 100}, 50),
            ({"expires_in": 1}, 0.5),
            # Unknown: five minutes are the least that WeChat gives.
            ({}, 240),
            ({"expires_in": None}, 240),
            ({"expires_in": "soon"}, 240),
            ({"expires_in": []}, 240),
            ({"expires_in": True}, 240),
            ({"expires_in": 1.5}, 240),
            ({"expires_in": float("inf")}, 240),
            ({"expires_in": float("nan")}, 240),
            ({"expires_in": 0}, 240),
            ({"expires_in": "0"}, 240),
            ({"expires_in": -7200}, 240),
            # Longer than WeChat's tokens live.
            ({"expires_in": 7201}, 7140),
            ({"expires_in": 10**400}, 7140),
        ],
    )
    def test_get__until_shortly_before_its_end(self, clock, fields, kept):
        wechat, asker = stable({"access_token": "first"} | fields, issued("second"))
        tokens = [asker.get()]
        clock.now = NOON + kept - 0.1
        tokens.append(asker.get())
        clock.now = NOON + kept
        tokens.append(asker.get())

        assert ["first", "first", "second"] == tokens
        assert [NORMAL, NORMAL] == wechat.payloads

    def test_get__life_counts_from_the_request(self, clock):
        def slow() -> dict[str, Any]:
            clock.now += 20
            return issued("first", 300)

        asker = stable(slow, issued("second"))[1]
        asker.get()
        clock.now = NOON + 239
        assert "first" == asker.get()

        clock.now = NOON + 240
        assert "second" == asker.get()

    @pytest.mark.parametrize("put_back", [61, 3600, 10**7])
    def test_get__clock_put_back(self, clock, put_back):
        asker = stable(issued("first"), issued("second"))[1]
        asker.get()
        clock.now -= put_back

        assert "second" == asker.get()

    @pytest.mark.parametrize(
        "answer, keys",
        [
            ({}, ""),
            ({"errcode": 0, "errmsg": "ok"}, "errcode, errmsg"),
            ({"access_token": ""}, "access_token"),
            ({"access_token": None}, "access_token"),
            ({"access_token": 5}, "access_token"),
            ({"access_token": ["x"]}, "access_token"),
            ({"access_token": "x\n"}, "access_token"),
            ({"84_AbCd": 1, SECRET: 2, "expires_in": 3}, "expires_in"),
        ],
    )
    def test_get__no_token_in_the_reply(self, answer, keys):
        with pytest.raises(UnexpectedResponseError) as caught:
            stable(answer)[1].get()

        expected = "stable_token", 200, keys, "no access_token"
        assert expected == caught.value.args

    @pytest.mark.parametrize(
        "answers, steps, results, sent",
        [
            # Normal mode first: it may have another token already.
            ("first second", [get, "first", get], "first second second", "NN"),
            # By force only if it hands the refused one out again.
            ("first first second", [get, "first", get], "first second second", "NNF"),
            # Nothing is sent for a token that has been replaced already.
            ("second", [get, "first"], "second second", "N"),
            # A provider that has no token yet fetches one.
            ("second", ["first"], "second", "N"),
            # WeChat was too busy for force: it is repeated.
            ("first busy second", ["first"], "second", "NFF"),
            # Force that may have reached WeChat is not.
            ("first slow", ["first"], "TransportError", "NF"),
            ("first broken", ["first"], "TransportError", "NF"),
            ("first gateway", ["first"], "TransportError", "NF"),
            ("first spent", ["first"], "DailyQuotaError", "NF"),
            # A token that a renewal brought is not renewed by force for as long as
            # WeChat hands it out; and a renewal that brought no other is not tried
            # again for 10 seconds.
            (
                "first second second second second second",
                [get, "first", "second", 9.9, "second", 0.1, "second"]
                + [9.9, "second", 0.1, "second", 3600, "second"],
                "first second second second second second second second",
                "NNNNNN",
            ),
            (
                "first first second second second",
                [get, "first", "second", 9.9, "second", 0.1, "second"],
                "first second second second second",
                "NNFNN",
            ),
            # A token that has served in between may be forced again.
            (
                "first first second second third",
                [get, "first", 10, "second"],
                "first second third",
                "NNFNF",
            ),
            # Tokens that serve and are revoked soon are renewed each time.
            (
                "first second third",
                [get, "first", get, "second", get],
                "first second second third third",
                "NNN",
            ),
            # Then WeChat may have another.
            ("second third", ["first", 10, "second"], "second third", "NN"),
            # The next token, fetched because the old one ended, may be forced again.
            (
                "first first second third third fourth",
                [get, "first", 7140, get, "third"],
                "first second third fourth",
                "NNFNNF",
            ),
            # A clock that was put back does not put renewals off for all that time.
            ("second third", ["first", -30, "second"], "second third", "NN"),
            # Nor is a renewal that failed tried again for 10 seconds. Meanwhile the
            # refused token stays, and WeChat's refusal comes out.
            (
                "first first spent",
                [get, "first", get, "first", 9.9, get, "first"],
                "first DailyQuotaError first first first first",
                "NNF",
            ),
            # Then it is a renewal like the first, by force if need be.
            (
                "first busy busy busy first second",
                [get, "first", 10, "first"],
                "first SystemBusyError second",
                "NNNNNF",
            ),
        ],
    )
    def test_renew__requests_sent(self, clock, answers, steps, results, sent):
        """*sent*: N for a request in normal mode, F for a forced one."""
        wechat, asker = stable(
            *(FAILURES.get(each) or issued(each) for each in answers.split())
        )
        got = []
        for step in steps:
            if isinstance(step, (int, float)):
                clock.now += step
            elif step is get:
                got.append(asker.get())
            else:
                result = outcome(lambda: asker.renew(step))
                got.append(result if isinstance(result, str) else type(result).__name__)

        assert results.split() == got
        modes = {"N": NORMAL, "F": FORCED}
        assert [modes[mode] for mode in sent] == wechat.payloads

    def test_client__every_token_refused(self, sandbox):
        sandbox.fail("get_delivery_list", errcode=40001, times=None)
        with sandbox.mock():
            client = Client(StableToken(sandbox.appid, sandbox.secret))
            for _ in range(115):
                with pytest.raises(AccessTokenError) as caught:
                    client.get_delivery_list()
                sandbox.clock.tick(minutes=1)

        assert "get_delivery_list" == caught.value.endpoint
        assert 1 == sandbox.token_fetches.forced
        calls = [call.endpoint for call in sandbox.calls]
        # The first call is made with the forced token as well.
        assert 116 == calls.count("get_delivery_list")

    def test_client__never_refused_in_two_days(self, sandbox):
        with sandbox.mock():
            client = Client(StableToken(sandbox.appid, sandbox.secret))
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

    def test_client__renewed_token_refused_soon(self, clock):
        """A renewed token that has served is renewed as soon as it is refused."""
        refused = {"errcode": 40001}
        wechat, asker = stable(
            *(issued("first"), refused, issued("second"), {}),
            *(refused, issued("third"), {}),
        )
        asker.client.request("/x", {})
        asker.client.request("/x", {})

        assert [] == wechat.answers

    def test_client__two_share_a_provider(self, clock):
        provider = StableToken(APPID, SECRET)
        gate = Gate(issued("first"))
        wechat = ScriptedWeChat(gate)
        askers = [Asker(provider, wechat), Asker(provider, wechat)]
        turn = iter(askers * 8)

        assert ["first"] * 16 == at_once(16, lambda: next(turn).get(), gate)
        assert 1 == len(wechat.payloads)

    def test_init__keyword_only(self):
        """Hosts, timeouts and sessions are the client's."""
        make: Any = StableToken
        with pytest.raises(TypeError):
            make(APPID, SECRET, None)
        for option in ("base_url", "timeout", "deadline", "retries", "session"):
            with pytest.raises(TypeError):
                make(APPID, SECRET, **{option: None})

    def test_repr__appids(self):
        assert "<StableToken of wx1234567890abcdef>" == repr(StableToken(APPID, SECRET))


class TestRefusedFetches:
    @BOTH
    @pytest.mark.parametrize(
        "errcode, error",
        [
            (40125, CredentialError),
            (45009, DailyQuotaError),
            # A token endpoint's 40001 is not about a token that renewing would help.
            (40001, AccessTokenError),
            (41001, AccessTokenError),
        ],
    )
    def test_get__refusal(self, make, errcode, error):
        wechat, asker = make({"errcode": errcode, "errmsg": "no"})
        with pytest.raises(error) as caught:
            asker.client.get_delivery_list()

        assert errcode == caught.value.errcode
        assert caught.value.endpoint in ("stable_token", "api_authorizer_token")
        assert 1 == len(wechat.payloads)


class TestPost:
    """A provider asks WeChat by the means of the call that needs the token."""

    @BOTH
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
    def test_get__repeated_after_a_pause(self, make, failure):
        pauses: list[float] = []
        wechat, asker = make(failure, reply("first"), sleep=pauses.append)

        assert "first" == asker.get()
        assert 2 == len(wechat.payloads)
        assert wechat.payloads[0] == wechat.payloads[1]
        assert 1 == len(pauses)

    def test_get__retries_of_the_client(self):
        wechat, asker = stable(BUSY, BUSY, BUSY, BUSY, retries=3)
        with pytest.raises(SystemBusyError) as caught:
            asker.client.get_delivery_list()

        assert "stable_token" == caught.value.endpoint
        assert 4 == len(wechat.payloads)

    def test_get__to_the_clients_hosts(self):
        hosts = ["https://one.example/wechat", "https://two.example:8443"]
        wechat, asker = stable(
            requests.ConnectTimeout("down"), issued("first"), base_url=hosts
        )
        asker.get()

        assert [
            "https://one.example/wechat/cgi-bin/stable_token",
            "https://two.example:8443/cgi-bin/stable_token",
        ] == wechat.urls

    @pytest.mark.parametrize(
        "options, reason",
        [
            ({"deadline": 0.1}, "no answer within the deadline of 0.1 s"),
            ({"timeout": 0.1}, "no answer within 0.1 s"),
        ],
    )
    def test_get__within_the_clients_times(self, options, reason):
        with ChaosServer(then=silence) as server:
            provider = StableToken(APPID, SECRET)
            client = Client(provider, base_url=server.url, retries=0, **options)
            with pytest.raises(TransportError) as caught:
                client.get_delivery_list()

        # Whether the token's request arrived is not whether the call did.
        assert ("stable_token", reason, False) == caught.value.args

    def test_post__own_provider(self):
        seen: list[Any] = []

        class Provider:
            def get(self, post: Any) -> str:
                seen.append(post.left())
                seen.append(post("/cgi-bin/anything/at_all", {"姓名": ["茶"]}))
                return "mine"

            def renew(self, rejected: str, post: Any) -> str:
                raise AssertionError

        wechat = ScriptedWeChat({"errcode": 0, "answer": 42})
        asker = Asker(Provider(), wechat, deadline=7, clock=lambda: 100.0)

        assert "mine" == asker.client.access_token()
        assert [7.0, {"errcode": 0, "answer": 42}] == seen
        assert ["https://api.weixin.qq.com/cgi-bin/anything/at_all"] == wechat.urls
        assert [{"姓名": ["茶"]}] == wechat.payloads

    def test_post__own_provider_refused(self):
        wechat = ScriptedWeChat({"errcode": 48001, "errmsg": "no"})
        post = Asker("mine", wechat).client._wire.post()
        with pytest.raises(NotAuthorizedError) as refused:
            post("/cgi-bin/token/elsewhere", {})
        with pytest.raises(InvalidArgumentError) as invalid:
            post("/cgi-bin/token/elsewhere", {"secret": b"bytes"})

        assert "elsewhere" == refused.value.endpoint
        assert "secret" == invalid.value.field

    def test_post__with_token_of_another_provider(self):
        wechat, asker = stable(issued("first"), {})
        asker.client._wire.post()("/x", {}, tokens=asker.provider)

        assert "https://api.weixin.qq.com/x?access_token=first" == wechat.urls[1]


class TestSecrets:
    """No text shows a secret, a token or a refresh token."""

    @pytest.mark.parametrize(
        "make, secrets",
        [(stable, [SECRET]), (authorizer, [REFRESH, COMPONENT_TOKEN])],
        ids=["stable", "authorizer"],
    )
    @pytest.mark.parametrize(
        "failure",
        [
            lambda echo: {"errcode": 40125, "errmsg": f"invalid {echo} rid: 1-2-3"},
            lambda echo: {"errcode": 99999, "errmsg": echo},
            lambda echo: {"errcode": echo},
            lambda echo: (200, f"<html>{echo}</html>"),
            lambda echo: (404, json.dumps({"refused": echo})),
            lambda echo: (502, f"cannot reach https://x/?a={echo}"),
            lambda echo: {echo: 1, "access_token": 5},
            lambda echo: requests.ConnectionError(f"https://x/?a={echo}"),
            lambda echo: requests.ReadTimeout(f"https://x/?a={echo}"),
        ],
    )
    def test_get__failure_echoes_the_request(self, make, secrets, failure, caplog):
        caplog.set_level(logging.DEBUG)
        _, asker = make(failure(" and ".join(secrets)), retries=0)
        with pytest.raises(WxLogisticsError) as caught:
            asker.client.get_delivery_list()

        error = caught.value
        shown = [str(error), repr(error), repr(error.args), caplog.text]
        shown += [repr(vars(error)), pickle.dumps(error).decode("l1")]
        shown += traceback.format_exception(error)
        text = "\n".join(shown)
        assert [] == [secret for secret in secrets if secret in text]


@pytest.mark.parametrize(
    "duplicate",
    [lambda each: pickle.loads(pickle.dumps(each)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
class TestCopies:
    """A provider can be copied, and handed to another process."""

    def test_stable_token__token_not_copied(self, duplicate):
        wechat, asker = stable(issued("first"), issued("second"))
        asker.get()
        copied = duplicate(asker.provider)

        assert "second" == Asker(copied, wechat).get()
        assert "first" == asker.get()
        assert [NORMAL, NORMAL] == wechat.payloads
        assert "<StableToken of wx1234567890abcdef>" == repr(copied)
        assert b"first" not in pickle.dumps(asker.provider)

    def test_stable_token__during_a_fetch(self, duplicate):
        gate = Gate(issued("first"))
        wechat, asker = stable(gate, issued("second"))
        with gate.held(asker.get) as results:
            assert "second" == Asker(duplicate(asker.provider), wechat).get()
        assert ["first"] == results

    def test_authorizer_token__newest_refresh_token(self, duplicate):
        wechat, asker = authorizer(authorized("first", CHANGED), authorized("second"))
        asker.get()
        copied = duplicate(asker.provider)

        assert CHANGED == copied.refresh_token
        assert "second" == Asker(copied, wechat).get()
        assert CHANGED == wechat.payloads[1]["authorizer_refresh_token"]


class TestSingleFlight:
    """However many threads ask, one fetches."""

    @BOTH
    def test_get__64_threads(self, make):
        gate = Gate(reply("first"))
        wechat, asker = make(gate)

        assert ["first"] * 64 == at_once(64, asker.get, gate)
        assert 1 == len(wechat.payloads)

    def test_get__another_fetched_meanwhile(self, clock):
        wechat, asker = stable(*map(issued, ["first", "second", "third"]))
        asker.get()
        clock.now += 7140
        looks: list[float] = []

        def time() -> float:
            looks.append(clock.now)
            # The first look is that of get(), the second comes before the fetch.
            if len(looks) == 2:
                assert ["second"] == at_once(1, asker.get)
            return clock.now

        clock.time = time

        assert "second" == asker.get()
        assert 2 == len(wechat.payloads)

    @pytest.mark.parametrize(
        "answers, sent",
        [([], [NORMAL]), ([issued("first")], [NORMAL, FORCED])],
        ids=["normal", "forced"],
    )
    def test_renew__64_threads(self, answers, sent):
        gate = Gate(issued("second"))
        wechat, asker = stable(issued("first"), *answers, gate)
        asker.get()

        assert ["second"] * 64 == at_once(64, lambda: asker.renew("first"), gate)
        assert [NORMAL, *sent] == wechat.payloads

    def test_get__waits_for_a_renewal(self):
        gate = Gate(issued("second"))
        wechat, asker = stable(issued("first"), gate)
        asker.get()
        with gate.held(lambda: asker.renew("first")) as results:
            gate.open_later()

            assert ["second"] * 8 == at_once(8, asker.get)
        assert ["second"] == results
        assert 2 == len(wechat.payloads)

    @pytest.mark.parametrize(
        "failure, error",
        [
            (
                {"errcode": 40125, "errmsg": "invalid appsecret rid: 1-2-3"},
                CredentialError("stable_token", 40125, "invalid appsecret rid: 1-2-3"),
            ),
            (
                (502, "no"),
                TransportError("stable_token", "HTTP 502 from a gateway", True),
            ),
            (
                (200, "<html>"),
                UnexpectedResponseError(
                    "stable_token", 200, "<html>", "no JSON object"
                ),
            ),
        ],
    )
    def test_get__failure_for_all_that_wait(self, failure, error):
        gate = Gate(failure)
        wechat, asker = stable(gate, retries=0)
        failures = at_once(64, asker.get, gate)

        assert {type(error)} == {type(each) for each in failures}
        assert {error.args} == {each.args for each in failures}
        assert 64 == len({id(each) for each in failures})
        depths = [len(traceback.extract_tb(each.__traceback__)) for each in failures]
        assert max(depths) < 14
        assert 1 == len(wechat.payloads)

        wechat.answers.append(issued("first"))
        assert "first" == asker.get()
        assert 2 == len(wechat.payloads)

    def test_get__failure_keeps_nothing_alive(self):
        class Basket:
            pass

        asker = stable({"errcode": 40125, "errmsg": "no"})[1]
        baskets = []

        def view() -> None:
            basket = Basket()
            baskets.append(weakref.ref(basket))
            asker.get()

        with pytest.raises(CredentialError):
            view()
        gc.collect()

        assert baskets[0]() is None

    def test_get__error_of_the_callers_function(self):
        asked = []

        def no_token() -> str:
            asked.append(1)
            raise LookupError("the vault is shut")

        asker = authorizer(component_token=no_token)[1]
        failures = at_once(8, asker.get)

        assert {"LookupError('the vault is shut')"} == set(map(repr, failures))
        assert 8 == len(asked)

    @pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(1)])
    def test_get__interrupted(self, interrupt):
        """Ctrl-C in the fetching thread must not fail the others."""
        gate = Gate(interrupt)
        wechat, asker = stable(gate, issued("first"))
        with gate.held(asker.get) as results:
            gate.open_later()

            assert "first" == asker.get()
        assert [interrupt] == results

    def test_get__interrupted_anywhere(self):
        """An interrupt anywhere in the provider must not block the next call."""
        interrupts = 0
        while interrupts < 100:
            left = [interrupts]

            def trace(frame: Any, event: str, arg: Any) -> None:
                if event == "call" and frame.f_code.co_filename.endswith("tokens.py"):
                    left[0] -= 1
                    if left[0] == -1:
                        raise KeyboardInterrupt

            asker = stable(issued("first"), issued("first"), deadline=1)[1]
            traced = sys.gettrace()
            sys.settrace(trace)
            try:
                result = outcome(asker.get)
            finally:
                sys.settrace(traced)

            assert "first" == asker.get()
            if result == "first":
                break
            interrupts += 1
        assert interrupts > 5

    def test_renew__two_old_tokens(self):
        gate = Gate(issued("third"))
        wechat, asker = stable(issued("second"), gate)
        asker.get()
        olds = ["first", "second"] * 8
        # The refusal of the newer one comes first, so that the renewal is under way.
        with gate.held(lambda: asker.renew("second")):
            renewed = at_once(16, lambda: asker.renew(olds.pop()), gate)

        assert ["third"] * 16 == renewed
        assert ["third", "third"] == [asker.renew("first"), asker.renew("second")]
        assert 2 == len(wechat.payloads)

    def test_renew__fetch_under_way_brings_the_refused_token(self):
        gate = Gate(issued("first"))
        wechat, asker = stable(gate, issued("second"))
        with gate.held(asker.get) as results:
            gate.open_later()

            assert "second" == asker.renew("first")
        assert ["first"] == results
        assert [NORMAL, NORMAL] == wechat.payloads

    @pytest.mark.parametrize("deadline", [0.1, 1e-9])
    def test_get__waiting_ends_with_the_deadline(self, deadline):
        gate = Gate(issued("first"))
        wechat, asker = stable(gate)
        in_haste = Asker(asker.provider, wechat, deadline=deadline)
        with gate.held(asker.get) as results:
            with pytest.raises(TransportError) as caught:
                in_haste.client.get_delivery_list()
            # The fetch goes on.
            assert [] == results

        expected = "another thread's fetch of the token takes too long"
        assert ("stable_token", expected, False) == caught.value.args
        assert ["first"] == results
        assert "first" == asker.get()

    def test_get__deadline_of_another(self):
        gate = Gate((502, "no"))
        wechat, asker = stable(gate, issued("second"))
        in_haste = Asker(asker.provider, wechat, deadline=0.05)
        with gate.held(in_haste.get) as results:
            gate.open_later()

            assert "second" == asker.get()
        assert [TransportError] == [type(each) for each in results]
        assert [NORMAL, NORMAL] == wechat.payloads

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork()")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_get__fork_during_a_fetch(self):
        gate = Gate(issued("parent's"))
        wechat, asker = stable(gate)
        with gate.held(asker.get) as results:
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:  # pragma: no cover
                try:
                    # The adapter's lock is not held while an answer is waited for.
                    wechat.answers.append(issued("child's"))
                    os.write(writer, asker.get().encode())
                finally:
                    os._exit(0)
            os.close(writer)
        with open(reader, "rb") as pipe:
            # The end of the file comes when the child has ended.
            answer = pipe.read()
        os.waitpid(child, 0)

        assert b"child's" == answer
        assert ["parent's"] == results


# A service provider's


class TestAuthorizerToken:
    def test_get__sample(self, sample):
        wechat, asker = authorizer(
            (200, sample("api_authorizer_token.reply.json").decode())
        )
        token = asker.get()

        request = json.loads(sample("api_authorizer_token.request.json"))
        assert [request] == wechat.payloads
        assert [AUTHORIZER_URL + COMPONENT_TOKEN] == wechat.urls
        assert token == (
            "84_QXV0aG9yaXplciBvZiB0aGUgc2hvcA-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_"
            "-BBBHQI"
        )

    def test_get__no_token_in_the_reply(self):
        with pytest.raises(UnexpectedResponseError) as caught:
            authorizer({"authorizer_refresh_token": REFRESH})[1].get()

        assert "no authorizer_access_token" == caught.value.reason

    def test_renew__same_token_again(self, clock):
        """Nothing can be forced here, so nothing is sent for 10 seconds."""
        wechat, asker = authorizer(*[authorized("first")] * 3)
        asker.get()
        for seconds in (0, 0, 9.9, 0.1):
            clock.now += seconds

            assert "first" == asker.renew("first")
        assert 3 == len(wechat.payloads)

    # The component token

    def test_component_token__called_for_each_fetch(self):
        given = iter(["one", "two"])
        wechat, asker = authorizer(
            authorized("first"),
            authorized("second"),
            component_token=lambda: next(given),
        )
        asker.get()
        asker.renew("first")

        assert [AUTHORIZER_URL + "one", AUTHORIZER_URL + "two"] == wechat.urls

    def test_component_token__renewed(self):
        class ComponentToken:
            def get(self, post: Any) -> str:
                return "old's"

            def renew(self, rejected: str, post: Any) -> str:
                assert "old's" == rejected
                token = post("/cgi-bin/component/api_component_token", {"a": "b"})
                return str(token["component_access_token"])

        wechat, asker = authorizer(
            INVALID,
            {"component_access_token": "new"},
            authorized("first"),
            component_token=ComponentToken(),
        )

        assert "first" == asker.get()
        assert [
            AUTHORIZER_URL + "old%27s",
            "https://api.weixin.qq.com/cgi-bin/component/api_component_token",
            AUTHORIZER_URL + "new",
        ] == wechat.urls

    # The refresh token

    @pytest.mark.parametrize("refresh_token", [REFRESH, None, "", 5, ["x"]])
    def test_refresh_token__unchanged(self, refresh_token):
        stored: list[str] = []
        wechat, asker = authorizer(
            authorized("first", refresh_token), on_refresh_token=stored.append
        )

        assert "first" == asker.get()
        assert [] == stored
        assert REFRESH == asker.provider.refresh_token

    @pytest.mark.parametrize("listens", [True, False])
    def test_refresh_token__changed_once(self, listens):
        stored: list[str] = []
        wechat, asker = authorizer(
            authorized("first", CHANGED),
            authorized("second", CHANGED),
            on_refresh_token=stored.append if listens else None,
        )
        asker.get()
        asker.renew("first")

        assert [CHANGED] * listens == stored
        assert CHANGED == asker.provider.refresh_token
        assert [REFRESH, CHANGED] == [
            payload["authorizer_refresh_token"] for payload in wechat.payloads
        ]

    def test_refresh_token__callable(self, clock):
        shop = {"refresh_token": REFRESH}
        stored: list[str] = []
        wechat, asker = authorizer(
            authorized("first", CHANGED),
            authorized("second", CHANGED),
            authorized("third", "refreshtoken@@@again"),
            refresh_token=lambda: shop["refresh_token"],
            on_refresh_token=stored.append,
        )
        asker.get()
        asker.renew("first")
        # Another process, or a new authorization, has written it.
        shop["refresh_token"] = "refreshtoken@@@again"
        clock.now += 7140
        asker.get()

        assert [REFRESH, REFRESH, "refreshtoken@@@again"] == [
            payload["authorizer_refresh_token"] for payload in wechat.payloads
        ]
        # The third is not a change.
        assert [CHANGED, CHANGED] == stored

    @pytest.mark.parametrize("given", ["", " ", None, 5, b"bytes", "token\n"])
    def test_refresh_token__callable_returns_wrong(self, given):
        wechat, asker = authorizer(refresh_token=lambda: given)
        with pytest.raises(InvalidArgumentError) as caught:
            asker.get()

        assert "refresh_token" == caught.value.field
        assert [] == wechat.payloads

    def test_refresh_token__stored_before_the_access_token_is_used(self):
        sandbox = Sandbox()
        component = sandbox.add_component()
        old = sandbox.authorize(component.appid)
        new = sandbox.change_refresh_token(component.appid)
        seen: list[Any] = []

        def store(refresh_token: str) -> None:
            seen.append((refresh_token, [call.endpoint for call in sandbox.calls]))

        with sandbox.mock():
            token = sandbox.component_access_token(component.appid)
            provider = AuthorizerToken(
                component.appid, token, sandbox.appid, old, on_refresh_token=store
            )
            Client(provider).get_delivery_list()

        assert [(new, ["api_authorizer_token"])] == seen
        assert ["api_authorizer_token", "get_delivery_list"] == [
            call.endpoint for call in sandbox.calls
        ]

    @pytest.mark.parametrize("source", [REFRESH, lambda: REFRESH])
    def test_refresh_token__callback_raises(self, source):
        """The callback is called again before the next fetch."""
        calls: list[str] = []

        def store(refresh_token: str) -> None:
            calls.append(refresh_token)
            if len(calls) < 3:
                raise OSError("the database is down")

        wechat, asker = authorizer(
            authorized("first", CHANGED), refresh_token=source, on_refresh_token=store
        )
        for _ in range(2):
            with pytest.raises(OSError, match="the database is down"):
                asker.client.get_delivery_list()
        assert 1 == len(wechat.payloads)
        wechat.answers.append(authorized("second", REFRESH if callable(source) else ""))

        assert "second" == asker.get()
        assert [CHANGED, CHANGED, CHANGED] == calls
        assert 2 == len(wechat.payloads)

    def test_refresh_token__changed_in_a_reply_without_access_token(self):
        stored: list[str] = []
        _, asker = authorizer(
            {"authorizer_refresh_token": CHANGED}, on_refresh_token=stored.append
        )
        with pytest.raises(UnexpectedResponseError):
            asker.get()

        assert [CHANGED] == stored
        assert CHANGED == asker.provider.refresh_token

    def test_refresh_token__callback_raises_for_64_threads(self):
        def store(refresh_token: str) -> None:
            raise OSError("the database is down")

        gate = Gate(authorized("first", CHANGED))
        wechat, asker = authorizer(gate, on_refresh_token=store)
        failures = at_once(64, asker.get, gate)

        assert {"OSError('the database is down')"} == set(map(repr, failures))
        assert 1 == len(wechat.payloads)

    def test_repr__appids(self):
        provider = AuthorizerToken(COMPONENT, COMPONENT_TOKEN, APPID, REFRESH)

        assert "<AuthorizerToken of wx1234567890abcdef for wx8888888888888888>" == repr(
            provider
        )


EMPTY = "is empty; give its value"
NONE = "is of type NoneType; give a str"
BLANK = "begins or ends with a blank or a line's end; strip() it"
AN_APPSECRET = "looks like an AppSecret; give wx and 16 more characters"
NO_TOKEN = "give a str, a callable that returns one, or a TokenProvider"


class TestArguments:
    RIGHT: dict[Any, dict[str, Any]] = {
        StableToken: {"appid": APPID, "secret": SECRET},
        AuthorizerToken: {
            "component_appid": COMPONENT,
            "component_token": COMPONENT_TOKEN,
            "authorizer_appid": APPID,
            "refresh_token": REFRESH,
        },
    }

    @pytest.mark.parametrize(
        "provider, field, value, problem",
        [
            (StableToken, "appid", "", EMPTY),
            (StableToken, "appid", " ", EMPTY),
            (StableToken, "appid", None, NONE),
            (StableToken, "appid", "wx1\n", BLANK),
            (StableToken, "appid", SECRET, AN_APPSECRET),
            (StableToken, "secret", "", EMPTY),
            (StableToken, "secret", None, NONE),
            (StableToken, "secret", b"secret", "is of type bytes; give a str"),
            (StableToken, "secret", " s", BLANK),
            (AuthorizerToken, "component_appid", "", EMPTY),
            (AuthorizerToken, "component_appid", SECRET, AN_APPSECRET),
            (AuthorizerToken, "component_token", "", EMPTY),
            (
                AuthorizerToken,
                "component_token",
                None,
                f"is of type NoneType; {NO_TOKEN}",
            ),
            (AuthorizerToken, "component_token", 5, f"is of type int; {NO_TOKEN}"),
            (AuthorizerToken, "authorizer_appid", None, NONE),
            (AuthorizerToken, "authorizer_appid", SECRET, AN_APPSECRET),
            (AuthorizerToken, "refresh_token", " ", EMPTY),
            (AuthorizerToken, "refresh_token", "x\n", BLANK),
            (AuthorizerToken, "refresh_token", None, None),
            (AuthorizerToken, "on_refresh_token", "store", None),
        ],
    )
    def test_init__wrong_arguments(self, provider, field, value, problem):
        with pytest.raises(InvalidArgumentError) as caught:
            provider(**self.RIGHT[provider] | {field: value})

        assert field == caught.value.field
        assert problem in (None, caught.value.problem)
        assert SECRET not in str(caught.value)
