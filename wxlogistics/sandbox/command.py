"""``wxlogistics sandbox``: the sandbox as a command."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import queue
import re
import signal
import sys
import time
from typing import Any, Callable, NamedTuple, NoReturn, Sequence

import attrs

from .controls import Controls
from .tls import given_context, own_context
from .wire import HOSTS
from .world.clock import FASTEST, Clock
from .world.plain_json import read_json
from .world.settings import Settings

#: Seconds between two writes of the state file.
_SAVE_EVERY = 30.0

#: Seconds between two looks whether a signal came, where none interrupts a wait.
_LOOK_EVERY = 1.0

_CA_FILE = "wxlogistics-sandbox-ca.pem"


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        problem = f"give a number from 0 to 65535, not {text!r}"
        raise argparse.ArgumentTypeError(problem)
    return int(text)


def _speed(text: str) -> float:
    try:
        return Clock(speed=float(text)).speed
    except ValueError:
        problem = f"give a number from 0 to {FASTEST}, not {text!r}"
        raise argparse.ArgumentTypeError(problem) from None


class Option(NamedTuple):
    """
    An option of the command.

    Attributes:
        flag: As ``--port``; in `run()` it is called ``port``.

        help: One sentence in English.

        metavar: What stands for its value; empty: it takes none.

        parse: Makes the value of a text, or raises an ArgumentTypeError.

        many: Whether it may be repeated.

        default: The value if it is not given.
    """

    flag: str
    help: str
    metavar: str = ""
    parse: Callable[[str], Any] = str
    many: bool = False
    default: Any = None


OPTIONS: tuple[Option, ...] = (
    Option("--host", "default: 127.0.0.1", "ADDRESS", default="127.0.0.1"),
    Option("--port", "default: 8790; 0: any free one", "PORT", _port, default=8790),
    Option(
        "--seed",
        "the same seed gives the same ids and tokens; not with an existing state file",
        "SEED",
    ),
    Option("--state", "go on from this file, and keep it written", "FILE"),
    Option("--speed", "seconds that pass in a real one; default: 1", "NUMBER", _speed),
    Option(
        "--set",
        "a setting of the sandbox, as edit_limit=3; not with an existing state file",
        "NAME=VALUE",
        many=True,
    ),
    Option(
        "--allow-host",
        "a host name by which the console and the control API may be called; may be "
        "repeated",
        "NAME",
        many=True,
    ),
    Option("--tls", "serve HTTPS, with a certificate for WeChat's names"),
    Option(
        "--ca-file",
        "with --tls: where to write the certificate that programs are to trust; "
        f"default: {_CA_FILE}",
        "FILE",
    ),
    Option("--certfile", "serve HTTPS with this certificate", "FILE"),
    Option("--keyfile", "its key, if it is in another file", "FILE"),
)

_WIDE = (
    "Listening on {}: every machine that reaches this port can call, read and control "
    "this sandbox. Use made-up data only."
)
_IGNORED = "{} ignored: {} exists already, and goes on as it was"
_NOT_WRITTEN = "{} cannot be written: {}"

#: The texts that `run()` gives to *on_notice*.
NOTICES = (_WIDE, _IGNORED, _NOT_WRITTEN)


#: The messages of what it raises, with braces for the values in them.
PROBLEMS = (
    "give a number from 0 to 65535, not {}",
    f"give a number from 0 to {FASTEST}, not {{}}",
    "port {} of {} is taken: choose another, or 0 for any free one",
    "--keyfile: it goes with --certfile",
    "--ca-file: it goes with --tls",
    "--allow-host: {}",
    "--set: no setting {}; there are: {}",
    "--set: {}",
    "{} is of type {}, not {}",
    "{} is a list of texts, not {}",
    "{} is from 0 to 10**15, not {}",
    "{} is from 0 to 23, not {}",
    "{} is from 1 to 10**15, not {}",
    "route is pairs of hours, in ascending order, and status, not {}",
    "refused_image is not a regular expression: {}",
    "default_delivery_id: no carrier {}",
    "{}: this is not the state of a sandbox",
    "{}: state of version {}, not {}",
    "{}: the state of a sandbox is damaged: {}",
    "{}: JSON that nests too deep",
    "{}: not JSON: {}",
)


def run(
    *,
    on_ready: Callable[[dict[str, str]], None],
    on_notice: Callable[..., None],
    host: str = "127.0.0.1",
    port: int = 8790,
    seed: str | None = None,
    state: str | None = None,
    speed: float | None = None,
    set: Sequence[str] = (),
    allow_host: Sequence[str] = (),
    tls: bool = False,
    ca_file: str | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
) -> int:
    """
    Serve a sandbox until Ctrl-C or SIGTERM.

    Args:
        on_ready: Called once the sandbox can be called, with what a program needs for
            that: url, console_url, with ``--tls`` the ca_file to trust, appid, secret
            and access_token.

        on_notice: Called with one of `NOTICES` and the values for its braces.

    Returns:
        The exit code: 0; 1 if the state file could not be written at the end, 2 if it
        cannot be written at all.

    Raises:
        ImportError: The extra ``sandbox`` is not installed.
        OSError, ValueError: It cannot start; the text is one line.
    """
    from .server import Server

    if keyfile and not certfile:
        raise ValueError("--keyfile: it goes with --certfile")
    if ca_file and (certfile or not tls):
        raise ValueError("--ca-file: it goes with --tls")
    controls, ignored = _open(state, _settings(set), seed, speed)
    if ignored:
        on_notice(_IGNORED, ignored, state)

    def save() -> bool:
        try:
            if state:
                controls.save(state)
        # The second is of a state that JSON cannot hold.
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            on_notice(_NOT_WRITTEN, state, why)
            return False
        return True

    # Now, for a file that cannot be written should not come out at the end.
    if not save():
        return 2
    context = None
    if certfile:
        context = given_context(certfile, keyfile)
    elif tls:
        ca_file = os.path.abspath(ca_file or _CA_FILE)
        context = own_context(ca_file, allow_host)
    hosts = [*allow_host, *(HOSTS if context else ())]
    server = Server(controls, host, port, allowed_hosts=hosts, tls=context)
    # Unlike an Event's set() its put() may interrupt the get() of the same thread.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: signals.put(number))
    if not _is_loopback(host):
        on_notice(_WIDE, host)
    where = {"url": server.url, "console_url": server.url + "/"}
    if ca_file:
        where["ca_file"] = ca_file
    account = {"appid": controls.appid, "secret": controls.secret}
    on_ready({**where, **account, "access_token": controls.access_token()})
    saved = time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            signals.get(timeout=_LOOK_EVERY)
            break
        if time.monotonic() - saved >= _SAVE_EVERY:
            # If it fails, the next one may go well.
            save()
            saved = time.monotonic()
    server.close()
    return 0 if save() else 1


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _settings(items: Sequence[str]) -> dict[str, Any]:
    """
    Return the settings that were given as NAME=VALUE.

    Raises:
        ValueError: Something is wrong with one.
    """
    fields = attrs.fields_dict(Settings)
    settings: dict[str, Any] = {}
    for item in items:
        name, _, text = item.partition("=")
        if name not in fields:
            known = ", ".join(fields)
            raise ValueError(f"--set: no setting {name!r}; there are: {known}")
        try:
            value = read_json(text)
        except ValueError:
            value = text
        # A text may look like a number: an AppSecret of digits alone, say.
        if str(fields[name].type) == "str" and not isinstance(value, str):
            value = text
        settings[name] = value
    try:
        Settings(**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"--set: {error}") from None
    return settings


def _open(
    path: str | None, settings: dict[str, Any], seed: str | None, speed: float | None
) -> tuple[Controls, str]:
    """
    Return the sandbox that is asked for, and which options a state file overrides.
    """
    clock = Clock(speed=1.0 if speed is None else speed)
    if not path or not os.path.exists(path):
        return Controls(seed=seed, clock=clock, **settings), ""
    controls = Controls.load(path, clock=clock)
    if speed is not None:
        clock.set(clock.now(), speed)
    given = {"--seed": seed is not None, "--set": bool(settings)}
    return controls, " and ".join(name for name, is_there in given.items() if is_there)


def reason(error: Exception) -> str:
    """
    Return why something failed, in one line.
    """
    text = str(getattr(error, "strerror", None) or error)
    name = getattr(error, "filename", None)
    return f"{name}: {text}" if name else text


class _Parser(argparse.ArgumentParser):
    """
    Prints what is wrong in one line, as everything here does.
    """

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="wxlogistics sandbox",
        description="Serve a local imitation of WeChat's logistics plugin over HTTP.",
    )
    for option in OPTIONS:
        fields: dict[str, Any] = {"help": option.help, "default": option.default}
        if not option.metavar:
            fields.update(action="store_true", default=False)
        else:
            fields.update(metavar=option.metavar, type=option.parse)
        if option.many:
            fields.update(action="append", default=[])
        parser.add_argument(option.flag, **fields)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """
    Serve a sandbox as the command line asks.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(argv)
    try:
        return run(on_ready=_announce, on_notice=_notice, **vars(options))
    except (ImportError, OSError, ValueError) as error:
        _notice("{}", reason(error))
        return 2


def _announce(ready: dict[str, str]) -> None:
    for name, value in ready.items():
        if name == "console_url":
            name, value = "console", f"{value} (open it in a browser)"
        print(f"{name}: {value}", flush=True)


def _notice(text: str, *values: object) -> None:
    print(f"wxlogistics sandbox: {text.format(*values)}", file=sys.stderr)
