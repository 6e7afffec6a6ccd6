"""A str, a callable or an object of the caller's: whose token goes out, and when."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import responses
from responses import matchers

from wxlogistics import (
    AccessTokenError,
    AccessTokenExpiredError,
)
from wxlogistics import Client as RealClient
from wxlogistics import (
    CredentialError,
    InvalidArgumentError,
    NotAuthorizedError,
    StableToken,
    SystemBusyError,
    TokenProvider,
)
from wxlogistics.models import GoodsDetail, GoodsInfo

PATH = "/cgi-bin/express/delivery/open_msg/"
OPEN_MSG = "https://api.weixin.qq.com" + PATH

INVALID = {"errcode": 40001, "errmsg": "invalid credential rid: 1-2-3"}
OK = {"errcode": 0, "errmsg": "ok", "waybill_token": "x"}


def Client(token: Any) -> RealClient:
    return RealClient(token, sleep=lambda seconds: None, random=lambda: 0.0)


def handed_out(*tokens: str) -> Callable[[], str]:
    """
    A callable that returns one of *tokens* after the other, and then no more.
    """
    return iter(tokens).__next__


def tokens_sent(rsps: responses.RequestsMock) -> list[str]:
    """
    The access_token of each request, in order.
    """
    return [call.request.params["access_token"] for call in rsps.calls]


class Provider:
    """
    A provider of the caller's, which is no subclass of anything.
    """

    def __init__(self, renewed: str | Exception = "second") -> None:
        self.renewed = renewed
        self.rejected: list[str] = []

    def get(self) -> str:
        return "first"

    def renew(self, rejected: str) -> str:
        self.rejected.append(rejected)
        if isinstance(self.renewed, Exception):
            raise self.renewed
        return self.renewed


class TestStr:
    def test_get__the_same_each_time(self, rsps: responses.RequestsMock) -> None:
        """
        A str goes out with every call.
        """
        rsps.post(OPEN_MSG + "get_delivery_list", json=OK)
        client = Client("mine")
        client.get_delivery_list()
        client.get_delivery_list()

        assert ["mine", "mine"] == tokens_sent(rsps)

    def test_renew__there_is_no_other(self, rsps: responses.RequestsMock) -> None:
        """
        A refused str is not sent a second time.
        """
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        with pytest.raises(AccessTokenError) as caught:
            Client("mine").query_trace("x")

        assert ["mine"] == tokens_sent(rsps)
        assert 40001 == caught.value.errcode

    @pytest.mark.parametrize(
        "token",
        ["", " ", None, 5, b"mine", ["mine"], {}, "mine\n", " mine", StableToken, str],
    )
    def test_init__no_token(self, token: object) -> None:
        """
        What cannot be a token is refused when the client is made.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            Client(token)

        assert "token" == caught.value.field


