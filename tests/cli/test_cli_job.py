"""What becomes of each row, and when a run ends by itself. No network, no waiting."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any, Callable

import attrs
import pytest

from wxlogistics import (
    TransportError,
    InvalidArgumentError,
    TransportError,
    UnexpectedResponseError,
)
from wxlogistics.cli import job as module
from wxlogistics.cli.job import Job, check_same_input, check_whole_input
from wxlogistics.cli.ledger import Ledger, Tally
from wxlogistics.cli.messages import Problem, Say
from wxlogistics.cli.rows import Row
from wxlogistics.errors import api_error

OK = Tally("ok", "SIGNED")


def refusal(errcode: int, errmsg: str = "text rid: 66557522-735e87a4-648726cc") -> Any:
    return api_error("query_trace", errcode, errmsg)


class World:
    """
    A ledger, a clock that only waiting moves, and a WeChat that does what it is told.
    """

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out.jsonl"
        self.now = 1000.0
        self.waited: list[float] = []
        self.called: list[int] = []
        self.answer: Callable[[Row], Any] = lambda row: None
        self.ledger: Ledger
        self.job: Job

    def call(self, row: Row) -> dict[str, Any]:
        self.called.append(row.number)
        answer = self.answer(row)
        if isinstance(answer, BaseException):
            raise answer
        return {"status_name": "SIGNED"}

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    def run(
        self, rows: Any, journaled: bool = True, workers: int = 1, **options: Any
    ) -> list[tuple[str, str]]:
        self.ledger = Ledger(self.out, journaled=journaled)
        self.job = Job(
            self.call,
            self.ledger,
            Say("en"),
            clock=lambda: self.now,
            wait=self.wait,
            **options,
        )
        try:
            return [tuple(tally) for tally in self.job.run(rows, workers)]
        finally:
            self.ledger.close()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    @property
    def journal(self) -> Path:
        return Path(f"{self.out}.journal")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def rows(count: int, first: int = 1) -> list[Row]:
    return [
        Row(number, number + 1, {"waybill_id": f"W{number}", "openid": f"o{number}"})
        for number in range(first, first + count)
    ]


class TestOutcomes:
    def test_run__good(self, world: World) -> None:
        """
        A good row is a line with what the call returned.
        """
        assert [OK, OK] == world.run(rows(2))
        assert {
            "row": 1,
            "id": "W1",
            "outcome": "ok",
            "status_name": "SIGNED",
            "digest": f"{rows(1)[0].digest:012x}",
        } == world.lines()[0]
        assert world.job.stop is None
        assert not world.journal.exists()

    def test_run__refused(self, world: World) -> None:
        """
        A refusal is told with errcode and rid, and the others go on.
        """
        world.answer = lambda row: refusal(931023) if row.number == 1 else None

        assert [("refused", "931023"), OK] == world.run(rows(2))
        assert {
            "type": "WaybillNotFoundError",
            "errcode": 931023,
            "rid": "66557522-735e87a4-648726cc",
            "message": "WeChat refused query_trace: text",
        } == world.lines()[0]["error"]

    def test_run__malformed(self, world: World) -> None:
        """
        A malformed row is not sent; its line says where it stands.
        """
        bad = Row(1, 7, {"id": "A7"}, Problem("row.empty", name="openid"))

        assert [("invalid", "")] == world.run([bad])
        assert [] == world.called
        assert ("A7", "openid is empty", 7) == (
            world.lines()[0]["id"],
            world.lines()[0]["error"]["message"],
            world.lines()[0]["error"]["line"],
        )

    def test_run__refused_by_the_client(self, world: World) -> None:
        """
        So it is with one that the client refuses.
        """
        world.answer = lambda row: InvalidArgumentError(
            "openid", "holds half a character"
        )

        assert [("invalid", "")] == world.run(rows(1))
        assert "openid: holds half a character" == world.lines()[0]["error"]["message"]
        assert not world.journal.exists()

    @pytest.mark.parametrize(
        "error, kind",
        [
            (TransportError("trace_waybill", "no answer", True), "TransportError"),
            (TransportError("follow_waybill", 502, ""), "TransportError"),
            (
                UnexpectedResponseError("trace_waybill", 200, "<", "no JSON"),
                "UnexpectedResponseError",
            ),
        ],
    )
    def test_run__maybe_registered(
        self, error: Exception, kind: str, world: World
    ) -> None:
        """
        A registration that may have arrived is marked so, and not sent again.
        """
        world.answer = lambda row: error if row.number == 1 else None

        assert [("maybe_applied", ""), OK] == world.run(rows(2))
        assert [1, 2] == world.called
        assert kind == world.lines()[0]["error"]["type"]

    def test_run__bug(self, world: World) -> None:
        """
        What is no failure of the call's ends the run, and leaves the row open.
        """
        world.answer = lambda row: ZeroDivisionError()

        with pytest.raises(ZeroDivisionError):
            world.run(rows(1))
        assert world.journal.exists()


class TestNoAnswer:
    @pytest.mark.parametrize(
        "error",
        [
            TransportError("query_trace", "no answer", True),
            TransportError("trace_waybill", "no connection", False),
            TransportError("stable_token", "no answer", True),
            UnexpectedResponseError(
                "query_trace", 403, "<html>", "not WeChat's answer"
            ),
        ],
    )
    def test_run__tried_again(self, error: Exception, world: World) -> None:
        """
        What cannot have done harm is tried again after a while.
        """
        answers = iter([error, error, None, None])
        world.answer = lambda row: next(answers)

        assert [OK, OK] == world.run(rows(2))
        assert [1, 1, 1, 2] == world.called
        assert [2.0, 4.0] == world.waited

    def test_run__fails_alone(self, world: World) -> None:
        """
        A row that gets no answer while others do is given up.
        """
        error = TransportError("query_trace", "no answer", True)
        world.answer = lambda row: error if row.number == 1 else None

        def wait(seconds: float) -> None:
            World.wait(world, seconds)
            world.job._has_answer()

        world.wait = wait  # type: ignore[method-assign]

        assert [("failed", "TransportError"), OK] == world.run(rows(2))
        assert [1, 1, 1, 2] == world.called
        assert world.job.stop is None

    def test_run__nobody_answers(self, world: World) -> None:
        """
        When nothing is ever answered the run ends soon, and no row is spoilt.
        """
        world.answer = lambda row: TransportError("query_trace", "no connection", False)

        assert [] == world.run(rows(5))
        assert "no_answer" == world.job.stop.reason
        assert "no connection" == world.job.stop.error.reason
        assert [1, 1, 1, 1] == world.called
        assert [2.0, 4.0, 8.0] == world.waited
        assert [] == world.lines()
        assert not world.journal.exists()

    def test_run__answers_end(self, world: World) -> None:
        """
        After a first answer it is more patient: the network may come back.
        """
        lost = TransportError("query_trace", "no connection", False)
        world.answer = lambda row: lost if row.number > 1 else None

        assert [OK] == world.run(rows(5))
        assert "no_answer" == world.job.stop.reason
        assert 120 < sum(world.waited) < 136

    def test_run__registrations_at_the_end(self, world: World) -> None:
        """
        A registration that was sent last is still marked.
        """
        error = TransportError("trace_waybill", "no answer", True)

        def answer(row: Row) -> Any:
            world.now += 121
            return error

        world.answer = answer

        assert [("maybe_applied", "")] == world.run(rows(5))
        assert "no_answer" == world.job.stop.reason


class TestQuota:
    def test_run__day(self, world: World) -> None:
        """
        45009 of the day ends the run; the row that met it is not done.
        """
        error = refusal(45009, "reach max api daily quota limit")
        world.answer = lambda row: error if row.number == 3 else None

        assert [OK, OK] == world.run(rows(9))
        assert ("quota", error) == world.job.stop
        assert [1, 2, 3] == world.called
        assert not world.journal.exists()

        world.answer = lambda row: None
        assert [OK] * 7 == world.run(rows(9))
        assert list(range(1, 10)) == [line["row"] for line in world.lines()]

    def test_run__many_users(self, world: World) -> None:
        """
        9300513 for one user after the other is the mini-program's limit: the run
        ends, and those rows are not done.
        """
        world.answer = lambda row: refusal(9300513) if row.number > 2 else None

        assert [OK, OK] == world.run(rows(99))
        assert "quota" == world.job.stop.reason
        assert 2 + module.STREAK == len(world.called)
        assert 2 == len(world.lines())
        assert not world.journal.exists()

    def test_run__one_user(self, world: World) -> None:
        """
        9300513 for the rows of one user is that user's limit.
        """
        same = [
            Row(number, number, {"waybill_id": f"W{number}", "openid": "o"})
            for number in range(1, 61)
        ]
        world.answer = lambda row: refusal(9300513)

        assert [("refused", "9300513")] * 60 == world.run(same)
        assert world.job.stop is None

    @pytest.mark.parametrize("then", [None, refusal(931023)])
    def test_run__some_users(self, then: Any, world: World) -> None:
        """
        9300513 now and then is of those users: the next answer tells.
        """
        world.answer = lambda row: refusal(9300513) if row.number < 9 else then

        tallies = world.run(rows(9))

        assert [("refused", "9300513")] * 8 == tallies[:8]
        assert list(range(1, 10)) == [line["row"] for line in world.lines()]

    def test_run__some_users_at_the_end(self, world: World) -> None:
        """
        At the end of the input they are written.
        """
        world.answer = lambda row: refusal(9300513) if row.number > 1 else None

        assert [OK] + [("refused", "9300513")] * 3 == world.run(rows(4))

    def test_run__some_users_cut_short(self, world: World) -> None:
        """
        A run that is cut short leaves them to the next.
        """
        world.answer = lambda row: refusal(9300513)

        assert [] == world.run(rows(9), max_calls=3)
        assert [] == world.lines()

    @pytest.mark.parametrize("errcode", [40001, 40164, 40125, 48001, 61007])
    def test_run__all_the_same(self, errcode: int, world: World) -> None:
        """
        What would refuse every row ends the run before it spoils them.
        """
        world.answer = lambda row: refusal(errcode)

        assert [] == world.run(rows(9))
        assert ("refused", errcode) == (
            world.job.stop.reason,
            world.job.stop.error.errcode,
        )
        assert [] == world.lines()


class TestPace:
    def test_run__minute(self, world: World, monkeypatch: Any) -> None:
        """
        Too many calls in a minute: all wait for the next one, and the row is done.
        """
        monkeypatch.setattr(module.time, "time", lambda: 1795485620.0)
        monkeypatch.setattr(module.random, "random", lambda: 0.5)
        answers = iter([None, refusal(45011), None, None])
        world.answer = lambda row: next(answers)

        assert [OK] * 3 == world.run(rows(3))
        assert [1, 2, 2, 3] == world.called
        assert [40.5] == world.waited

    def test_run__second(self, world: World) -> None:
        """
        Too many in a second, though the client waited already: a little more.
        """
        answers = iter([refusal(45009, "second limit"), None])
        world.answer = lambda row: next(answers)

        assert [OK] == world.run(rows(1))
        assert [True] == [2 <= pause <= 3 for pause in world.waited]

    def test_run__never_slow_enough(self, world: World) -> None:
        """
        A row does not wait for ever.
        """
        world.answer = lambda row: refusal(45011)

        assert [("refused", "45011")] == world.run(rows(1))
        assert module.WAITS + 1 == len(world.called)

    def test_waits__told(self, world: World) -> None:
        """
        Whoever looks on can see that it waits, and Ctrl-C need not wait along.
        """
        seen = []
        world.answer = lambda row: refusal(45011)

        def wait(seconds: float) -> None:
            seen.append(world.job.waits())
            world.job.end("interrupted")

        world.wait = wait  # type: ignore[method-assign]

        assert [] == world.run(rows(3))
        assert [True] == seen


class TestStopping:
    def test_end__under_way_is_finished(self, world: World) -> None:
        """
        What is under way is finished and written; nothing else begins.
        """

        def answer(row: Row) -> None:
            if row.number == 3:
                world.job.end("interrupted")

        world.answer = answer

        assert [OK] * 3 == world.run(iter(rows(50)), workers=1)
        assert [1, 2, 3] == world.called
        assert "interrupted" == world.job.stop.reason

    def test_end__queued_rows(self, world: World) -> None:
        """
        Rows that wait for a thread are not begun.
        """
        go_on = threading.Event()

        def answer(row: Row) -> None:
            if row.number == 2:
                # By then the next two wait for a thread.
                time.sleep(0.1)
                world.job.end("interrupted")
                go_on.set()
            go_on.wait(10)

        world.answer = answer

        assert [OK] * 2 == world.run(rows(9), workers=2)
        assert {1, 2} == set(world.called)

    def test_end__first_reason_stays(self, world: World) -> None:
        """
        The reason that came first is the one that is told.
        """

        def answer(row: Row) -> Any:
            world.job.end("interrupted")
            return refusal(45009, "daily")

        world.answer = answer
        world.run(rows(2))

        assert "interrupted" == world.job.stop.reason

    def test_max_calls__so_many(self, world: World) -> None:
        """
        No more than that are sent; malformed rows are not counted.
        """
        bad = Row(1, 1, {}, Problem("row.json"))

        tallies = world.run([bad, *rows(5, first=2)], max_calls=2)

        assert [("invalid", ""), OK, OK] == tallies
        assert "max_calls" == world.job.stop.reason

    def test_max_calls__just_enough(self, world: World) -> None:
        """
        As many as there are is no stop.
        """
        assert [OK] * 3 == world.run(rows(3), max_calls=3)
        assert world.job.stop is None

    def test_max_calls__none(self, world: World) -> None:
        """
        0 sends nothing.
        """
        assert [] == world.run(rows(3), max_calls=0)
        assert [] == world.called


class TestGoingOn:
    def test_run__the_rest(self, world: World) -> None:
        """
        A second run does what the first did not, and a third does nothing.
        """
        world.run(rows(9), max_calls=4)
        world.run(rows(9))
        done = [*world.called]
        world.run(rows(9))

        assert list(range(1, 10)) == done == world.called

    def test_run__killed_while_sending(self, world: World) -> None:
        """
        A row that was announced and has no result is marked, not sent.
        """
        Path(world.out).touch()
        first, *_ = rows(1)
        world.journal.write_text(f"1 {first.digest} 0\n")

        assert [("maybe_applied", ""), OK] == world.run(rows(2))
        assert [2] == world.called
        assert {
            "type": "Interrupted",
            "errcode": None,
            "rid": None,
            "message": "the run was killed while this row was sent: it may be "
            "registered",
        } == world.lines()[0]["error"]
        assert not world.journal.exists()

    def test_run__killed_while_sending_and_again(self, world: World) -> None:
        """
        Whoever says so has it sent at once.
        """
        Path(world.out).touch()
        first, *_ = rows(1)
        world.journal.write_text(f"1 {first.digest} 0\n")

        assert [OK] == world.run(rows(1), again=["maybe_applied"])

    @pytest.mark.parametrize(
        "again, called",
        [
            ([], []),
            (["refused"], [1]),
            (["failed"], []),
            (["maybe_applied"], [2]),
            (["refused", "maybe_applied"], [1, 2]),
        ],
    )
    def test_run__again(
        self, again: list[str], called: list[int], world: World
    ) -> None:
        """
        Outcomes that are named are done once more; their last line counts.
        """
        lost = TransportError("trace_waybill", "no answer", True)
        answers = {1: refusal(931023), 2: lost}
        world.answer = lambda row: answers.get(row.number)
        world.run(rows(3))
        world.called.clear()
        world.answer = lambda row: None

        world.run(rows(3), again=again)

        assert called == world.called
        assert 3 + len(called) == len(world.lines())

    def test_run__mended(self, world: World) -> None:
        """
        A malformed row that was mended is done; one that was not stays as it is.
        """
        bad = [Row(n, n, {}, Problem("row.json")) for n in (1, 2)]
        world.run(bad)

        assert [OK] == world.run([bad[0], Row(2, 2, {"waybill_id": "W2"})])
        assert [2] == world.called

    def test_run__changed(self, world: World) -> None:
        """
        A row that changed since it was done is told before anything behind it is sent.
        """
        world.run(rows(3), max_calls=2)
        changed = [rows(1)[0], Row(2, 3, {"waybill_id": "other"}), rows(3)[2]]

        with pytest.raises(Problem) as raised:
            world.run(changed)

        assert (
            Say("en")
            .problem(raised.value)
            .startswith("row 2 (line 3) of the input is not what it was when")
        )
        assert [1, 2] == world.called

    def test_check_same_input__killed_while_sending(self, world: World) -> None:
        """
        So is one that was being sent.
        """
        Path(world.out).touch()
        world.journal.write_text("1 7 0\n")
        ledger = Ledger(world.out, journaled=True)

        with pytest.raises(Problem):
            check_same_input(ledger, rows(1)[0])
        ledger.close()

    def test_run__second_article_was_done(self, world: World) -> None:
        """
        What was done stays done, though the parcel's first row was mended since; a row
        that was not done is not.
        """
        first, second, third = rows(3)
        problem = Problem("row.same_waybill", row=1)
        world.run([Row(1, 2, {}, Problem("row.json")), second])
        mended = [first, attrs.evolve(second, problem=problem)]

        assert [OK, ("invalid", "")] == world.run(
            [*mended, attrs.evolve(third, problem=problem)]
        )
        assert [2, 1] == world.called
        assert [] == world.run([*mended, attrs.evolve(third, problem=problem)])
        assert [OK] == world.run([*mended, third])

    def test_run__second_article_was_being_sent(self, world: World) -> None:
        """
        One that was being sent when the run was killed may have been registered.
        """
        row = rows(1)[0]
        Path(world.out).touch()
        world.journal.write_text(f"1 {row.digest} 0\n")

        assert [("maybe_applied", "")] == world.run(
            [attrs.evolve(row, problem=Problem("row.same_waybill", row=7))]
        )

    def test_check_whole_input__shorter(self, world: World) -> None:
        """
        An input that ends before what is done of it is another one.
        """
        world.run(rows(3))
        ledger = Ledger(world.out, journaled=True)

        check_whole_input(ledger, 3)
        with pytest.raises(Problem) as raised:
            check_whole_input(ledger, 2)
        ledger.close()

        assert "has results up to row 3" in Say("en").problem(raised.value)

    def test_run__endless_input(self, world: World) -> None:
        """
        The input is read as it is needed.
        """
        endless = (Row(n, n, {"waybill_id": str(n)}) for n in itertools.count(1))

        assert [OK] * 5 == world.run(endless, max_calls=5)
