"""What a call does when the network or the server misbehaves, on real sockets.

`python tests/test_resilience.py` writes the table of docs/resilience.md from what
happens in fact.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import io
import logging
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import chaos
import pytest
import requests
import trustme
import urllib3
from chaos import (
    ChaosServer,
    Fault,
    answer,
    close_after_request,
    closed_port,
    encoded,
    gateway,
    raw,
    redirect,
    reply,
    silent_port,
    status,
)
from requests.adapters import HTTPAdapter

from wxlogistics import (
    AccessTokenError,
    Client,
    DailyQuotaError,
    DeliveryInfo,
    GoodsDetail,
    GoodsInfo,
    InvalidArgumentError,
    RateLimitError,
    StableToken,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
    _pool,
)

DOCUMENT = Path(__file__).parents[1] / "docs" / "resilience.md"

TOKEN = "84_q1W2e3R4t5Y6u7I8o9P0-aSdFgHjKlZxCvBnM_qWeRtYuIoP"
OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
PHONE = "13812345678"
WAYBILL_TOKEN = "o_ARWHaxIxzWHmdui-AIw9KBr8qNnbmc08V0KhDyXE-IMLo6AcOqJkPsNLcLzfTb"
PRIVATE = (TOKEN, OPENID, PHONE, WAYBILL_TOKEN)

GOODS = GoodsInfo([GoodsDetail("围巾", "https://img.example.com/1.jpg")])

#: One call of every kind, and what it returns when all goes well.
CALLS: dict[str, Callable[[Client], Any]] = {
    "query_trace": lambda client: client.query_trace(WAYBILL_TOKEN).waybill_id,
    "get_delivery_list": lambda client: client.get_delivery_list(),
    "trace_waybill": lambda client: client.trace_waybill(
        openid=OPENID, waybill_id="SF1", receiver_phone=PHONE, goods_info=GOODS
    ),
    "update_waybill_goods": lambda client: client.update_waybill_goods(
        WAYBILL_TOKEN, GOODS, openid=OPENID
    ),
    "request": lambda client: client.request("/cgi-bin/other", {"openid": OPENID}),
}
RIGHT = {
    "query_trace": WAYBILL_TOKEN,
    "get_delivery_list": (DeliveryInfo("SF", "顺丰速运"),),
    "trace_waybill": "token of SF1",
    "update_waybill_goods": None,
    "request": {"errcode": 0, "errmsg": "ok", "echo": {"openid": OPENID}},
}

#: The kinds of call that may be sent again though WeChat may have had them.
REPEATABLE = ("query_trace", "get_delivery_list", "trace_waybill")


class Cell(NamedTuple):
    """
    How one call ends.

    Attributes:
        outcome: "answered", or the error's class.

        maybe_applied: What a TransportError says; None of others.

        requests: How many whole requests the server saw.

        pauses: The seconds asked of the sleep.
    """

    outcome: str
    maybe_applied: bool | None = None
    requests: int = 1
    pauses: tuple[float, ...] = ()

    def __str__(self) -> str:
        fate = {None: "", True: ", maybe applied", False: ", not applied"}
        parts = [self.outcome + fate[self.maybe_applied]]
        parts.append(f"{self.requests} request" + "s" * (self.requests != 1))
        if self.pauses:
            parts.append(" + ".join(f"{pause:g}" for pause in self.pauses) + " s")
        return "; ".join(parts)


ANSWERED = Cell("answered")
ANSWERED_AT_SECOND = Cell("answered", None, 2, (0.5,))
LOST = Cell("TransportError", True, 1)
LOST_THRICE = Cell("TransportError", True, 3, (0.5, 1.0))
STRANGE = Cell("UnexpectedResponseError")
GATEWAY = Cell("GatewayError", True, 1)
GATEWAY_THRICE = Cell("GatewayError", True, 3, (0.5, 1.0))
UNREACHED_THRICE = Cell("TransportError", False, 0, (0.5, 1.0))
UNREACHED = Cell("TransportError", False, 0)
BUSY_THRICE = Cell("SystemBusyError", None, 3, (0.5, 1.0))


class Row(NamedTuple):
    """
    One fault and what comes of it.

    Attributes:
        what: The fault, in the document's words.

        fault: What the server does; None where there is more to it than that.

        repeatable: How queries and registrations end if the fault stays, and if it
            happens once.

        others: How changes and `Client.request` end.

        timeout, deadline: Of the client.

        least, most: Seconds of real time for one call.

        place: Where to call; the server by default.
    """

    what: str
    fault: Fault | None
    repeatable: tuple[Cell, Cell | None]
    others: tuple[Cell, Cell | None]
    timeout: float = 10
    deadline: float = 20
    least: float = 0
    most: float = 5
    place: Callable[[], contextlib.AbstractContextManager[Any]] = ChaosServer


def certificates() -> trustme.CA:
    """
    An authority that nobody trusts.
    """
    return trustme.CA()


def tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def untrusted_server() -> ChaosServer:
    return ChaosServer(tls=tls(certificates().issue_cert("127.0.0.1")))


def twice(cell: Cell) -> tuple[Cell, Cell]:
    """
    The same, whether the fault stays or happens once.
    """
    return cell, cell


SAID_BUSY = {"errcode": -1, "errmsg": "system error rid: 64254aac-5d5bb128-5d8aa557"}
SAID_TOO_FAST = {"errcode": 45009, "errmsg": "reach max api second frequence limit"}
SAID_TOO_MANY = {"errcode": 45009, "errmsg": "reach max api daily quota limit"}

#: Dropped after it was sent.
DROPPED = {
    "repeatable": (LOST_THRICE, ANSWERED_AT_SECOND),
    "others": twice(LOST),
}
WELL = {"repeatable": twice(ANSWERED), "others": twice(ANSWERED)}
NOT_WECHATS = {"repeatable": twice(STRANGE), "others": twice(STRANGE)}
TRICKLES: dict[str, Any] = {
    "repeatable": (LOST, None),
    "others": (LOST, None),
    "deadline": 0.3,
    "least": 0.3,
}

TABLE = [
    # No connection
    Row(
        "refuses the connection",
        None,
        (UNREACHED_THRICE, None),
        (UNREACHED_THRICE, None),
        place=closed_port,
    ),
    Row(
        "does not react to the attempt to connect",
        None,
        (UNREACHED_THRICE, None),
        (UNREACHED_THRICE, None),
        timeout=0.1,
        least=0.3,
        place=silent_port,
    ),
    Row(
        "shows a wrong certificate",
        None,
        (UNREACHED, None),
        (UNREACHED, None),
        place=untrusted_server,
    ),
    # The connection breaks
    Row(
        "accepts and closes",
        chaos.close_at_once,
        (
            Cell("TransportError", True, 0, (0.5, 1.0)),
            Cell("answered", None, 1, (0.5,)),
        ),
        twice(Cell("TransportError", True, 0)),
    ),
    Row("closes after the request", close_after_request, **DROPPED),
    Row("resets after the request", chaos.reset_after_request, **DROPPED),
    Row("closes within the head", chaos.close_in_head, **DROPPED),
    Row("resets within the head", chaos.reset_in_head, **DROPPED),
    Row("closes within the body", chaos.close_in_body, **DROPPED),
    Row("resets within the body", chaos.reset_in_body, **DROPPED),
    Row("closes within a chunk", chaos.chunked_cut_in_chunk, **DROPPED),
    Row("closes before the last chunk", chaos.chunked_cut_before_last, **DROPPED),
    Row(
        "promises more bytes than come",
        chaos.length_too_long,
        **DROPPED,
    ),
    Row("sends a chunk of less than no bytes", chaos.negative_chunk, **DROPPED),
    Row("sends garbage", chaos.garbage, **DROPPED),
    Row("sends a head without end", chaos.endless_head, **DROPPED),
    # It takes too long
    Row(
        "never answers",
        chaos.silence,
        (LOST_THRICE, ANSWERED_AT_SECOND),
        twice(LOST),
        timeout=0.2,
        least=0.2,
    ),
    Row("lets the head trickle", chaos.trickle_head, **TRICKLES),
    Row("lets the body trickle", chaos.trickle_body, **TRICKLES),
    Row("lets chunks trickle", chaos.trickle_chunks, **TRICKLES),
    Row('lets "100 Continue" trickle', chaos.trickle_interim, **TRICKLES),
    # An answer that is not WeChat's
    Row(
        "HTTP 502 with a page",
        gateway(502),
        (GATEWAY_THRICE, ANSWERED_AT_SECOND),
        twice(GATEWAY),
    ),
    Row(
        "HTTP 503 with a page",
        gateway(503),
        (GATEWAY_THRICE, ANSWERED_AT_SECOND),
        twice(GATEWAY),
    ),
    Row(
        "HTTP 504 with a page",
        gateway(504),
        (GATEWAY_THRICE, ANSWERED_AT_SECOND),
        twice(GATEWAY),
    ),
    Row("HTTP 500 with a page", status(500), **NOT_WECHATS),
    Row("HTTP 412 without a body", status(412, b""), **NOT_WECHATS),
    Row("a redirect", redirect("http://127.0.0.1:9/"), **NOT_WECHATS),
    Row(
        "a redirect with a body without end",
        chaos.redirect_endless("http://127.0.0.1:9/"),
        **NOT_WECHATS,
    ),
    Row("HTTP 200 with a page", status(200), **NOT_WECHATS),
    Row("HTTP 200 without a body", status(200, b""), **NOT_WECHATS),
    Row("HTTP 204", raw(chaos.head(204), "keep"), **NOT_WECHATS),
    Row("JSON that is no object", reply(b"[]"), **NOT_WECHATS),
    Row("fewer bytes promised than come", chaos.length_too_short, **NOT_WECHATS),
    Row("a body without end", chaos.endless_body, **NOT_WECHATS),
    Row("chunks without end", chaos.endless_chunks, **NOT_WECHATS),
    Row("a trailer without end", chaos.endless_trailer, **NOT_WECHATS),
    Row("gzip that grows to 32 MiB", encoded(chaos.bomb(32)), **NOT_WECHATS),
    Row("gzip that is broken", encoded(b"\x1f\x8b\x08 not gzip"), **NOT_WECHATS),
    Row("a page that repeats the request", chaos.repeat_the_request, **NOT_WECHATS),
    # An answer of WeChat's
    Row(
        "errcode -1",
        reply(SAID_BUSY),
        (BUSY_THRICE, ANSWERED_AT_SECOND),
        (BUSY_THRICE, ANSWERED_AT_SECOND),
    ),
    Row(
        "errcode 45009, of a second",
        reply(SAID_TOO_FAST),
        (
            Cell("RateLimitError", None, 3, (1.5, 2.0)),
            Cell("answered", None, 2, (1.5,)),
        ),
        (
            Cell("RateLimitError", None, 3, (1.5, 2.0)),
            Cell("answered", None, 2, (1.5,)),
        ),
    ),
    Row(
        "errcode 45009, of the day",
        reply(SAID_TOO_MANY),
        twice(Cell("DailyQuotaError")),
        twice(Cell("DailyQuotaError")),
    ),
    Row(
        "errcode 45011, of a minute",
        reply({"errcode": 45011, "errmsg": "api minute-quota reach limit"}),
        twice(Cell("RateLimitError")),
        twice(Cell("RateLimitError")),
    ),
    # All is well
    Row("answers late", chaos.delay(0.02), **WELL),
    Row("answers and closes", chaos.answer_and_close, **WELL),
    Row("answers in chunks", chaos.chunked_whole, **WELL),
    Row("answers in gzip", chaos.gzipped, **WELL),
    Row("answers without a length", chaos.without_length, **WELL),
    Row("answers in HTTP/1.0", chaos.http_1_0, **WELL),
    Row('answers after "103 Early Hints"', chaos.early_hint, **WELL),
    Row("answers with garbage among the headers", chaos.garbage_head_lines, **WELL),
    Row("answers with a cookie", chaos.set_cookie, **WELL),
]


class Listener(logging.Handler):
    """
    Keeps what is logged, as it would be written.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {self.format(record)}")

    @property
    def own(self) -> list[str]:
        """
        The lines of this library's logger.
        """
        start = "wxlogistics: "
        return [line[len(start) :] for line in self.lines if line.startswith(start)]


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """
    Yield a `Listener` to this library, to urllib3 and to requests.
    """
    listener = Listener()
    loggers = [
        logging.getLogger(name) for name in ("wxlogistics", "urllib3", "requests")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(listener)
    try:
        yield listener
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
            logger.removeHandler(listener)


def told(error: BaseException | None) -> Iterator[str]:
    """
    Yield all that *error* and what hangs on it would tell.
    """
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)))
        yield from traceback.format_exception(error)
        if isinstance(error, WxLogisticsError):
            yield pickle.dumps(error, 0).decode("latin-1")
        error = error.__cause__ or error.__context__


