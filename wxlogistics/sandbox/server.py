"""Door 2: an HTTP server for programs in any language."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import http.client
import itertools
import socket
import threading
from typing import TYPE_CHECKING, Any, Collection
from urllib.parse import urlsplit

from . import wire
from .controls import Controls
from .wire import Answer, HttpRequest

try:
    import h11

    from . import console, control
except ImportError as error:
    raise ImportError(
        "the sandbox's server needs h11, jinja2 and jsonschema: "
        "pip install 'wxlogistics[sandbox]'"
    ) from error

if TYPE_CHECKING:
    import ssl

#: Bytes of a request's head.
_LONGEST_HEAD = 64 * 1024

#: Seconds in which a whole request has to arrive, and an idle connection is kept.
_LONGEST_WAIT = 60.0

#: More connections than these are closed at once, so that files do not run out.
_MOST_CONNECTIONS = 256

#: Seconds in which a caller that is refused may still send, so that it reads why.
_LINGER = 1.0

#: Seconds between two looks whether a caller hung up, during a delay or while a page is
#: open, and whether something changed; all that is compared then is one short text.
_LOOK_EVERY = 0.25

#: After this many looks without a change a page gets a sign of life.
_LONGEST_SILENCE = 60

#: Seconds until a browser that reads no more is given up; it may come again.
_HANGS = 10.0


class Server:
    """
    Serves a sandbox over HTTP from a thread of its own, until it is closed.

    Made by `Sandbox.serve()`.

    Attributes:
        sandbox: What it serves.

        url: Where it is: ``http://127.0.0.1:43211``, say.
    """

    def __init__(
        self,
        sandbox: Controls,
        host: str,
        port: int,
        *,
        allowed_hosts: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sandbox = sandbox
        self._allowed_hosts = allowed_hosts
        self._tls = tls
        self._socket = _listen(host, port)
        self._scheme = "https" if tls else "http"
        port = self._socket.getsockname()[1]
        self.url = f"{self._scheme}://{_reachable(host)}:{port}"
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._accepting: asyncio.Task[None]
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()),
            name="wxlogistics-sandbox",
            daemon=True,
        )
        self._thread.start()
        self._ready.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Stop the server and wait until it has.
        """
        # In a forked child it is not.
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._accepting.cancel)
            self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._accepting = asyncio.create_task(self._accept())
        self._ready.set()
        await asyncio.wait([self._accepting])
        # asyncio.run() cancels what is still connected.

    async def _accept(self) -> None:
        # asyncio.start_server() shows no connection before its TLS handshake.
        self._socket.setblocking(False)
        connected = set[asyncio.Task[None]]()
        with self._socket:
            while True:
                try:
                    accepted, _ = await self._loop.sock_accept(self._socket)
                except OSError:
                    # The process may have run out of files, until others are closed.
                    await asyncio.sleep(_LOOK_EVERY)
                    continue
                if len(connected) < _MOST_CONNECTIONS:
                    task = asyncio.create_task(self._connected(accepted))
                    connected.add(task)
                    task.add_done_callback(connected.discard)
                else:
                    accepted.close()

    async def _connected(self, accepted: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._tls
            )
        except OSError:
            # No TLS handshake.
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
        connection = _Connection(reader, writer)
        try:
            while await self._exchange(connection):
                pass
        # Also of a caller that hung up, or that is too slow.
        except (OSError, asyncio.TimeoutError, asyncio.CancelledError):
            connection.hang_up()
        finally:
            writer.close()

    async def _exchange(self, connection: _Connection) -> bool:
        """
        Answer one request; return whether another can follow.
        """
        received = connection.receive(self._largest_body)
        request = await asyncio.wait_for(received, _LONGEST_WAIT)
        if request is None:
            return False
        if (request.method, request.path) == ("GET", console.EVENTS):
            await self._tell(connection, request)
            return False
        try:
            answer = await self._answer(connection, request)
        except Exception as error:
            context = {"message": f"{request.method} {request.path}"}
            self._loop.call_exception_handler({**context, "exception": error})
            answer = Answer(500, {}, b"")
        if not await connection.stays(answer.delay) or answer.drop:
            connection.hang_up()
            return False
        return await connection.send(request, answer)

    def _largest_body(self, request: HttpRequest) -> int:
        if request.path.startswith(control.PREFIX):
            # What a foreign page sends is not read to its end only to be refused.
            if control.is_welcome(request.headers, self._allowed_hosts):
                return control.LARGEST_BODY
        return self.sandbox.settings.largest_body

    async def _answer(self, connection: _Connection, request: HttpRequest) -> Answer:
        method, path = request.method, request.path
        is_control = path.startswith(control.PREFIX)
        if not is_control and not console.is_path(method, path):
            return wire.answer(self.sandbox.world, request, ip=connection.ip)
        if request.problem:
            return Answer(request.problem, {}, b"")
        shown = functools.partial(console.answer, scheme=self._scheme)
        # In another thread, for a search may take its time.
        return await asyncio.to_thread(
            control.answer if is_control else shown,
            self.sandbox,
            request,
            allowed_hosts=self._allowed_hosts,
        )

    async def _tell(self, connection: _Connection, request: HttpRequest) -> None:
        """
        Send an event to an open page of the console whenever something has changed.

        The page asks for what has changed itself, as fast as it can show it: so a slow
        one holds up nothing, and nothing waits here for one that has gone.
        """
        if not control.is_welcome(request.headers, self._allowed_hosts):
            await connection.send(request, Answer(403, {}, b""))
            return
        # Milliseconds until a browser whose stream broke asks for another.
        retry = h11.Data(data=b"retry: 1000\n\n")
        await connection.write(_head(200, console.EVENT_HEADERS), retry)
        sent, silence, stays = "", 0, True
        while stays:
            version = console.version(self.sandbox)
            if version != sent:
                await connection.write(h11.Data(data=f"data: {version}\n\n".encode()))
                sent, silence = version, 0
            elif silence == _LONGEST_SILENCE:
                await connection.write(h11.Data(data=b":\n\n"))
                silence = 0
            silence += 1
            stays = await connection.stays(_LOOK_EVERY)


