"""One bulk run: which rows are to be done, what comes of each, and when to stop."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import Any, Callable, Collection, Iterable, Iterator, NamedTuple

import attrs

from ..bulk import run_many
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
from .ledger import FAILED, INVALID, MAYBE_APPLIED, OK, REFUSED, Ledger, Tally, tally_of
from .messages import Problem, Say
from .rows import Row
from .terminal import REGISTERS, argument_problem, explain

#: What is no fault of the row's: every other one would be refused for the same reason.
_ALL_THE_SAME = (
    AccessTokenError,
    CredentialError,
    IpNotAllowedError,
    NotAuthorizedError,
)

#: errcode 9300513 may be of one user or of the whole mini-program. So many in a row, of
#: different users, are of the mini-program.
STREAK = 50

#: Seconds without any answer after which a run ends; before the first one there was
#: perhaps never any.
PATIENCE = 120.0
PATIENCE_AT_FIRST = 10.0

#: How often a row is tried that gets no answer while others do.
ATTEMPTS = 3

#: How often a row waits because WeChat wants a slower pace.
WAITS = 30


class Stop(NamedTuple):
    """
    Why a run ended before its input did.

    Attributes:
        reason: quota, refused, no_answer, max_calls or interrupted.

        error: The last failure, if it was for that.
    """

    reason: str
    error: WxLogisticsError | None = None


class _Task(NamedTuple):
    """
    A row to be done.

    Attributes:
        was_announced: Whether an earlier run was about to send it, or had sent it,
            when it was killed.
    """

    row: Row
    was_announced: bool


class Job:
    """
    Does the rows of an input that are not done yet.

    Args:
        call: Does one row, and returns what belongs into its line.

        ledger: Where the results are.

        say: Speaks the user's language.

        again: Outcomes that are done once more.

        max_calls: Send so many rows at most.

        clock: Seconds that only go forward.

        wait: Waits for so many seconds, or until the run ends.

    Attributes:
        again: As given.

        stop: Why it ended early.
    """

    def __init__(
        self,
        call: Callable[[Row], dict[str, Any]],
        ledger: Ledger,
        say: Say,
        *,
        again: Collection[str] = (),
        max_calls: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._call = call
        self._ledger = ledger
        self._say = say
        self.again = again
        self._max_calls = max_calls
        self._clock = clock
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._wait = wait or self._ended.wait
        self._answered_at = clock()
        self._patience = PATIENCE_AT_FIRST
        self._resume_at = float("-inf")
        # Refused with 9300513, while it is not known whose limit it is.
        self._held: list[tuple[Row, ApiError]] = []
        self.stop: Stop | None = None

    def waits(self) -> bool:
        """
        Whether the calls wait at the moment, since WeChat wants a slower pace.
        """
        return self._clock() < self._resume_at

    def end(self, reason: str, error: WxLogisticsError | None = None) -> None:
        """
        Begin no other row; what is under way is finished.
        """
        self.stop = self.stop or Stop(reason, error)
        self._ended.set()

    def run(self, rows: Iterable[Row], workers: int) -> Iterator[Tally]:
        """
        Do *rows*, and yield what comes of each.

        Raises:
            Problem: The input is not the one that the output began with.
        """
        with contextlib.closing(
            run_many(self._do, self._due(rows), workers=workers)
        ) as results:
            for tallies in results:
                yield from tallies
                self._ledger.sync()
        # Nothing came behind them that could have told; a run cut short leaves them
        # to the next.
        if not self.stop:
            yield from self._release()

    def _due(self, rows: Iterable[Row]) -> Iterator[_Task]:
        """
        Yield those of *rows* that are to be done.
        """
        ledger = self._ledger
        sent = 0
        for row in rows:
            if self._ended.is_set():
                return
            check_same_input(ledger, row)
            was_announced = ledger.is_open(row.number)
            tally = ledger.tally(row.number)
            if tally and not was_announced and tally.outcome not in self.again:
                is_mended = not _is_as_it_was(ledger, row)
                if not is_mended:
                    continue
            task = _Task(row, was_announced and MAYBE_APPLIED not in self.again)
            if not (row.problem or task.was_announced):
                if sent == self._max_calls:
                    self.stop = self.stop or Stop("max_calls")
                    return
                sent += 1
            yield task

    def _do(self, task: _Task) -> list[Tally]:
        """
        Do one row, and return what came of it, and of held ones.
        """
        row = task.row
        if self._ended.is_set():
            return []
        if task.was_announced:
            return [self._write_interrupted(row)]
        if row.problem:
            return [self._write_invalid(row, self._say.problem(row.problem))]
        attempts, waits, began = 0, 0, self._clock()
        while self._has_turn():
            self._ledger.announce(row.number, row.digest)
            try:
                fields = self._call(row)
            except InvalidArgumentError as error:
                self._ledger.take_back(row.number)
                return [self._write_invalid(row, argument_problem(error, self._say))]
            except RateLimitError as error:
                self._has_answer()
                waits += 1
                if waits > WAITS:
                    return [*self._release(), self._write_error(row, REFUSED, error)]
                self._ledger.take_back(row.number)
                self._slow_down(error)
            except (DailyQuotaError, *_ALL_THE_SAME) as error:
                self._ledger.take_back(row.number)
                is_quota = isinstance(error, DailyQuotaError)
                self.end("quota" if is_quota else "refused", error)
            except CallLimitError as error:
                self._has_answer()
                self._ledger.take_back(row.number)
                return self._hold(row, error)
            except ApiError as error:
                self._has_answer()
                return [*self._release(), self._write_error(row, REFUSED, error)]
            except WxLogisticsError as error:
                is_over = self._clock() - self._answered_at > self._patience
                if is_over:
                    self.end("no_answer", error)
                if _may_be_applied(error):
                    return [self._write_error(row, MAYBE_APPLIED, error)]
                self._ledger.take_back(row.number)
                attempts += 1
                if is_over:
                    return []
                if attempts >= ATTEMPTS and self._answered_at > began:
                    return [self._write_error(row, FAILED, error)]
                self._wait(min(2.0**attempts, 15.0))
            else:
                self._has_answer()
                return [*self._release(), self._write(row, OK, fields)]
        return []

    def _has_turn(self) -> bool:
        """
        Wait while the pace is too fast; return False once the run has ended.
        """
        while not self._ended.is_set() and self.waits():
            self._wait(self._resume_at - self._clock())
        return not self._ended.is_set()

    def _has_answer(self) -> None:
        self._answered_at = self._clock()
        self._patience = PATIENCE

    def _slow_down(self, error: RateLimitError) -> None:
        # The client has already waited for other seconds, so this one is of a minute,
        # or of a second that many share.
        pause = 2.0 if "second" in error.errmsg else 60 - time.time() % 60
        self._resume_at = max(self._resume_at, self._clock() + pause + random.random())

    def _hold(self, row: Row, error: ApiError) -> list[Tally]:
        """
        Keep a row that was refused with 9300513 until it is known whose limit it is.
        """
        with self._lock:
            self._held.append((row, error))
            if len(self._held) < STREAK:
                return []
            users = {each.fields.get("openid") or each.id for each, _ in self._held}
            if len(users) >= STREAK / 2:
                # Not done: another day they may be.
                self._held.clear()
                self.end("quota", error)
        return self._release()

    def _release(self) -> list[Tally]:
        """
        Write the rows that were kept: the limit is their users'.
        """
        with self._lock:
            held, self._held = self._held, []
        return [self._write_error(row, REFUSED, error) for row, error in held]

    def _write_error(self, row: Row, outcome: str, error: WxLogisticsError) -> Tally:
        _, message, _ = explain(error, self._say)
        return self._write(
            row,
            outcome,
            {
                "error": {
                    "type": type(error).__name__,
                    "errcode": getattr(error, "errcode", None),
                    "rid": getattr(error, "rid", None),
                    "message": message,
                }
            },
        )

    def _write_invalid(self, row: Row, message: str) -> Tally:
        error = {"type": "MalformedRow", "errcode": None, "rid": None}
        return self._write(
            row, INVALID, {"error": {**error, "message": message, "line": row.line}}
        )

    def _write_interrupted(self, row: Row) -> Tally:
        error = {"type": "Interrupted", "errcode": None, "rid": None}
        message = self._say("bulk.was_interrupted")
        return self._write(row, MAYBE_APPLIED, {"error": {**error, "message": message}})

    def _write(self, row: Row, outcome: str, fields: dict[str, Any]) -> Tally:
        line = {"id": row.id, "outcome": outcome, **fields}
        tally = tally_of(line)
        self._ledger.write(row.number, row.digest, tally, line)
        return tally


def _may_be_applied(error: WxLogisticsError) -> bool:
    """
    Whether the registration that ended in *error*, which is no refusal, may have been
    made. One that failed at its access_token was not even sent.
    """
    endpoint = getattr(error, "endpoint", "")
    return endpoint in REGISTERS and getattr(error, "maybe_applied", True)


def check_same_input(ledger: Ledger, row: Row) -> None:
    """
    Check that *row* is as it was when it was done; one that was malformed may have
    been mended since.

    Raises:
        Problem: It is not.
    """
    if ledger.digest(row.number) is None or _is_as_it_was(ledger, row):
        return
    tally = ledger.tally(row.number)
    if tally is None or tally.outcome != INVALID:
        raise Problem("out.changed", path=ledger.path, row=row.number, line=row.line)


def _is_as_it_was(ledger: Ledger, row: Row) -> bool:
    """
    Whether *row* has the content that is known of it.
    """
    digests = [row.digest]
    if row.problem and row.problem.key == "row.same_waybill":
        # That is the fault of another row, which may have been mended since.
        digests.append(attrs.evolve(row, problem=None).digest)
    return ledger.digest(row.number) in digests


def check_whole_input(ledger: Ledger, last_row: int) -> None:
    """
    Check that the input has not become shorter than what is done of it.

    Raises:
        Problem: It has.
    """
    if ledger.last_row > last_row:
        raise Problem("out.shorter", path=ledger.path, row=ledger.last_row)
