"""Door 2: an HTTP server for programs in any language."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import ipaddress
import os
import re
import select
import signal
import socket
import sys
import threading
import weakref
from typing import Any, Collection, NoReturn, Sequence

import attrs

from . import control, wire
from ._sandbox import Sandbox
from .checks import read_json
from .clock import FASTEST, Clock
from .settings import Settings

try:
    from aiohttp import web

    from . import console
except ImportError as error:
    raise ImportError(
        "the sandbox's server needs aiohttp and jinja2: "
        "pip install 'wxlogistics[sandbox]'"
    ) from error

#: Seconds that open requests get to finish when the server stops.
_PATIENCE = 0.5

#: A larger body gets HTTP 413; a state that is put back may be large.
_LARGEST_BODY = 256 * 1024 * 1024

#: Seconds between two writes of the state file.
_SAVE_EVERY = 30.0

#: Seconds between two looks whether something changed, while a page is open. All that
#: is compared then is one short text.
_LOOK_EVERY = 0.25

#: A page that nothing happens to is told so after this many looks.
_LONGEST_SILENCE = 60

#: Seconds until a browser that takes nothing more is given up; it may come again.
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
        sandbox: Sandbox,
        host: str,
        port: int,
        *,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self.sandbox = sandbox
        self._allowed_hosts = allowed_hosts
        self._socket = _listen(host, port)
        self.url = f"http://{_reachable(host)}:{self._socket.getsockname()[1]}"
        self._pid = os.getpid()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()),
            name="wxlogistics-sandbox",
            daemon=True,
        )
        self._thread.start()
        self._ready.wait()
        _servers.add(self)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Stop the server and wait until it has.
        """
        # In a forked child there is no such thread, and the loop is the parent's.
        if self._pid == os.getpid() and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("GET", console.EVENTS, self._tell)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=_PATIENCE,
            # What is packed is no JSON, as behind door 1.
            auto_decompress=False,
        )
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        query = request.rel_url.raw_query_string
        try:
            body = await request.read()
        except ConnectionError:
            # Whoever hung up in the middle of it waits for no answer.
            return web.Response(status=400)
        if path.startswith(control.PREFIX):
            answer = control.answer(
                self.sandbox,
                request.method,
                path,
                query,
                request.headers,
                body,
                allowed_hosts=self._allowed_hosts,
            )
        elif console.is_path(request.method, path):
            # In another thread, for a search may take its time.
            answer = await asyncio.to_thread(
                console.answer,
                self.sandbox,
                request.method,
                path,
                query,
                request.headers,
                body,
                allowed_hosts=self._allowed_hosts,
            )
        else:
            answer = wire.answer(
                self.sandbox.world,
                request.method,
                path,
                query,
                request.headers,
                body,
                ip=request.remote or "",
            )
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.drop:
            _hang_up_on(request)
        return web.Response(
            status=answer.status, headers=answer.headers, body=answer.body
        )

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        """
        Tell an open page of the console whenever something has changed.

        What has changed it asks for itself, as fast as it can show it: so a slow one
        holds up nobody, and nothing waits here for one that has gone.
        """
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not control.is_welcome(headers, self._allowed_hosts):
            return web.Response(status=403)
        response = web.StreamResponse(headers=console.EVENT_HEADERS)
        await response.prepare(request)
        told, silence = "", 0
        try:
            # Milliseconds until a browser whose stream broke asks for another.
            await self._write(response, "retry: 1000\n\n")
            while request.transport is not None and not self._stop.is_set():
                version = console.version(self.sandbox)
                if version != told:
                    await self._write(response, f"data: {version}\n\n")
                    told, silence = version, 0
                elif silence == _LONGEST_SILENCE:
                    await self._write(response, ":\n\n")
                    silence = 0
                silence += 1
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _LOOK_EVERY)
        except (ConnectionError, asyncio.TimeoutError):
            _hang_up_on(request)
        return response

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        await asyncio.wait_for(response.write(text.encode()), _HANGS)


def _hang_up_on(request: web.Request) -> None:
    if request.transport is not None:  # pragma: no branch - it may have gone itself
        request.transport.abort()


#: For `_hang_up`.
_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _hang_up() -> None:
    """
    Let a forked child not keep the port open after its parent has closed it.
    """
    for server in _servers:  # pragma: no cover - runs in a forked child
        server._socket.close()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_hang_up)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(
            errno.EADDRINUSE,
            f"port {port} of {host} is taken: choose another, or 0 for any free one",
        ) from None


