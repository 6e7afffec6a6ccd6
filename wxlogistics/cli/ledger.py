"""The output of a bulk run: what is done, so that another run can go on from there.

One line of JSON per row is appended to the output with one write(2), which is what
survives kill -9. Before a registration is sent, its row goes to a journal beside the
output: a row that stands there without a result may have been registered.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from .messages import Problem

#: What can come of a row.
OK, REFUSED, FAILED, MAYBE_APPLIED, INVALID = (
    "ok",
    "refused",
    "failed",
    "maybe_applied",
    "invalid",
)
OUTCOMES = (OK, REFUSED, FAILED, MAYBE_APPLIED, INVALID)

#: Seconds between two times that the files are forced to the disk.
_SYNC_EVERY = 1.0

# No input has more rows; a larger number is not of our making.
_MOST_ROWS = 50_000_000

# Every line of ours begins so.
_HEAD = b'{"row": '


class Tally(NamedTuple):
    """
    What rows are counted by.

    Attributes:
        outcome: One of `OUTCOMES`.

        key: The status, the errcode or the kind of error.
    """

    outcome: str
    key: str


class Ledger:
    """
    An output file, held by this process alone.

    Args:
        path: The file, which may exist from an earlier run.

        journaled: Whether a call must be announced before it is made.

    Raises:
        Problem: The file cannot be used.
    """

    def __init__(self, path: Path, *, journaled: bool) -> None:
        self.path = path
        self._journal_path = journal_path(path)
        self._lock = threading.Lock()
        self._broken = False
        self._synced_at = time.monotonic()
        # By row: the digest of its input, and what came of it as an index of _tallies.
        self._digests = array("Q")
        self._states = array("I")
        self._tallies: list[Tally | None] = [None]
        # row -> its digest, and the size of the output when its call was announced.
        self._announced: dict[int, tuple[int, int]] = {}
        self._file, is_new = _open(path)
        self._journal: int | None = None
        try:
            _hold(self._file, path)
            if journaled:
                self._journal, _ = _open(self._journal_path)
                self._load_journal()
                if is_new:
                    # It belongs to an output that is gone.
                    self._announced.clear()
                    os.ftruncate(self._journal, 0)
            self._load()
            # A power cut may have left the output shorter than its journal says.
            for row, (digest, _) in [*self._announced.items()]:
                self.announce(row, digest)
        except BaseException:
            self._close_files()
            raise

    # What is known of a row

    def tally(self, row: int) -> Tally | None:
        """
        Return what came of *row*, if anything did.
        """
        return self._tallies[self._states[row]] if row < len(self._states) else None

    def digest(self, row: int) -> int | None:
        """
        Return the digest of *row* as it was when it was done or announced.
        """
        if row in self._announced:
            return self._announced[row][0]
        return self._digests[row] if self.tally(row) else None

    def is_open(self, row: int) -> bool:
        """
        Whether *row* was announced by an earlier run that did not tell the end of it.
        """
        return row in self._announced

    @property
    def last_row(self) -> int:
        """
        The highest row of which something is known.
        """
        return max([len(self._states) - 1, *self._announced, 0])

    def counts(self) -> Counter[Tally]:
        """
        Return how many rows there are of each kind.
        """
        found: Counter[Tally] = Counter()
        for index, count in Counter(self._states).items():
            tally = self._tallies[index]
            if tally:
                found[tally] = count
        return found

    # What is written

    def announce(self, row: int, digest: int) -> None:
        """
        Tell that a call for *row* is about to be made.
        """
        if self._journal is None:
            return
        with self._lock:
            size = os.fstat(self._file).st_size
            self._announced[row] = digest, size
            self._append(self._journal, b"%d %d %d\n" % (row, digest, size))

    def take_back(self, row: int) -> None:
        """
        Tell that the call for *row* had no effect.
        """
        if self._journal is None:
            return
        with self._lock:
            del self._announced[row]
            self._append(self._journal, b"%d\n" % row)

    def write(self, row: int, digest: int, tally: Tally, rest: dict[str, Any]) -> None:
        """
        Append the result of *row*.
        """
        line = {"row": row, **rest, "digest": f"{digest:012x}"}
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._lock:
            self._append(self._file, data)
            self._note(row, digest, tally)
            self._announced.pop(row, None)

    def sync(self, *, at_once: bool = False) -> None:
        """
        Force what is written to the disk, where that was not done in the last second.
        """
        now = time.monotonic()
        if at_once or now - self._synced_at >= _SYNC_EVERY:
            self._synced_at = now
            for file in (self._journal, self._file):
                if file is not None:
                    os.fsync(file)

    def close(self) -> None:
        """
        Let go of the files; the journal goes when nothing in it is open.
        """
        if not self._broken:
            self.sync(at_once=True)
            if self._journal is not None and not self._announced:
                self._journal_path.unlink(missing_ok=True)
        self._close_files()

    def _close_files(self) -> None:
        for file in (self._journal, self._file):
            if file is not None:
                os.close(file)

    def _append(self, file: int, data: bytes) -> None:
        """
        Append *data* whole, or not at all.
        """
        if self._broken:
            raise OSError("an earlier write failed")
        size = os.fstat(file).st_size
        try:
            written = os.write(file, data)
            # A disk that is full takes a part, and says so at the next write.
            while written < len(data):
                written += os.write(file, data[written:])
        except OSError:
            self._broken = True
            os.ftruncate(file, size)
            raise

    # What is read

    def _note(self, row: int, digest: int, tally: Tally) -> None:
        missing = row + 1 - len(self._states)
        if missing > 0:
            self._states.frombytes(bytes(missing * self._states.itemsize))
            self._digests.frombytes(bytes(missing * self._digests.itemsize))
        if tally not in self._tallies:
            self._tallies.append(tally)
        self._states[row] = self._tallies.index(tally)
        self._digests[row] = digest

    def _load(self) -> None:
        for offset, line in _whole_lines(self._file, self.path, _is_torn):
            try:
                result = json.loads(line)
                row, digest = result["row"], int(result["digest"], 16)
                tally = tally_of(result)
                if type(row) is not int or not 0 < row <= _MOST_ROWS:
                    raise ValueError
            except (ValueError, TypeError, LookupError, RecursionError):
                raise Problem("out.foreign", path=self.path) from None
            self._note(row, digest, tally)
            if row in self._announced and offset >= self._announced[row][1]:
                del self._announced[row]

    def _load_journal(self) -> None:
        assert self._journal is not None
        for _, line in _whole_lines(
            self._journal, self._journal_path, _is_torn_journal
        ):
            try:
                row, *rest = map(int, line.split())
                if rest:
                    digest, size = rest
                    self._announced[row] = digest, size
                else:
                    self._announced.pop(row, None)
            except ValueError:
                raise Problem("out.foreign", path=self._journal_path) from None


def journal_path(path: Path) -> Path:
    """
    Return where the journal of the output *path* is.
    """
    return Path(f"{path}.journal")


def tally_of(line: dict[str, Any]) -> Tally:
    """
    Return what a line of the output is counted by.

    Raises:
        ValueError, TypeError, LookupError: It is not of our making.
    """
    outcome = line["outcome"]
    if outcome not in OUTCOMES:
        raise ValueError
    if outcome == OK:
        return Tally(OK, str(line.get("status_name") or ""))
    if outcome in (INVALID, MAYBE_APPLIED):
        return Tally(outcome, "")
    error = line["error"]
    return Tally(outcome, str(error["errcode"] or error["type"]))


def _open(path: Path) -> tuple[int, bool]:
    """
    Open *path* for appending, and return whether it is new.
    """
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
    is_new = not os.path.exists(path)
    try:
        file = os.open(path, flags | os.O_CREAT, 0o666)
    except OSError as error:
        raise Problem("use.file", path=path, reason=error.strerror) from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise Problem("out.no_file", path=path)
    return file, is_new


def _hold(file: int, path: Path) -> None:
    """
    Keep other processes off *file* until this one ends, however it ends.
    """
    try:
        if sys.platform == "win32":  # pragma: no cover
            import msvcrt

            # Behind all that is ever written, since Windows lets nobody read it.
            os.lseek(file, 1 << 40, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Problem("out.held", path=path) from None
    except OSError as error:
        raise Problem("use.file", path=path, reason=error.strerror) from None


def _is_torn(line: bytes) -> bool:
    """
    Whether *line* is the beginning of a line of the output.
    """
    return line.startswith(_HEAD) or _HEAD.startswith(line)


def _is_torn_journal(line: bytes) -> bool:
    """
    Whether *line* is the beginning of a line of the journal.
    """
    return not line.strip(b"0123456789 ")


def _whole_lines(
    file: int, path: Path, is_torn: Callable[[bytes], bool]
) -> Iterator[tuple[int, bytes]]:
    """
    Yield each line with its offset; cut off a last one that was torn.
    """
    offset = 0
    with open(path, "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                # Of somebody else's file nothing is cut off.
                if not is_torn(line):
                    raise Problem("out.foreign", path=path)
                os.ftruncate(file, offset)
                return
            yield offset, line
            offset += len(line)
