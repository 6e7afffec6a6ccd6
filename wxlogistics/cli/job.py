"""One bulk run: which rows are to be done, what comes of each, and when to stop."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any, Callable, Iterable, Mapping, NamedTuple

import attrs

from .. import errors
from .ledger import INVALID, OK, REFUSED, Ledger, Tally
from .output import Problem, argument_problem, explain
from .rows import Row, Task, parcel_of

#: These are not the row's fault: every other one would be refused for the same reason.
_ALL_THE_SAME = (
    errors.AccessTokenError,
    errors.CredentialError,
    errors.IpNotAllowedError,
    errors.NotAuthorizedError,
)

# What is known about a row without a line.
_NEW = (Tally(INVALID), "")

#: A run ends after so many calls in a row without an answer.
STREAK = 20

#: A row is sent so often if WeChat wants a slower pace.
WAITS = 30


class Stop(NamedTuple):
    """
    Why a run ended before its input did.

    Attributes:
        reason: quota, refused, no_answer, max_calls or interrupted.

        error: The failure that it was for.
    """

    reason: str
    error: errors.WxLogisticsError | None = None


class Job:
    """
    Does the tasks of an input that are not done yet.

    Args:
        call: Does one task, and returns the fields of its line.

        ledger: Where the results go.

        ended: Is set when no other task may begin.

        again: Whether rows that were refused are done once more.

        max_calls: The most calls to make.

    Attributes:
        stop: Why it ended early.

        unanswered: The rows that got no answer in this run.

        last_error: The last failure of a row without an answer.

        progress: Is called after each row, with the counts of this run.

        invalid: The line of each row that cannot be used, and its message.
    """

    def __init__(
        self,
        call: Callable[[Task], Mapping[str, Any]],
        ledger: Ledger,
        ended: threading.Event,
        *,
        again: bool = False,
        max_calls: int | None = None,
    ) -> None:
        self._call = call
        self._ledger = ledger
        self.again = again
        self._max_calls = max_calls
        self.progress: Callable[[Counter[Tally]], None] = lambda counts: None
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._streak = 0
        self.wait: Callable[[float], object] = ended.wait
        self._ended = ended
        self.invalid: dict[int, str] = {}
        self.counts: Counter[Tally] = Counter()
        self.unanswered = 0
        self.last_error: errors.WxLogisticsError | None = None
        self.stop: Stop | None = None

    def end(self, reason: str, error: errors.WxLogisticsError | None = None) -> None:
        """
        Begin no other task; those under way are finished.
        """
        self.stop = self.stop or Stop(reason, error)
        self._ended.set()

    def run(self, tasks: Iterable[Task], workers: int) -> None:
        """
        Do *tasks* in threads.

        Raises:
            Problem: The input is not the one that the output began with, or the output
                was changed during the run.
        """
        free = threading.Semaphore(workers)
        threads: list[threading.Thread] = []

        def work(task: Task) -> None:
            try:
                self._do(task)
            except BaseException as error:
                self._failure = self._failure or error
                self._ended.set()
            finally:
                free.release()

        sent = 0
        try:
            for task in filter(None, map(self.due, tasks)):
                if not task.problem and sent == self._max_calls:
                    # Not end(): those under way are to be done.
                    self.stop = self.stop or Stop("max_calls")
                    break
                sent += not task.problem
                free.acquire()
                if self._ended.is_set():
                    break
                thread = threading.Thread(target=work, args=[task], daemon=True)
                thread.start()
                threads = [*(each for each in threads if each.is_alive()), thread]
        finally:
            for thread in threads:
                thread.join()
        if self._failure:
            raise self._failure
        if self._ended.is_set() and not self.stop:
            self.stop = Stop("interrupted")

    def due(self, task: Task) -> Task | None:
        """
        Return what is to be done of *task*.

        Raises:
            Problem: It was done with other content.
        """
        seen = self._ledger.rows
        known = {row.number: seen.get(row.number, _NEW) for row in task.rows}
        done = [row for row in task.rows if known[row.number][0].outcome == OK]
        before = parcel_of(done).digest if 0 < len(done) < len(known) else ""
        if {known[row.number][1] for row in done} == {before} != {task.digest}:
            # Rows have joined a parcel that was done without them.
            names = {**task.fields, "line": done[0].line, "row": done[0].number}
            problem = Problem("[parcel is registered]", **names)
            rest = [row for row in task.rows if row not in done]
            task = attrs.evolve(task, rows=tuple(rest), problem=problem)
        due = []
        for row in task.rows:
            tally, digest = known[row.number]
            is_changed = digest != task.digest
            if is_changed and tally.outcome == OK:
                id_ = row.fields.get("waybill_id") or row.id
                fields = {"row": row.number, "line": row.line, "id": id_}
                raise Problem("[row changed]", path=self._ledger.path, **fields)
            # It is new, was fixed, or is done once more.
            if is_changed or (tally.outcome == REFUSED and self.again):
                due.append(row)
            elif task.problem:
                self.invalid[row.line] = task.why(row)
        return attrs.evolve(task, rows=tuple(due)) if due else None

    def _do(self, task: Task) -> None:
        if task.problem:
            self._write_invalid(task, task.why)
            return
        for _ in range(WAITS):
            if self._ended.is_set():
                return
            try:
                fields = self._call(task)
            except errors.InvalidArgumentError as error:
                problem = argument_problem(error)
                self._write_invalid(task, lambda _: problem)
            except errors.RateLimitError as error:
                self._slow_down(error)
                continue
            except (errors.DailyQuotaError, errors.CallLimitError) as error:
                self.end("quota", error)
            except _ALL_THE_SAME as error:
                self.end("refused", error)
            except errors.ApiError as error:
                fields = {"type": type(error).__name__, "message": explain(error)[1]}
                fields |= {"errcode": error.errcode, "rid": error.rid}
                self._write(task, REFUSED, {"error": fields})
            except errors.WxLogisticsError as error:
                self._has_no_answer(task, error)
            else:
                self._write(task, OK, fields)
            return
        self.end("quota", self.last_error)

    def _slow_down(self, error: errors.RateLimitError) -> None:
        # The client has waited for other seconds already, so this one is of a minute,
        # or of a second that many share.
        pause = 2.0 if "second" in error.errmsg else 60 - time.time() % 60
        self.last_error = error
        self.wait(pause + random.random())

    def _has_no_answer(self, task: Task, error: errors.WxLogisticsError) -> None:
        """
        Leave *task* to the next run.
        """
        with self._lock:
            self.unanswered += len(task.rows)
            self.last_error = error
            self._streak += 1
            if self._streak >= STREAK:
                self.end("no_answer", error)

    def _write_invalid(self, task: Task, why: Callable[[Row], str]) -> None:
        for row in task.rows:
            error = {"type": "InvalidRow", "message": why(row)}
            fields = {"error": error, "line": row.line}
            self._write(attrs.evolve(task, rows=(row,)), INVALID, fields)
            self.invalid[row.line] = why(row)

    def _write(self, task: Task, outcome: str, fields: Mapping[str, Any]) -> None:
        found = []
        given = {key: task.fields[key] for key in task.fields if "waybill" in key}
        for row in task.rows:
            start = {"row": row.number, "id": row.id, "outcome": outcome}
            found.append({**start, **given, **fields, "digest": task.digest})
        tallies = self._ledger.write(found)
        with self._lock:
            self._streak = 0
            for tally in tallies:
                self.counts[tally] += 1
                self.progress(self.counts)
