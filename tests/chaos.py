"""A server that misbehaves on purpose: raw sockets, on 127.0.0.1 alone.

    with ChaosServer() as server:
        server.script(close_after_request, gateway(502))
        Client("TOKEN", base_url=server.url).query_trace("W")

The first request gets the script's first fault, and so on; when it is used up, every
request gets `server.then`, by default a right answer. A right answer depends on the
request, so that a test can tell whose answer it got: see `right_reply`.

Nothing here is shared with the client.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import deque
from typing import Any, Callable, Iterator, NamedTuple

import trustme

OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"

_LINGER_NOT = struct.pack("ii", 1, 0)


class Request(NamedTuple):
    """
    A request as it came in, whole.

    Attributes:
        connection: 1-based connection number.

        method: POST.

        target: With its query.

        headers: By lower-case name.

        body: Its bytes.
    """

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def endpoint(self) -> str:
        return self.target.partition("?")[0].rpartition("/")[2]

    @property
    def token(self) -> str:
        return self.target.partition("access_token=")[2]

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


class Gone(Exception):
    """The other side closed the connection, or the server is stopping."""


class Peer:
    """One accepted connection, seen from the server."""

    def __init__(self, server: ChaosServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number
        self._received = b""

    def receive(self) -> bytes:
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        return data

    def _until(self, found: Callable[[bytes], int]) -> bytes:
        while (length := found(self._received)) < 0:
            self._received += self.receive()
        taken, self._received = self._received[:length], self._received[length:]
        return taken

    def request(self) -> Request:
        head = self._until(
            lambda got: got.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in got else -1
        )
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        pairs = [line.split(": ", 1) for line in lines[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        length = int(headers.get("content-length", 0))
        body = self._until(lambda got: length if len(got) >= length else -1)
        return Request(self.number, method, target, headers, body)

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def trickle(self, data: bytes, pause: float = 0.02, seconds: float = 20) -> None:
        """Send *data* byte by byte, over and over, then close."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            for byte in data:
                self.send(bytes([byte]))
                self.wait(pause)
        self.close()

    def wait(self, seconds: float = 3600) -> None:
        if self.server.stopping.wait(seconds):
            raise Gone

    def wait_until_left(self) -> None:
        while True:
            self.receive()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        raise Gone

    def close(self) -> None:
        raise Gone


#: What is done to a request; to a connection, and with no request, if `at_accept`.
Fault = Callable[[Peer, Request], None]


class ChaosServer:
    """
    Listens on a free port of 127.0.0.1 while used as a context manager.

    Attributes:
        then: What happens to a request when the script is used up.

        requests: What came in, in the order of arrival.

        connections: How many connections were accepted.

        open_connections: How many of them are open now.
    """

    def __init__(
        self,
        *faults: Fault,
        then: Fault | None = None,
        certificate: trustme.LeafCert | None = None,
        port: int = 0,
    ) -> None:
        self.then = then or answer
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._script = deque(faults)
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self._tls)
        self._lock = threading.Lock()
        self._peers: dict[Peer, threading.Thread] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> ChaosServer:
        self._accepting.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stopping.set()
        # A blocked accept() does not notice that its socket was closed.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._accepting.join()
        self._listener.close()
        self.hang_up()

    @property
    def open_connections(self) -> int:
        return len(self._peers)

    def script(self, *faults: Fault, then: Fault | None = None) -> None:
        """Apply *faults* to the next requests, then *then*."""
        self._script = deque(faults)
        self.then = then or answer

    def hang_up(self) -> None:
        with self._lock:
            peers = list(self._peers.items())
        for peer, thread in peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            sock, _ = self._listener.accept()
            if self.stopping.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            peer = Peer(self, sock, self.connections)
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            with self._lock:
                self._peers[peer] = thread
            thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            self._serve_until_gone(peer)
        except Gone:
            pass
        finally:
            peer.sock.close()
            with self._lock:
                del self._peers[peer]

    def _serve_until_gone(self, peer: Peer) -> None:
        with self._lock:
            first = self._script[0] if self._script else self.then
            if getattr(first, "at_accept", False):
                self._script and self._script.popleft()
            else:
                first = None
        if first is not None:
            first(peer, Request(peer.number, "", "", {}, b""))
        if self._tls:
            try:
                peer.sock = self._tls.wrap_socket(peer.sock, server_side=True)
            except OSError as error:
                raise Gone from error
        while True:
            request = peer.request()
            with self._lock:
                self.requests.append(request)
                fault = self._script.popleft() if self._script else self.then
            fault(peer, request)


