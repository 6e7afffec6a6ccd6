"""What comes after an answer, and how much of it is read."""

import gzip
import zlib
from typing import Any

import chaos
import pytest
import requests
import responses
from chaos import ChaosServer, closed_port
from private import GOODS, HOST, OPEN_MSG

from wxlogistics import (
    Client,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)

UPDATE = f"{HOST}{OPEN_MSG}update_waybill_goods"
OK = b'{"errcode":0,"waybill_info":{"status":4}}'


class TestHooks:
    """A hook of the caller's session raises after the answer."""

    @pytest.mark.parametrize("as_list", [True, False])
    @pytest.mark.parametrize(
        "error",
        [
            requests.ConnectTimeout("the collector of the metrics is down"),
            requests.exceptions.InvalidURL("bad collector"),
            requests.exceptions.JSONDecodeError("no JSON", "<html>", 0),
            ConnectionRefusedError(111, "Connection refused"),
        ],
        ids=lambda error: type(error).__name__,
    )
    @responses.activate
    def test_update__hook_raises(self, error, as_list):
        def hook(response: requests.Response, **kwargs: object) -> None:
            raise error

        rule = responses.post(UPDATE, json={"errcode": 0})
        session: Any = requests.Session()
        session.hooks = {"response": [hook] if as_list else hook}
        client = Client("TOKEN", session=session)
        with pytest.raises(TransportError) as caught:
            client.update_waybill_goods("W", GOODS)

        assert 1 == rule.call_count
        assert caught.value.maybe_applied is True


class TestSession:
    def test_unreached_host__other_connections_stay(self):
        with ChaosServer() as server, closed_port() as nowhere:
            with Client("TOKEN", base_url=server.url, retries=0) as client:
                client.query_trace("A")
                client._wire.hosts = (nowhere,)
                with pytest.raises(TransportError):
                    client.query_trace("B")
                client._wire.hosts = (server.url,)
                client.query_trace("C")

        assert 1 == server.connections
        assert 2 == len(server.requests)


class TestAnswer:
    @pytest.mark.parametrize("own", [True, False])
    def test_update__two_content_lengths(self, own):
        """An answer came, so the update may have been applied."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 13\r\n\r\n{}"
        session = None if own else requests.Session()
        with ChaosServer(then=chaos.raw(head, "keep")) as server:
            client = Client("TOKEN", base_url=server.url, session=session)
            with pytest.raises(WxLogisticsError) as caught:
                client.update_waybill_goods("W", GOODS)

        assert getattr(caught.value, "maybe_applied", True) is True

    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP ", "deflate"])
    @responses.activate
    def test_update__compressed(self, coding):
        body = zlib.compress(OK) if coding == "deflate" else gzip.compress(OK)
        responses.post(UPDATE, body=body, headers={"Content-Encoding": coding})

        assert Client("TOKEN").update_waybill_goods("W", GOODS) is None

    @pytest.mark.parametrize(
        "body, coding, reason",
        [
            (gzip.compress(OK)[:-9], "gzip", "the body's compression is broken"),
            (b"\x1f\x8b rubbish", "gzip", "the body's compression is broken"),
            (b"rubbish", "br", "a Content-Encoding that was not asked for"),
            (b"rubbish", "gzip, gzip", "a Content-Encoding that was not asked for"),
            (gzip.compress(b" " * 6 * 2**20), "gzip", "a body of more than 5 MiB"),
        ],
        ids=["cut", "rubbish", "br", "twice", "bomb"],
    )
    @responses.activate
    def test_update__broken_or_unknown_compression(self, body, coding, reason):
        responses.post(UPDATE, body=body, headers={"Content-Encoding": coding})
        with pytest.raises(UnexpectedResponseError) as caught:
            Client("TOKEN").update_waybill_goods("W", GOODS)

        assert (reason, "") == (caught.value.reason, caught.value.excerpt.strip())

    def test_query__endless_gzip_name(self):
        """The header of such a gzip never ends, so nothing is unpacked."""
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
        name = b"\x1f\x8b\x08\x08\0\0\0\0\0\0"
        endless = chaos.raw(head + name + b"x" * (200 << 16), "keep")
        with ChaosServer(then=endless) as server:
            client = Client("TOKEN", base_url=server.url, retries=0)
            with pytest.raises(UnexpectedResponseError) as caught:
                client.query_trace("W")

        assert "the body's compression is broken" == caught.value.reason
