"""A client made from the environment's variables."""

from __future__ import annotations

import random
from typing import Any, Callable, Iterator

import pytest
import requests

from wxlogistics import Client, InvalidArgumentError
from wxlogistics.sandbox import Sandbox

BASE_URL = "WXLOGISTICS_BASE_URL"
ACCESS_TOKEN = "WXLOGISTICS_ACCESS_TOKEN"
APPID = "WXLOGISTICS_APPID"
SECRET = "WXLOGISTICS_SECRET"

Environment = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """
    Sets variables; there are no others of this library's.
    """

    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    with sandbox.mock():
        yield sandbox


class TestFromEnv:
    def test_access_token(self, environment: Environment, sandbox: Sandbox) -> None:
        """
        An access token is used as it is.
        """
        environment(WXLOGISTICS_ACCESS_TOKEN=sandbox.access_token())

        assert Client.from_env().get_delivery_list()
        assert 0 == sandbox.token_fetches.total

    def test_appid_and_secret(self, environment: Environment, sandbox: Sandbox) -> None:
        """
        An appid and its AppSecret fetch one.
        """
        environment(WXLOGISTICS_APPID=sandbox.appid, WXLOGISTICS_SECRET=sandbox.secret)

        assert Client.from_env().get_delivery_list()
        assert 1 == sandbox.token_fetches.total

    def test_both(self, environment: Environment, sandbox: Sandbox) -> None:
        """
        The access token goes first: whoever sets it means it.
        """
        environment(
            WXLOGISTICS_ACCESS_TOKEN=sandbox.access_token(),
            WXLOGISTICS_APPID=sandbox.appid,
            WXLOGISTICS_SECRET=sandbox.secret,
        )
        Client.from_env().get_delivery_list()

        assert 0 == sandbox.token_fetches.total

    def test_blanks_around(self, environment: Environment, sandbox: Sandbox) -> None:
        """
        The line break at the end of a file with a secret is no part of it.
        """
        environment(
            WXLOGISTICS_ACCESS_TOKEN=" \n",
            WXLOGISTICS_APPID=f" {sandbox.appid}\n",
            WXLOGISTICS_SECRET=f"{sandbox.secret}\r\n",
        )

        assert Client.from_env().get_delivery_list()

    @pytest.mark.parametrize(
        "variables, missing",
        [
            ({}, ACCESS_TOKEN),
            ({ACCESS_TOKEN: ""}, ACCESS_TOKEN),
            ({BASE_URL: "https://api.weixin.qq.com"}, ACCESS_TOKEN),
            ({APPID: "wx1234567890abcdef"}, SECRET),
            ({APPID: "wx1234567890abcdef", SECRET: " "}, SECRET),
            ({SECRET: "c2b1a09f8e7d6c5b4a39281706f5e4d3"}, APPID),
            ({SECRET: "c2b1a09f8e7d6c5b4a39281706f5e4d3", APPID: ""}, APPID),
        ],
    )
    def test_missing(
        self, environment: Environment, variables: dict[str, str], missing: str
    ) -> None:
        """
        What is missing is named, and no value shown.
        """
        environment(**variables)
        with pytest.raises(InvalidArgumentError) as caught:
            Client.from_env()

        assert missing == caught.value.field
        assert (
            f"{missing}: is not set; give WXLOGISTICS_ACCESS_TOKEN, or both "
            "WXLOGISTICS_APPID and WXLOGISTICS_SECRET"
        ) == str(caught.value)

    @pytest.mark.parametrize(
        "base_url, hosts",
        [
            ("", "https://api.weixin.qq.com"),
            (" , ", "https://api.weixin.qq.com"),
            ("http://127.0.0.1:8790", "http://127.0.0.1:8790"),
            (
                "https://api.weixin.qq.com, https://sh.api.weixin.qq.com/,",
                "https://api.weixin.qq.com, https://sh.api.weixin.qq.com",
            ),
        ],
    )
    def test_base_url(
        self, environment: Environment, base_url: str, hosts: str
    ) -> None:
        """
        One host or several, separated by commas; WeChat's main one by default.
        """
        environment(WXLOGISTICS_ACCESS_TOKEN="x", WXLOGISTICS_BASE_URL=base_url)

        assert f"<Client of {hosts}>" == repr(Client.from_env())

    def test_base_url__wrong(self, environment: Environment) -> None:
        """
        A wrong one is refused at once.
        """
        environment(WXLOGISTICS_ACCESS_TOKEN="x", WXLOGISTICS_BASE_URL="localhost")
        with pytest.raises(InvalidArgumentError) as caught:
            Client.from_env()

        assert "base_url" == caught.value.field

    def test_base_url__of_the_token_too(self, environment: Environment) -> None:
        """
        Calls and token fetches go to the same place.
        """
        sandbox = Sandbox()
        with sandbox.serve() as server:
            environment(
                WXLOGISTICS_APPID=sandbox.appid,
                WXLOGISTICS_SECRET=sandbox.secret,
                WXLOGISTICS_BASE_URL=server.url,
            )
            with Client.from_env() as client:
                assert client.get_delivery_list()

        assert ["stable_token", "get_delivery_list"] == [
            call.endpoint for call in sandbox.calls
        ]

    def test_options(self, environment: Environment) -> None:
        """
        Options of the client's go before the environment.
        """
        environment(
            WXLOGISTICS_ACCESS_TOKEN="x", WXLOGISTICS_BASE_URL="https://api.example"
        )
        client = Client.from_env(base_url="https://other.example", retries=0)

        assert "<Client of https://other.example>" == repr(client)

    @pytest.mark.parametrize(
        "variables", [{ACCESS_TOKEN: "x"}, {APPID: "wx1", SECRET: "x"}]
    )
    def test_options__every_one(
        self, environment: Environment, variables: dict[str, str]
    ) -> None:
        """
        Each of the client's is taken, with either kind of token.
        """
        environment(**variables)
        client = Client.from_env(
            base_url="https://api.example",
            timeout=(1, 2),
            deadline=3,
            retries=4,
            session=requests.Session(),
            clock=lambda: 0.0,
            sleep=lambda seconds: None,
            random=random.random,
        )

        assert "<Client of https://api.example>" == repr(client)

    def test_options__of_the_token_too(
        self, environment: Environment, sandbox: Sandbox
    ) -> None:
        """
        They hold for the token's fetches as well, but for the clock, which is another.
        """
        environment(WXLOGISTICS_APPID=sandbox.appid, WXLOGISTICS_SECRET=sandbox.secret)
        pauses: list[float] = []
        sandbox.fail("stable_token", errcode=-1, times=4)
        client = Client.from_env(
            retries=4, sleep=pauses.append, random=lambda: 1.0, clock=lambda: 0.0
        )
        client.get_delivery_list()

        assert [0.5, 1.0, 2.0, 4.0] == pauses
        tokens: Any = client._tokens
        assert {"appid", "secret", "retries", "sleep", "random"} == set(
            tokens.__getstate__()
        )

    @pytest.mark.parametrize(
        "options, error",
        [({"deadline": 0}, InvalidArgumentError), ({"colour": 1}, TypeError)],
    )
    def test_options__wrong(
        self, environment: Environment, options: Any, error: type[Exception]
    ) -> None:
        """
        What the client does not take is not taken here either.
        """
        environment(WXLOGISTICS_ACCESS_TOKEN="x")
        with pytest.raises(error):
            Client.from_env(**options)

    def test_subclass(self, environment: Environment) -> None:
        """
        A subclass makes its own.
        """

        class Shop(Client):
            pass

        environment(WXLOGISTICS_ACCESS_TOKEN="x")

        assert Shop is type(Shop.from_env())
