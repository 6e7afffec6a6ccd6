"""What a call does when the network or the server misbehaves, on real sockets.

`python tests/test_resilience.py` prints the table of outcomes; docs/errors.md gives the
reasons for those that differ from a plain retry.
"""

import contextlib
import datetime
import gc
import io
import logging
import socket
import threading
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

import chaos
import pytest
import requests
import trustme
import urllib3
from chaos import ChaosServer, Fault, answer, closed_port, gateway, reply, status
from clients import make_client
from private import (
    CALLS,
    PAYLOAD,
    TOKEN,
    WAYBILL_ID,
    WAYBILL_TOKEN,
    private_parts,
    spoken,
)
from programs import run_python
from pytest import MonkeyPatch
from requests.adapters import HTTPAdapter

from wxlogistics import (
    Client,
    DeliveryInfo,
    RateLimitError,
    StableToken,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)

#: What each kind of call returns when all goes well.
RIGHT: dict[str, Any] = {
    "trace_waybill": f"token of {WAYBILL_ID}",
    "follow_waybill": f"token of {WAYBILL_ID}",
    "query_trace": WAYBILL_TOKEN,
    "query_follow_trace": WAYBILL_TOKEN,
    "update_waybill_goods": None,
    "update_follow_waybill_goods": None,
    "get_delivery_list": (DeliveryInfo("SF", "顺丰速运"),),
    "request": {"errcode": 0, "errmsg": "ok", "echo": PAYLOAD},
}

NOWHERE = "http://wechat.invalid"

#: Makes a client, given a base_url and any other argument.
Make = Callable[..., Client]


def call(kind: str, client: Client) -> Any:
    """Make the call, and return what `RIGHT` holds of it."""
    value = CALLS[kind](client)
    return getattr(value, "waybill_id", value)


class Cell(NamedTuple):
    """How a call ends: how many whole requests are seen, the pauses in between."""

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


WELL = Cell("answered")
WELL_AT_SECOND = Cell("answered", None, 2, (0.5,))
LOST = Cell("TransportError", True)
LOST_THRICE = Cell("TransportError", True, 3, (0.5, 1.0))
STRANGE = Cell("UnexpectedResponseError")
UNREACHED = Cell("TransportError", False, 0)
UNREACHED_THRICE = Cell("TransportError", False, 0, (0.5, 1.0))


class Ends(NamedTuple):
    """How calls end; the others are updates and `Client.request`."""

    stays: Cell
    once: Cell | None
    others_stays: Cell
    others_once: Cell | None


#: Dropped or timed out after it was sent.
DROPPED = Ends(LOST_THRICE, WELL_AT_SECOND, LOST, LOST)
TRICKLES = Ends(LOST, None, LOST, None)
NO_HOST = Ends(UNREACHED_THRICE, None, UNREACHED_THRICE, None)
CLOSED_AT_ONCE = Ends(
    LOST_THRICE._replace(requests=0),
    Cell("answered", None, 1, (0.5,)),
    LOST._replace(requests=0),
    LOST._replace(requests=0),
)


def same(stays: Cell, once: Cell | None) -> Ends:
    return Ends(stays, once, stays, once)


ANSWERED = same(WELL, WELL)
NOT_WECHATS = same(STRANGE, STRANGE)
BUSY = same(Cell("SystemBusyError", None, 3, (0.5, 1.0)), WELL_AT_SECOND)
TOO_FAST = same(
    Cell("RateLimitError", None, 3, (1.5, 2.0)), Cell("answered", None, 2, (1.5,))
)
TOO_MANY = same(Cell("DailyQuotaError"), Cell("DailyQuotaError"))
SLOW_DOWN = same(Cell("RateLimitError"), Cell("RateLimitError"))

SAID_BUSY = {"errcode": -1, "errmsg": "system error rid: 64254aac-5d5bb128-5d8aa557"}
SAID_TOO_FAST = {"errcode": 45009, "errmsg": "reach max api second frequence limit"}
SAID_TOO_MANY = {"errcode": 45009, "errmsg": "reach max api daily quota limit"}
SAID_SLOW_DOWN = {"errcode": 45011, "errmsg": "too fast, wait a second"}
REFUSED = {"errcode": 40001, "errmsg": "invalid credential"}


