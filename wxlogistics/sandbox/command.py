"""``wxlogistics sandbox``: the sandbox as a command."""

from __future__ import annotations

import argparse
import contextlib
import select
import signal
import socket
from typing import Any, Callable, NamedTuple

from .clock import Clock


class Option(NamedTuple):
    """
    An option of the command.
    """

    flag: str
    help: str
    metavar: str = ""
    parse: Callable[[str], Any] = str
    many: bool = False
    default: Any = None


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise ValueError(f"give a number from 0 to 65535, not {text!r}")
    return int(text)


OPTIONS: tuple[Option, ...] = (
    Option("--host", "default: 127.0.0.1", "ADDRESS", default="127.0.0.1"),
    Option("--port", "default: 8790; 0: any free one", "PORT", _port, default=8790),
    Option("--seed", "the same seed gives the same ids and tokens", "SEED"),
    Option("--state", "go on from this file, and keep it written", "FILE"),
    Option("--speed", "seconds that pass in a real one; default: 1", "NUMBER", float),
    Option("--set", "a setting of the sandbox", "NAME=VALUE", many=True),
    Option("--allow-host", "a host name", "NAME", many=True),
)
NOTICES: tuple[str, ...] = ()


class Ready(NamedTuple):
    """
    What a program needs to call a served sandbox.
    """

    url: str
    console_url: str
    appid: str
    secret: str
    access_token: str
    ca_file: str = ""


def run(
    *,
    on_ready: Callable[[Ready], None],
    on_notice: Callable[..., None],
    host: str = "127.0.0.1",
    port: int = 8790,
    set: tuple[str, ...] = (),
    **options: Any,
) -> int:
    """
    Serve a sandbox until Ctrl-C or SIGTERM.
    """
    from .server import Server, _open, _save, _settings

    given = argparse.Namespace(**options)
    sandbox = _open(given, _settings(set))
    if not _save(sandbox, given):
        return 1
    server = Server(sandbox, host, port, allowed_hosts=given.allow_host)
    stopped, stop = socket.socketpair()

    def interrupt(*_: object) -> None:
        with contextlib.suppress(OSError):
            stop.send(b".")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    on_ready(
        Ready(
            server.url,
            f"{server.url}/",
            sandbox.appid,
            sandbox.secret,
            sandbox.access_token(),
        )
    )
    with stopped, stop:
        select.select([stopped], [], [])
        server.close()
        return 0 if _save(sandbox, given) else 1


_ = Clock
