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
from . import bulk, carriers, doctor, errcodes, server, waybills
from .command import Command, Enough, Group, option
from .language import say
from .output import (
    GOOD,
    INTERRUPTED,
    REFUSED,
    Problem,
    Terminal,
    answer,
    error_fields,
    note,
    silence,
    unusable,
)

__all__ = ["run"]


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
    terminal = Terminal("--json" in argv)
    if sys.stdout is None:
        # Closed (>&-): a waybill_token would be lost.
        return terminal.fail(unusable("stdout", errno.EBADF))
    try:
        code = commands(terminal).main(
            args=list(argv), prog_name="wxlogistics", standalone_mode=False
        )
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "wxlogistics"
        return terminal.fail(error, command)
    except WxLogisticsError as error:
        return terminal.fail(error)
    except Enough:
        # Python must not complain when it exits.
        silence(sys.stdout)
        return GOOD
    except OSError as error:
        # A full disk behind stdout, for example.
        if error.filename is None:
            silence(sys.stdout)
        return terminal.fail(unusable(error.filename or "stdout", error.errno))
    except (click.Abort, KeyboardInterrupt):
        text = say("Interrupted.")
        fields = error_fields(Problem(text), text, [])
        terminal.answer_failed({**fields, "type": "Interrupted"})
        note(text)
        return INTERRUPTED
    return int(code or GOOD)


def commands(terminal: Terminal) -> Group:
    """
    Return all commands, with their help in the chosen language.
    """
    return Group(
        "wxlogistics",
        "WeChat's mini-program logistics plugin (物流查询插件) from the command line.",
        [
            *waybills.commands(terminal),
            carriers.command(terminal),
            bulk.command(terminal),
            doctor.command(terminal),
            errcodes.command(terminal),
            _demo(terminal),
            server.command(terminal),
        ],
        params=[_version()],
        sections=[
            (
                say("Environment"),
                [
                    (
                        "WXLOGISTICS_ACCESS_TOKEN",
                        say("the access_token, if you have one"),
                    ),
                    ("WXLOGISTICS_APPID", say("or the mini-program's appid")),
                    ("WXLOGISTICS_SECRET", say("and its AppSecret, to fetch a token")),
                    (
                        "WXLOGISTICS_BASE_URL",
                        say("as --base-url; several are separated by commas"),
                    ),
                ],
            ),
            (
                say("Exit codes"),
                [
                    ("0", say("success")),
                    ("1", say("WeChat refused")),
                    ("2", say("wrong use, or a problem of this machine")),
                    ("3", say("no answer from WeChat")),
                ],
            ),
        ],
        examples=[
            "wxlogistics doctor",
            "wxlogistics query WAYBILL_TOKEN",
            "wxlogistics bulk trace orders.xlsx",
        ],
    )


def _version() -> click.Option:
    def show(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"wxlogistics, version {__version__}")
            context.exit()

    return option(
        "--version",
        "Show the version and exit.",
        is_flag=True,
        callback=show,
        expose_value=False,
        is_eager=True,
    )


def _demo(terminal: Terminal) -> click.Command:
    def run() -> int:
        from .. import demo

        failures = demo.play(quiet=terminal.as_json)
        if terminal.as_json:
            answer({"ok": not failures, "failures": failures})
        return REFUSED if failures else GOOD

    return Command(
        terminal,
        "demo",
        "Show the document's example from end to end.\nNothing leaves this machine.",
        run,
        examples=["wxlogistics demo"],
        calls=False,
    )