def untrusted() -> ChaosServer:
    return ChaosServer(certificate=trustme.CA().issue_cert("127.0.0.1"))


class Row(NamedTuple):
    """A fault in the document's words, what the server does, how calls end, where."""

    what: str
    fault: Fault | None
    ends: Ends
    timeout: float = 10
    deadline: float = 20
    place: Callable[[], contextlib.AbstractContextManager[Any]] = ChaosServer


ENDLESS_REDIRECT = chaos.redirect_endless("http://127.0.0.1:9/")

TABLE = [
    # No connection
    Row("refuses the connection", None, NO_HOST, place=closed_port),
    Row(
        "does not react to the attempt to connect",
        None,
        NO_HOST,
        0.05,
        20,
        chaos.silent_port,
    ),
    Row("shows a wrong certificate", None, same(UNREACHED, None), place=untrusted),
    # The connection breaks
    Row("accepts and closes", chaos.close_at_once, CLOSED_AT_ONCE),
    Row("closes after the request", chaos.close_after_request, DROPPED),
    Row("resets after the request", chaos.reset_after_request, DROPPED),
    Row("closes within the head", chaos.close_in_head, NOT_WECHATS),
    Row("resets within the head", chaos.reset_in_head, DROPPED),
    Row("closes within the body", chaos.close_in_body, DROPPED),
    Row("resets within the body", chaos.reset_in_body, DROPPED),
    Row("closes within a chunk", chaos.chunked_cut_in_chunk, DROPPED),
    Row("closes before the last chunk", chaos.chunked_cut_before_last, DROPPED),
    Row("promises more bytes than come", chaos.length_too_long, DROPPED),
    Row("sends garbage", chaos.garbage, DROPPED),
    Row("sends a head without end", chaos.endless_head, DROPPED),
    # It takes too long
    Row("never answers", chaos.silence, DROPPED, timeout=0.1),
    Row("lets the body trickle", chaos.trickle_body, TRICKLES, deadline=0.2),
    Row("lets chunks trickle", chaos.trickle_chunks, TRICKLES, deadline=0.2),
    # An answer that is not WeChat's
    Row("HTTP 502 with a page", gateway(502), DROPPED),
    Row("HTTP 503 with a page", gateway(503), DROPPED),
    Row("HTTP 504 with a page", gateway(504), DROPPED),
    Row("HTTP 500 with a page", status(500), NOT_WECHATS),
    Row("HTTP 412 without a body", status(412, b""), NOT_WECHATS),
    Row("a redirect", chaos.redirect("http://127.0.0.1:9/"), NOT_WECHATS),
    Row("a redirect with a body without end", ENDLESS_REDIRECT, NOT_WECHATS),
    Row("HTTP 200 with a page", status(200), NOT_WECHATS),
    Row("HTTP 200 without a body", status(200, b""), NOT_WECHATS),
    Row("HTTP 204", chaos.raw(chaos.head(204), "keep"), NOT_WECHATS),
    Row('"103 Early Hints", then the answer', chaos.early_hint, NOT_WECHATS),
    Row("JSON that is no object", reply(b"[]"), NOT_WECHATS),
    Row("fewer bytes promised than come", chaos.length_too_short, NOT_WECHATS),
    Row("a chunk of less than no bytes", chaos.negative_chunk, NOT_WECHATS),
    Row("a body without end", chaos.endless_body, NOT_WECHATS),
    Row("chunks without end", chaos.endless_chunks, NOT_WECHATS),
    Row("gzip that grows to 32 MiB", chaos.encoded(chaos.bomb(32)), NOT_WECHATS),
    Row("gzip that is broken", chaos.encoded(b"\x1f\x8b\x08 not gzip"), NOT_WECHATS),
    Row("gzip in gzip", chaos.encoded(b"whatever", "gzip, gzip"), NOT_WECHATS),
    Row("a page that repeats the request", chaos.repeat_the_request, NOT_WECHATS),
    # A WeChat answer
    Row("errcode -1", reply(SAID_BUSY), BUSY),
    Row("errcode 45009, of a second", reply(SAID_TOO_FAST), TOO_FAST),
    Row("errcode 45009, of the day", reply(SAID_TOO_MANY), TOO_MANY),
    Row("errcode 45011, whatever its text", reply(SAID_SLOW_DOWN), SLOW_DOWN),
    # All is well
    Row("answers late", chaos.delay(0.02), ANSWERED),
    Row("answers and closes", chaos.answer_and_close, ANSWERED),
    Row("answers in chunks", chaos.chunked_whole, ANSWERED),
    Row("answers in gzip", chaos.gzipped, ANSWERED),
    Row("answers without a length", chaos.without_length, ANSWERED),
    Row("answers in HTTP/1.0", chaos.http_1_0, ANSWERED),
    Row("answers with garbage among the headers", chaos.garbage_head_lines, ANSWERED),
    Row("answers with a cookie", chaos.set_cookie, ANSWERED),
]


