"""`wxlogistics sandbox`: the sandbox as an HTTP server, with click's options."""

from __future__ import annotations

import argparse
import re
from typing import Any

import click

from ..sandbox.command import OPTIONS, PROBLEMS, Option, reason, run
from .command import Command, option
from .language import say
from .output import Problem, Terminal, answer, echo, note


def command(terminal: Terminal) -> click.Command:
    """
    Return the command.
    """

    def serve(**options: Any) -> int:
        def on_ready(ready: dict[str, str]) -> None:
            if terminal.as_json:
                answer({"ok": True, **ready})
                return
            for name, value in ready.items():
                if name == "console_url":
                    name, value = "console", f"{value} {say('(open it in a browser)')}"
                echo(value, head=f"{name}: ")

        def on_notice(text: str, *values: object) -> None:
            note(f"wxlogistics sandbox: {say(text).format(*values)}")

        try:
            return run(on_ready=on_ready, on_notice=on_notice, **options)
        except (OSError, ValueError) as error:
            raise Problem("{reason}", reason=translated(reason(error))) from None

    examples = ["wxlogistics sandbox", "wxlogistics sandbox --port 0 --seed demo"]
    params = map(_option, OPTIONS)
    return Command(terminal, "sandbox", serve, params, examples=examples, calls=False)


def translated(text: str) -> str:
    """
    Return a message of `PROBLEMS` in the chosen language.
    """
    for known in PROBLEMS:
        pattern = re.escape(known).replace(r"\{\}", "(.*)")
        found = re.fullmatch(pattern, text, re.DOTALL)
        if found:
            return say(known).format(*map(translated, found.groups()))
    return text


def _option(described: Option) -> click.Option:
    def parse(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return described.parse(value) if isinstance(value, str) else value
        except argparse.ArgumentTypeError as error:
            raise click.BadParameter(translated(str(error)), ctx, param) from None

    kind: Any = click.Path() if described.metavar == "FILE" else str
    settings = {"metavar": described.metavar, "callback": parse, "type": kind}
    settings = settings if described.metavar else {"is_flag": True}
    default = {"multiple": True} if described.many else {"default": described.default}
    return option(described.flag, described.help, **settings, **default)