class Seen(NamedTuple):
    """
    What came of one call.
    """

    cell: Cell
    value: Any
    seconds: float
    texts: list[str]


def observe(row: Row, kind: str, once: bool) -> Seen:
    """
    Make the call and see.
    """
    pauses: list[float] = []
    value: Any = None
    texts: list[str] = []
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening())
        place = stack.enter_context(row.place())
        if row.fault:
            place.script(*[row.fault] * once, then=None if once else row.fault)
        client = stack.enter_context(
            Client(
                TOKEN,
                base_url=getattr(place, "url", place),
                # Where only the first attempt is to time out, the second gets time.
                timeout=row.timeout * (3 if once else 1),
                deadline=row.deadline,
                sleep=pauses.append,
                random=lambda: 1.0,
            )
        )
        started = time.monotonic()
        try:
            value = CALLS[kind](client)
            outcome, maybe_applied = "answered", None
        except WxLogisticsError as error:
            outcome = type(error).__name__
            maybe_applied = getattr(error, "maybe_applied", None)
            texts += told(error)
        seconds = time.monotonic() - started
        requests_seen = len(getattr(place, "requests", ()))
    cell = Cell(outcome, maybe_applied, requests_seen, tuple(pauses))
    return Seen(cell, value, seconds, texts + listener.lines)


def expected(row: Row, kind: str, once: bool) -> Cell | None:
    return (row.repeatable if kind in REPEATABLE else row.others)[once]


#: Every fault with every kind of call, staying and once.
CASES = [
    pytest.param(row, kind, once, id=f"{row.what}-{kind}-{'once' if once else 'stays'}")
    for row in TABLE
    for kind in CALLS
    for once in (False, True)
    if expected(row, kind, once)
]


def document_table(cells: Callable[[Row, str, bool], Cell | None]) -> str:
    """
    Return the table of the document, of what *cells* says.
    """
    lines = [
        "| the server | queries and registrations, the fault stays | it happens once "
        "| `update_*` and `request()`, the fault stays | it happens once |",
        "|---|---|---|---|---|",
    ]
    for row in TABLE:
        told = [
            str(cells(row, kind, once) or "")
            for kind in ("query_trace", "request")
            for once in (False, True)
        ]
        lines.append(f"| {' | '.join([row.what, *told])} |")
    return "\n".join(lines) + "\n"


BEGIN = "<!-- written by tests/test_resilience.py: begin -->\n"
END = "<!-- end -->\n"


class TestFaults:
    @pytest.mark.parametrize(("row", "kind", "once"), CASES)
    def test_fault__outcome(self, row: Row, kind: str, once: bool) -> None:
        """
        Each fault ends each kind of call as the table says, in time, telling nothing.
        """
        seen = observe(row, kind, once)

        assert expected(row, kind, once) == seen.cell
        assert row.least <= seen.seconds <= row.most
        assert [] == [text for text in seen.texts if any(map(text.count, PRIVATE))]
        if seen.cell.outcome == "answered":
            assert RIGHT[kind] == seen.value

    def test_table__is_in_the_document(self) -> None:
        """
        docs/resilience.md holds the table; if not, run this file.
        """
        document = DOCUMENT.read_text(encoding="utf-8")
        table = document.partition(BEGIN)[2].partition(END)[0]

        assert document_table(expected) == table


@pytest.fixture
def server() -> Iterator[ChaosServer]:
    """
    A server that answers rightly, until it is given a script.
    """
    with ChaosServer() as server:
        yield server


@pytest.fixture
def make(pauses: list[float]) -> Iterator[Callable[..., Client]]:
    """
    Makes clients that never wait and whose every pause is the longest possible.
    """
    with contextlib.ExitStack() as stack:

        def make(base_url: str | Sequence[str], **options: Any) -> Client:
            given = {"sleep": pauses.append, "random": lambda: 1.0, **options}
            given.setdefault("token", TOKEN)
            token = given.pop("token")
            return stack.enter_context(Client(token, base_url=base_url, **given))

        yield make


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """
    A session of the caller's.
    """
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """
    An authority for certificates.
    """
    return trustme.CA()


@pytest.fixture
def trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """
    The authority's certificate, which the environment says to trust.
    """
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