SLOW = [row for row in TABLE if row.fault is chaos.silence or row.ends is TRICKLES]


class Listener(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {self.format(record)}")

    @property
    def own(self) -> list[str]:
        """The lines of this library's logger."""
        start = "wxlogistics: "
        return [line[len(start) :] for line in self.lines if line.startswith(start)]


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
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


class Seen(NamedTuple):
    cell: Cell
    value: Any
    text: str


def observe(
    row: Row, kind: str, once: bool, own: bool = True, requests_sent: int = 0
) -> Seen:
    """Make the call, with the client's own session or a caller's."""
    pauses: list[float] = []
    value: Any = None
    text = ""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listening())
        place = stack.enter_context(row.place())
        session = stack.enter_context(requests.Session())
        if row.fault:
            place.script(*[row.fault] * once, then=None if once else row.fault)
        client = stack.enter_context(
            make_client(
                TOKEN,
                base_url=getattr(place, "url", place),
                # Where only the first attempt is to time out, the second gets time.
                timeout=row.timeout * (5 if once else 1),
                deadline=row.deadline,
                session=None if own else session,
                sleep=pauses.append,
            )
        )
        try:
            value = call(kind, client)
            outcome, maybe_applied = "answered", None
        except WxLogisticsError as error:
            outcome = type(error).__name__
            maybe_applied = getattr(error, "maybe_applied", None)
            text = spoken(error)
        arrived, ends_at = getattr(place, "requests", ()), time.monotonic() + 60
        # A busy server counts a request after the client has given it up.
        while len(arrived) < requests_sent and time.monotonic() < ends_at:
            time.sleep(0.001)
    cell = Cell(outcome, maybe_applied, len(arrived), tuple(pauses))
    return Seen(cell, value, "\n".join([text, *listener.lines]))


#: The columns of the printed table: a kind of call, and whether it happens once.
COLUMNS = [
    ("query_trace", False),
    ("query_trace", True),
    ("request", False),
    ("request", True),
]


def table(rows: Iterable[Sequence[Cell | None]]) -> str:
    lines = [
        "| the server | queries and registrations, the fault stays | it happens once "
        "| `update_*` and `request()`, the fault stays | it happens once |",
        "|---|---|---|---|---|",
    ]
    for row, cells in zip(TABLE, rows):
        lines.append(f"| {' | '.join([row.what, *(str(c or '') for c in cells)])} |")
    return "\n".join(lines) + "\n"


class TestFaults:
    # test_no_answer__names_the_bound and tests/tools wait by a caller's session.
    @pytest.mark.parametrize(
        "row, own",
        [(row, True) for row in TABLE]
        + [(row, False) for row in TABLE if row not in SLOW],
        ids=lambda value: getattr(value, "what", value),
    )
    def test_fault__outcome(self, row, own):
        for expected, (kind, once) in zip(row.ends, COLUMNS):
            if expected is None:
                continue
            seen = observe(row, kind, once, own, expected.requests)

            assert (kind, once, expected) == (kind, once, seen.cell)
            assert [] == private_parts(seen.text)
            if seen.cell.outcome == "answered":
                assert RIGHT[kind] == seen.value


@pytest.fixture
def make(pauses: list[float]) -> Iterator[Make]:
    """Make clients that never wait and whose pauses are the longest possible."""
    with contextlib.ExitStack() as stack:

        def make(base_url: str | Sequence[str], **options: Any) -> Client:
            given = {"sleep": pauses.append, "random": lambda: 1.0, **options}
            given.setdefault("token", TOKEN)
            token = given.pop("token")
            return stack.enter_context(make_client(token, base_url=base_url, **given))

        yield make


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: MonkeyPatch) -> Path:
    """The authority's certificate, which the environment trusts."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


class Clock:
    """Time that passes only in sleep()."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in another thread."""
    ends_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