class TestCallable:
    def test_get__asked_each_time(self, rsps: responses.RequestsMock) -> None:
        """
        A callable may return another token for each call.
        """
        rsps.post(OPEN_MSG + "get_delivery_list", json=OK)
        client = Client(handed_out("first", "second"))
        client.get_delivery_list()
        client.get_delivery_list()

        assert ["first", "second"] == tokens_sent(rsps)

    def test_get__not_asked_before_a_call(self) -> None:
        """
        Making a client asks for no token.
        """

        def never() -> str:
            raise AssertionError("asked")

        assert Client(never) is not None

    def test_get__not_asked_for_a_bad_argument(self) -> None:
        """
        A call that is never sent needs no token.
        """

        def never() -> str:
            raise AssertionError("asked")

        with pytest.raises(InvalidArgumentError) as caught:
            Client(never).query_trace("")

        assert "waybill_token" == caught.value.field

    def test_renew__another_token(self, rsps: responses.RequestsMock) -> None:
        """
        A refused token is replaced, and the call made once more, body and all.
        """
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        rsps.post(
            OPEN_MSG + "query_trace",
            json=OK,
            match=[matchers.json_params_matcher({"waybill_token": "x"})],
        )
        client = Client(handed_out("first", "second"))

        assert OK == client.query_trace("x").raw
        assert ["first", "second"] == tokens_sent(rsps)

    def test_renew__the_same_token_again(self, rsps: responses.RequestsMock) -> None:
        """
        A token that WeChat has refused is not sent again.
        """
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        with pytest.raises(AccessTokenError):
            Client(handed_out("first", "first")).query_trace("x")

        assert ["first"] == tokens_sent(rsps)

    def test_renew__once_only(self, rsps: responses.RequestsMock) -> None:
        """
        The second refusal is raised; a third token is not asked for.
        """
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        rsps.post(
            OPEN_MSG + "query_trace",
            json={"errcode": 42001, "errmsg": "access_token expired"},
        )
        with pytest.raises(AccessTokenExpiredError):
            Client(handed_out("first", "second", "third")).query_trace("x")

        assert ["first", "second"] == tokens_sent(rsps)

    @pytest.mark.parametrize("token", [None, "", 5, b"mine", "mine\ud800", "mine\n"])
    @pytest.mark.parametrize("renewed", [False, True])
    def test_provider__no_token(
        self, rsps: responses.RequestsMock, token: Any, renewed: bool
    ) -> None:
        """
        Nor is what a provider returns that is none.
        """
        provider = Provider()
        setattr(provider, "renew" if renewed else "get", lambda *rejected: token)
        if renewed:
            rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        with pytest.raises(InvalidArgumentError) as caught:
            Client(provider).query_trace("x")

        assert "token" == caught.value.field
        assert int(renewed) == len(rsps.calls)
        assert "mine" not in str(caught.value)

    @pytest.mark.parametrize("token", ["", " ", None, 5, b"mine"])
    def test_get__no_token(self, rsps: responses.RequestsMock, token: Any) -> None:
        """
        What cannot be a token is not sent.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            Client(lambda: token).query_trace("x")

        assert "token" == caught.value.field
        assert 0 == len(rsps.calls)

    def test_get__its_own_error(self, rsps: responses.RequestsMock) -> None:
        """
        An error of the caller's function comes out as it is.
        """

        def fails() -> str:
            raise LookupError("no such shop")

        with pytest.raises(LookupError, match="no such shop"):
            Client(fails).query_trace("x")

        assert 0 == len(rsps.calls)


class TestRenewal:
    @pytest.mark.parametrize("errcode", [40001, 40014, 41001, 42001])
    def test_post__token_refused(
        self, rsps: responses.RequestsMock, errcode: int
    ) -> None:
        """
        These errcodes say that another token may help.
        """
        rsps.post(OPEN_MSG + "query_trace", json={"errcode": errcode, "errmsg": ""})
        rsps.post(OPEN_MSG + "query_trace", json=OK)
        Client(handed_out("first", "second")).query_trace("x")

        assert ["first", "second"] == tokens_sent(rsps)

    @pytest.mark.parametrize(
        "errcode, error", [(40013, CredentialError), (48001, NotAuthorizedError)]
    )
    def test_post__refused_for_another_reason(
        self, rsps: responses.RequestsMock, errcode: int, error: type[Exception]
    ) -> None:
        """
        Another token would change nothing here, so none is asked for.
        """
        rsps.post(OPEN_MSG + "query_trace", json={"errcode": errcode, "errmsg": ""})
        with pytest.raises(error):
            Client(handed_out("first", "second")).query_trace("x")

        assert ["first"] == tokens_sent(rsps)

    @pytest.mark.parametrize(
        "name, call",
        [
            (
                "update_waybill_goods",
                lambda client: client.update_waybill_goods(
                    "x", GoodsInfo([GoodsDetail("围巾", "")])
                ),
            ),
            ("request", lambda client: client.request(PATH + "request", {})),
        ],
    )
    def test_post__edits_too(
        self,
        rsps: responses.RequestsMock,
        name: str,
        call: Callable[[RealClient], Any],
    ) -> None:
        """
        A call refused for its token did nothing, so an edit is made once more too.
        """
        rsps.post(OPEN_MSG + name, json=INVALID)
        rsps.post(OPEN_MSG + name, json=OK)
        call(Client(handed_out("first", "second")))

        assert ["first", "second"] == tokens_sent(rsps)
        assert rsps.calls[0].request.body == rsps.calls[1].request.body

    def test_post__without_retries(self, rsps: responses.RequestsMock) -> None:
        """
        A renewal is no repetition: it happens with retries=0, and without a pause.
        """
        pauses: list[float] = []
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        rsps.post(OPEN_MSG + "query_trace", json=OK)
        client = RealClient(
            handed_out("first", "second"), retries=0, sleep=pauses.append
        )
        client.query_trace("x")

        assert ["first", "second"] == tokens_sent(rsps)
        assert [] == pauses

    def test_post__once_in_all_the_repeats(self, rsps: responses.RequestsMock) -> None:
        """
        A repeat for another reason does not earn a second renewal.
        """
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        rsps.post(OPEN_MSG + "query_trace", json={"errcode": -1, "errmsg": ""})
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        with pytest.raises(AccessTokenError):
            Client(handed_out("first", "second", "third", "fourth")).query_trace("x")

        assert ["first", "second", "third"] == tokens_sent(rsps)

    def test_post__next_call_renews_again(self, rsps: responses.RequestsMock) -> None:
        """
        Each call may renew once.
        """
        client = Client(handed_out("a", "b", "c", "d"))
        for _ in range(2):
            rsps.post(OPEN_MSG + "query_trace", json=INVALID)
            rsps.post(OPEN_MSG + "query_trace", json=OK)
        client.query_trace("x")
        client.query_trace("x")

        assert ["a", "b", "c", "d"] == tokens_sent(rsps)


class TestProvider:
    def test_renew__is_told_what_was_refused(
        self, rsps: responses.RequestsMock
    ) -> None:
        """
        A provider learns which token WeChat refused.
        """
        provider = Provider("second")
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        rsps.post(OPEN_MSG + "query_trace", json=OK)
        Client(provider).query_trace("x")

        assert ["first"] == provider.rejected
        assert ["first", "second"] == tokens_sent(rsps)

    def test_renew__cannot(self, rsps: responses.RequestsMock) -> None:
        """
        A provider's own error comes out, with no refusal chained to it.
        """
        provider = Provider(LookupError("the vault is shut"))
        rsps.post(OPEN_MSG + "query_trace", json=INVALID)
        with pytest.raises(LookupError, match="the vault is shut") as caught:
            Client(provider).query_trace("x")

        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert ["first"] == tokens_sent(rsps)

    def test_renew__not_for_other_failures(self, rsps: responses.RequestsMock) -> None:
        """
        A provider is left alone when the token is not the matter.
        """
        provider = Provider()
        rsps.post(OPEN_MSG + "query_trace", json={"errcode": -1, "errmsg": ""})
        with pytest.raises(SystemBusyError):
            Client(provider).query_trace("x")

        assert [] == provider.rejected

    def test_init__callable_with_get_and_renew(
        self, rsps: responses.RequestsMock
    ) -> None:
        """
        What has get and renew is a provider, whatever else it is.
        """

        class Both(Provider):
            def __call__(self) -> str:
                raise AssertionError("called")

        rsps.post(OPEN_MSG + "query_trace", json=OK)
        Client(Both()).query_trace("x")

        assert ["first"] == tokens_sent(rsps)

    def test_protocol__structural(self) -> None:
        """
        A provider need not know this library: the shape is enough.
        """
        provider: TokenProvider = Provider()

        assert "first" == provider.get()
        assert TokenProvider not in type(provider).__mro__