def at_accept(fault: Fault) -> Fault:
    """Mark a *fault* that comes before any request is read."""
    fault.at_accept = True  # type: ignore[attr-defined]
    return fault


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Yield the URL of a port that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def silent_port() -> Iterator[str]:
    """Yield the URL of a port that does not react to an attempt to connect."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The queue of a listener that never accepts takes one or two, then none.
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


# Right answers


def right_reply(request: Request) -> dict[str, Any]:
    """What a query, a registration, an update and any other call is answered."""
    payload = request.payload
    reply: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}
    if request.endpoint in ("query_trace", "query_follow_trace"):
        waybill_info = {"status": 2, "waybill_id": payload["waybill_token"]}
        reply["waybill_info"] = waybill_info
    elif request.endpoint in ("trace_waybill", "follow_waybill"):
        reply["waybill_token"] = f"token of {payload['waybill_id']}"
    elif request.endpoint == "get_delivery_list":
        carrier = {"delivery_id": "SF", "delivery_name": "顺丰速运"}
        reply |= {"delivery_list": [carrier], "count": 1}
    elif not request.endpoint.startswith("update_"):
        reply["echo"] = payload
    return reply


def right_body(request: Request) -> bytes:
    return json.dumps(right_reply(request), ensure_ascii=False).encode()


def head(
    status: int = 200, *lines: str, length: int | None = None, reason: str = "Some"
) -> bytes:
    if length is not None:
        lines = (*lines, f"Content-Length: {length}")
    text = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} {reason}", *lines))
    return f"{text}\r\n".encode("latin-1")


def whole(body: bytes, status: int = 200, *lines: str) -> bytes:
    """Return an answer with *body*, as WeChat labels it."""
    label = "Content-Type: application/json; encoding=utf-8"
    return head(status, label, *lines, length=len(body)) + body


def reply(*bodies: bytes | dict[str, Any]) -> Fault:
    """Answer with *bodies*, one for each request, the last one from then on."""
    left = deque(bodies)

    def fault(peer: Peer, request: Request) -> None:
        body = left.popleft() if len(left) > 1 else left[0]
        if isinstance(body, dict):
            body = json.dumps(body, ensure_ascii=False).encode()
        peer.send(whole(body))

    return fault


def raw(data: bytes, then: str = "close") -> Fault:
    """Answer with *data* as it is, head included, then close, reset or keep."""

    def fault(peer: Peer, request: Request) -> None:
        peer.send(data)
        if then == "reset":
            peer.wait(0.02)
            peer.reset()
        if then == "close":
            peer.close()

    return fault


def sends(make: Callable[[bytes], bytes], then: str = "keep") -> Fault:
    """Answer with what *make* makes of the right body, then close, reset or keep."""

    def fault(peer: Peer, request: Request) -> None:
        raw(make(right_body(request)), then)(peer, request)

    return fault


answer = sends(whole)

# Faults of the connection

close_after_request = raw(b"")
reset_after_request = raw(b"", "reset")
#: As if the connection were kept.
answer_and_close = sends(whole, "close")
answer_and_reset = sends(whole, "reset")


@at_accept
def close_at_once(peer: Peer, request: Request) -> None:
    peer.close()


@at_accept
def accept_and_wait(peer: Peer, request: Request) -> None:
    peer.wait()


def answer_and_complain(peer: Peer, request: Request) -> None:
    """Answer, then send a 408 for the next request, as some servers do."""
    answer(peer, request)
    peer.wait(0.02)
    peer.send(whole(b"too slow", 408))
    peer.close()


def silence(peer: Peer, request: Request) -> None:
    peer.wait_until_left()


def delay(seconds: float) -> Fault:
    def fault(peer: Peer, request: Request) -> None:
        peer.wait(seconds)
        answer(peer, request)

    return fault


# Faults of the answer's frame


def chunks(body: bytes, size: int = 16) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def chunked(body: bytes) -> bytes:
    return head(200, "Transfer-Encoding: chunked") + chunks(body)


def of_length(more: int) -> Callable[[bytes], bytes]:
    """Announce *more* bytes than are sent."""
    return lambda body: head(200, length=len(body) + more) + body


def within_body(answer: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Break *answer* off within its body."""
    return lambda body: answer(body)[: answer(body).index(b"\r\n\r\n") + 20]