def _reachable(host: str) -> str:
    """
    *host* as it stands in a URL; for "all addresses" that is the loopback.
    """
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """
    Serve a sandbox until Ctrl-C or SIGTERM.

    Returns:
        The exit code.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        settings = _settings(options.set)
    except (TypeError, ValueError) as error:
        parser.error(f"argument --set: {error}")
    try:
        sandbox = _open(options, settings)
        # Now, for a file that cannot be written should not come out at the end.
        if not _save(sandbox, options):
            return 2
        server = Server(
            sandbox, options.host, options.port, allowed_hosts=options.allow_host
        )
    except (OSError, ValueError) as error:
        _complain(_reason(error))
        return 2
    # Not an Event: its lock is held by the very thread that the signal interrupts.
    stopped, stop = socket.socketpair()

    def interrupt(*_: object) -> None:
        # Once more at the very end, it does no harm.
        with contextlib.suppress(OSError):
            stop.send(b".")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    if not _is_loopback(options.host):
        print(
            f"Listening on {options.host}: whoever reaches this machine's port can "
            "call, read and control this sandbox. Use made-up data only.",
            file=sys.stderr,
        )
    print(f"url: {server.url}")
    print(f"appid: {sandbox.appid}")
    print(f"secret: {sandbox.secret}")
    print(f"access_token: {sandbox.access_token()}", flush=True)
    with stopped, stop:
        while not select.select([stopped], [], [], _SAVE_EVERY)[0]:
            # Another time it may go well.
            _save(sandbox, options)
        server.close()
        return 0 if _save(sandbox, options) else 1


class _Parser(argparse.ArgumentParser):
    """
    Tells what is wrong in one line, as everything here does.
    """

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _complain(reason: object) -> None:
    print(f"wxlogistics sandbox: {reason}", file=sys.stderr)


def _reason(error: Exception) -> object:
    return getattr(error, "strerror", None) or error


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"give a number from 0 to 65535, not {text!r}")
    return int(text)


def _speed(text: str) -> float:
    try:
        return Clock(speed=float(text)).speed
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"give a number from 0 to {FASTEST}, not {text!r}"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="wxlogistics sandbox",
        description="Serve a local imitation of WeChat's logistics plugin over HTTP.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument(
        "--port", type=_port, default=8790, help="default: 8790; 0: any free one"
    )
    parser.add_argument(
        "--seed",
        help="the same seed gives the same ids and tokens; not with a state file "
        "that is there already",
    )
    parser.add_argument(
        "--state", metavar="FILE", help="go on from this file, and keep it written"
    )
    parser.add_argument(
        "--speed", type=_speed, help="seconds that pass in a real one; default: 1"
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting of the sandbox, as edit_limit=3; may be repeated; not with "
        "a state file that is there already",
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a host name by which the control API may be called; may be repeated",
    )
    return parser


def _settings(items: Sequence[str]) -> dict[str, Any]:
    """
    The settings that were given as NAME=VALUE.

    Raises:
        TypeError, ValueError: Something is wrong with one.
    """
    fields = attrs.fields_dict(Settings)
    settings: dict[str, Any] = {}
    for item in items:
        name, _, text = item.partition("=")
        if name not in fields:
            known = ", ".join(fields)
            raise ValueError(f"no setting {name!r}; there are: {known}")
        try:
            value = read_json(text)
        except ValueError:
            value = text
        # A text may look like a number: an AppSecret of digits alone, say.
        if str(fields[name].type) == "str" and not isinstance(value, str):
            value = text
        settings[name] = value
    # What is wrong with one, it says itself.
    Settings(**settings)
    return settings


def _open(options: argparse.Namespace, settings: dict[str, Any]) -> Sandbox:
    """
    The sandbox that the command line asks for.
    """
    clock = Clock(speed=1.0 if options.speed is None else options.speed)
    if options.state and os.path.exists(options.state):
        sandbox = Sandbox.load(options.state, clock=clock)
        if options.speed is not None:
            clock.set(clock.now(), options.speed)
        given = {"--seed": options.seed is not None, "--set": bool(settings)}
        ignored = " and ".join(name for name, is_there in given.items() if is_there)
        if ignored:
            _complain(
                f"{ignored} ignored: {options.state} is there already, and goes on as "
                "it was"
            )
        return sandbox
    return Sandbox(seed=options.seed, clock=clock, **settings)


def _save(sandbox: Sandbox, options: argparse.Namespace) -> bool:
    """
    Write the state file, if there is to be one; False, and told, if that fails.
    """
    if options.state:
        try:
            sandbox.save(options.state)
        # The last two are of a state that JSON cannot hold.
        except (OSError, ValueError, RecursionError) as error:
            _complain(f"{options.state} cannot be written: {_reason(error)}")
            return False
    return True
