"""The output: what is kept, what is read again, and what is never harmed."""

import csv
import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wxlogistics.cli import ledger
from wxlogistics.cli.ledger import Ledger, Tally
from wxlogistics.cli.output import Problem

NAMES = ["out.jsonl", "out.csv"]


def line(row: int, outcome: str = "ok", **fields: Any) -> dict[str, Any]:
    start = {"row": row, "id": f"A{row}", "outcome": outcome}
    return {**start, **fields, "digest": f"d{row}"}


LINES = [
    line(1, waybill_id="SF1", waybill_token="-T" * 32),
    line(
        2,
        waybill_id="SF2",
        status=4,
        status_name="SIGNED",
        label="已签收",
        final=True,
        path=[{"time": 1795485600, "type": 1, "message": "=1+1\n换行"}],
        goods=[{"goods_name": "茶"}, {"goods_name": "杯"}],
    ),
    line(
        3,
        "refused",
        error={"type": "X", "errcode": 931023, "rid": "r", "message": "no, none"},
    ),
    line(
        4,
        "invalid",
        error={"type": "InvalidRow", "errcode": None, "message": '"bad"', "line": 5},
    ),
]

FOUND = {
    1: (Tally("ok"), "d1"),
    2: (Tally("ok", "SIGNED"), "d2"),
    3: (Tally("refused", "931023"), "d3"),
    4: (Tally("invalid"), "d4"),
}


def write(path: Path, *lines: dict[str, Any]) -> bytes:
    out = Ledger(path)
    out.write(lines)
    out.close()
    return path.read_bytes()


def rows_of(path: Path) -> dict[int, tuple[Tally, str]]:
    out = Ledger(path)
    out.close()
    return out.rows


@pytest.fixture(params=NAMES)
def path(request: Any, tmp_path: Path) -> Path:
    found: Path = tmp_path / request.param
    return found