def _set_target(request: HttpRequest, target: str) -> None:
    """
    Take path and query from the target of a request line.
    """
    if not target.startswith("/"):
        # As it is sent to a proxy.
        with contextlib.suppress(ValueError):
            parts = urlsplit(target)
            target = f"{parts.path or '/'}?{parts.query}"
    request.path, _, request.query = target.partition("?")


class _Connection:
    """
    One connection of a caller, through h11.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)

    @property
    def ip(self) -> str:
        """
        The caller's address.
        """
        peer = self._writer.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    async def stays(self, seconds: float) -> bool:
        """
        Wait; return False as soon as the caller hung up.
        """
        while seconds > 0:
            await asyncio.sleep(min(seconds, _LOOK_EVERY))
            if self._reader.at_eof() or self._writer.is_closing():
                return False
            seconds -= _LOOK_EVERY
        return True

    def hang_up(self) -> None:
        """
        Break the connection.
        """
        self._writer.transport.abort()

    async def receive(self, largest_body: Any) -> HttpRequest | None:
        """
        Return the next request; None if the caller hung up.
        """
        request = HttpRequest()
        head, parts = self._h11.trailing_data[0], list[bytes]()
        size, limit = 0, 0
        try:
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    if self._h11.they_are_waiting_for_100_continue:
                        go_on = h11.InformationalResponse(status_code=100, headers=[])
                        self._writer.write(self._h11.send(go_on) or b"")
                    data = await self._reader.read(64 * 1024)
                    if not data:
                        return None
                    self._h11.receive_data(data)
                    head = head or data
                elif isinstance(event, h11.Request):
                    request.method = event.method.decode()
                    _set_target(request, event.target.decode())
                    request.headers = {
                        name.decode(): value.decode("latin-1")
                        for name, value in event.headers
                    }
                    texts = itertools.chain([event.target], *event.headers)
                    if sum(map(len, texts)) > _LONGEST_HEAD:
                        request.problem = 431
                        return request
                    # h11 sends no body to one that takes this for a proxy.
                    if request.method == "CONNECT":
                        request.problem = 405
                        return request
                    limit = largest_body(request)
                    if int(request.headers.get("content-length", 0)) > limit:
                        request.problem = 413
                        return request
                elif isinstance(event, h11.Data):
                    size += len(event.data)
                    if size > limit:
                        request.problem = 413
                        return request
                    parts.append(bytes(event.data))
                else:
                    # The end of the message.
                    request.body = b"".join(parts)
                    return request
        except h11.RemoteProtocolError as error:
            request.problem = error.error_status_hint
            if not request.path:
                line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
                request.method = line[0][:100]
                if len(line) > 1:
                    _set_target(request, line[1])
            return request

    async def send(self, request: HttpRequest, answer: Answer) -> bool:
        """
        Send a whole answer; return whether another request can follow.
        """
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        if request.problem:
            headers["Connection"] = "close"
        bare = request.method == "HEAD" or answer.status in (204, 304)
        await self.write(
            _head(answer.status, headers),
            *([] if bare else [h11.Data(data=answer.body)]),
            h11.EndOfMessage(),
        )
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        # A caller that is still sending would lose the answer if its data were refused.
        if self._writer.can_write_eof():
            self._writer.write_eof()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._drop_input(), _LINGER)
        return False

    async def _drop_input(self) -> None:
        while await self._reader.read(64 * 1024):
            pass

    async def write(self, *events: Any) -> None:
        """
        Send events of h11.
        """
        self._writer.write(b"".join(self._h11.send(event) or b"" for event in events))
        await asyncio.wait_for(self._writer.drain(), _HANGS)


def _head(status: int, headers: dict[str, str]) -> Any:
    reason = http.client.responses.get(status, "")
    return h11.Response(
        status_code=status, headers=list(headers.items()), reason=reason.encode()
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        text = f"port {port} of {host} is taken: choose another, or 0 for any free one"
        raise OSError(errno.EADDRINUSE, text) from None


def _reachable(host: str) -> str:
    """
    Return *host* as it stands in a URL; for "all addresses" that is the loopback.
    """
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
