"""What a bulk run does with each row, and when it stops."""

import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

import attrs
import pytest

from wxlogistics import InvalidArgumentError, TransportError, UnexpectedResponseError
from wxlogistics.cli import job
from wxlogistics.cli.job import Job
from wxlogistics.cli.ledger import Ledger, Tally
from wxlogistics.cli.output import Problem
from wxlogistics.cli.rows import Row, Task
from wxlogistics.errors import api_error


def refusal(errcode: int, errmsg: str = "") -> Exception:
    return api_error("query_trace", errcode, errmsg)


def no_answer(endpoint: str = "query_trace") -> TransportError:
    return TransportError(endpoint, "no connection", maybe_applied=False)


def task(number: int, token: str = "", problem: Problem | None = None) -> Task:
    fields = {"waybill_token": token or f"T{number}"}
    return Task((Row(number, number + 1, fields, problem),), fields, problem=problem)


TASKS = [task(number) for number in range(1, 101)]


class Calls:
    """Answers each call with the next answer, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.made: list[str] = []

    def __call__(self, each: Task) -> Mapping[str, Any]:
        self.made.append(each.fields["waybill_token"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {"status_name": answer}


def run(
    calls: Callable[[Task], Mapping[str, Any]],
    tasks: Iterable[Task] = TASKS,
    *,
    workers: int = 1,
    **options: Any,
) -> tuple[Job, dict[int, Tally]]:
    """Run a job to its end, and return it with what is in its output."""
    out = Ledger(Path("out.jsonl"))
    made = Job(calls, out, threading.Event(), **options)
    made.wait = lambda seconds: None
    try:
        made.run(tasks, workers)
    finally:
        out.close()
    return made, {row: tally for row, (tally, _) in out.rows.items()}


@pytest.fixture(autouse=True)
def folder(surroundings: Path) -> None:
    """Each test has a folder of its own."""


class TestJob:
    @pytest.mark.parametrize("workers", [1, 4, 100])
    def test_run__all_rows(self, workers):
        """Each row is done once; workers limit the calls at the same time."""
        now, most = 0, 0
        lock = threading.Lock()

        def call(each: Task) -> Mapping[str, Any]:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.005)
            with lock:
                now -= 1
            return {"status_name": "SIGNED"}

        made, rows = run(call, workers=workers)

        assert {number: Tally("ok", "SIGNED") for number in range(1, 101)} == rows
        assert {Tally("ok", "SIGNED"): 100} == made.counts
        assert 1 <= most <= workers
        assert workers == 1 or most > 1

    @pytest.mark.parametrize(
        "error, reason",
        [
            (refusal(45009), "quota"),
            (refusal(9300513), "quota"),
            (refusal(40001), "refused"),
            (refusal(42001), "refused"),
            (refusal(40013), "refused"),
            (refusal(40125), "refused"),
            (refusal(40164), "refused"),
            (refusal(48001), "refused"),
            (refusal(61007), "refused"),
        ],
    )
    def test_run__stops_at_the_first(self, error, reason):
        """The first spent quota or refused credential ends the run."""
        calls = Calls("SIGNED", error)
        made, rows = run(calls)

        assert made.stop == (reason, error)
        assert [1] == [*rows]
        assert ["T1", "T2"] == calls.made

    @pytest.mark.parametrize(
        "error", [refusal(931023), refusal(9300507), refusal(-1), refusal(123456)]
    )
    def test_run__refused(self, error):
        """A refusal of one row is its result."""
        made, rows = run(Calls("SIGNED", error, "SIGNED"), TASKS[:3])

        assert Tally("refused", str(error.errcode)) == rows[2]
        assert (3, None) == (len(rows), made.stop)

    def test_run__no_answer(self):
        """A row without an answer has no line; many in a row end the run."""
        lost = UnexpectedResponseError("query_trace", "not JSON", 200, "")
        few, rows = run(Calls(no_answer(), lost, "SIGNED"), TASKS[:3])
        many, _ = run(Calls(no_answer()))
        # An answer in between begins the count anew.
        answers = [no_answer()] * (job.STREAK - 1) + ["SIGNED"]
        none, _ = run(Calls(*answers, *answers), TASKS[: 2 * job.STREAK])

        assert ([3], 2, None) == ([*rows], few.unanswered, few.stop)
        assert (job.STREAK, "no_answer") == (many.unanswered, many.stop.reason)
        assert isinstance(many.last_error, TransportError)
        assert none.stop is None

    def test_run__next_time(self):
        """Another run does what has no line, and refused rows if it is asked to."""
        run(Calls("SIGNED", no_answer(), refusal(931023)), TASKS[:3])
        calls = Calls("SIGNED")
        run(calls, TASKS[:3])
        again = Calls("SIGNED")
        run(again, TASKS[:4], again=True)

        assert (["T2"], ["T3", "T4"]) == (calls.made, again.made)
        assert 5 == Path("out.jsonl").read_text().count("\n")

    @pytest.mark.parametrize(
        "errmsg, pause",
        [("minute-quota", (1.0, 61.0)), ("reach max api second frequence", (2.0, 3.0))],
    )
    def test_run__slower_pace(self, errmsg, pause):
        """A pace that is too fast waits, and loses no row."""
        waited: list[float] = []
        errcode = 45011 if "minute" in errmsg else 45009
        out = Ledger(Path("out.jsonl"))
        calls = Calls(refusal(errcode, errmsg), refusal(errcode, errmsg), "SIGNED")
        made = Job(calls, out, threading.Event())
        made.wait = waited.append
        made.run(TASKS[:2], 1)
        out.close()

        assert ["T1", "T1", "T1", "T2"] == calls.made
        assert 2 == len(waited) and all(pause[0] <= each <= pause[1] for each in waited)

    def test_run__interrupted_pause(self):
        """A run that is ended while it waits sends nothing more."""
        ended, calls = threading.Event(), Calls(refusal(45011))
        out = Ledger(Path("out.jsonl"))
        made = Job(calls, out, ended)
        made.wait = lambda seconds: ended.set()
        made.run(TASKS, 1)
        out.close()

        assert (("interrupted", None), ["T1"]) == (made.stop, calls.made)

    def test_run__pace_for_ever(self):
        """A pace that is never slow enough ends the run."""
        calls = Calls(refusal(45011))
        made, rows = run(calls)

        assert ({}, "quota", job.WAITS) == (rows, made.stop.reason, len(calls.made))

    def test_run__invalid(self):
        """A row that cannot be used, or that the client refuses, is named."""
        bad = task(2, problem=Problem("{name} is empty", name="openid"))
        refused = InvalidArgumentError("waybill_token", "is empty; give its value")
        made, rows = run(Calls("SIGNED", refused), [TASKS[0], bad, TASKS[2]])

        assert [Tally("invalid")] * 2 == [rows[2], rows[3]]
        assert {
            3: "openid is empty",
            4: "waybill_token: is empty; give its value",
        } == made.invalid

    def test_due__fixed_and_changed(self):
        """An invalid row that was fixed is done; another changed row is an error."""
        bad = task(2, problem=Problem("{name} is empty", name="openid"))
        run(Calls("SIGNED"), [TASKS[0], bad])
        same = Calls("SIGNED")
        # It is named again.
        assert {3: "openid is empty"} == run(same, [TASKS[0], bad])[0].invalid
        fixed = Calls("SIGNED")
        _, rows = run(fixed, TASKS[:2])

        assert ([], ["T2"], Tally("ok", "SIGNED")) == (same.made, fixed.made, rows[2])
        with pytest.raises(Problem, match="row changed"):
            run(Calls("SIGNED"), [task(1, "other")])

    def test_due__refused_and_fixed(self):
        """A refused row that was fixed is done without --again."""
        run(Calls(refusal(40003)), TASKS[:1])
        _, rows = run(Calls("SIGNED"), [task(1, "other")])

        assert {1: Tally("ok", "SIGNED")} == rows

    def test_due__torn_parcel(self):
        """Of a parcel, only the row whose line was torn off is written again."""
        parcel = attrs.evolve(TASKS[0], rows=TASKS[0].rows + TASKS[1].rows)
        out = Path("out.jsonl")
        run(Calls("SIGNED"), [parcel])
        out.write_text(out.read_text()[:-9])
        run(Calls("SIGNED"), [parcel])

        assert ['{"row": 1', '{"row": 2'] == [
            line[:9] for line in out.read_text().splitlines()
        ]

    @pytest.mark.parametrize("most, done", [(0, 0), (3, 3), (100, 100)])
    def test_run__max_calls(self, most, done):
        """--max-calls counts calls; invalid rows cost none."""
        bad = task(101, problem=Problem("bad"))
        made, rows = run(Calls("SIGNED"), [bad, *TASKS], max_calls=most)

        assert done + 1 == len(rows)
        assert (made.stop is None) == (most == 100)

    def test_run__max_calls_while_one_waits(self):
        pace = [refusal(45011)]

        def call(each):
            time.sleep(0.05)
            if pace:
                raise pace.pop()
            return {"status_name": "SIGNED"}

        assert {1: Tally("ok", "SIGNED")} == run(call, max_calls=1)[1]

    @pytest.mark.parametrize("error", [ZeroDivisionError("bug"), OSError(28, "full")])
    def test_run__failure(self, error):
        """Anything else is raised, when what is under way is finished."""
        with pytest.raises(type(error)):
            run(Calls("SIGNED", error), workers=4)

    def test_run__input_fails(self):
        """So is a failure of the input."""

        def tasks() -> Iterable[Task]:
            yield TASKS[0]
            raise Problem("bad input")

        with pytest.raises(Problem, match="bad input"):
            run(Calls("SIGNED"), tasks())

        assert 1 == Path("out.jsonl").read_text().count("\n")

    def test_run__interrupted(self):
        """Once the run is ended no other task begins."""
        ended = threading.Event()
        out = Ledger(Path("out.jsonl"))

        def call(each: Task) -> Mapping[str, Any]:
            if each == TASKS[4]:
                ended.set()
            return {}

        made = Job(call, out, ended)
        made.run(TASKS, 1)
        out.close()

        assert ("interrupted", None) == made.stop
        assert 5 == len(out.rows)