def stable_token() -> StableToken:
    return StableToken("wx1234567890abcdef", "secret")


def query(client: Client, waybill_token: str = WAYBILL_TOKEN) -> str | None:
    return client.query_trace(waybill_token).waybill_id


class TestRequest:
    def test_post__any_mapping(self, server, make):
        reply = make(server.url).request("/x", MappingProxyType({"a": 1}))

        assert {"a": 1} == reply["echo"]


class TestRepetition:
    @pytest.mark.parametrize(
        ("script", "error", "pauses_made"),
        [
            ([reply(SAID_BUSY)], SystemBusyError, []),
            ([chaos.close_after_request], TransportError, []),
            ([gateway(502)], TransportError, []),
            ([reply(SAID_TOO_FAST)], RateLimitError, []),
            # Different causes share the one budget.
            (
                [
                    reply(SAID_BUSY),
                    chaos.close_after_request,
                    gateway(502),
                    reply(SAID_BUSY),
                ],
                SystemBusyError,
                [0.5, 1.0, 2.0],
            ),
            # Each is at most twice as long as the last, up to 8 seconds.
            (
                [reply(SAID_BUSY)] * 8,
                SystemBusyError,
                [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0],
            ),
        ],
    )
    def test_retries__as_many_as_given(
        self, script, error, pauses_made, server, make, pauses
    ):
        server.script(*script)
        with pytest.raises(error):
            query(make(server.url, retries=len(script) - 1))

        assert len(script) == len(server.requests)
        assert pauses_made == pauses

    def test_pauses__full_jitter_or_none(self, server, make, pauses):
        parts = iter([0.0, 0.25, 0.5, 0.0])
        server.script(then=reply(SAID_BUSY))
        with pytest.raises(SystemBusyError):
            query(make(server.url, retries=3, random=lambda: next(parts)))

        assert [0.25, 1.0] == pauses

    def test_error__of_the_last_attempt(self, server, make):
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


