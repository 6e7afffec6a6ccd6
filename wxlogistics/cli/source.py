"""Where the rows of a bulk run come from: a file, a pipe, or stdin."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import sys
import threading
from pathlib import Path
from typing import IO, Iterator

from .headings import Columns
from .output import stdin, unusable
from .rows import WORKBOOKS, Record, likely_encoding, records, with_headings, workbook

_FORMS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def is_stream(name: str) -> bool:
    """
    Return whether *name* is stdin, a pipe or a device.
    """
    path = Path(name)
    return name == "-" or (path.exists() and not path.is_file() and not path.is_dir())


def read(
    name: str,
    columns: Columns,
    form: str | None,
    encoding: str | None,
    ended: threading.Event,
) -> Iterator[Record]:
    """
    Yield what is in a file, a pipe, or stdin.

    Args:
        name: The file's or the pipe's name; - is stdin.

        form: csv, tsv or jsonl; None: by the name and the content.

        encoding: utf-8 or gbk; None: by the content.

        ended: Reading a pipe stops once this is set.

    Raises:
        Problem: It cannot be read.
    """
    is_stdin = name == "-"
    form = form or _FORMS.get(Path(name).suffix.lower())
    try:
        with contextlib.nullcontext(stdin()) if is_stdin else _opened(name) as file:
            lines = _lines(file, ended)
            if not is_stream(name):
                data = file.read()
                if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    data, encoding = data.decode("utf-16", "replace").encode(), "utf-8"
                whole = data.splitlines(keepends=True)
                encoding = encoding or likely_encoding(whole)
                lines = iter(whole)
            first = next(lines, b"")
            lines = itertools.chain([first], lines)
            # Shops also call a table of text NAME.xls.
            is_book = not form and name.lower().endswith((".xlsx", ".xlsm"))
            if first.startswith(WORKBOOKS) or is_book:
                yield from with_headings(workbook(b"".join(lines)), columns)
            else:
                yield from records(lines, form, encoding, columns)
    except OSError as error:
        raise unusable("stdin" if is_stdin else name, error.errno) from None


def _opened(name: str) -> IO[bytes]:
    """
    Open a file, or a pipe that has no writer yet.
    """
    # Or Linux waits for one, whatever signal comes.
    flag = os.O_NONBLOCK if sys.platform == "linux" else 0
    return open(name, "rb", opener=lambda path, flags: os.open(path, flags | flag))


def _lines(stream: IO[bytes], ended: threading.Event) -> Iterator[bytes]:
    """
    Yield the lines of a stream until it or the run ends, also while it is idle.
    """
    try:
        file = stream.fileno()
    except OSError:
        file = -1
    # On Windows select takes sockets alone.
    if file < 0 or sys.platform == "win32":
        yield from stream
        return
    rest = b""
    while not ended.is_set():
        if not select.select([file], [], [], 0.1)[0]:
            continue
        data = os.read(file, 65536)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if not data:
            if rest:
                yield rest
            return
