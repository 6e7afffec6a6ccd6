"""A client made from the environment's variables."""

from typing import Iterator

import pytest
import requests

from wxlogistics import Client, InvalidArgumentError
from wxlogistics.sandbox import Sandbox

BASE_URL = "WXLOGISTICS_BASE_URL"
ACCESS_TOKEN = "WXLOGISTICS_ACCESS_TOKEN"
APPID = "WXLOGISTICS_APPID"
SECRET = "WXLOGISTICS_SECRET"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    with sandbox.mock():
        yield sandbox


class TestFromEnv:
    @pytest.mark.parametrize(
        "names, fetches",
        [
            # An access token is used as it is, and comes first.
            ([ACCESS_TOKEN], 0),
            ([APPID, SECRET], 1),
            ([ACCESS_TOKEN, APPID, SECRET], 0),
        ],
    )
    def test_from_env__token(self, monkeypatch, sandbox, names, fetches):
        values = {
            ACCESS_TOKEN: sandbox.access_token(),
            APPID: f" {sandbox.appid}\n",
            SECRET: f"{sandbox.secret}\r\n",
        }
        monkeypatch.setenv(ACCESS_TOKEN, " \n")
        for name in names:
            monkeypatch.setenv(name, values[name])

        assert Client.from_env().get_delivery_list()
        assert fetches == sandbox.token_fetches.total

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
    def test_from_env__missing(self, monkeypatch, variables, missing):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
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
    def test_from_env__base_url(self, monkeypatch, base_url, hosts):
        monkeypatch.setenv(ACCESS_TOKEN, "x")
        monkeypatch.setenv(BASE_URL, base_url)

        assert f"<Client of {hosts}>" == repr(Client.from_env())

    def test_from_env__token_from_the_same_host(self, monkeypatch):
        class Shop(Client):
            pass

        sandbox = Sandbox()
        monkeypatch.setenv(APPID, sandbox.appid)
        monkeypatch.setenv(SECRET, sandbox.secret)
        with sandbox.serve() as server:
            monkeypatch.setenv(BASE_URL, server.url)
            with Shop.from_env() as client:
                assert client.get_delivery_list()

        assert Shop is type(client)
        assert ["stable_token", "get_delivery_list"] == [
            call.endpoint for call in sandbox.calls
        ]

    @pytest.mark.parametrize(
        "variables", [{ACCESS_TOKEN: "x"}, {APPID: "wx1", SECRET: "x"}]
    )
    def test_from_env__options_override(self, monkeypatch, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(BASE_URL, "https://api.example")
        client = Client.from_env(
            base_url="https://other.example",
            timeout=(1, 2),
            deadline=3,
            retries=4,
            session=requests.Session(),
        )

        assert "<Client of https://other.example>" == repr(client)

    @pytest.mark.parametrize(
        "options, base_url, error",
        [
            ({"deadline": 0}, "", InvalidArgumentError),
            ({}, "localhost", InvalidArgumentError),
            ({"colour": 1}, "", TypeError),
        ],
    )
    def test_from_env__wrong_value(self, monkeypatch, options, base_url, error):
        monkeypatch.setenv(ACCESS_TOKEN, "x")
        monkeypatch.setenv(BASE_URL, base_url)
        with pytest.raises(error):
            Client.from_env(**options)