class TestMaybeApplied:
    def test_earlier_attempt__may_have_arrived(self, make, pauses):
        with ChaosServer(chaos.close_after_request) as server:
            client = make(server.url, sleep=lambda seconds: server.__exit__())
            with pytest.raises(TransportError) as caught:
                call("trace_waybill", client)

        assert "Connection refused" in caught.value.reason
        assert caught.value.maybe_applied
        assert str(caught.value).endswith("(the request may have reached WeChat)")

    def test_earlier_attempt__last_not_sent(self, make, session):
        errors = iter([requests.ReadTimeout(), requests.exceptions.InvalidSchema("x")])

        class Failing(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                raise next(errors)

        session.mount("http://", Failing())
        with pytest.raises(TransportError, match="x") as caught:
            call("trace_waybill", make(NOWHERE, session=session))

        assert caught.value.maybe_applied

    def test_earlier_attempt__then_no_token(self, server, make):
        server.script(chaos.close_after_request, reply(REFUSED))
        tokens = iter([TOKEN])

        def token() -> str:
            for each in tokens:
                return each
            raise TransportError("my_tokens", "out of reach", False)

        with pytest.raises(TransportError) as caught:
            call("trace_waybill", make(server.url, token=token))

        assert "my_tokens" == caught.value.endpoint
        assert caught.value.maybe_applied

    def test_earlier_attempt__refused(self, make, pauses):
        with ChaosServer(reply(SAID_BUSY)) as server:
            client = make(server.url, sleep=lambda seconds: server.__exit__())
            with pytest.raises(TransportError) as caught:
                call("update_waybill_goods", client)

        assert not caught.value.maybe_applied
        assert str(caught.value).endswith("(the request was not sent)")

    @pytest.mark.parametrize(
        "fault", [chaos.close_after_request, gateway(502)], ids=["dropped", "502"]
    )
    def test_token_fetch__says_nothing_of_the_call(self, fault, server, make):
        server.script(then=fault)
        with pytest.raises(TransportError) as caught:
            call("update_waybill_goods", make(server.url, token=stable_token()))

        assert "stable_token" == caught.value.endpoint
        assert not caught.value.maybe_applied
        assert ["stable_token"] * 3 == [each.endpoint for each in server.requests]


class TestFailover:
    def test_host__next_without_pause(self, server, make, pauses):
        for kind in CALLS:
            with closed_port() as first, closed_port() as second:
                client = make([first, second, server.url])

                assert RIGHT[kind] == call(kind, client)
        assert 8 == len(server.requests)
        assert [] == pauses

    def test_hosts__all_down(self, make, pauses):
        with closed_port() as first, closed_port() as second, listening() as listener:
            with pytest.raises(TransportError) as caught:
                query(make([first, second], retries=3))

        assert [2.0 / 2, 2.0] == pauses
        assert not caught.value.maybe_applied
        asked = [line.split()[4].strip(":,") for line in listener.own]
        assert [url[7:] for url in (first, second, first, second)] == asked

    @pytest.mark.parametrize(
        "fault", [gateway(502), chaos.close_after_request], ids=["502", "dropped"]
    )
    def test_host__kept_after_an_answer(self, fault, server, make):
        with ChaosServer(fault) as first:
            query(make([first.url, server.url]))

        assert (2, 0) == (len(first.requests), len(server.requests))

    def test_host__threads_move_on_together(self, server, make, session):
        """Threads that find a host down must not push each other past the next."""

        class Down(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                sent.append(1)
                if len(sent) <= 8:
                    barrier.wait(60)
                raise requests.ConnectTimeout("down")

        sent: list[int] = []
        barrier = threading.Barrier(8)
        session.mount(NOWHERE, Down())
        with ChaosServer() as third:
            client = make([NOWHERE, server.url, third.url], session=session)
            threads = [threading.Thread(target=query, args=(client,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert (8, 0) == (len(server.requests), len(third.requests))

    def test_host__wrong_certificate_is_final(self, server, make):
        with untrusted() as bad, pytest.raises(TransportError):
            query(make([bad.url, server.url]))

        assert [] == server.requests

    def test_name__not_found(self, make, monkeypatch):
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

    def test_host__last_that_answered(self, server, make):
        clock = Clock()
        with closed_port() as url:
            client = make([url, server.url], clock=clock, retries=0)
            with pytest.raises(TransportError):
                query(client)
            query(client)
        with ChaosServer(port=int(url.rpartition(":")[2])) as first:
            clock.now += 86400
            query(client)

            assert (0, 2) == (len(first.requests), len(server.requests))
            server.__exit__()
            with pytest.raises(TransportError):
                query(client)
            query(client)

            assert (1, 2) == (len(first.requests), len(server.requests))


class TestIdleConnections:
    def test_kept__used_again(self, server, make):
        server.script(answer, status(500), chaos.gzipped, chaos.chunked_whole)
        client = make(server.url)
        for _ in range(6):
            with contextlib.suppress(UnexpectedResponseError):
                query(client)

        assert 1 == server.connections

    def test_unread_answer__closes(self, server, make):
        server.script(chaos.endless_body)
        client = make(server.url)
        with pytest.raises(UnexpectedResponseError):
            query(client)
        until(lambda: server.open_connections == 0)

        assert WAYBILL_TOKEN == query(client)

    def test_close__closes(self, server, make):
        client = make(server.url)
        query(client)
        client.close()
        until(lambda: server.open_connections == 0)
        with client:
            assert WAYBILL_TOKEN == query(client)

        until(lambda: server.open_connections == 0)

    def test_dropped_client__leaves_no_socket(self, server):
        query(Client(TOKEN, base_url=server.url))
        gc.collect()

        until(lambda: server.open_connections == 0)

    @pytest.mark.parametrize(
        "fault",
        [chaos.answer_and_close, chaos.answer_and_reset, chaos.answer_and_complain],
        ids=["closed", "reset", "closed with a 408"],
    )
    def test_closed__noticed_before_writing(self, fault, server, make):
        server.script(fault)
        client = make(server.url, retries=0)
        query(client)
        until(lambda: server.open_connections == 0)

        assert call("update_waybill_goods", client) is None
        assert [1, 2] == [request.connection for request in server.requests]


class TestDeadline:
    def test_deadline__no_pause_beyond_it(self, server, make):
        clock = Clock()
        server.script(then=reply(SAID_BUSY))
        client = make(
            server.url, retries=99, deadline=15.5, clock=clock, sleep=clock.sleep
        )
        with pytest.raises(SystemBusyError) as caught:
            query(client)

        assert [0.5, 1.0, 2.0, 4.0] == clock.pauses
        assert 5 == len(server.requests)
        assert "64254aac-5d5bb128-5d8aa557" == caught.value.rid

    def test_deadline__server_does_not_read(self, server, make):
        server.script(chaos.accept_and_wait)
        with pytest.raises(TransportError) as caught:
            make(server.url, timeout=0.1).request("/x", {"text": "x" * 30_000_000})

        assert caught.value.maybe_applied

    def test_deadline__slow_token_provider(self, server, make):
        clock = Clock()

        def token() -> str:
            clock.now += 11
            return TOKEN

        with pytest.raises(TransportError) as caught:
            query(make(server.url, token=token, clock=clock, deadline=10))

        assert "no answer within the deadline of 10 s" == caught.value.reason
        assert not caught.value.maybe_applied
        assert [] == server.requests

    @pytest.mark.parametrize("seconds", [1e12, float("inf"), 10**400])
    def test_deadline__years(self, seconds, server, make):
        client = make(server.url, timeout=seconds, deadline=seconds)

        assert WAYBILL_TOKEN == query(client)

    @pytest.mark.parametrize(
        ("fault", "options", "reason"),
        [
            (chaos.silence, {"deadline": 0.3}, "deadline of 0.3 s"),
            (chaos.silence, {"timeout": (10, 0.1), "retries": 0}, "0.1 s"),
        ],
        ids=["deadline", "timeout"],
    )
    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_no_answer__names_the_bound(
        self, fault, options, reason, own, server, make, session
    ):
        server.script(then=fault)
        with pytest.raises(TransportError) as caught:
            query(make(server.url, session=None if own else session, **options))

        assert reason == caught.value.reason.removeprefix("no answer within ").replace(
            "the deadline", "deadline"
        )
        assert caught.value.maybe_applied

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"timeout": 0.1, "retries": 0}, "no connection to {} within 0.1 s"),
            ({"deadline": 0.2}, "no answer within the deadline of 0.2 s"),
        ],
        ids=["timeout", "deadline"],
    )
    def test_no_connection__names_the_bound(self, options, reason, make):
        with chaos.silent_port() as url, pytest.raises(TransportError) as caught:
            query(make(url, **options))

        assert reason.format(url[7:]) == caught.value.reason
        assert not caught.value.maybe_applied

    def test_timeout__always_set(self, server, make, session):
        timeouts: list[Any] = []

        class Noting(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                timeouts.append(kwargs["timeout"])
                return super().send(*args, **kwargs)

        server.script(reply({"access_token": TOKEN, "expires_in": 7200}))
        session.mount("http://", Noting())
        query(make(server.url, token=stable_token(), session=session))

        assert [(3.05, 20.0), (3.05, 20.0)] == timeouts


#: Prints by how many MiB memory has grown after each call, and why the call failed.
MEMORY = """
import re, sys
from wxlogistics import Client, WxLogisticsError

def peak():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1]) / 1024

client = Client("TOKEN", base_url=sys.argv[1], retries=0)
client.get_delivery_list()
before = peak()
for _ in range(int(sys.argv[2])):
    try:
        client.query_trace("W")
    except WxLogisticsError as error:
        print(f"{peak() - before:.0f} {error.reason}")
"""

TOO_LONG = "a body of more than 5 MiB"
GZIP_TWICE = chaos.encoded(chaos.compressed(chaos.bomb()), "gzip, gzip")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
class TestMemory:
    def test_peak__below_50_mib(self, server):
        rows = [
            (chaos.encoded(chaos.bomb()), TOO_LONG),
            (chaos.encoded(chaos.bomb(), chunked=True), TOO_LONG),
            (chaos.encoded(chaos.bomb(wbits=15), "deflate"), TOO_LONG),
            (GZIP_TWICE, "a Content-Encoding that was not asked for"),
            (chaos.endless_body, TOO_LONG),
            (chaos.endless_chunks, TOO_LONG),
            (chaos.negative_chunk, TOO_LONG),
            (chaos.endless_chunk_size, "the connection broke"),
            (chaos.endless_head, "the connection broke"),
            (chaos.endless_head_line, "the connection broke"),
        ]
        server.script(answer, *(fault for fault, _ in rows))
        printed = run_python("-c", MEMORY, server.url, str(len(rows)))
        seen = [line.split(" ", 1) for line in printed.splitlines()]

        assert len(rows) == len(seen)
        for (_, reason), (grown, why) in zip(rows, seen):
            assert why.startswith(reason), seen
            assert int(grown) < 50, seen


class TestTls:
    @pytest.fixture
    def server(self, authority: trustme.CA) -> Iterator[ChaosServer]:
        with ChaosServer(certificate=authority.issue_cert("127.0.0.1")) as server:
            yield server

    def test_bundle__from_the_environment(self, trusted, server, make):
        client = make(server.url)

        assert WAYBILL_TOKEN == query(client)
        assert WAYBILL_TOKEN == query(client)
        assert 1 == server.connections

    def test_bundle__missing(self, server, make, monkeypatch, pauses):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/authority.pem")
        with pytest.raises(TransportError, match="/nowhere/authority.pem") as caught:
            query(make(server.url))

        assert not caught.value.maybe_applied
        assert [] == pauses

    @pytest.mark.parametrize(
        ("identity", "dates", "is_trusted"),
        [
            ("127.0.0.1", {}, False),
            ("other.example", {}, True),
            (
                "127.0.0.1",
                {
                    "not_before": datetime.datetime(2019, 1, 1),
                    "not_after": datetime.datetime(2020, 1, 1),
                },
                True,
            ),
        ],
        ids=["unknown authority", "another host's", "out of date"],
    )
    def test_certificate__wrong(
        self, identity, dates, is_trusted, authority, make, request
    ):
        if is_trusted:
            request.getfixturevalue("trusted")
        certificate = authority.issue_cert(identity, **dates)
        with ChaosServer(certificate=certificate) as server:
            with pytest.raises(TransportError) as caught:
                query(make(server.url))

        assert caught.value.reason.startswith(
            f"no connection to 127.0.0.1:{server.port}: certificate verify failed: "
        )
        assert "_ssl.c" not in caught.value.reason
        assert not caught.value.maybe_applied
        assert (1, []) == (server.connections, server.requests)

    def test_https__no_plain_http(self, make):
        received = []

        def refuse(peer: chaos.Peer, request: chaos.Request) -> None:
            received.append(peer.receive())
            peer.send(chaos.whole(b"plain HTTP only", 400))
            peer.close()

        with ChaosServer(then=chaos.at_accept(refuse)) as server:
            with pytest.raises(TransportError):
                query(make(server.url.replace("http", "https")))

        assert {b"\x16\x03"} == {data[:2] for data in received}
        assert TOKEN.encode() not in b"".join(received)


class TestProxies:
    def test_environment__http(self, server, make, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", server.url)

        assert WAYBILL_TOKEN == query(make("http://wechat.invalid"))
        assert server.requests[0].target == (
            f"http://wechat.invalid{chaos.OPEN_MSG}query_trace?access_token={TOKEN}"
        )

    def test_environment__https(self, trusted, authority, make, monkeypatch):
        wechat = ChaosServer(certificate=authority.issue_cert("wechat.invalid"))
        with wechat, ChaosServer(then=chaos.tunnel(wechat.port)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            client = make("https://wechat.invalid")

            assert WAYBILL_TOKEN == query(client)
            assert WAYBILL_TOKEN == query(client)
            client.close()

        assert ["CONNECT"] == [request.method for request in proxy.requests]
        assert "wechat.invalid:443" == proxy.requests[0].target
        assert 2 == len(wechat.requests)

    def test_environment__no_proxy(self, server, make, monkeypatch):
        with closed_port() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")

            assert WAYBILL_TOKEN == query(make(server.url))

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_proxy__refuses_the_connection(self, scheme, make, monkeypatch, pauses):
        with closed_port() as proxy, pytest.raises(TransportError) as caught:
            monkeypatch.setenv(f"{scheme}_proxy", proxy)
            query(make(f"{scheme}://wechat.invalid"))

        assert (
            "no connection to wechat.invalid through the proxy "
            f"{proxy[7:]}: Connection refused"
        ) == caught.value.reason
        assert not caught.value.maybe_applied
        assert [0.5, 1.0] == pauses

    def test_proxy__password_refused(self, server, make, monkeypatch):
        server.script(then=status(407))
        monkeypatch.setenv("HTTPS_PROXY", server.url.replace("//", "//me:pa55word@"))
        with listening() as listener, pytest.raises(TransportError) as caught:
            query(make("https://wechat.invalid"))

        assert "Basic bWU6cGE1NXdvcmQ=" == (
            server.requests[0].headers["proxy-authorization"]
        )
        assert "Tunnel connection failed: 407 Some" in caught.value.reason
        assert not caught.value.maybe_applied
        text = "\n".join([spoken(caught.value), *listener.lines])
        assert "pa55" not in text and "bWU6" not in text


class TestCallersSession:
    def test_close__leaves_it_open(self, server, make, session):
        with make(server.url, session=session) as client:
            query(client)
        query(make(server.url, session=session))

        assert 1 == server.connections

    def test_headers__invalid(self, server, make, session):
        session.headers["X-Who"] = "me\nand you"
        with pytest.raises(TransportError) as caught:
            query(make(server.url, session=session))

        assert not caught.value.maybe_applied

    def test_own_retries__masked_in_the_log(self, make, session):
        session.mount("http://", HTTPAdapter(max_retries=2))
        with closed_port() as url, listening() as listener:
            with pytest.raises(TransportError):
                query(make(url, session=session, retries=0))

        assert any("Incremented Retry" in line for line in listener.lines)
        assert any("Retrying" in line for line in listener.lines)
        assert [] == [line for line in listener.lines if TOKEN in line]

    def test_adapter__does_not_check_the_length(self, make, session):
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
        with pytest.raises(WxLogisticsError):
            call("update_waybill_goods", make(NOWHERE, session=session))


class TestSurroundings:
    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_netrc__of_the_callers_session_only(
        self, own, server, make, session, monkeypatch, tmp_path
    ):
        netrc = tmp_path / "netrc"
        netrc.write_text("default login me password pa55word\n")
        monkeypatch.setenv("NETRC", str(netrc))
        query(make(server.url, session=None if own else session))

        assert own == ("authorization" not in server.requests[0].headers)

    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_cookies__of_the_callers_session_only(self, own, server, make, session):
        server.script(chaos.set_cookie)
        client = make(server.url, session=None if own else session)
        query(client)
        query(client)

        assert own == ("cookie" not in server.requests[1].headers)


class TestLog:
    def test_line__per_attempt(self, server, make):
        server.script(reply(SAID_BUSY), gateway(502))
        with listening() as listener:
            query(make(server.url, clock=Clock()))

        assert [
            "query_trace: errcode -1, rid 64254aac-5d5bb128-5d8aa557, 0 ms",
            "query_trace: HTTP 502 from a gateway, rid None, 0 ms",
            "query_trace: ok, rid None, 0 ms",
        ] == listener.own

    def test_line__of_an_interrupted_call(self, make, session):
        clock = Clock()

        class Interrupted(HTTPAdapter):
            def send(self, *args: Any, **kwargs: Any) -> requests.Response:
                clock.sleep(1.5)
                raise KeyboardInterrupt

        session.mount("http://", Interrupted())
        client = make(NOWHERE, session=session, clock=clock)
        with listening() as listener, pytest.raises(KeyboardInterrupt):
            query(client)

        assert ["query_trace: interrupted, rid None, 1500 ms"] == listener.own

    def test_urllib3__lines_without_token(self):
        logger = logging.getLogger("urllib3.connectionpool")
        with listening() as listener:
            logger.debug("%(what)s", {"what": "x"})
            logger.debug("100 %")

        assert ["x", "100 %"] == [line.split(": ")[1] for line in listener.lines]


class TestHosts:
    def test_base_url__ipv6(self, make):
        with pytest.raises(TransportError) as caught:
            query(make("http://[::1]:1", retries=0))

        assert caught.value.reason.startswith("no connection to [::1]:1: ")


if __name__ == "__main__":
    print(
        table(
            [cell and observe(row, *each).cell for cell, each in zip(row.ends, COLUMNS)]
            for row in TABLE
        ),
        end="",
    )
