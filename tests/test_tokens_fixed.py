"""Tokens from a str, a callable or the caller's provider: which is sent, and when."""

from typing import Any, Callable

import pytest
from clients import make_client
from private import CALLS, HOST, OPEN_MSG, QUERY_URL
from responses import RequestsMock, matchers

from wxlogistics import (
    AccessTokenError,
    AccessTokenExpiredError,
    Client,
    CredentialError,
    InvalidArgumentError,
    NotAuthorizedError,
    StableToken,
    SystemBusyError,
    TokenProvider,
)

INVALID = {"errcode": 40001, "errmsg": "invalid credential rid: 1-2-3"}
OK = {"errcode": 0, "errmsg": "ok", "waybill_info": {"waybill_id": "SF1", "status": 3}}


def handed_out(*tokens: str) -> Callable[[], str]:
    """A callable that returns one of *tokens* after the other, and then no more."""
    return iter(tokens).__next__


def answers(
    rsps: RequestsMock, *replies: dict[str, Any], name: str = "query_trace"
) -> None:
    for reply in replies:
        rsps.post(HOST + OPEN_MSG + name, json=reply)


def tokens_sent(rsps: RequestsMock) -> list[str]:
    return [call.request.params["access_token"] for call in rsps.calls]


class Provider:
    """The caller's provider, which is not a subclass of anything."""

    def __init__(self, renewed: str | Exception = "second") -> None:
        self.renewed = renewed
        self.rejected: list[str] = []

    def get(self, post: object) -> str:
        return "first"

    def renew(self, rejected: str, post: object) -> str:
        self.rejected.append(rejected)
        if isinstance(self.renewed, Exception):
            raise self.renewed
        return self.renewed


class TestStr:
    def test_get__same_each_time(self, rsps):
        answers(rsps, OK, INVALID)
        client = make_client("mine")
        client.query_trace("x")
        with pytest.raises(AccessTokenError) as caught:
            client.query_trace("x")

        assert ["mine", "mine"] == tokens_sent(rsps)
        assert 40001 == caught.value.errcode

    @pytest.mark.parametrize(
        "token",
        ["", " ", None, 5, b"mine", ["mine"], {}, "mine\n", " mine", StableToken, str],
    )
    def test_init__not_a_token(self, token):
        with pytest.raises(InvalidArgumentError) as caught:
            Client(token)

        assert "token" == caught.value.field


class TestCallable:
    def test_get__called_each_time(self, rsps):
        answers(rsps, OK, OK)
        client = make_client(handed_out("first", "second"))
        client.query_trace("x")
        client.query_trace("x")

        assert ["first", "second"] == tokens_sent(rsps)

    def test_get__not_called_without_need(self):
        def never() -> str:
            raise AssertionError("called")

        with pytest.raises(InvalidArgumentError) as caught:
            Client(never).query_trace("")

        assert "waybill_token" == caught.value.field

    @pytest.mark.parametrize(
        "replies, tokens, error",
        [
            # Another token, and the call once more.
            ([INVALID, OK], ["first", "second"], None),
            # The refused token is not sent again.
            ([INVALID], ["first"], AccessTokenError),
            # The second refusal is raised.
            (
                [INVALID, {"errcode": 42001, "errmsg": "access_token expired"}],
                ["first", "second"],
                AccessTokenExpiredError,
            ),
        ],
    )
    def test_renew__once(self, rsps, replies, tokens, error):
        for reply in replies:
            body = matchers.json_params_matcher({"waybill_token": "x"})
            rsps.post(QUERY_URL, json=reply, match=[body])
        client = make_client(handed_out(*tokens, tokens[-1], "never"))
        if error is None:
            assert OK == client.query_trace("x").raw
        else:
            with pytest.raises(error):
                client.query_trace("x")

        assert tokens == tokens_sent(rsps)

    def test_get__raises(self):
        client = make_client({}.popitem)
        with pytest.raises(KeyError):
            client.query_trace("x")

    @pytest.mark.parametrize(
        "token", ["", " ", None, 5, b"mine", "mine\ud800", "mine\n"]
    )
    @pytest.mark.parametrize("renewed", [False, True])
    def test_provider__not_a_token(self, rsps, token, renewed):
        provider = Provider()
        setattr(provider, "renew" if renewed else "get", lambda *args: token)
        if renewed:
            answers(rsps, INVALID)
        with pytest.raises(InvalidArgumentError) as caught:
            make_client(provider).query_trace("x")

        assert "token" == caught.value.field
        assert int(renewed) == len(rsps.calls)
        assert "mine" not in str(caught.value)


class TestRenewal:
    @pytest.mark.parametrize(
        "errcode, error",
        [
            (40001, None),
            (40014, None),
            (42001, None),
            # Another token would change nothing.
            (41001, AccessTokenError),
            (40013, CredentialError),
            (48001, NotAuthorizedError),
        ],
    )
    def test_call__errcodes_renewed(self, rsps, errcode, error):
        answers(rsps, {"errcode": errcode, "errmsg": ""})
        client = make_client(handed_out("first", "second"))
        if error is None:
            answers(rsps, OK)
            client.query_trace("x")
        else:
            with pytest.raises(error):
                client.query_trace("x")

        assert ["first", "second"][: 1 + (error is None)] == tokens_sent(rsps)

    @pytest.mark.parametrize("name", ["update_waybill_goods", "request"])
    def test_call__update_repeated(self, rsps, name):
        """A call refused for its token did nothing."""
        answers(rsps, INVALID, OK, name=name)
        CALLS[name](make_client(handed_out("first", "second")))

        assert ["first", "second"] == tokens_sent(rsps)
        assert rsps.calls[0].request.body == rsps.calls[1].request.body

    def test_call__retries_0(self, rsps):
        """A renewal does not count as a repeat."""
        pauses: list[float] = []
        answers(rsps, INVALID, OK)
        tokens = handed_out("first", "second")
        make_client(tokens, retries=0, sleep=pauses.append).query_trace("x")

        assert ["first", "second"] == tokens_sent(rsps)
        assert [] == pauses

    def test_call__renewed_once_in_all_repeats(self, rsps):
        client = make_client(handed_out("a", "b", "c", "d"))
        answers(rsps, INVALID, {"errcode": -1, "errmsg": ""}, INVALID)
        with pytest.raises(AccessTokenError):
            client.query_trace("x")
        answers(rsps, INVALID, OK)
        client.query_trace("x")

        assert ["a", "b", "b", "c", "d"] == tokens_sent(rsps)


class TestProvider:
    def test_renew__gets_the_rejected_token(self, rsps):
        provider: TokenProvider = Provider("second")
        answers(rsps, INVALID, OK)
        make_client(provider).query_trace("x")

        assert ["first"] == provider.rejected
        assert ["first", "second"] == tokens_sent(rsps)

    def test_renew__raises(self, rsps):
        answers(rsps, INVALID)
        with pytest.raises(LookupError, match="the vault is shut"):
            make_client(Provider(LookupError("the vault is shut"))).query_trace("x")

        assert ["first"] == tokens_sent(rsps)

    def test_renew__not_for_other_failures(self, rsps):
        provider = Provider()
        answers(rsps, {"errcode": -1, "errmsg": ""})
        with pytest.raises(SystemBusyError):
            make_client(provider).query_trace("x")

        assert [] == provider.rejected

    def test_init__callable_with_get_and_renew(self, rsps):
        class Both(Provider):
            def __call__(self) -> str:
                raise AssertionError("called")

        answers(rsps, OK)
        make_client(Both()).query_trace("x")

        assert ["first"] == tokens_sent(rsps)
