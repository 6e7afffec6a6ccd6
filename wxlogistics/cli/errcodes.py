"""`wxlogistics errors`: what WeChat's errcodes mean and what to do."""

from __future__ import annotations

import click

from ..errcodes import WORDS
from ..errors import api_error
from . import output
from .command import Command
from .language import say


def command(terminal: output.Terminal) -> click.Command:
    """
    Return the command.
    """

    def run(code: int | None) -> int:
        rows = []
        for errcode in WORDS if code is None else [code]:
            text = output.meaning(errcode) or say("not in the table")
            found = [(api_error("", errcode, ""), text)]
            # One errcode, two meanings.
            if errcode == 45009:
                found.append((api_error("", errcode, "second"), say("[too fast]")))
            for error, text in found:
                rows.append((errcode, type(error).__name__, text, output.advice(error)))
        if terminal.as_json:
            keys = ("errcode", "error", "meaning", "advice")
            errors = [dict(zip(keys, row)) for row in rows]
            output.answer({"ok": True, "errors": errors})
        else:
            for row in rows:
                _show(*row)
        return output.GOOD

    params = [click.Argument(["code"], required=False, metavar="[CODE]", type=int)]
    lines = ["wxlogistics errors", "wxlogistics errors 9300507"]
    made = Command(terminal, "errors", run, params, examples=lines, calls=False)
    # Or -1 is taken for an option.
    made.ignore_unknown_options = True
    return made


def _show(errcode: int, error: str, text: str, advice: str) -> None:
    head = click.style(f"{errcode:<9}", fg="cyan", bold=True)
    title = click.style(f"{error}  {text}", bold=True)
    output.echo(f"{title}\n{advice}", head=head)
