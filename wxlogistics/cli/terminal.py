"""What a command is given: a language, a way to answer, and how to say what failed."""

from __future__ import annotations

import contextlib
import datetime
import errno
import io
import json
import os
import re
import shutil
import sys
import unicodedata
from typing import IO, Any, Iterable

import click

from ..client import Client
from ..errors import (
    ApiError,
    InvalidArgumentError,
    TransportError,
    UnexpectedResponseError,
    WxLogisticsError,
)
from ..models import GoodsDetail, Trace
from .messages import Problem, Say

#: The exit codes.
GOOD, REFUSED, WRONG_USE, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130

#: The endpoints that register a waybill.
REGISTERS = ("trace_waybill", "follow_waybill")

#: WeChat's time, in which its days begin.
CHINA_TIME = datetime.timezone(datetime.timedelta(hours=8))

# What may not end a line, and what may not begin one.
_OPENING = "\uff08\u300c"
_CLOSING = "\uff0c\u3002\u3001\uff1a\uff1b\uff1f\uff01\uff09\u300d"


class Terminal:
    """
    The person or the program that a command answers.

    Attributes:
        say: Speaks their language.

        as_json: Whether a program reads what goes to stdout.

        base_urls: What --base-url gave.

        command: The command that was called.
    """

    def __init__(self, say: Say, as_json: bool) -> None:
        self.say = say
        self.as_json = as_json
        self.base_urls: tuple[str, ...] = ()
        self.command = "wxlogistics"

    def client(self) -> Client:
        """
        Return the client that the environment and --base-url describe.
        """
        if self.base_urls:
            return Client.from_env(base_url=self.base_urls)
        return Client.from_env()

    def done(self, text: str) -> None:
        """
        Tell a person that something is done.
        """
        click.echo(click.style("✓ ", fg="green", bold=True) + text)

    def answer(self, fields: dict[str, Any]) -> None:
        """
        Print the one object to stdout for a program.
        """
        encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
        is_utf8 = encoding.replace("-", "") == "utf8"
        click.echo(json.dumps(fields, ensure_ascii=not is_utf8, indent=2))

    def fail(self, error: Exception) -> int:
        """
        Say what failed on stderr, and to a program on stdout too; return the exit code.
        """
        code, title, rows = explain(error, self.say, self.command)
        self.answer_failed(error_fields(error, title, rows))
        complain(title, rows)
        return code

    def answer_failed(self, error: dict[str, Any]) -> None:
        """
        Tell a program what failed; that this fails, too, changes nothing.
        """
        if self.as_json:
            try:
                self.answer({"ok": False, "error": error})
            except OSError:
                silence(sys.stdout)


def stdin() -> IO[bytes]:
    """
    Return stdin's bytes.

    Raises:
        Problem: It is closed.
    """
    if sys.stdin is None:
        raise unusable("stdin", errno.EBADF)
    return sys.stdin.buffer


def unusable(path: object, number: int | None) -> Problem:
    """
    Return the problem that the system has with *path*, by its errno.
    """
    return Problem("use.file", path=path, reason=os.strerror(number or errno.EIO))


def note(text: str) -> None:
    """
    Print a line to stderr; that nobody is there to read it ends no work.
    """
    try:
        click.echo(text, err=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: IO[str]) -> None:
    """
    Let what is still to be written to *stream* go nowhere, also at Python's end.
    """
    with open(os.devnull, "wb") as nowhere:
        # Where it is no file, nothing is left to be written.
        with contextlib.suppress(io.UnsupportedOperation):
            os.dup2(nowhere.fileno(), stream.fileno())


