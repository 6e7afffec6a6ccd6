"""Where the rows of a bulk run come from: a file, a pipe, or stdin."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import stat
import sys
import threading
from pathlib import Path
from typing import IO, Iterator

from .headings import Columns
from .output import stdin, unusable
from .rows import WORKBOOKS, Record, likely_encoding, records, with_headings, workbook

_FORMS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Source:
    """
    The input: a file, a pipe, or stdin.

    Args:
        name: The file's or the pipe's name; - is stdin.

        columns: What its rows have.

        form: csv, tsv or jsonl; None: as the name and the content tell.

        encoding: utf-8 or gbk; None: as the content tells.

        ended: Reading a pipe stops once this is set.
    """

    def __init__(
        self,
        name: str,
        columns: Columns,
        form: str | None,
        encoding: str | None,
        ended: threading.Event,
    ) -> None:
        self._name = name
        # A stream has no path beside which an output could be.
        self.path = None if name == "-" or _is_stream(name) else Path(name)
        self._columns = columns
        self._form = form or _FORMS.get(Path(name).suffix.lower())
        self._encoding = encoding
        self._ended = ended

    def records(self) -> Iterator[Record]:
        """
        Yield what is in it.

        Raises:
            Problem: It cannot be read.
        """
        if self.path is None:
            with self._open() as stream:
                lines = _lines(stream, self._ended)
                first = next(lines, b"")
                if first.startswith(WORKBOOKS):
                    cells = workbook(first + b"".join(lines))
                    yield from with_headings(cells, self._columns)
                    return
                lines = itertools.chain([first], lines)
                yield from records(lines, self._form, self._encoding, self._columns)
            return
        with self._open() as file:
            data = file.read()
        if data.startswith(WORKBOOKS):
            yield from with_headings(workbook(data), self._columns)
            return
        encoding = self._encoding
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data, encoding = data.decode("utf-16", "replace").encode(), "utf-8"
        # Only an old Mac's file has no line feed.
        whole = data if b"\n" in data else data.replace(b"\r", b"\n")
        found = whole.splitlines(keepends=True)
        encoding = encoding or likely_encoding(found)
        yield from records(iter(found), self._form, encoding, self._columns)

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self._name == "-":
            yield stdin()
            return
        try:
            with open(self._name, "rb") as file:
                yield file
        except OSError as error:
            raise unusable(self._name, error.errno) from None


def _is_stream(name: str) -> bool:
    """
    Return whether *name* is a pipe or a device.
    """
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _lines(stream: IO[bytes], ended: threading.Event) -> Iterator[bytes]:
    """
    Yield the lines of a stream until it or the run ends, also while it is idle.
    """
    try:
        file = stream.fileno()
    except OSError:
        yield from stream
        return
    if sys.platform == "win32":  # pragma: no cover - select takes sockets alone
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
