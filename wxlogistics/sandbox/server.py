"""Door 2: an HTTP server for programs in any language."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from typing import Sequence

from . import wire
from ._sandbox import Sandbox
from .clock import Clock

try:
    from aiohttp import web
except ImportError as error:
    raise ImportError(
        "the sandbox's server needs aiohttp: pip install 'wxlogistics[sandbox]'"
    ) from error

#: Seconds that open requests get to finish when the server stops.
_PATIENCE = 0.5


class Server:
    """
    Serves a sandbox over HTTP from a thread of its own, until it is closed.

    Made by `Sandbox.serve()`.

    Attributes:
        url: Where it is: ``http://127.0.0.1:43211``, say.
    """

    def __init__(self, sandbox: Sandbox, host: str, port: int) -> None:
        self.sandbox = sandbox
        self._socket = _listen(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._socket.getsockname()[1]}"
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
        runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=_PATIENCE
        )
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = wire.answer(
            self.sandbox.world,
            request.method,
            request.rel_url.path,
            request.rel_url.raw_query_string,
            request.headers,
            await request.read(),
            ip=request.remote or "",
        )
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.drop and request.transport is not None:
            request.transport.abort()
        return web.Response(
            status=answer.status, headers=answer.headers, body=answer.body
        )


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


def main(argv: Sequence[str] | None = None) -> int:
    """
    Serve a sandbox until Ctrl-C or SIGTERM.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="wxlogistics sandbox",
        description="Serve a local imitation of WeChat's logistics plugin over HTTP.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=8790, help="default: 8790; 0: any free one"
    )
    parser.add_argument("--seed", help="the same seed gives the same ids and tokens")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="seconds that pass in a real one"
    )
    options = parser.parse_args(argv)
    sandbox = Sandbox(seed=options.seed, clock=Clock(speed=options.speed))
    try:
        server = sandbox.serve(options.host, options.port)
    except OSError as error:
        print(f"wxlogistics sandbox: {error.strerror}", file=sys.stderr)
        return 1
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(f"url: {server.url}")
    print(f"appid: {sandbox.appid}")
    print(f"secret: {sandbox.secret}")
    print(f"access_token: {sandbox.access_token()}", flush=True)
    stopped.wait()
    server.close()
    return 0
