"""What the command line prints: text that fits a terminal, errors, and JSON."""

from __future__ import annotations

import codecs
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

import attrs
import click

from .. import errors
from .._private import known_masked, masked
from ..client import Client
from ..errcodes import SLOW_DOWN, UNKNOWN, WORDS
from ..models import GoodsDetail, Trace, WaybillStatus
from .language import is_chinese, labelled, listed, say

#: The exit codes.
GOOD, REFUSED, WRONG_USE, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130

#: WeChat's time, in which its days begin.
CHINA_TIME = datetime.timezone(datetime.timedelta(hours=8))

Rows = list[tuple[str, str]]


class Problem(click.ClickException):
    """
    Something that the user can fix.

    Args:
        text: The message, which is translated when it is shown.

        fields: What stands in it.
    """

    def __init__(self, text: str, **fields: object) -> None:
        super().__init__(text)
        self.fields = fields
        self.ctx: click.Context | None = None

    def format_message(self) -> str:
        """
        Return the message in the chosen language.
        """
        return say(self.message, **self.fields)


class Terminal:
    """
    How the command was called.

    Attributes:
        as_json: Whether a program reads stdout.

        base_urls: The values of --base-url.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.base_urls: tuple[str, ...] = ()

    def client(self) -> Client:
        """
        Return the client that the environment and --base-url describe.
        """
        options: Any = {"base_url": self.base_urls} if self.base_urls else {}
        return Client.from_env(**options)

    def fail(self, error: Exception, command: str = "wxlogistics") -> int:
        """
        Print an error to stderr, with --json to stdout as well; return the exit code.
        """
        code, title, rows = explain(error, command)
        self.answer_failed(error_fields(error, title, rows))
        complain(title, rows)
        return code

    def answer_failed(self, error: dict[str, Any]) -> None:
        """
        Print an error as JSON if a program reads; a stdout that is full is ignored.
        """
        if self.as_json:
            try:
                answer({"ok": False, "error": error})
            except OSError:
                silence(sys.stdout)


# Printing


def echo(text: str = "", *, head: str = "", err: bool = False) -> None:
    """
    Print *text*, folded behind *head*, or else behind its indent and its sign;
    NO_COLOR and FORCE_COLOR override what the stream is.
    """
    if not head:
        head = _HEAD.findall(text)[0]
        text = text[len(head) :]
    columns = width(sys.stderr if err else sys.stdout) - cells(head)
    text = f"\n{' ' * cells(head)}".join(fold(text, max(columns, 12)))
    color: bool | None = bool(os.environ.get("FORCE_COLOR")) or None
    color = False if os.environ.get("NO_COLOR") else color
    click.echo((head + text).rstrip(" "), err=err, color=color)


def note(text: str) -> None:
    """
    Print a line to stderr; a stderr that is closed or full ends no work.
    """
    try:
        echo(text, err=True)
    except OSError:
        silence(sys.stderr)


def answer(fields: dict[str, Any]) -> None:
    """
    Print the one JSON object of a command.
    """
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    is_utf8 = encoding.replace("-", "") == "utf8"
    text = json.dumps(fields, ensure_ascii=not is_utf8, indent=2)
    # C1 controls act on a terminal, and lone surrogates cannot be encoded.
    pattern = "[\x7f-\x9f\ud800-\udfff]"
    click.echo(re.sub(pattern, lambda found: f"\\u{ord(found[0]):04x}", text))


def silence(stream: IO[str]) -> None:
    """
    Send the rest of what is written to *stream* nowhere, also when Python exits.
    """
    with open(os.devnull, "wb") as nowhere:
        # A stream that is not a file has nothing left to write.
        with contextlib.suppress(io.UnsupportedOperation):
            os.dup2(nowhere.fileno(), stream.fileno())


#: Characters that some encodings lack, and what stands for them.
_STAND_INS = {"✓": "√+", "✗": "×x", "●": "*", "│": "|", "█": "#", "→": ">", "–": "-"}


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """
    Return what a stream prints for a character that its encoding lacks.
    """
    assert isinstance(error, UnicodeEncodeError)
    for char in _STAND_INS.get(error.object[error.start], ""):
        with contextlib.suppress(UnicodeEncodeError):
            char.encode(error.encoding)
            return char, error.start + 1
    return "?", error.start + 1


codecs.register_error("wxlogistics", _stand_in)


def done(text: str) -> None:
    """
    Print that something succeeded.
    """
    echo(click.style("✓ ", fg="green", bold=True) + text)


def complain(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """
    Print an error to stderr: a title, and labelled rows below it.
    """
    title = "\n".join(map(clean, title.split("\n")))
    note(click.style("✗ ", fg="red", bold=True) + click.style(title, bold=True))
    for line in table([(label, value) for label, value in rows if value]):
        note(clean(line))


def table(rows: Rows, widest: int = 40) -> Iterable[str]:
    """
    Yield the lines of two columns; a long label gets a line of its own.
    """
    longest = max((cells(label) for label, _ in rows), default=0)
    left = min(longest, widest, width() // 2)
    blank = " " * (left + 4 if left else 2)
    for label, value in rows:
        head = "  " + pad(label, left) + "  " if left else blank
        if cells(label) > left:
            yield f"  {label}"
            head = blank
        for line in fold(value, max(width() - len(blank), 12)):
            yield f"{head}{line}".rstrip()
            head = blank


def stdin() -> IO[bytes]:
    """
    Return the bytes of stdin.

    Raises:
        Problem: It is closed.
    """
    if sys.stdin is None:
        raise unusable("stdin", errno.EBADF)
    return sys.stdin.buffer


def unusable(path: object, number: int | None) -> Problem:
    """
    Return the system's problem with *path*, by its errno.
    """
    reason = say(os.strerror(number or errno.EIO))
    return Problem("{path}: {reason}", path=path, reason=reason)


# Errors


def explain(error: Exception, command: str = "wxlogistics") -> tuple[int, str, Rows]:
    """
    Return the exit code, the line with the outcome, and rows with the rest.

    A secret of the environment is in none of them, wherever it was put.
    """
    code, title, rows = _explained(error, command)
    # A file's name may look like a secret.
    hide = masked if isinstance(error, errors.WxLogisticsError) else known_masked
    return code, hide(title), [(label, hide(text)) for label, text in rows]


def _explained(error: Exception, command: str) -> tuple[int, str, Rows]:
    endpoint = getattr(error, "endpoint", "")
    if isinstance(error, errors.ApiError):
        kind = f"{error.errcode} {type(error).__name__}"
        text = clean(_TAIL.sub("", _TAIL.sub("", error.errmsg))).strip()
        detail = clean(error.detail or "")
        rows = [
            ("errcode", f"{kind} {meaning(error.errcode)}".strip()),
            (say("detail"), detail if detail != meaning(error.errcode) else ""),
            ("rid", error.rid or ""),
            (say("advice"), advice(error)),
        ]
        text = text or say("no errmsg")
        return REFUSED, say("[refused]", endpoint=endpoint, text=text), rows
    if isinstance(error, errors.TransportError):
        title = say("[no answer]", endpoint=endpoint, text=clean(error.reason))
        return NO_ANSWER, title, [(say("advice"), _next_step(error))]
    if isinstance(error, errors.UnexpectedResponseError):
        text = f"{clean(error.reason)} (HTTP {error.status})"
        title = say("[unexpected answer]", endpoint=endpoint, text=text)
        body = (say("body"), clean(error.excerpt))
        return NO_ANSWER, title, [body, (say("advice"), say("[not WeChat]"))]
    if isinstance(error, errors.InvalidArgumentError):
        if error.field.startswith("WXLOGISTICS_"):
            rows = [("", say("'wxlogistics doctor' checks the setup."))]
            return WRONG_USE, say("[variable not set]", name=error.field), rows
        return WRONG_USE, argument_problem(error), []
    assert isinstance(error, click.ClickException)
    title = error.format_message().rstrip(".。")
    if is_chinese() and not isinstance(error, Problem):
        title = re.sub(" ?'([^']*)' ?", r"「\1」", title).replace("」,「", "」、「")
        title = title.replace(" （", "（")
    text = say("Try '{command} {option}' for help.", command=command, option="--help")
    return WRONG_USE, title, [("", text)]


def argument_problem(error: errors.InvalidArgumentError) -> str:
    """
    Return what is wrong with an argument that the client refused.
    """
    return labelled(error.field, clean(say(error.problem)))


def _next_step(error: errors.TransportError) -> str:
    if not error.maybe_applied:
        return say("[not sent]")
    if error.endpoint.startswith("update_"):
        return say("[perhaps updated]")
    registers = error.endpoint in ("trace_waybill", "follow_waybill")
    return say("[perhaps registered]") if registers else say("Try again.")


def meaning(errcode: int) -> str:
    """
    Return what an errcode means; empty if the table does not have it.
    """
    words = WORDS.get(errcode, UNKNOWN)
    return words.meaning_zh if is_chinese() else words.meaning


def advice(error: errors.ApiError) -> str:
    """
    Return what to do about a refusal, with the caller's address if WeChat named it.
    """
    words = WORDS.get(error.errcode, UNKNOWN)
    texts = (words.advice, words.advice_zh)
    if error.errcode == 45009 and isinstance(error, errors.RateLimitError):
        texts = SLOW_DOWN
    text = texts[is_chinese()]
    if isinstance(error, errors.IpNotAllowedError):
        address = error.ip or say("this machine's address")
        text = text.replace("the address in .ip", address)
        text = text.replace("该地址", f" {address} " if error.ip else address)
    return text


def status_words(status: WaybillStatus) -> str:
    """
    Return a parcel's status: the document's words, or their English name.
    """
    return status.label if is_chinese() else status.name.lower().replace("_", " ")


def error_fields(error: Exception, title: str, rows: Rows) -> dict[str, Any]:
    """
    Return *error* as JSON: the same keys for every kind.
    """
    kind = type(error).__name__ if isinstance(error, errors.WxLogisticsError) else "Use"
    names = ("errcode", "errmsg", "rid", "endpoint", "field", "ip")
    found = {name: getattr(error, name, None) for name in names}
    found["errmsg"] = found["errmsg"] and masked(found["errmsg"])
    return {
        "type": kind,
        "message": title,
        **found,
        "retryable": getattr(error, "retryable", False),
        "maybe_applied": getattr(error, "maybe_applied", False),
        "advice": rows[-1][1] if rows else None,
    }


_TAIL = re.compile(
    r"\s*(\b(rid: *[0-9A-Za-z-]+|hints?: *\[[^\]]*\])|detail: *\[.*)\s*$"
)


# Values


def _plain(value: object, **names: str) -> dict[str, Any]:
    """
    Return attributes of *value* by other names.
    """
    return {key: getattr(value, name, None) for key, name in names.items()}


def trace_fields(trace: Trace) -> dict[str, Any]:
    """
    Return *trace* as flat JSON: the same keys for every answer.
    """
    carrier = {"delivery_id": "delivery_id", "delivery_name": "delivery_name"}
    action = {"time": "action_time", "type": "action_type", "message": "action_msg"}
    return {
        "status": int(trace.status),
        "status_name": trace.status.name,
        "label": trace.status.label,
        "final": trace.status.is_final,
        "waybill_id": trace.waybill_id,
        **_plain(trace.delivery_info, **carrier),
        "path": [_plain(each, **action) for each in trace.waybill_info.path],
        "goods": [*map(attrs.asdict, trace.goods)],
    }


def goods_names(goods: Iterable[GoodsDetail]) -> str:
    """
    Return the names of *goods* as a list within a sentence.
    """
    return listed([clean(detail.goods_name or say("no name")) for detail in goods])


def clean(text: str) -> str:
    """
    Return *text* without characters that act on a terminal.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def when(seconds: int | None) -> str:
    """
    Return a Unix time as China's local time; empty for None, 0, or what is not one.
    """
    with contextlib.suppress(OverflowError, ValueError, OSError):
        if seconds:
            moment = datetime.datetime.fromtimestamp(seconds, CHINA_TIME)
            return f"{moment:%Y-%m-%d %H:%M}"
    return ""


