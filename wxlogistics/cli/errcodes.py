"""`wxlogistics errors`: what WeChat's errcodes mean and what to do."""

from __future__ import annotations

import click

from ..errcodes import WORDS
from ..errors import ApiError, api_error
from .command import Command
from .language import say
from .output import GOOD, Terminal, advice, answer, echo, fold, meaning, width


def command(terminal: Terminal) -> click.Command:
    """
    Return the command.
    """

    def run(code: int | None) -> int:
        rows = []
        for errcode in WORDS if code is None else [code]:
            text = meaning(errcode) or say("not in the table")
            rows.append(_row(api_error("", errcode, ""), text))
            # One errcode, two meanings.
            if errcode == 45009:
                text = say("calls too fast, if the errmsg names a second or a minute")
                rows.append(_row(api_error("", errcode, "second"), text))
        if terminal.as_json:
            keys = ("errcode", "error", "meaning", "advice")
            errors = [dict(zip(keys, row)) for row in rows]
            answer({"ok": True, "errors": errors})
        else:
            for row in rows:
                _show(*row)
        return GOOD

    return Command(
        terminal,
        "errors",
        "Show what WeChat's errcodes mean and what to do.",
        run,
        [click.Argument(["code"], required=False, metavar="[CODE]", type=int)],
        examples=["wxlogistics errors", "wxlogistics errors 9300507"],
        calls=False,
        # Or -1 is taken for an option.
        context_settings={"ignore_unknown_options": True},
    )


def _row(error: ApiError, text: str) -> tuple[int, str, str, str]:
    return error.errcode, type(error).__name__, text, advice(error)


def _show(errcode: int, error: str, text: str, what_to_do: str) -> None:
    columns = max(width() - 9, 20)
    head = click.style(f"{errcode:<9}", fg="cyan", bold=True)
    first, *others = fold(f"{error}  {text}", columns)
    echo(head + click.style(first, bold=True))
    for line in [*others, *fold(what_to_do, columns)]:
        echo(" " * 9 + line)
