"""The output of a bulk run: one line per row, from which another run can resume.

The output is JSON Lines or CSV. Each line is appended with one write(2) as soon as its
result is there: that survives kill -9. A row without a line was not finished and is
sent again, which is harmless: WeChat answers a second registration with a token.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import stat
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

from .output import Problem, clean, unusable, when

#: What can come of a row that is written.
OK, REFUSED, INVALID = "ok", "refused", "invalid"

_IS_WINDOWS = sys.platform == "win32"

#: Seconds between two fsyncs.
_SYNC_EVERY = 1.0

_CSV = (
    "row id outcome waybill_id waybill_token status status_name label final "
    "delivery_id delivery_name time message goods errcode error rid reason line digest"
).split()


class Tally(NamedTuple):
    """
    What rows are counted by.

    Attributes:
        outcome: ok, refused or invalid.

        key: The status or the errcode.
    """

    outcome: str
    key: str = ""


class Ledger:
    """
    An output file, locked for this process.

    Args:
        path: The file, which may exist from an earlier run.

    Raises:
        Problem: The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._as_csv = path.suffix.lower() == ".csv"
        self._head = ",".join(_CSV) + "\r\n" if self._as_csv else ""
        self._lock = threading.Lock()
        self._synced_at = time.monotonic()
        #: Row -> what came of it, and the digest of its input.
        self.rows: dict[int, tuple[Tally, str]] = {}
        self._created = not os.path.exists(path)
        self._file = _open(path)
        self._is_broken = False
        try:
            _lock(self._file, path)
            self._size = self._load()
            if self._as_csv and not self._size:
                self._append(self._head.encode("utf-8-sig"))
        except BaseException as error:
            os.close(self._file)
            if isinstance(error, OSError):
                raise unusable(path, error.errno) from None
            raise

    def counts(self) -> Counter[Tally]:
        """
        Return how many rows there are of each kind.
        """
        return Counter(tally for tally, _ in self.rows.values())

    # Writing

    def write(self, lines: Sequence[Mapping[str, Any]]) -> list[Tally]:
        """
        Append *lines*, the results of one call, together.

        Raises:
            Problem: The file is not what it was after the last write.

            OSError: The disk is full, for example.
        """
        text = "".join(map(self._written, lines))
        tallies = [*map(tally_of, lines)]
        with self._lock:
            self._append(text.encode("utf-8", "replace"))
            for line, tally in zip(lines, tallies):
                self.rows[line["row"]] = tally, line["digest"]
            if time.monotonic() - self._synced_at >= _SYNC_EVERY:
                self._synced_at = time.monotonic()
                os.fsync(self._file)
        return tallies

    def check(self) -> None:
        """
        Check that the file is as it was after the last write.

        Raises:
            Problem: It was removed, renamed or truncated meanwhile.
        """
        ours = os.fstat(self._file)
        try:
            is_there = os.path.samestat(ours, os.stat(self.path))
        except OSError:
            is_there = False
        if not is_there or ours.st_size != self._size:
            self._is_broken = True
            raise Problem("[output changed]", path=self.path)

    def close(self) -> None:
        """
        Release the file; one that this run created and wrote no row to is removed.
        """
        is_unused = self._created and not self.rows and not self._is_broken
        try:
            if not self._is_broken:
                self.check()
                os.fsync(self._file)
            if is_unused and not _IS_WINDOWS:
                self.path.unlink()
        finally:
            os.close(self._file)
        # Nothing that is open can be removed there.
        if is_unused and _IS_WINDOWS:
            self.path.unlink()

    def _append(self, data: bytes) -> None:
        """
        Append *data* whole, or not at all.
        """
        self.check()
        try:
            written = os.write(self._file, data)
            # A disk that is full takes a part, and fails at the next write.
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            self._is_broken = True
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _written(self, line: Mapping[str, Any]) -> str:
        if not self._as_csv:
            return json.dumps(line, ensure_ascii=False) + "\n"
        error, path = line.get("error") or {}, line.get("path") or [{}]
        goods = " | ".join(str(each["goods_name"]) for each in line.get("goods") or ())
        news = {"time": when(path[0].get("time")), "message": path[0].get("message")}
        more = {"error": error.get("type"), "reason": error.get("message")}
        fields = {**line, **error, **news, **more, "goods": goods}
        found = io.StringIO()
        csv.writer(found).writerow(_cell(fields.get(name)) for name in _CSV)
        return found.getvalue()

    # Reading

    def _load(self) -> int:
        """
        Read the file, cut off a last line that was torn, and return its size.
        """
        size = 0
        start = self._head.encode("utf-8-sig") if self._as_csv else b'{"row": '
        with open(self.path, "rb") as file:
            try:
                for raw in file:
                    # What does not begin as a line of ours is never cut off.
                    if not size and not start.startswith(raw[: len(start)]):
                        raise ValueError
                    if not raw.endswith(b"\n"):
                        os.ftruncate(self._file, size)
                        break
                    if size or not self._as_csv:
                        self._read(raw.decode())
                    size += len(raw)
            except (ValueError, TypeError, LookupError, RecursionError, csv.Error):
                raise Problem("[foreign output]", path=self.path) from None
        return size

    def _read(self, text: str) -> None:
        if self._as_csv:
            (cells,) = csv.reader([text], strict=True)
            line: dict[str, Any] = dict(zip(_CSV, cells, strict=True))
            line["row"] = int(line["row"][:12])
            line["error"] = {"errcode": line["errcode"]}
        else:
            line = json.loads(text)
        row, digest = line["row"], line["digest"]
        if type(row) is not int or row < 1 or type(digest) is not str:
            raise ValueError
        self.rows[row] = tally_of(line), digest


def _cell(value: object) -> str:
    """
    Return one line of text that a spreadsheet shows as it is, not as a formula.
    """
    text = "" if value is None else clean(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def tally_of(line: Mapping[str, Any]) -> Tally:
    """
    Return what a line of the output is counted by.

    Raises:
        ValueError, TypeError, LookupError: It is not of this command.
    """
    outcome = line["outcome"]
    if outcome == REFUSED:
        return Tally(REFUSED, str(line["error"]["errcode"]))
    if outcome not in (OK, INVALID):
        raise ValueError
    return Tally(outcome, str(line.get("status_name") or ""))


def _open(path: Path) -> int:
    """
    Open *path* for appending.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(path, flags, 0o666)
    except OSError as error:
        raise unusable(path, error.errno) from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise Problem("{path} is not a regular file", path=path)
    return file


def _lock(file: int, path: Path) -> None:
    """
    Keep other processes off *file* until this one ends, however it ends.
    """
    try:
        if _IS_WINDOWS:
            msvcrt: Any = importlib.import_module("msvcrt")
            # Beyond what is written, since Windows locks reading too, but no further
            # than its 32-bit offsets reach.
            os.lseek(file, (1 << 31) - 2, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl: Any = importlib.import_module("fcntl")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise Problem("another run is writing {path}", path=path) from None
    except OSError as error:
        raise unusable(path, error.errno) from None
