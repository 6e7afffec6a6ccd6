"""The output of a bulk run: appended whole, read again, and held by one run alone."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wxlogistics.cli import ledger as module
from wxlogistics.cli.ledger import Ledger, Tally
from wxlogistics.cli.messages import Problem, Say

SIGNED = Tally("ok", "SIGNED")
NOT_FOUND = Tally("refused", "931023")


def open_(path: Path, journaled: bool = True) -> Ledger:
    return Ledger(path, journaled=journaled)


def write(ledger: Ledger, row: int, tally: Tally = SIGNED) -> None:
    error = {"errcode": int(tally.key), "type": "X"} if tally.key.isdigit() else None
    rest = {"id": f"A{row}", "outcome": tally.outcome, "status_name": tally.key}
    ledger.write(row, row * 1000, tally, {**rest, "error": error})


def why(path: Path, journaled: bool = True) -> str:
    with pytest.raises(Problem) as raised:
        open_(path, journaled)
    return Say("en").problem(raised.value)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


@pytest.fixture
def journal(out: Path) -> Path:
    return Path(f"{out}.journal")


class TestWrite:
    def test_write__one_line(self, out: Path) -> None:
        """
        A result is one line of JSON, row first, Chinese as it is.
        """
        ledger = open_(out)
        ledger.write(7, 255, Tally("ok", "SIGNED"), {"id": "单", "outcome": "ok"})
        ledger.close()

        assert (
            '{"row": 7, "id": "单", "outcome": "ok", "digest": "0000000000ff"}\n'
            == out.read_text(encoding="utf-8")
        )

    def test_write__there_at_once(self, out: Path) -> None:
        """
        Nothing waits in a buffer that a kill would empty.
        """
        ledger = open_(out)

        write(ledger, 1)

        assert 1 == len(out.read_text().splitlines())
        ledger.close()

    def test_write__half_a_character(self, out: Path) -> None:
        """
        Text that cannot be written whole costs no row.
        """
        ledger = open_(out)
        ledger.write(1, 1, SIGNED, {"id": "\ud800", "outcome": "ok"})
        ledger.close()

        assert "?" == json.loads(out.read_text())["id"]

    def test_counts__of_all_runs(self, out: Path) -> None:
        """
        Rows are counted by status and errcode, over all runs; the last line counts.
        """
        first = open_(out)
        write(first, 1)
        write(first, 2, NOT_FOUND)
        write(first, 3, NOT_FOUND)
        first.close()
        second = open_(out)
        write(second, 3)
        write(second, 9)

        assert {SIGNED: 3, NOT_FOUND: 1} == second.counts()
        assert (SIGNED, NOT_FOUND, SIGNED, None, None) == tuple(
            map(second.tally, (1, 2, 3, 4, 10))
        )
        assert 9 == second.last_row
        second.close()
        third = open_(out)
        assert {SIGNED: 3, NOT_FOUND: 1} == third.counts()
        assert (3000, None) == (third.digest(3), third.digest(4))
        third.close()

    @pytest.mark.parametrize(
        "line, tally",
        [
            ({"outcome": "ok", "status_name": "SIGNED"}, SIGNED),
            ({"outcome": "ok"}, Tally("ok", "")),
            ({"outcome": "ok", "status_name": None}, Tally("ok", "")),
            (
                {"outcome": "refused", "error": {"errcode": -1, "type": "X"}},
                Tally("refused", "-1"),
            ),
            (
                {"outcome": "failed", "error": {"errcode": None, "type": "X"}},
                Tally("failed", "X"),
            ),
            ({"outcome": "invalid", "error": {}}, Tally("invalid", "")),
            ({"outcome": "maybe_applied"}, Tally("maybe_applied", "")),
        ],
    )
    def test_tally_of__line(self, line: dict[str, Any], tally: Tally) -> None:
        """
        What a line is counted by.
        """
        assert tally == module.tally_of(line)

    def test_write__disk_full(self, out: Path, monkeypatch: Any) -> None:
        """
        A disk that is full leaves no half line, and no other line behind it.
        """
        ledger = open_(out)
        write(ledger, 1)
        whole = out.read_bytes()
        real_write = os.write

        def write_a_part(file: int, data: bytes) -> int:
            if len(data) < 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real_write(file, data[: len(data) // 2])

        monkeypatch.setattr(os, "write", write_a_part)
        with pytest.raises(OSError, match="No space left"):
            write(ledger, 2)
        monkeypatch.undo()

        assert whole == out.read_bytes()
        with pytest.raises(OSError, match="an earlier write failed"):
            write(ledger, 3)
        ledger.close()

    def test_write__in_parts(self, out: Path, monkeypatch: Any) -> None:
        """
        A write that takes a part at a time comes out whole.
        """
        ledger = open_(out)
        real_write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: real_write(file, data[:7]))

        write(ledger, 1)

        assert "A1" == json.loads(out.read_text())["id"]
        ledger.close()


class TestSync:
    def test_sync__once_a_second(self, out: Path, monkeypatch: Any) -> None:
        """
        Both files are forced to the disk, but not more than once a second.
        """
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now)
        ledger = open_(out)

        ledger.sync()
        assert 0 == len(synced)
        now += 1.0
        ledger.sync()
        ledger.sync()
        assert 2 == len(synced)
        ledger.close()
        assert 4 == len(synced)


class TestJournal:
    def test_announce__before_the_result(self, out: Path, journal: Path) -> None:
        """
        What is announced and has no result is open for the next run.
        """
        first = open_(out)
        for row in (1, 2, 3):
            first.announce(row, row * 1000)
        write(first, 1)
        first.take_back(2)
        kill(first)

        second = open_(out)

        assert [False, False, True] == [second.is_open(row) for row in (1, 2, 3)]
        assert (1000, None, 3000) == tuple(map(second.digest, (1, 2, 3)))
        assert 3 == second.last_row
        write(second, 3)
        assert not second.is_open(3)
        second.close()

    def test_close__nothing_open(self, out: Path, journal: Path) -> None:
        """
        Where nothing is open the journal goes.
        """
        ledger = open_(out)
        ledger.announce(1, 1000)
        assert journal.exists()
        write(ledger, 1)

        ledger.close()

        assert not journal.exists()

    def test_close__something_open(self, out: Path, journal: Path) -> None:
        """
        What an earlier run left open and this one did not come to, stays.
        """
        first = open_(out)
        first.announce(5, 5000)
        kill(first)
        second = open_(out)
        second.close()
        third = open_(out)

        assert third.is_open(5)
        third.close()

    def test_announce__done_once_more(self, out: Path) -> None:
        """
        A row that is done once more is open again until its new result.
        """
        first = open_(out)
        write(first, 1, NOT_FOUND)
        first.announce(1, 1000)
        kill(first)
        second = open_(out)
        assert second.is_open(1)
        second.announce(1, 1000)
        write(second, 1)
        kill(second)

        third = open_(out)

        assert not third.is_open(1)
        assert SIGNED == third.tally(1)
        third.close()

    def test_load__output_lost_its_end(self, out: Path) -> None:
        """
        After a power cut the output may be shorter than when the journal was written:
        a result that comes later still counts.
        """
        first = open_(out)
        write(first, 1)
        write(first, 2)
        first.announce(3, 3000)
        kill(first)
        out.write_bytes(b"")
        second = open_(out)
        assert second.is_open(3)
        write(second, 3)
        kill(second)

        third = open_(out)

        assert not third.is_open(3)
        third.close()

    def test_load__new_output(self, out: Path, journal: Path) -> None:
        """
        A journal whose output is gone is of no use.
        """
        first = open_(out)
        first.announce(1, 1000)
        kill(first)
        out.unlink()

        second = open_(out)

        assert not second.is_open(1)
        second.close()

    @pytest.mark.parametrize("content", ["openid,waybill_id\n", "openid", "1 2 3\n{"])
    def test_load__new_output_beside_another_file(
        self, content: str, out: Path, journal: Path
    ) -> None:
        """
        A file of the journal's name that is no journal is left alone, also where the
        output is new.
        """
        journal.write_text(content)

        assert why(out).startswith(f"{journal} holds something else")
        assert content == journal.read_text()

    def test_load__journal_is_a_folder(self, out: Path, journal: Path) -> None:
        """
        So is a folder.
        """
        journal.mkdir()

        assert f"{journal}: Is a directory" == why(out)

    def test_load__torn_journal(self, out: Path, journal: Path) -> None:
        """
        A line torn off was not announced: the call comes after the whole line.
        """
        out.write_text("")
        journal.write_bytes(b"7 7000 0\n12 120")

        ledger = open_(out)

        assert [True, False, False] == [ledger.is_open(row) for row in (7, 12, 1)]
        assert b"7 7000 0\n7 7000 0\n" == journal.read_bytes()
        ledger.close()

    @pytest.mark.parametrize("content", ["x\n", "1 2\n", "1 2 3 4\n", "\n"])
    def test_load__no_journal(self, content: str, out: Path, journal: Path) -> None:
        """
        A file of that name that is no journal is left alone.
        """
        out.write_text("")
        journal.write_text(content)

        assert why(out).startswith(f"{journal} holds something else")
        assert content == journal.read_text()

    def test_queries__no_journal(self, out: Path, journal: Path) -> None:
        """
        What changes nothing needs none.
        """
        ledger = open_(out, journaled=False)
        ledger.announce(1, 1000)
        ledger.take_back(1)
        ledger.sync(at_once=True)

        assert not journal.exists()
        assert not ledger.is_open(1)
        ledger.close()


class TestLoad:
    @pytest.mark.parametrize(
        "torn",
        [
            b"{",
            b'{"row": ',
            b'{"row": 3, "id"',
            b'{"row": 3}',
            b'{"row": 3, "id": "\xe5',
        ],
    )
    def test_load__torn_line(self, torn: bytes, out: Path) -> None:
        """
        A last line that was torn is cut off; its row is not done.
        """
        first = open_(out)
        write(first, 1)
        write(first, 2)
        first.close()
        whole = out.read_bytes()
        out.write_bytes(whole + torn)

        second = open_(out)

        assert whole == out.read_bytes()
        assert second.tally(3) is None
        write(second, 3)
        second.close()
        assert [1, 2, 3] == [
            json.loads(line)["row"] for line in out.read_text().splitlines()
        ]

    @pytest.mark.parametrize(
        "content",
        [
            b"notes of mine",
            b"notes of mine\n",
            b"{}\n",
            b"3\n",
            b'{"row": 1}\n',
            b'{"row": "1", "digest": "0", "outcome": "ok"}\n',
            b'{"row": 0, "digest": "0", "outcome": "ok"}\n',
            b'{"row": true, "digest": "0", "outcome": "ok"}\n',
            b'{"row": 99999999999, "digest": "0", "outcome": "ok"}\n',
            b'{"row": 1, "digest": "x", "outcome": "ok"}\n',
            b'{"row": 1, "digest": "0", "outcome": "good"}\n',
            b'{"row": 1, "digest": "0", "outcome": "refused"}\n',
            b"\xff\n",
            b"[" * 100_000 + b"\n",
        ],
    )
    def test_load__foreign(self, content: bytes, out: Path) -> None:
        """
        Somebody else's file is refused, and not a byte of it is changed.
        """
        out.write_bytes(content)

        assert why(out).startswith(f"{out} holds something else than results")
        assert content == out.read_bytes()

    def test_open__held(self, out: Path) -> None:
        """
        A second run on the same output is refused, in this process or another.
        """
        ledger = open_(out)
        code = (
            "import sys; from pathlib import Path\n"
            "from wxlogistics.cli.ledger import Ledger\n"
            "from wxlogistics.cli.messages import Problem\n"
            "try: Ledger(Path(sys.argv[1]), journaled=True)\n"
            "except Problem as problem: print(problem.key)\n"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(out)], capture_output=True, text=True
        )

        assert ("out.held\n", "") == (other.stdout, other.stderr)
        assert f"another run is writing {out}" == why(out)
        ledger.close()
        open_(out).close()

    def test_open__no_lock(self, out: Path, monkeypatch: Any) -> None:
        """
        A file system that knows no locks is told of.
        """
        import fcntl

        def flock(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", flock)

        assert f"{out}: No locks available" == why(out)

    def test_open__folder(self, tmp_path: Path) -> None:
        """
        What is no file, or cannot be one.
        """
        missing = tmp_path / "none" / "out.jsonl"

        assert f"{tmp_path}: Is a directory" == why(tmp_path)
        assert f"{missing}: No such file or directory" == why(missing)
        assert "/dev/null is no regular file" == why(Path("/dev/null"))


def kill(ledger: Ledger) -> None:
    """
    Leave the files as kill -9 would.
    """
    ledger._close_files()