def complain(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """
    Print an error to stderr: a line, and labelled rows below it.
    """
    rows = [(label, value) for label, value in rows if value]
    width = min(shutil.get_terminal_size().columns, 100)
    sign = click.style("✗ ", fg="red", bold=True)
    first, *others = fold(title, width - 2)
    note(sign + click.style(first, bold=True))
    for line in others:
        note("  " + click.style(line, bold=True))
    widest = max((cells(label) for label, _ in rows), default=0)
    for label, value in rows:
        indent = " " * (widest + 4) if label else "  "
        head = "  " + pad(label, widest) + "  " if label else "  "
        for line in fold(value, max(width - cells(indent), 20)):
            note(click.style(head, dim=True) + line)
            head = indent


def explain(
    error: Exception, say: Say, command: str = "wxlogistics"
) -> tuple[int, str, list[tuple[str, str]]]:
    """
    Return the exit code, the line that says what happened, and rows with the rest.
    """
    if isinstance(error, ApiError):
        kind = f"{error.errcode} {type(error).__name__}"
        text = plain_errmsg(error) or say("error.no_errmsg")
        meaning = say.meaning(error.errcode)
        detail = clean(error.detail or "")
        rows = [
            (say("error.errcode"), f"{kind} {meaning}".strip()),
            (say("error.detail"), detail if detail != meaning else ""),
            (say("error.rid"), error.rid or ""),
            (say("error.advice"), say.advice(error)),
        ]
        title = say("error.refused", endpoint=error.endpoint, text=text)
        return REFUSED, title, rows
    if isinstance(error, TransportError):
        title = say("error.no_answer", endpoint=error.endpoint, text=error.reason)
        return NO_ANSWER, title, [(say("error.advice"), _what_now(error, say))]
    if isinstance(error, UnexpectedResponseError):
        title = say(
            "error.unexpected",
            endpoint=error.endpoint,
            text=error.reason,
            status=error.status,
        )
        rows = [
            (say("error.body"), clean(error.excerpt)),
            (say("error.advice"), say("advice.unexpected")),
        ]
        return NO_ANSWER, title, rows
    if isinstance(error, InvalidArgumentError):
        if error.field.startswith("WXLOGISTICS_"):
            problem = say("use.environment", name=error.field)
            rows = [("", say("use.try_doctor"))]
            return WRONG_USE, say("wrong_use", problem=problem), rows
        return WRONG_USE, say("wrong_use", problem=argument_problem(error, say)), []
    assert isinstance(error, Problem)
    rows = [("", say("see_help", command=command))]
    return WRONG_USE, say("wrong_use", problem=say.problem(error)), rows


def argument_problem(error: InvalidArgumentError, say: Say) -> str:
    """
    Return what is wrong with an argument that the client refused.
    """
    problem = error.problem
    if problem == "is empty; give its value":
        problem = say("use.empty")
    return say("use.bad", name=error.field, problem=problem)


def _what_now(error: TransportError, say: Say) -> str:
    if not error.maybe_applied:
        return say("advice.not_sent")
    if error.endpoint.startswith("update_"):
        return say("advice.update")
    if error.endpoint in REGISTERS:
        return say("advice.register")
    return say("advice.query")


def error_fields(
    error: Exception, title: str, rows: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """
    Return *error* as JSON: the same keys for every kind.
    """
    return {
        "type": type(error).__name__ if isinstance(error, WxLogisticsError) else "Use",
        "message": title,
        "errcode": getattr(error, "errcode", None),
        "errmsg": getattr(error, "errmsg", None),
        "rid": getattr(error, "rid", None),
        "endpoint": getattr(error, "endpoint", None),
        "field": getattr(error, "field", None),
        "ip": getattr(error, "ip", None),
        "retryable": getattr(error, "retryable", False),
        "maybe_applied": getattr(error, "maybe_applied", False),
        "advice": next((value for _, value in reversed([*rows])), None),
    }


_TAIL = re.compile(r"\s*(\b(rid: *[0-9A-Za-z-]+|hint: *\[[^\]]*\])|detail: *\[.*)\s*$")


def plain_errmsg(error: ApiError) -> str:
    """
    Return WeChat's text without the detail and the rid, which are shown apart.
    """
    text = _TAIL.sub("", error.errmsg)
    return clean(_TAIL.sub("", text)).strip()


def trace_fields(trace: Trace) -> dict[str, Any]:
    """
    Return *trace* as flat JSON: the same keys for every answer.
    """
    status, carrier = trace.status, trace.delivery_info
    path = trace.waybill_info.path if trace.waybill_info else ()
    return {
        "status": None if status is None else int(status),
        "status_name": None if status is None else status.name,
        "label": None if status is None else status.label,
        "final": status is not None and status.is_final,
        "waybill_id": trace.waybill_id,
        "delivery_id": carrier.delivery_id if carrier else None,
        "delivery_name": carrier.delivery_name if carrier else None,
        "path": [
            {
                "time": action.action_time,
                "type": action.action_type,
                "message": action.action_msg,
            }
            for action in path
        ],
        "goods": [
            {
                "goods_name": detail.goods_name,
                "goods_img_url": detail.goods_img_url,
                "goods_desc": detail.goods_desc,
            }
            for detail in trace.goods
        ],
    }


def goods_names(goods: Iterable[GoodsDetail], say: Say) -> str:
    """
    Return the names of *goods* as a list in a sentence.
    """
    none = say("query.no_name")
    return say("comma").join(clean(detail.goods_name or none) for detail in goods)


def clean(text: str) -> str:
    """
    Return *text* of somebody else's, fit for a terminal: nothing in it can act.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def when(seconds: int | None) -> str:
    """
    Return a Unix time as it reads in China; empty where there is none.
    """
    if not seconds:
        return ""
    try:
        moment = datetime.datetime.fromtimestamp(seconds, CHINA_TIME)
    except (OverflowError, ValueError, OSError):
        return ""
    return f"{moment:%Y-%m-%d %H:%M}"


def cells(text: str) -> int:
    """
    Return how many columns *text* takes.
    """
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, width: int) -> str:
    """
    Return *text* with blanks behind it, *width* columns wide.
    """
    return text + " " * (width - cells(text))


def fold(text: str, width: int) -> list[str]:
    """
    Return *text* as lines of at most *width* columns, broken as its language is.
    """
    lines = [""]
    # Marks stay with what they open or close: none may begin or end a line alone.
    for piece in re.findall(
        rf"\n| +|[{_OPENING}]*(?:[!-\u2e7f]+|.)[{_CLOSING}]*", text
    ):
        if piece == "\n":
            lines.append("")
        elif not lines[-1] or cells(lines[-1]) + cells(piece) <= width:
            lines[-1] += piece if lines[-1] else piece.lstrip()
        else:
            lines[-1] = lines[-1].rstrip()
            lines.append(piece.lstrip())
    return [line.rstrip() for line in lines]