close_in_head = sends(lambda body: whole(body)[:30], "close")
reset_in_head = sends(lambda body: whole(body)[:30], "reset")
close_in_body = sends(within_body(whole), "close")
reset_in_body = sends(within_body(whole), "reset")
chunked_cut_in_chunk = sends(within_body(chunked), "close")
chunked_cut_before_last = sends(
    lambda body: chunked(body)[: -len("0\r\n\r\n")], "close"
)
chunked_whole = sends(chunked)
length_too_long = sends(of_length(100), "close")
length_too_short = sends(of_length(-10))
without_length = sends(lambda body: head(200, "Connection: close") + body, "close")
http_1_0 = sends(lambda body: b"HTTP/1.0 200 OK\r\n\r\n" + body, "close")


def trickle_body(peer: Peer, request: Request) -> None:
    peer.send(head(200, length=1_000_000))
    peer.trickle(b" ")


def trickle_chunks(peer: Peer, request: Request) -> None:
    peer.send(head(200, "Transfer-Encoding: chunked"))
    peer.trickle(b"1\r\n \r\n")


def endless(start: bytes, piece: bytes) -> Fault:
    """Send *start*, then *piece* without end."""

    def fault(peer: Peer, request: Request) -> None:
        peer.send(start)
        while not peer.server.stopping.is_set():
            peer.send(piece)

    return fault


endless_body = endless(head(200, length=1 << 40), b" " * 65536)
endless_chunks = endless(
    head(200, "Transfer-Encoding: chunked"), b"1000\r\n" + b" " * 4096 + b"\r\n"
)
endless_chunk_size = endless(head(200, "Transfer-Encoding: chunked"), b"0" * 65536)
negative_chunk = endless(
    head(200, "Transfer-Encoding: chunked") + b"-5\r\n", b" " * 65536
)
endless_head = endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: and so on\r\n" * 999)
endless_head_line = endless(b"HTTP/1.1 200 OK\r\nX-Header: ", b"and so on " * 6000)


def early_hint(peer: Peer, request: Request) -> None:
    peer.send(head(103, "Link: </style.css>"))
    peer.wait(0.05)
    answer(peer, request)


two_answers = sends(
    lambda body: whole(body) + whole(b'{"waybill_info": {"waybill_id": "another\'s"}}')
)


def repeat_the_request(peer: Peer, request: Request) -> None:
    """Answer with a page that shows the whole request, as debugging proxies do."""
    page = f"<html>POST {request.target}\n\n".encode() + request.body
    peer.send(whole(page, 500, "Content-Type: text/html"))


# Answers that are not WeChat's

PAGE = "<html><body><h1>网关 Bad Gateway</h1></body></html>".encode()

garbage = raw(bytes(range(256)) * 8)


def garbage_head_lines(peer: Peer, request: Request) -> None:
    body = right_body(request)
    lines = b"no colon here\r\n: no name\r\n\x00\xff: \x01\r\n folded\r\n"
    start = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
    peer.send(start + lines + b"\r\n" + body)


def status(code: int, body: bytes = PAGE, *lines: str) -> Fault:
    def fault(peer: Peer, request: Request) -> None:
        peer.send(whole(body, code, "Content-Type: text/html", *lines))

    return fault


#: In the place of a WeChat that is out of reach.
gateway = status


def redirect(location: str, code: int = 307) -> Fault:
    return status(code, PAGE, f"Location: {location}")


def redirect_endless(location: str) -> Fault:
    return endless(head(302, f"Location: {location}", length=1 << 40), b" " * 65536)


set_cookie = sends(lambda body: whole(body, 200, "Set-Cookie: track=me; Path=/"))

# Compression


def compressed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(data) + packer.flush()


def bomb(mebibytes: int = 1024, wbits: int = 31) -> bytes:
    """Return gzip, or with 15 deflate, that unpacks to a thousandfold of blanks."""
    packer = zlib.compressobj(9, wbits=wbits)
    blanks = b" " * (1 << 20)
    first, more = (
        packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return first + more * (mebibytes - 1)


gzipped = sends(lambda body: whole(compressed(body), 200, "Content-Encoding: gzip"))


def encoded(body: bytes, coding: str = "gzip", *, chunked: bool = False) -> Fault:
    label = f"Content-Encoding: {coding}"

    def fault(peer: Peer, request: Request) -> None:
        if chunked:
            peer.send(head(200, label, "Transfer-Encoding: chunked"))
            peer.send(chunks(body, 100_000))
        else:
            peer.send(whole(body, 200, label))

    return fault


# Proxies


def tunnel(port: int) -> Fault:
    """Act as a proxy whose every CONNECT leads to *port* of 127.0.0.1."""

    def fault(peer: Peer, request: Request) -> None:
        with socket.create_connection(("127.0.0.1", port)) as behind:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(behind, peer.sock))
            back.start()
            _pump(peer.sock, behind)
            back.join()
        peer.close()

    return fault


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
