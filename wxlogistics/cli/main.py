"""The `wxlogistics` command: its commands, and what becomes of an error."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Sequence

import click

from .._version import __version__
from ..errors import WxLogisticsError
from . import bulk, carriers, doctor, errcodes, output, probe, server, waybills
from .command import Command, Group, option
from .language import say

_VARIABLES = ("ACCESS_TOKEN", "APPID", "SECRET", "BASE_URL")


def run(argv: Sequence[str]) -> int:
    """
    Run the command and return its exit code.

    Args:
        argv: The arguments after the command's name.
    """
    if sys.stderr is None:
        # Closed (2>&-): the work is done all the same.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            return run(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="wxlogistics")
    terminal = output.Terminal("--json" in argv)
    if sys.stdout is None:
        # Closed (>&-): a waybill_token would be lost.
        return terminal.fail(output.unusable("stdout", errno.EBADF))
    try:
        code = commands(terminal).main([*argv], "wxlogistics", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        return terminal.fail(error, context.command_path if context else "wxlogistics")
    except WxLogisticsError as error:
        return terminal.fail(error)
    except ImportError as error:
        if "wxlogistics[" not in str(error):
            raise
        return terminal.fail(output.Problem("[extra sandbox]"))
    except SystemExit:
        # click's end when the reader has closed stdout: wxlogistics carriers | head.
        output.silence(sys.stdout)
        return output.GOOD
    except OSError as error:
        # A full disk behind stdout, for example.
        if error.filename is None:
            output.silence(sys.stdout)
        return terminal.fail(output.unusable(error.filename or "stdout", error.errno))
    except (click.Abort, KeyboardInterrupt):
        text = say("Interrupted.")
        fields = output.error_fields(output.Problem(text), text, [])
        terminal.answer_failed({**fields, "type": "Interrupted"})
        output.note(text)
        return output.INTERRUPTED
    return int(code or output.GOOD)


def commands(terminal: output.Terminal) -> Group:
    """
    Return all commands, with their help in the chosen language.
    """
    variables = [(f"WXLOGISTICS_{name}", say(f"[{name}]")) for name in _VARIABLES]
    codes = [(str(code), say(f"[exit code {code}]")) for code in range(4)]
    modules = (carriers, bulk, doctor, probe, errcodes)
    parts = [module.command(terminal) for module in modules]
    parts += [_demo(terminal), server.command(terminal)]
    return Group(
        "wxlogistics",
        [*waybills.commands(terminal), *parts],
        params=[_version()],
        sections=[(say("Environment"), variables), (say("Exit codes"), codes)],
        examples=["wxlogistics doctor", "wxlogistics bulk trace orders.xlsx"],
    )


def _version() -> click.Option:
    def show(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"wxlogistics, version {__version__}")
            context.exit()

    settings = {"is_flag": True, "expose_value": False, "is_eager": True}
    return option("--version", "Show the version and exit.", callback=show, **settings)


def _demo(terminal: output.Terminal) -> click.Command:
    def run() -> int:
        from .. import demo

        show = (lambda _: None) if terminal.as_json else output.echo
        failures = demo.play(say, show)
        if terminal.as_json:
            output.answer({"ok": not failures, "failures": failures})
        return output.REFUSED if failures else output.GOOD

    return Command(terminal, "demo", run, examples=["wxlogistics demo"], calls=False)