# Columns

# What may not begin a line, and what may not end one.
_CLOSING = "，。、：；？！）」】》”’…,.;:!?)"
_OPENING = "（「【《“‘"
_STYLE = r"\x1b\[[\d;]*m"
_WORD = rf"(?:{_STYLE}|[!-\u2012\u2014-\u2017\u2027-\u2e7f])+"
_PIECES = re.compile(rf"\n| +|[{_OPENING}]*(?:{_WORD}|.)[{_CLOSING}]*")

# The indent of a line, and its sign.
_HEAD = re.compile(rf"(?:{_STYLE}| )*(?:[✓✗●│!] +(?:{_STYLE})*)?")


def width(stream: IO[str] | None = None) -> int:
    """
    Return the columns that a line may take.

    Args:
        stream: Where lines stay whole, as grep wants them, unless it is a terminal.
    """
    if stream and not (stream.isatty() or os.environ.get("COLUMNS")):
        return 10_000
    return min(shutil.get_terminal_size().columns, 100)


def cells(text: str) -> int:
    """
    Return how many columns *text* takes.
    """
    text = click.unstyle(text)
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, columns: int) -> str:
    """
    Return *text* padded to so many columns.
    """
    return text + " " * (columns - cells(text))


def fold(text: str, columns: int) -> list[str]:
    """
    Return *text* as lines of at most so many columns, broken as its language is.
    """
    lines = [""]
    # A mark stays with what it opens or closes.
    for piece in _PIECES.findall(text.rstrip(" ")):
        if piece == "\n":
            lines.append("")
        elif not lines[-1] or cells(lines[-1]) + cells(piece) <= columns:
            lines[-1] += piece if lines[-1] else piece.lstrip()
        else:
            lines[-1] = lines[-1].rstrip()
            lines.append(piece.lstrip())
    return [line.rstrip() for line in lines]
