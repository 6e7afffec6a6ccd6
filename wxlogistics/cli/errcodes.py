"""`wxlogistics errors`: what WeChat's errcodes mean and what to do."""

from __future__ import annotations

from typing import Iterable

import click

from ..errors import ERRCODES, ApiError, api_error
from .command import Command, Number
from .messages import Say
from .terminal import GOOD, Terminal


def command(terminal: Terminal) -> click.Command:
    """
    Return the command.
    """
    say = terminal.say

    def run(code: int | None) -> int:
        rows = [*_rows(list(ERRCODES) if code is None else [code], say)]
        if terminal.as_json:
            keys = ("errcode", "error", "meaning", "advice")
            errors = [dict(zip(keys, row)) for row in rows]
            terminal.answer({"ok": True, "errors": errors})
            return GOOD
        from .views import show_errcodes

        show_errcodes(terminal, [[str(row[0]), *row[1:]] for row in rows])
        return GOOD

    made = Command(
        terminal,
        "errors",
        run,
        [click.Argument(["code"], required=False, metavar="[CODE]", type=Number(say))],
        examples=["wxlogistics errors", "wxlogistics errors 9300507"],
        calls=False,
    )
    # Or -1 would be taken for an option.
    made.ignore_unknown_options = True
    return made


def _rows(codes: Iterable[int], say: Say) -> Iterable[tuple[int, str, str, str]]:
    for code in codes:
        meaning = say.meaning(code) or say("errors.unknown")
        yield _row(api_error("", code, ""), meaning, say)
        # One errcode, two meanings.
        if code == 45009:
            yield _row(api_error("", code, "second"), say("errors.pace"), say)


def _row(error: ApiError, meaning: str, say: Say) -> tuple[int, str, str, str]:
    return error.errcode, type(error).__name__, meaning, say.advice(error)