class Clock:
    """
    Time that passes only when somebody sleeps.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def until(condition: Callable[[], bool]) -> None:
    """
    Wait for what happens in another thread.
    """
    ends_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


def query(client: Client, waybill_token: str = WAYBILL_TOKEN) -> str | None:
    return client.query_trace(waybill_token).waybill_id


class TestRequest:
    def test_post__bytes(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A POST with UTF-8 JSON, its length, its type and the token; nothing else.
        """
        make(server.url).request("/cgi-bin/other", {"name": "围巾"})
        request = server.requests[0]

        assert "POST" == request.method
        assert f"/cgi-bin/other?access_token={TOKEN}" == request.target
        assert '{"name":"围巾"}'.encode() == request.body
        assert "application/json" == request.headers["content-type"]
        assert "17" == request.headers["content-length"]
        assert "transfer-encoding" not in request.headers
        assert "cookie" not in request.headers
        assert "gzip, deflate" == request.headers["accept-encoding"]

    def test_post__token_escaped(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A token cannot add to the query.
        """
        make(server.url, token="a&b=c d/é").get_delivery_list()

        assert "a%26b%3Dc%20d%2F%C3%A9" == server.requests[0].token

    def test_post__any_mapping(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A payload need not be a dict.
        """
        reply = make(server.url).request("/x", MappingProxyType({"a": 1}))

        assert {"a": 1} == reply["echo"]

    def test_post__nested_deep(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        What json can write, an error can be made of.
        """
        server.script(then=reply({"errcode": 48001, "errmsg": f"no, {OPENID}"}))
        payload: Any = OPENID
        for _ in range(900):
            payload = [payload]
        with pytest.raises(WxLogisticsError) as caught:
            make(server.url).request("/x", {"openids": payload})

        assert "/x: no, *** (errcode 48001)" == str(caught.value)


class TestReply:
    @pytest.mark.parametrize(
        "body",
        [
            b"\xef\xbb\xbf" + '{"name": "顺丰"}'.encode(),
            b'{"name": "\xe9\xa1\xba\xe4\xb8\xb0", "bell": "\x07"}',
        ],
        ids=["BOM", "control character"],
    )
    @pytest.mark.parametrize("label", ["text/plain", "text/html; charset=latin-1"])
    def test_decode__whatever_the_headers_say(
        self, body: bytes, label: str, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        The bytes are UTF-8, with a BOM or control characters, labelled or not.
        """
        head = chaos.head(200, f"Content-Type: {label}", length=len(body))
        server.script(raw(head + body, "keep"))

        assert "顺丰" == make(server.url).request("/x", {})["name"]

    def test_size__5_mib(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        5 MiB are read, and not a byte more.
        """
        server.script(reply(b"{}".ljust(5242880)), reply(b"{}".ljust(5242881)))
        client = make(server.url)

        assert {} == client.request("/x", {})
        with pytest.raises(UnexpectedResponseError, match="more than 5 MiB"):
            client.request("/x", {})

    @pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "x-gzip"])
    def test_coding__not_asked_for(
        self, coding: str, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        What was not asked for is not unpacked.
        """
        server.script(encoded(b"whatever", coding))
        with pytest.raises(UnexpectedResponseError, match="not asked for"):
            make(server.url).request("/x", {})

    @pytest.mark.parametrize(
        "strange",
        [chaos.two_answers, chaos.length_too_short, chaos.early_hint],
        ids=["two answers", "more than promised", "103"],
    )
    def test_next_reply__is_its_own(
        self, strange: Fault, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Nothing of a strange answer is left for the next call.
        """
        server.script(strange)
        client = make(server.url)
        with contextlib.suppress(UnexpectedResponseError):
            query(client, "first")

        assert "second" == query(client, "second")
        assert "third" == query(client, "third")


class TestRepetition:
    @pytest.mark.parametrize(
        "fault",
        [reply(SAID_BUSY), close_after_request, gateway(502), reply(SAID_TOO_FAST)],
        ids=["-1", "dropped", "502", "45009"],
    )
    def test_retries__none(
        self,
        fault: Fault,
        server: ChaosServer,
        make: Callable[..., Client],
        pauses: list[float],
    ) -> None:
        """
        retries=0 repeats nothing.
        """
        server.script(fault)
        with pytest.raises(WxLogisticsError):
            query(make(server.url, retries=0))

        assert 1 == len(server.requests)
        assert [] == pauses

    def test_retries__45011_that_speaks_of_a_second(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Only 45009 counts by the second, whatever the text of another errcode says.
        """
        server.script(reply({"errcode": 45011, "errmsg": "too fast, wait a second"}))
        with pytest.raises(RateLimitError):
            query(make(server.url))

        assert 1 == len(server.requests)

    def test_retries__none_when_unreached(
        self, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        retries=0 does not try to connect again either.
        """
        with closed_port() as url, listening() as listener:
            with pytest.raises(TransportError):
                query(make(url, retries=0))

        assert 1 == len(listener.own)
        assert [] == pauses

    def test_retries__all_causes_together(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        Different causes share the one budget.
        """
        server.script(
            reply(SAID_BUSY), close_after_request, gateway(502), reply(SAID_BUSY)
        )
        with pytest.raises(SystemBusyError):
            query(make(server.url, retries=3))

        assert 4 == len(server.requests)
        assert [0.5, 1.0, 2.0] == pauses

    def test_pauses__grow_to_8_seconds(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        Each is at most twice as long as the last, up to 8 seconds.
        """
        server.script(then=reply(SAID_BUSY))
        with pytest.raises(SystemBusyError):
            query(make(server.url, retries=7))

        assert [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0] == pauses

    def test_pauses__full_jitter(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        Each is a random part of the longest; none is no pause.
        """
        parts = iter([0.0, 0.25, 0.5])
        server.script(then=reply(SAID_BUSY))
        with pytest.raises(SystemBusyError):
            query(make(server.url, retries=3, random=lambda: next(parts)))

        assert [0.25, 1.0] == pauses

    def test_retries__many(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A thousand repeats are no special case.
        """
        server.script(then=reply(SAID_BUSY))
        with pytest.raises(SystemBusyError):
            query(make(server.url, retries=1100, random=lambda: 0.0))

        assert 1101 == len(server.requests)

    def test_last_error__is_the_last(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        After the last attempt comes its error, with its errmsg and rid.
        """
        server.script(
            gateway(502),
            reply({"errcode": -1, "errmsg": "busy rid: 00000001-00000001-00000001"}),
            reply({"errcode": -1, "errmsg": "dizzy rid: 00000002-00000002-00000002"}),
        )
        with pytest.raises(SystemBusyError) as caught:
            query(make(server.url))

        assert "dizzy rid: 00000002-00000002-00000002" == caught.value.errmsg
        assert "00000002-00000002-00000002" == caught.value.rid
        assert "query_trace: dizzy (errcode -1, rid 00000002-00000002-00000002)" == str(
            caught.value
        )

    def test_unrepeatable__ends_the_repetition(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        A refusal after a repeat is final.
        """
        server.script(reply(SAID_BUSY), reply(SAID_TOO_MANY))
        with pytest.raises(DailyQuotaError):
            query(make(server.url))

        assert 2 == len(server.requests)
        assert [0.5] == pauses

    def test_token__asked_for_at_each_attempt(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Another thread may have renewed it meanwhile.
        """
        tokens = iter(["first", "second", "third"])
        server.script(reply(SAID_BUSY), gateway(502))
        query(make(server.url, token=lambda: next(tokens)))

        assert ["first", "second", "third"] == [each.token for each in server.requests]


class TestRenewal:
    REFUSED = {"errcode": 40001, "errmsg": "invalid credential"}

    def test_renewal__once(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        Another token is tried at once, and only one.
        """
        tokens = iter(["first", "second", "third", "fourth"])
        server.script(then=reply(self.REFUSED))
        with pytest.raises(AccessTokenError):
            query(make(server.url, token=lambda: next(tokens)))

        assert ["first", "second"] == [each.token for each in server.requests]
        assert [] == pauses

    def test_renewal__is_no_repeat(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        It does not count as one of `retries`.
        """
        tokens = iter(["first", "second"])
        server.script(reply(self.REFUSED))
        client = make(server.url, token=lambda: next(tokens), retries=0)

        assert WAYBILL_TOKEN == query(client)

    def test_renewal__leaves_the_repeats(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        Before and after it the call is repeated as ever.
        """
        tokens = iter(["first", "second", "third", "fourth"])
        server.script(reply(SAID_BUSY), reply(self.REFUSED), gateway(502))
        client = make(server.url, token=lambda: next(tokens))

        assert WAYBILL_TOKEN == query(client)
        assert [0.5, 1.0] == pauses
        assert ["first", "second", "third", "fourth"] == [
            request.token for request in server.requests
        ]

    def test_provider__is_told_what_was_refused(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A provider is asked to renew the very token that WeChat refused.
        """

        class Provider:
            def get(self) -> str:
                return "old"

            def renew(self, rejected: str) -> str:
                return f"renewed after {rejected}"

        server.script(reply(self.REFUSED))

        assert WAYBILL_TOKEN == query(make(server.url, token=Provider()))
        assert ["old", "renewed%20after%20old"] == [
            request.token for request in server.requests
        ]

    def test_fixed_token__is_not_sent_again(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        Where there is no other token, nothing is sent a second time.
        """
        server.script(then=reply(self.REFUSED))
        with pytest.raises(AccessTokenError):
            query(make(server.url))

        assert 1 == len(server.requests)
        assert [] == pauses


class TestMaybeApplied:
    def test_earlier_attempt__counts(
        self, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        A first attempt that may have been applied is told of, though the last was not
        even sent.
        """
        with ChaosServer(close_after_request) as server:
            client = make(server.url, sleep=lambda seconds: server.__exit__())
            with pytest.raises(TransportError) as caught:
                CALLS["trace_waybill"](client)

        assert "Connection refused" in caught.value.reason
        assert caught.value.maybe_applied
        assert str(caught.value).endswith("(the request may have reached WeChat)")

    def test_earlier_attempt__and_then_no_token(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        So it is when the token for the second attempt cannot be had.
        """
        server.script(close_after_request)
        tokens = iter([TOKEN])

        def token() -> str:
            for each in tokens:
                return each
            raise TransportError("my_tokens", "out of reach", False)

        with pytest.raises(TransportError) as caught:
            CALLS["trace_waybill"](make(server.url, token=token))

        assert "my_tokens" == caught.value.endpoint
        assert caught.value.maybe_applied

    def test_busy__was_not_applied(
        self, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        An attempt that WeChat refused leaves no doubt.
        """
        with ChaosServer(reply(SAID_BUSY)) as server:
            client = make(server.url, sleep=lambda seconds: server.__exit__())
            with pytest.raises(TransportError) as caught:
                CALLS["update_waybill_goods"](client)

        assert not caught.value.maybe_applied
        assert str(caught.value).endswith("(the request was not sent)")

    @pytest.mark.parametrize(
        "fault", [close_after_request, gateway(502)], ids=["dropped", "502"]
    )
    def test_token_call__is_not_the_call(
        self, fault: Fault, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A token that could not be fetched leaves no doubt about the update.
        """
        with ChaosServer(then=fault) as token_server:
            tokens = StableToken(
                "wx1234567890abcdef",
                "secret",
                base_url=token_server.url,
                sleep=lambda seconds: None,
            )
            with pytest.raises(TransportError) as caught:
                CALLS["update_waybill_goods"](make(server.url, token=tokens))

        assert "stable_token" == caught.value.endpoint
        assert not caught.value.maybe_applied
        assert [] == server.requests
        assert 3 == len(token_server.requests)


class TestFailover:
    def test_host__passed_over_at_once(
        self, server: ChaosServer, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        The next host is tried without a pause, whatever the call.
        """
        for kind, call in CALLS.items():
            with closed_port() as first, closed_port() as second:
                client = make([first, second, server.url])

                assert RIGHT[kind] == call(client)
        assert 5 == len(server.requests)
        assert [] == pauses

    def test_host__stays_and_returns(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        The client stays with the host that worked, and after 5 minutes tries the
        first again.
        """
        clock = Clock()
        with closed_port() as url:
            client = make([url, server.url], clock=clock)
            query(client)
        with ChaosServer(port=int(url.rpartition(":")[2])) as first:
            clock.now += 299
            query(client)

            assert (0, 2) == (len(first.requests), len(server.requests))
            clock.now += 2
            query(client)
            query(client)

            assert (2, 2) == (len(first.requests), len(server.requests))

    def test_host__first_still_down(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        If the first is still out of reach, the call that finds out succeeds all the
        same.
        """
        clock = Clock()
        with closed_port() as url, listening() as listener:
            client = make([url, server.url], clock=clock)
            for _ in range(3):
                query(client)
                clock.now += 200

        assert 3 == len(server.requests)
        assert ["no", "ok", "ok", "no", "ok"] == [
            line.split()[1].strip(",") for line in listener.own
        ]

    def test_hosts__all_down(
        self, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        Once all have been tried, there is a pause before each further attempt.
        """
        with closed_port() as first, closed_port() as second, listening() as listener:
            with pytest.raises(TransportError) as caught:
                query(make([first, second], retries=3))

        assert [2.0 / 2, 2.0] == pauses
        assert not caught.value.maybe_applied
        asked = [line.split()[4].strip(":,") for line in listener.own]
        assert [url[7:] for url in (first, second, first, second)] == asked

    def test_host__counts_as_a_repeat(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Passing over a host is one of `retries`.
        """
        server.script(then=close_after_request)
        with closed_port() as url, pytest.raises(TransportError):
            query(make([url, server.url]))

        assert 2 == len(server.requests)

    def test_host__next_call_knows(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        With retries=0 the call fails, and the next goes to the next host.
        """
        with closed_port() as url:
            client = make([url, server.url], retries=0)
            with pytest.raises(TransportError):
                query(client)

            assert WAYBILL_TOKEN == query(client)

    @pytest.mark.parametrize(
        "fault", [gateway(502), close_after_request], ids=["502", "dropped"]
    )
    def test_host__reached_is_kept(
        self, fault: Fault, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A host that was reached is not left.
        """
        with ChaosServer(fault) as first:
            query(make([first.url, server.url]))

        assert (2, 0) == (len(first.requests), len(server.requests))

    def test_host__threads_move_on_together(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Threads that find the same host down do not push each other past the next.
        """
        barrier = threading.Barrier(8)
        with closed_port() as url, ChaosServer() as third:
            client = make([url, server.url, third.url])

            def call() -> None:
                barrier.wait()
                query(client)

            threads = [threading.Thread(target=call) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert (8, 0) == (len(server.requests), len(third.requests))

    def test_host__never_back(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A thread that is late to find the first host down does not lead the others back
        to the second, which is down too.
        """
        with closed_port() as first, closed_port() as second:
            client = make([first, second, server.url])
            query(client)
            client._wire._pass_over(0)
            with listening() as listener:
                query(client)

        assert ["query_trace: ok"] == [line.split(",")[0] for line in listener.own]

    def test_host__wrong_certificate(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A host with a wrong certificate is not passed over: something is badly wrong.
        """
        with untrusted_server() as untrusted, pytest.raises(TransportError):
            query(make([untrusted.url, server.url]))

        assert [] == server.requests

    def test_addresses__of_one_host(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
        pauses: list[float],
    ) -> None:
        """
        A host's second address is tried when the first does not answer.
        """
        monkeypatch.setattr(
            socket, "getaddrinfo", found(("::1", "127.0.0.1"), server.port)
        )

        assert WAYBILL_TOKEN == query(make(f"http://wechat.invalid:{server.port}"))
        assert [] == pauses
        assert f"wechat.invalid:{server.port}" == server.requests[0].headers["host"]

    def test_name__not_found(
        self, make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A name that does not resolve is a host out of reach.
        """

        def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with listening() as listener, pytest.raises(TransportError) as caught:
            query(make("https://wechat.invalid"))

        assert "no connection to wechat.invalid: Name or service not known" == (
            caught.value.reason
        )
        assert not caught.value.maybe_applied
        assert 3 == len(listener.own)


def found(addresses: Sequence[str], port: int) -> Callable[..., list[tuple[Any, ...]]]:
    """
    Return what answers for socket.getaddrinfo.
    """
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        hosts = addresses if host == "wechat.invalid" else (host,)
        return [each for host in hosts for each in real(host, *args, **kwargs)]

    return getaddrinfo


class TestIdleConnections:
    @pytest.mark.parametrize(
        "fault",
        [chaos.answer_and_close, chaos.answer_and_reset, chaos.answer_and_complain],
        ids=["closed", "reset", "closed with a 408"],
    )
    @pytest.mark.parametrize("kind", CALLS)
    def test_closed__costs_nothing(
        self,
        kind: str,
        fault: Fault,
        server: ChaosServer,
        make: Callable[..., Client],
        pauses: list[float],
    ) -> None:
        """
        A connection that the server has closed is noticed before writing.
        """
        server.script(fault)
        client = make(server.url, retries=0)
        CALLS[kind](client)
        until(lambda: server.open_connections == 0)

        assert RIGHT[kind] == CALLS[kind](client)
        assert [1, 2] == [request.connection for request in server.requests]
        assert [] == pauses

    @pytest.mark.parametrize("kind", CALLS)
    def test_reset_at_once__told_as_it_is(
        self, kind: str, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A server that resets whatever it accepts does so before or after the request is
        written: what cannot be told is told so, and nothing is lost.
        """
        server.script(then=chaos.reset_at_once)
        with pytest.raises(TransportError) as caught:
            CALLS[kind](make(server.url))

        assert [] == server.requests
        if kind in REPEATABLE or not caught.value.maybe_applied:
            assert 3 == server.connections

    def test_closed_under_a_query__repeated(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Closed just as it is used again, it costs a query a repeat.
        """
        server.script(answer, close_after_request)
        client = make(server.url)
        query(client)

        assert WAYBILL_TOKEN == query(client)
        assert [1, 1, 2] == [request.connection for request in server.requests]

    def test_closed_under_an_update__told(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Closed just as it is used again, it leaves an update in doubt; it is sent once.
        """
        server.script(answer, close_after_request)
        client = make(server.url)
        query(client)
        with pytest.raises(TransportError) as caught:
            CALLS["update_waybill_goods"](client)

        assert caught.value.maybe_applied
        assert ["query_trace", "update_waybill_goods"] == [
            request.endpoint for request in server.requests
        ]

    def test_kept__used_again(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A connection that is left open serves one call after another.
        """
        server.script(answer, status(500), chaos.gzipped, chaos.chunked_whole)
        client = make(server.url)
        for _ in range(6):
            with contextlib.suppress(UnexpectedResponseError):
                query(client)

        assert 1 == server.connections

    def test_refused_answer__closes(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A connection whose answer was not read to its end is closed.
        """
        server.script(chaos.endless_body)
        client = make(server.url)
        with pytest.raises(UnexpectedResponseError):
            query(client)
        until(lambda: server.open_connections == 0)

        assert WAYBILL_TOKEN == query(client)

    def test_close__closes(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        close() closes the idle connections; the client opens others when used again.
        """
        client = make(server.url)
        query(client)
        client.close()
        until(lambda: server.open_connections == 0)

        assert WAYBILL_TOKEN == query(client)

    def test_close__under_a_call(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A call finds its pool closed before anything was sent.
        """

        class Closing(HTTPAdapter):
            def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
                pool = super().get_connection_with_tls_context(*args, **kwargs)
                pool.close()
                return pool

        with requests.Session() as session:
            session.mount("http://", Closing())
            with pytest.raises(TransportError) as caught:
                query(make(server.url, session=session))

        assert not caught.value.maybe_applied

    def test_dropped_client__leaves_no_socket(self, server: ChaosServer) -> None:
        """
        A client that is not closed closes its connections when it is forgotten.
        """
        query(Client(TOKEN, base_url=server.url))
        gc.collect()

        until(lambda: server.open_connections == 0)


class TestDeadline:
    def test_deadline__over_all_attempts(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        There is no pause that would end behind it; the last real error is told.
        """
        clock = Clock()
        server.script(then=reply(SAID_BUSY))
        client = make(
            server.url, retries=99, deadline=10, clock=clock, sleep=clock.sleep
        )
        with pytest.raises(SystemBusyError) as caught:
            query(client)

        assert [0.5, 1.0, 2.0, 4.0] == clock.pauses
        assert 5 == len(server.requests)
        assert "64254aac-5d5bb128-5d8aa557" == caught.value.rid

    @pytest.mark.parametrize(
        "fault",
        [chaos.trickle_head, chaos.trickle_body, chaos.silence],
        ids=["head", "body", "silence"],
    )
    def test_deadline__is_named(
        self, fault: Fault, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        The error says that it was the deadline, and how long that is.
        """
        server.script(then=fault)
        with pytest.raises(TransportError) as caught:
            query(make(server.url, deadline=0.3))

        assert "no answer within the deadline of 0.3 s" == caught.value.reason
        assert caught.value.maybe_applied

    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_deadline__shorter_than_the_timeout(
        self, own: bool, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A server that never answers cannot hold the call to the end of the timeout.
        """
        server.script(then=chaos.silence)
        started = time.monotonic()
        with requests.Session() as session, pytest.raises(TransportError) as caught:
            query(make(server.url, deadline=0.3, session=None if own else session))

        assert "no answer within the deadline of 0.3 s" == caught.value.reason
        assert time.monotonic() - started < 5

    def test_deadline__after_a_late_byte(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A byte shortly before the deadline does not put it off.
        """

        def late(peer: chaos.Peer, request: chaos.Request) -> None:
            peer.wait(1.8)
            peer.send(b"H")
            peer.wait_until_left()

        server.script(late)
        started = time.monotonic()
        with pytest.raises(TransportError):
            query(make(server.url, deadline=2))

        # A timeout counted from the late byte on would end after 3.8.
        assert 2 <= time.monotonic() - started < 3.4

    def test_timeout__is_named(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        The error says when it was the timeout.
        """
        server.script(then=chaos.silence)
        with pytest.raises(TransportError) as caught:
            query(make(server.url, timeout=(10, 0.1), retries=0))

        assert "no answer within 0.1 s" == caught.value.reason

    def test_connect_timeout__is_named(self, make: Callable[..., Client]) -> None:
        """
        The error says when it was the time to connect.
        """
        with silent_port() as url, pytest.raises(TransportError) as caught:
            query(make(url, timeout=(0.1, 10), retries=0))

        assert f"no connection to {url[7:]} within 0.1 s" == caught.value.reason

    def test_connect__within_the_deadline(self, make: Callable[..., Client]) -> None:
        """
        An attempt to connect does not go beyond it.
        """
        started = time.monotonic()
        with silent_port() as url, pytest.raises(TransportError) as caught:
            query(make(url, timeout=10, deadline=0.2))

        assert "no answer within the deadline of 0.2 s" == caught.value.reason
        assert not caught.value.maybe_applied
        assert 0.2 <= time.monotonic() - started < 5

    def test_connect__many_addresses(
        self, make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        All of a host's addresses share the deadline.
        """
        started = time.monotonic()
        with silent_port() as url, pytest.raises(TransportError) as caught:
            port = int(url.rpartition(":")[2])
            monkeypatch.setattr(socket, "getaddrinfo", found(["127.0.0.1"] * 40, port))
            query(make(f"http://wechat.invalid:{port}", timeout=0.1, deadline=0.3))

        assert "no answer within the deadline of 0.3 s" == caught.value.reason
        # One timeout for each would be 4 seconds.
        assert time.monotonic() - started < 3.4

    def test_handshake__within_the_deadline(
        self, make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The TLS handshake gets what connecting has left.
        """
        real = urllib3.util.connection.create_connection

        def create_connection(*args: Any, **kwargs: Any) -> socket.socket:
            time.sleep(1.5)
            return real(*args, **kwargs)

        monkeypatch.setattr(
            urllib3.util.connection, "create_connection", create_connection
        )
        with ChaosServer(then=chaos.accept_and_wait) as server:
            started = time.monotonic()
            with pytest.raises(TransportError) as caught:
                query(make(server.url.replace("http", "https"), deadline=1.8))

        assert "no answer within the deadline of 1.8 s" == caught.value.reason
        assert not caught.value.maybe_applied
        # A handshake with the whole deadline of its own would end after 3.3.
        assert time.monotonic() - started < 3

    def test_writing__is_bounded(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A server that does not take the request cannot hold it.
        """
        server.script(chaos.accept_and_wait)
        with pytest.raises(TransportError) as caught:
            make(server.url, timeout=0.3).request("/x", {"text": "x" * 30_000_000})

        assert caught.value.maybe_applied

    def test_token_provider__slow(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        The time that a token takes is the call's; nothing is sent when it is over.
        """
        clock = Clock()

        def token() -> str:
            clock.now += 11
            return TOKEN

        with pytest.raises(TransportError) as caught:
            query(make(server.url, token=token, clock=clock, deadline=10))

        assert "no answer within the deadline of 10 s" == caught.value.reason
        assert not caught.value.maybe_applied
        assert [] == server.requests

    def test_token_call__within_the_deadline(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A token server that trickles cannot hold the call longer than its deadline.
        """
        with ChaosServer(then=chaos.trickle_body) as token_server:
            tokens = StableToken("wx1", "secret", base_url=token_server.url)
            started = time.monotonic()
            with pytest.raises(TransportError) as caught:
                query(make(server.url, token=tokens, deadline=0.3))

        assert 0.3 <= time.monotonic() - started < 5
        assert "stable_token" == caught.value.endpoint
        assert "no answer within the deadline of 0.3 s" == caught.value.reason
        assert [] == server.requests

    def test_deadline__of_one_call(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        The deadline of one call is nothing to the next.
        """
        server.script(chaos.trickle_body)
        client = make(server.url, deadline=0.5)
        with pytest.raises(TransportError):
            query(client)

        assert WAYBILL_TOKEN == query(client)

    def test_reader__after_the_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What is there already is not read any more.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"late")
            reader = _pool._BoundedReader(ours)
            monkeypatch.setattr(_pool.call, "ends_at", time.monotonic())
            with pytest.raises(TimeoutError):
                reader.read(1)
            reader.close()

    @pytest.mark.parametrize("seconds", [1e12, float("inf"), 10**400])
    def test_forever__is_not_too_long(
        self, seconds: float, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A timeout of years is as good as one.
        """
        client = make(server.url, timeout=seconds, deadline=seconds)

        assert WAYBILL_TOKEN == query(client)

    def test_timeout__always_set(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Calls have a timeout by default, for tokens too.
        """
        timeouts: list[Any] = []

        class Noting(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                timeouts.append(kwargs["timeout"])
                return super().send(*args, **kwargs)

        server.script(reply({"access_token": TOKEN, "expires_in": 7200}))
        with requests.Session() as session:
            session.mount("http://", Noting())
            tokens = StableToken("wx1", "s", base_url=server.url, session=session)
            query(make(server.url, token=tokens, session=session))

        assert [(3.05, 20.0), (3.05, 20.0)] == timeouts


#: Prints the reason for which a call failed, and by how many MiB memory grew with it.
MEMORY = """
import re, sys
from wxlogistics import Client, WxLogisticsError

def peak():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1]) / 1024

client = Client("TOKEN", base_url=sys.argv[1], retries=0)
client.get_delivery_list()
before = peak()
try:
    client.query_trace("W")
except WxLogisticsError as error:
    print(error.reason)
    print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
class TestMemory:
    @pytest.mark.parametrize(
        "fault",
        [
            encoded(chaos.bomb()),
            encoded(chaos.bomb(), chunked=True),
            encoded(chaos.bomb(wbits=15), "deflate"),
            encoded(chaos.compressed(chaos.bomb()), "gzip, gzip"),
            chaos.endless_body,
            chaos.endless_chunks,
            chaos.endless_trailer,
        ],
        ids=[
            "gzip, 1 GiB",
            "gzip in chunks, 1 GiB",
            "deflate, 1 GiB",
            "gzip in gzip, 1 GiB",
            "a body without end",
            "chunks without end",
            "a trailer without end",
        ],
    )
    def test_peak__below_50_mib(self, fault: Fault, server: ChaosServer) -> None:
        """
        However large the answer is, or would be unpacked, it costs little memory.
        """
        server.script(answer, fault)
        reason, grown = self.run(server)

        assert reason in (
            "a body of more than 5 MiB",
            "a Content-Encoding that was not asked for",
        )
        assert grown < 50

    @pytest.mark.parametrize(
        "fault",
        [
            chaos.endless_chunk_size,
            chaos.negative_chunk,
            chaos.endless_head,
            chaos.endless_head_line,
            chaos.endless_interim,
        ],
        ids=["chunk size", "chunk of -5", "head", "head line", "100 Continue"],
    )
    def test_peak__of_a_frame_without_end(
        self, fault: Fault, server: ChaosServer
    ) -> None:
        """
        What is around the body may be without end, too.
        """
        server.script(answer, fault)
        _, grown = self.run(server)

        assert grown < 50

    def run(self, server: ChaosServer) -> tuple[str, float]:
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        reason, grown = done.stdout.splitlines()
        return reason, float(grown)


class TestRedirects:
    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_redirect__not_followed(
        self, code: int, own: bool, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        The token does not travel to another host.
        """
        with ChaosServer() as other, requests.Session() as session:
            server.script(redirect(f"{other.url}/?access_token={TOKEN}", code))
            client = make(server.url, session=None if own else session)
            with pytest.raises(UnexpectedResponseError) as caught:
                query(client)

            assert code == caught.value.status
            assert 0 == other.connections
            assert WAYBILL_TOKEN == query(client)


class TestTls:
    @pytest.fixture
    def server(self, authority: trustme.CA) -> Iterator[ChaosServer]:
        """
        A server with a certificate of the authority's.
        """
        with ChaosServer(tls=tls(authority.issue_cert("127.0.0.1"))) as server:
            yield server

    def test_environment__says_whom_to_trust(
        self, trusted: Path, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        REQUESTS_CA_BUNDLE is honoured, and the connection kept.
        """
        client = make(server.url)

        assert WAYBILL_TOKEN == query(client)
        assert WAYBILL_TOKEN == query(client)
        assert 1 == server.connections

    def test_session__says_whom_to_trust(
        self,
        trusted: Path,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
        session: requests.Session,
    ) -> None:
        """
        A session's own settings are honoured.
        """
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        session.verify = str(trusted)

        assert WAYBILL_TOKEN == query(make(server.url, session=session))

    def test_session__without_the_environment(
        self,
        trusted: Path,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        So is that it does not trust the environment.
        """
        session.trust_env = False
        with pytest.raises(TransportError, match="certificate verify failed"):
            query(make(server.url, session=session))

    def test_bundle__missing(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
        pauses: list[float],
    ) -> None:
        """
        A bundle that is not there is said so, once.
        """
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/authority.pem")
        with pytest.raises(TransportError, match="/nowhere/authority.pem") as caught:
            query(make(server.url))

        assert not caught.value.maybe_applied
        assert [] == pauses

    def test_certificate__verified_by_default(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Nothing is sent to a server that nobody vouches for.
        """
        with pytest.raises(TransportError) as caught:
            query(make(server.url))

        assert caught.value.reason.startswith(
            f"no connection to 127.0.0.1:{server.port}: certificate verify failed: "
        )
        assert not caught.value.maybe_applied
        assert 1 == server.connections
        assert [] == server.requests

    @pytest.mark.parametrize(
        "wrong",
        [
            {"identities": ["other.example"]},
            {
                "identities": ["127.0.0.1"],
                "dates": {
                    "not_before": datetime.datetime(2019, 1, 1),
                    "not_after": datetime.datetime(2020, 1, 1),
                },
            },
        ],
        ids=["another host's", "out of date"],
    )
    def test_certificate__wrong(
        self,
        wrong: dict[str, Any],
        trusted: Path,
        authority: trustme.CA,
        make: Callable[..., Client],
    ) -> None:
        """
        Nothing is sent where the certificate does not fit.
        """
        identities, dates = wrong["identities"], wrong.get("dates", {})
        certificate = authority.issue_cert(*identities, **dates)
        with ChaosServer(tls=tls(certificate)) as server:
            with pytest.raises(TransportError) as caught:
                query(make(server.url))

        assert not caught.value.maybe_applied
        assert 1 == server.connections
        assert [] == server.requests

    def test_https__never_falls_to_http(self, make: Callable[..., Client]) -> None:
        """
        To a server without TLS goes nothing but an attempt at TLS, once.
        """
        received = []

        def refuse(peer: chaos.Peer, request: chaos.Request) -> None:
            received.append(peer.receive())
            peer.send(chaos.whole(b"plain HTTP only", 400))
            peer.close()

        with ChaosServer(then=chaos.at_accept(refuse)) as server:
            with pytest.raises(TransportError) as caught:
                query(make(server.url.replace("http", "https")))

        assert not caught.value.maybe_applied
        assert [b"\x16\x03"] == [data[:2] for data in received]
        assert TOKEN.encode() not in received[0]

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_handshake__broken(
        self,
        how: str,
        trusted: Path,
        server: ChaosServer,
        make: Callable[..., Client],
        pauses: list[float],
    ) -> None:
        """
        A host that hangs up in the handshake is out of reach: the call is repeated.
        """

        def hang_up(peer: chaos.Peer, request: chaos.Request) -> None:
            peer.receive()
            getattr(peer, how)()

        server.script(chaos.at_accept(hang_up))

        assert WAYBILL_TOKEN == query(make(server.url))
        assert [0.5] == pauses

    @pytest.mark.parametrize("kind", CALLS)
    @pytest.mark.parametrize(
        "fault", [chaos.close_in_body, chaos.reset_in_head], ids=["closed", "reset"]
    )
    def test_answer__breaks_off(
        self,
        fault: Fault,
        kind: str,
        trusted: Path,
        server: ChaosServer,
        make: Callable[..., Client],
    ) -> None:
        """
        Within TLS a broken answer is what it is without.
        """
        server.script(then=fault)
        with pytest.raises(TransportError) as caught:
            CALLS[kind](make(server.url))

        assert caught.value.maybe_applied
        assert (3 if kind in REPEATABLE else 1) == len(server.requests)


class TestProxies:
    def test_environment__http(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        HTTP_PROXY is honoured.
        """
        monkeypatch.setenv("HTTP_PROXY", server.url)

        assert WAYBILL_TOKEN == query(make("http://wechat.invalid"))
        assert server.requests[0].target == (
            f"http://wechat.invalid{chaos.OPEN_MSG}query_trace?access_token={TOKEN}"
        )

    def test_environment__https(
        self,
        trusted: Path,
        authority: trustme.CA,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        HTTPS_PROXY is honoured: a tunnel, kept for the next call, that shows no token.
        """
        wechat = ChaosServer(tls=tls(authority.issue_cert("wechat.invalid")))
        with wechat, ChaosServer(then=chaos.tunnel(wechat.port)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            client = make("https://wechat.invalid")

            assert WAYBILL_TOKEN == query(client)
            assert WAYBILL_TOKEN == query(client)
            client.close()

        assert ["CONNECT"] == [request.method for request in proxy.requests]
        assert "wechat.invalid:443" == proxy.requests[0].target
        assert 2 == len(wechat.requests)

    def test_environment__no_proxy(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        NO_PROXY is honoured.
        """
        with closed_port() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")

            assert WAYBILL_TOKEN == query(make(server.url))

    def test_session__proxies(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        A session's own proxies are honoured.
        """
        session.proxies["http"] = server.url

        assert WAYBILL_TOKEN == query(make("http://wechat.invalid", session=session))

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_proxy__refuses_the_connection(
        self,
        scheme: str,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
        pauses: list[float],
    ) -> None:
        """
        Without the proxy WeChat is out of reach.
        """
        with closed_port() as proxy, pytest.raises(TransportError) as caught:
            monkeypatch.setenv(f"{scheme}_proxy", proxy)
            query(make(f"{scheme}://wechat.invalid"))

        assert (
            "no connection to wechat.invalid through the proxy: Connection refused"
            == (caught.value.reason)
        )
        assert not caught.value.maybe_applied
        assert [0.5, 1.0] == pauses

    def test_proxy__wants_a_password(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        The password goes to the proxy; if it refuses, that is said without it.
        """
        server.script(then=status(407))
        monkeypatch.setenv("HTTPS_PROXY", server.url.replace("//", "//me:pa55word@"))
        with listening() as listener, pytest.raises(TransportError) as caught:
            query(make("https://wechat.invalid"))

        assert "Basic bWU6cGE1NXdvcmQ=" == (
            server.requests[0].headers["proxy-authorization"]
        )
        assert "Tunnel connection failed: 407 Some" in caught.value.reason
        assert not caught.value.maybe_applied
        texts = [*told(caught.value), *listener.lines]
        assert [] == [text for text in texts if "pa55" in text or "bWU6" in text]

    def test_proxy__trickles(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A proxy cannot hold the call beyond its deadline either.
        """
        server.script(then=chaos.trickle_head)
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        started = time.monotonic()
        with pytest.raises(TransportError) as caught:
            query(make("https://wechat.invalid", deadline=0.3))

        assert "no answer within the deadline of 0.3 s" == caught.value.reason
        assert time.monotonic() - started < 5

    def test_proxy__drops_the_request(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        Behind a proxy too, what was sent may have been applied.
        """
        server.script(then=close_after_request)
        monkeypatch.setenv("HTTP_PROXY", server.url)
        with pytest.raises(TransportError) as caught:
            CALLS["update_waybill_goods"](make("http://wechat.invalid"))

        assert caught.value.maybe_applied
        assert 1 == len(server.requests)

    def test_socks__has_its_own_connections(
        self, make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A SOCKS proxy keeps the connections that can speak with it.
        """
        monkeypatch.setattr(
            requests.adapters,
            "SOCKSProxyManager",
            lambda *args, **kwargs: urllib3.PoolManager(),
        )
        adapter = make("https://wechat.invalid")._wire._session.get_adapter("https://")
        manager = adapter.proxy_manager_for("SOCKS5://127.0.0.1:9")

        assert urllib3.HTTPSConnectionPool is manager.pool_classes_by_scheme["https"]


class TestCallersSession:
    """
    With a session of the caller's, its connections are urllib3's own.
    """

    @pytest.mark.parametrize("kind", CALLS)
    @pytest.mark.parametrize(
        ("fault", "repeatable", "others"),
        [
            (close_after_request, LOST_THRICE, LOST),
            (chaos.reset_in_body, LOST_THRICE, LOST),
            (chaos.chunked_cut_in_chunk, LOST_THRICE, LOST),
            (chaos.negative_chunk, LOST_THRICE, LOST),
            (gateway(502), GATEWAY_THRICE, GATEWAY),
            (chaos.redirect_endless("http://127.0.0.1:9/"), STRANGE, STRANGE),
            (chaos.endless_body, STRANGE, STRANGE),
            (encoded(chaos.bomb(32)), STRANGE, STRANGE),
            (reply(SAID_BUSY), BUSY_THRICE, BUSY_THRICE),
            (chaos.answer_and_close, ANSWERED, ANSWERED),
        ],
        ids=[
            "dropped",
            "reset",
            "chunk cut",
            "chunk of -5",
            "502",
            "redirect",
            "endless",
            "bomb",
            "-1",
            "closed",
        ],
    )
    def test_fault__outcome(
        self,
        fault: Fault,
        repeatable: Cell,
        others: Cell,
        kind: str,
        server: ChaosServer,
        make: Callable[..., Client],
        pauses: list[float],
        session: requests.Session,
    ) -> None:
        """
        The table holds for a session of the caller's.
        """
        server.script(then=fault)
        outcome, maybe_applied, texts = "answered", None, []
        with listening() as listener:
            try:
                CALLS[kind](make(server.url, session=session))
            except WxLogisticsError as error:
                outcome = type(error).__name__
                maybe_applied = getattr(error, "maybe_applied", None)
                texts += told(error)

        assert (repeatable if kind in REPEATABLE else others) == Cell(
            outcome, maybe_applied, len(server.requests), tuple(pauses)
        )
        texts += listener.lines
        assert [] == [text for text in texts if any(map(text.count, PRIVATE))]

    def test_refused__was_not_sent(
        self, make: Callable[..., Client], session: requests.Session
    ) -> None:
        """
        A refused connection is one by any session.
        """
        with closed_port() as url, pytest.raises(TransportError) as caught:
            query(make(url, session=session))

        assert not caught.value.maybe_applied

    def test_proxy_refused__was_not_sent(
        self, make: Callable[..., Client], session: requests.Session
    ) -> None:
        """
        So is that to a proxy.
        """
        with closed_port() as proxy, pytest.raises(TransportError) as caught:
            session.proxies["http"] = proxy
            query(make("http://wechat.invalid", session=session))

        assert not caught.value.maybe_applied

    def test_tunnel_refused__was_not_sent(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        So is that of WeChat, to the proxy.
        """
        server.script(then=gateway(502))
        session.proxies["https"] = server.url
        with pytest.raises(TransportError) as caught:
            query(make("https://wechat.invalid", session=session))

        assert not caught.value.maybe_applied

    def test_certificate__was_not_sent(
        self, make: Callable[..., Client], session: requests.Session
    ) -> None:
        """
        Nothing is sent to a server with a wrong certificate, and that is told.
        """
        with untrusted_server() as server, pytest.raises(TransportError) as caught:
            query(make(server.url, session=session))

        assert not caught.value.maybe_applied
        assert 1 == server.connections

    @pytest.mark.parametrize(
        "length",
        ["Content-Length: 1000000", "Transfer-Encoding: chunked"],
        ids=["length", "chunks"],
    )
    def test_slow_body__ends_at_the_deadline(
        self,
        length: str,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        A body that comes in pieces ends at the deadline.
        """

        def slowly(peer: chaos.Peer, request: chaos.Request) -> None:
            peer.send(chaos.head(200, length))
            while True:
                # 8 KiB, the size of a chunk and of its frame included.
                peer.send(b"1ff8\r\n" + b" " * 8184 + b"\r\n")
                peer.wait(0.05)

        server.script(then=slowly)
        started = time.monotonic()
        with pytest.raises(TransportError) as caught:
            query(make(server.url, session=session, deadline=0.3))

        assert "no answer within the deadline of 0.3 s" == caught.value.reason
        # The whole body would take 6 seconds.
        assert time.monotonic() - started < 4

    def test_interim_answer__is_not_the_next_ones(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        An interim answer ends the call, and the real one reaches nobody else.
        """
        server.script(chaos.early_hint)
        client = make(server.url, session=session)
        with pytest.raises(UnexpectedResponseError):
            query(client, "first")

        assert "second" == query(client, "second")

    def test_close__is_the_callers(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        The client does not close it.
        """
        with make(server.url, session=session) as client:
            query(client)
        query(make(server.url, session=session))

        assert 1 == server.connections

    def test_headers__are_sent(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        Its headers, its auth and its hooks are used; its params are not.
        """
        statuses = []
        session.headers["X-Who"] = "me"
        session.params = {"access_token": "another"}
        session.auth = ("me", "pa55word")
        session.hooks["response"].append(
            lambda response, **kwargs: statuses.append(response.status_code)
        )
        query(make(server.url, session=session))
        request = server.requests[0]

        assert "me" == request.headers["x-who"]
        assert "Basic bWU6cGE1NXdvcmQ=" == request.headers["authorization"]
        assert TOKEN == request.token
        assert [200] == statuses

    def test_headers__cannot_be(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        A header that cannot be sent is no reason for an error of requests'.
        """
        session.headers["X-Who"] = "me\nand you"
        with pytest.raises(TransportError) as caught:
            query(make(server.url, session=session))

        assert not caught.value.maybe_applied

    def test_own_retries__tell_nothing(
        self, make: Callable[..., Client], session: requests.Session
    ) -> None:
        """
        An adapter that repeats by itself does not log the token.
        """
        session.mount("http://", HTTPAdapter(max_retries=2))
        with closed_port() as url, listening() as listener:
            with pytest.raises(TransportError):
                query(make(url, session=session, retries=0))

        assert any("Incremented Retry" in line for line in listener.lines)
        assert any("Retrying" in line for line in listener.lines)
        assert [] == [line for line in listener.lines if TOKEN in line]

    @pytest.mark.parametrize(
        ("error", "maybe_applied"),
        [
            (requests.ConnectionError("what it says"), True),
            (requests.ReadTimeout("what it says"), True),
            (requests.ConnectTimeout("what it says"), False),
            (requests.exceptions.InvalidSchema("what it says"), False),
        ],
    )
    def test_adapter__says_nothing_of_sending(
        self,
        error: Exception,
        maybe_applied: bool,
        make: Callable[..., Client],
        session: requests.Session,
    ) -> None:
        """
        Where nobody knows whether it was sent, it counts as sent.
        """

        class Failing(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                raise error

        session.mount("http://", Failing())
        with pytest.raises(TransportError) as caught:
            query(make("http://wechat.invalid", session=session))

        assert maybe_applied == caught.value.maybe_applied

    def test_adapter__says_what_is_private(
        self, make: Callable[..., Client], session: requests.Session
    ) -> None:
        """
        What an adapter of the caller's says is told without what is private.
        """

        class Failing(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                raise requests.ConnectionError(f"lost {OPENID} with {TOKEN}")

        session.mount("http://", Failing())
        with pytest.raises(TransportError) as caught:
            CALLS["trace_waybill"](make("http://wechat.invalid", session=session))

        assert caught.value.reason.endswith(": lost *** with ***")

    def test_adapter__lets_a_body_break_off(
        self, make: Callable[..., Client], session: requests.Session
    ) -> None:
        """
        A body that breaks off is noticed though the adapter does not.
        """

        class Careless(HTTPAdapter):
            def send(self, request: Any, **kwargs: Any) -> requests.Response:
                broken = urllib3.HTTPResponse(
                    io.BytesIO(b'{"errcode": 0, '),
                    {"Content-Length": "99"},
                    200,
                    preload_content=False,
                    enforce_content_length=False,
                )
                return self.build_response(request, broken)

        session.mount("http://", Careless())
        with pytest.raises(TransportError) as caught:
            CALLS["update_waybill_goods"](
                make("http://wechat.invalid", session=session)
            )

        assert caught.value.maybe_applied


class TestSurroundings:
    def test_netrc__not_consulted(
        self,
        server: ChaosServer,
        make: Callable[..., Client],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        session: requests.Session,
    ) -> None:
        """
        A password for WeChat's host in ~/.netrc is nobody's business.
        """
        netrc = tmp_path / "netrc"
        netrc.write_text("default login me password pa55word\n")
        monkeypatch.setenv("NETRC", str(netrc))
        assert ("me", "pa55word") == requests.utils.get_netrc_auth(server.url)
        query(make(server.url))
        query(make(server.url, session=session))

        assert [False, False] == [
            "authorization" in request.headers for request in server.requests
        ]

    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_cookies__not_sent_back(
        self, own: bool, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        A cookie that the server sets is not sent back.
        """
        server.script(chaos.set_cookie)
        with requests.Session() as session:
            client = make(server.url, session=None if own else session)
            query(client)
            query(client)

        assert [False, False] == [
            "cookie" in request.headers for request in server.requests
        ]

    def test_cookies__not_kept(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Nor is it kept.
        """
        server.script(chaos.set_cookie)
        client = make(server.url)
        query(client)

        assert [] == list(client._wire._session.cookies)


class TestLog:
    def test_line__per_attempt(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        Each attempt leaves one line: endpoint, outcome, rid and milliseconds.
        """
        server.script(reply(SAID_BUSY), gateway(502))
        with listening() as listener:
            query(make(server.url, clock=Clock()))

        assert [
            "query_trace: errcode -1, rid 64254aac-5d5bb128-5d8aa557, 0 ms",
            "query_trace: HTTP 502 from a gateway, rid None, 0 ms",
            "query_trace: ok, rid None, 0 ms",
        ] == listener.own

    def test_line__of_an_interrupted_call(
        self, make: Callable[..., Client], session: requests.Session
    ) -> None:
        """
        A call that the user breaks off is not said to be well.
        """

        class Interrupted(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                raise KeyboardInterrupt

        session.mount("http://", Interrupted())
        client = make("http://wechat.invalid", session=session, clock=Clock())
        with listening() as listener, pytest.raises(KeyboardInterrupt):
            query(client)

        assert ["query_trace: interrupted, rid None, 0 ms"] == listener.own

    def test_urllib3__masked(
        self, server: ChaosServer, make: Callable[..., Client]
    ) -> None:
        """
        urllib3's own lines hold the URL, but not the token in it.
        """
        server.script(chaos.garbage_head_lines)
        with listening() as listener:
            query(make(server.url))

        assert 2 <= sum("access_token=***" in line for line in listener.lines)
        assert any("Failed to parse headers" in line for line in listener.lines)
        assert [] == [line for line in listener.lines if TOKEN in line]

    def test_urllib3__lines_of_another_kind(self) -> None:
        """
        A line whose values have names, or that has none, is left as it is.
        """
        logger = logging.getLogger("urllib3.connectionpool")
        with listening() as listener:
            logger.debug("%(what)s", {"what": "access_token=x"})
            logger.debug("100 %")

        assert [
            "urllib3.connectionpool: access_token=x",
            "urllib3.connectionpool: 100 %",
        ] == listener.lines


class TestHosts:
    @pytest.mark.parametrize(
        "url",
        ["https://wechat.invalid:99999", "https://.wechat.invalid", "https://%41"],
    )
    def test_base_url__cannot_be(self, url: str) -> None:
        """
        A URL that requests would refuse later is refused at once.
        """
        with pytest.raises(InvalidArgumentError, match="base_url"):
            Client(TOKEN, base_url=url)

    def test_base_url__with_an_impossible_name(
        self, make: Callable[..., Client], pauses: list[float]
    ) -> None:
        """
        A name that no resolver takes is an error of this library.
        """
        with pytest.raises(TransportError) as caught:
            query(make("http://wechat..invalid"))

        assert not caught.value.maybe_applied
        assert [] == pauses

    def test_base_url__ipv6(self, make: Callable[..., Client]) -> None:
        """
        An IPv6 address is taken.
        """
        with pytest.raises(TransportError) as caught:
            query(make("http://[::1]:1", retries=0))

        assert caught.value.reason.startswith("no connection to [::1]:1: ")


def write_document() -> None:
    """
    Write the table into the document as it happens.
    """
    document = DOCUMENT.read_text(encoding="utf-8")
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)

    def cells(row: Row, kind: str, once: bool) -> Cell | None:
        return expected(row, kind, once) and observe(row, kind, once).cell

    table = document_table(cells)
    DOCUMENT.write_text(before + begin + table + end + after, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    write_document()
