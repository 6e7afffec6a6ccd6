"""One bulk run: which rows are to be done, what comes of each, and when to stop."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ..errors import (
    AccessTokenError,
    ApiError,
    CallLimitError,
    CredentialError,
    DailyQuotaError,
    InvalidArgumentError,
    IpNotAllowedError,
    NotAuthorizedError,
    RateLimitError,
    WxLogisticsError,
)
from .ledger import INVALID, OK, REFUSED, Ledger, Tally
from .output import Problem, argument_problem, explain
from .rows import Task

#: These are not the row's fault: every other one would be refused for the same reason.
_ALL_THE_SAME = (
    AccessTokenError,
    CredentialError,
    IpNotAllowedError,
    NotAuthorizedError,
)

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
    error: WxLogisticsError | None = None


class Job:
    """
    Does the tasks of an input that are not done yet.

    Args:
        call: Does one task, and returns the fields of its line.

        ledger: Where the results go.

        again: Whether rows that were refused are done once more.

        max_calls: The most calls to make.

        progress: Is called with what came of each row.

    Attributes:
        stop: Why it ended early.

        unanswered: The rows that got no answer in this run.

        last_error: The last failure of a row without an answer.

        ended: Is set when no other task may begin.
    """

    def __init__(
        self,
        call: Callable[[Task], Mapping[str, Any]],
        ledger: Ledger,
        *,
        again: bool = False,
        max_calls: int | None = None,
        progress: Callable[[Counter[Tally]], None] = lambda counts: None,
    ) -> None:
        self._call = call
        self._ledger = ledger
        self.again = again
        self._max_calls = max_calls
        self.progress = progress
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._streak = 0
        self._resume_at = 0.0
        self.ended = threading.Event()
        self.wait: Callable[[float], object] = self.ended.wait
        self.counts: Counter[Tally] = Counter()
        self.unanswered = 0
        self.last_error: WxLogisticsError | None = None
        self.stop: Stop | None = None

    def waits(self) -> bool:
        """
        Return whether calls pause at the moment, since WeChat wants a slower pace.
        """
        return time.monotonic() < self._resume_at

    def end(self, reason: str, error: WxLogisticsError | None = None) -> None:
        """
        Begin no other task; those under way are finished.
        """
        self.stop = self.stop or Stop(reason, error)
        self.ended.set()

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
                self.ended.set()
            finally:
                free.release()

        sent = 0
        try:
            for task in tasks:
                if not self.is_due(task):
                    continue
                if not task.problem and sent == self._max_calls:
                    self.end("max_calls")
                sent += not task.problem
                free.acquire()
                if self.ended.is_set():
                    break
                thread = threading.Thread(target=work, args=[task], daemon=True)
                thread.start()
                threads = [*(each for each in threads if each.is_alive()), thread]
        finally:
            for thread in threads:
                thread.join()
        if self._failure:
            raise self._failure

    def is_due(self, task: Task) -> bool:
        """
        Return whether *task* is to be done.

        Raises:
            Problem: It was done with other content.
        """
        due = False
        for row in task.rows:
            if row.number not in self._ledger.rows:
                due = True
                continue
            tally, digest = self._ledger.rows[row.number]
            if digest == task.digest:
                due |= tally.outcome == REFUSED and self.again
            elif tally.outcome == INVALID:
                # It was fixed.
                due = True
            else:
                raise Problem(
                    "row {row} (line {line}) of the input is not what it was when "
                    "{path} was begun: put the old input back, or choose another --out",
                    path=self._ledger.path,
                    row=row.number,
                    line=row.line,
                )
        return due

    def _do(self, task: Task) -> None:
        if task.problem:
            self._write_invalid(task, task.problem.format_message())
            return
        for _ in range(WAITS):
            while self.waits() and not self.ended.is_set():
                self.wait(self._resume_at - time.monotonic())
            if self.ended.is_set():
                return
            try:
                fields = self._call(task)
            except InvalidArgumentError as error:
                self._write_invalid(task, argument_problem(error))
            except RateLimitError as error:
                self._slow_down(error)
                continue
            except (DailyQuotaError, CallLimitError) as error:
                self.end("quota", error)
            except _ALL_THE_SAME as error:
                self.end("refused", error)
            except ApiError as error:
                self._write(task, REFUSED, {"error": _fields(error)})
            except WxLogisticsError as error:
                self._has_no_answer(task, error)
            else:
                self._write(task, OK, fields)
            return
        self.end("quota", self.last_error)

    def _slow_down(self, error: RateLimitError) -> None:
        # The client has waited for other seconds already, so this one is of a minute,
        # or of a second that many share.
        pause = 2.0 if "second" in error.errmsg else 60 - time.time() % 60
        with self._lock:
            self.last_error = error
            until = time.monotonic() + pause + random.random()
            self._resume_at = max(self._resume_at, until)

    def _has_no_answer(self, task: Task, error: WxLogisticsError) -> None:
        """
        Leave *task* to the next run.
        """
        with self._lock:
            self.unanswered += len(task.rows)
            self.last_error = error
            self._streak += 1
            if self._streak >= STREAK:
                self.end("no_answer", error)

    def _write_invalid(self, task: Task, message: str) -> None:
        error = {"type": "InvalidRow", "errcode": None, "rid": None, "message": message}
        self._write(task, INVALID, {"error": error})

    def _write(self, task: Task, outcome: str, fields: Mapping[str, Any]) -> None:
        lines = []
        for row in task.rows:
            rest = dict(fields)
            if outcome == INVALID:
                rest["error"] = {**fields["error"], "line": row.line}
            start = {"row": row.number, "id": row.id, "outcome": outcome}
            lines.append({**start, **rest, "digest": task.digest})
        tallies = self._ledger.write(lines)
        with self._lock:
            self._streak = 0
            self.counts.update(tallies)
            self.progress(self.counts)


def _fields(error: ApiError) -> dict[str, Any]:
    _, message, _ = explain(error)
    return {
        "type": type(error).__name__,
        "errcode": error.errcode,
        "rid": error.rid,
        "message": message,
    }