class TestLedger:
    def test_load__what_was_written(self, path):
        """Another run reads what one has written."""
        first = write(path, *LINES[:2])
        whole = write(path, *LINES[2:])
        out = Ledger(path)
        out.close()

        assert whole.startswith(first)
        assert FOUND == out.rows
        assert {Tally("ok"): 1, Tally("ok", "SIGNED"): 1} == {
            tally: count
            for tally, count in out.counts().items()
            if tally.outcome == "ok"
        }
        assert whole == path.read_bytes()

    def test_write__csv(self, tmp_path):
        """CSV has a BOM, one line a row, and no formula."""
        path = tmp_path / "out.csv"
        text = write(path, *LINES).decode("utf-8-sig")
        rows = list(csv.DictReader(text.splitlines()))

        assert 5 == len(text.splitlines())
        assert "'" + "-T" * 32 == rows[0]["waybill_token"]
        assert ("2026-11-24 10:00", "'=1+1 换行", "茶 | 杯", "4", "True") == tuple(
            rows[1][name] for name in ("time", "message", "goods", "status", "final")
        )
        assert ("931023", "X", "r", "no, none", "") == tuple(
            rows[2][name] for name in ("errcode", "error", "rid", "reason", "line")
        )
        assert ('"bad"', "5", "d4") == tuple(
            rows[3][name] for name in ("reason", "line", "digest")
        )

    @pytest.mark.once
    def test_load__every_torn_end(self, path):
        """A last line that was torn, wherever, is cut off, and its row is not done."""
        data = write(path, *LINES[:2])
        last = data.rindex(b"\n", 0, -1) + 1
        for size in range(1, len(data)):
            path.write_bytes(data[:size])
            out = Ledger(path)
            found, left = len(out.rows), path.read_bytes()
            out.write([LINES[2]])
            out.close()

            assert found == (size >= last)
            assert data.startswith(left)
            assert 3 in rows_of(path)

    @pytest.mark.parametrize(
        "content",
        [
            b"mine\n",
            b"mine",
            b'{"row": 1}\n',
            b'{"row": "1", "outcome": "ok", "digest": "d"}\n',
            b'{"row": 0, "outcome": "ok", "digest": "d"}\n',
            b'{"row": 1%s, "outcome": "ok", "digest": "d"}\n' % (b"0" * 5000),
            b'{"row": 1, "outcome": "done", "digest": "d"}\n',
            b'{"row": 1, "outcome": "ok", "digest": 5}\n',
            b'{"row": 1, "outcome": "refused", "digest": "d"}\n',
            b'{"row": ' + b"[" * 100_000 + b"\n",
            b'{"row": \xff\n',
            b"\xef\xbb\xbfrow,id\n",
        ],
    )
    def test_load__of_another_program(self, content, path):
        """A file that this command did not write is refused, and kept."""
        path.write_bytes(content)

        with pytest.raises(Problem, match="foreign output"):
            Ledger(path)

        assert content == path.read_bytes()

    @pytest.mark.parametrize("cells", ["x,A1,ok", "1,A1", '1,"A1,ok', "1" * 5000])
    def test_load__csv_of_another_program(self, cells, tmp_path):
        """So is CSV that only begins like one of this command."""
        path = tmp_path / "out.csv"
        data = write(path, LINES[0]) + cells.encode() + b"\n"
        path.write_bytes(data)

        with pytest.raises(Problem, match="foreign output"):
            Ledger(path)

        assert data == path.read_bytes()

    def test_load__long_digest(self, path):
        """A digest of 5,000 digits is another one, and no error."""
        write(path, {**LINES[0], "digest": "f" * 5000})
        out = Ledger(path)
        out.close()

        assert "f" * 5000 == out.rows[1][1]

    def test_close__without_rows(self, path):
        """An output without rows is removed, unless it was there before."""
        Ledger(path).close()
        assert not path.exists()

        path.write_bytes(b"")
        Ledger(path).close()
        assert path.exists()

    @pytest.mark.parametrize(
        "harm",
        [
            lambda path: path.unlink(),
            lambda path: path.rename(f"{path}.old"),
            lambda path: os.truncate(path, 5),
            lambda path: path.write_bytes(path.read_bytes() + b"x"),
            lambda path: (path.unlink(), path.write_bytes(b"")),
        ],
    )
    @pytest.mark.parametrize("do", [lambda out: out.write([LINES[1]]), Ledger.close])
    def test_check__changed(self, harm, do, path):
        """An output that another program has changed ends the run, once."""
        out = Ledger(path)
        out.write(LINES[:1])
        harm(path)

        with pytest.raises(Problem, match="output changed"):
            do(out)

        if do is not Ledger.close:
            out.close()

    def test_lock__two_runs(self, path):
        """Two runs do not write one output."""
        out = Ledger(path)
        with pytest.raises(Problem, match="another run is writing"):
            Ledger(path)
        out.close()

        Ledger(path).close()

    def test_lock__not_possible(self, path, monkeypatch):
        """A file system without locks is an error, not a risk."""

        def flock(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr("fcntl.flock", flock)

        with pytest.raises(Problem) as raised:
            Ledger(path)

        assert "No locks available" == raised.value.fields["reason"]

    @pytest.mark.parametrize("name", ["no/out", ".", "/dev/null"])
    def test_open__impossible(self, name):
        """What cannot be an output is refused."""
        with pytest.raises(Problem):
            Ledger(Path(name))

    @pytest.mark.parametrize("taken", [0, 7])
    def test_write__full_disk(self, taken, path, monkeypatch):
        """A disk that takes a part only keeps the output whole."""
        before = write(path, LINES[0])
        out = Ledger(path)
        pieces = [taken] if taken else []
        real = os.write

        def some(file: int, data: bytes) -> int:
            if not pieces:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(file, data[: pieces.pop()])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", some)
            with pytest.raises(OSError, match="No space"):
                out.write([LINES[1]])
        out.close()

        assert before == path.read_bytes()

    def test_lock__on_windows(self, path, monkeypatch):
        """The lock fits 32 bits; an unused output is removed once it is closed."""
        held: list[int] = []

        def locking(file: int, mode: str, count: int) -> None:
            at = os.lseek(file, 0, os.SEEK_CUR)
            assert ("nonblocking", 1) == (mode, count) and 10**9 < at < 2**31 - count
            if at in held:
                raise PermissionError(errno.EACCES, "Permission denied")
            held.append(at)

        def close(file: int) -> None:
            assert path.exists()
            held.clear()
            real(file)

        real = os.close
        windows = SimpleNamespace(LK_NBLCK="nonblocking", locking=locking)
        monkeypatch.setitem(sys.modules, "msvcrt", windows)
        monkeypatch.setattr(ledger, "_IS_WINDOWS", True)
        out = Ledger(path)
        with pytest.raises(Problem, match="another run is writing"):
            Ledger(path)
        monkeypatch.setattr(os, "close", close)
        out.close()

        assert not path.exists()
        assert 1 == write(path, LINES[0]).count(b"\n") - (path.suffix == ".csv")

    def test_open__full_disk(self, tmp_path, monkeypatch):
        """A disk without room for the headings is reported as any other."""

        def write(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", write)

        with pytest.raises(Problem) as raised:
            Ledger(tmp_path / "out.csv")

        assert "No space left on device" == raised.value.fields["reason"]

    def test_write__in_pieces(self, path, monkeypatch):
        """What the system takes in pieces arrives whole; it is forced to the disk."""
        real, synced = os.write, []
        monkeypatch.setattr(ledger, "_SYNC_EVERY", 0)
        monkeypatch.setattr(os, "fsync", synced.append)
        monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:5]))

        write(path, *LINES)

        assert FOUND == rows_of(path)
        assert 3 == len(synced)

    def test_write__half_characters(self, path):
        """Half a character breaks no line."""
        write(path, line(1, waybill_id="a\ud800"))

        assert {1: (Tally("ok"), "d1")} == rows_of(path)
