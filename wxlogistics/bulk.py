"""Many calls over one client: concurrent, lazy, and in bounded memory."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Any, Callable, Generator, Iterable, TypeVar

import attrs

from .client import Client
from .errors import InvalidArgumentError
from .models import Trace

__all__ = ["QueryResult", "query_many", "run_many"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@attrs.frozen
class QueryResult:
    """
    What came of one query: either a trace or an error.

    Attributes:
        token: The waybill_token that was asked about.

        trace: WeChat's answer.

        error: Why there is none: a `WxLogisticsError`, or whatever else the client's
            token provider or session raised.
    """

    token: str
    trace: Trace | None = None
    error: Exception | None = None


def query_many(
    client: Client, tokens: Iterable[str], *, workers: int = 16
) -> Generator[QueryResult, None, None]:
    """
    Query many waybills at the same time, and yield each result when it is there.

    The results come in the order in which WeChat answers. A single failure raises
    nothing; it is a result. When the caller stops early, by ``close()``, by an
    exception or by letting the generator go, the calls under way are waited for, and
    no other is made.

    Args:
        client: Makes the calls.

        tokens: The waybill_tokens: any iterable, which is read in the caller's thread
            and at most ``2 * workers`` ahead.

        workers: How many calls are under way at the same time.

    Raises:
        InvalidArgumentError: *workers* is not a whole number from 1.
    """

    def query(token: str) -> QueryResult:
        try:
            return QueryResult(token, trace=client.query_trace(token))
        except Exception as error:
            return QueryResult(token, error=error)

    return run_many(query, tokens, workers=workers)


def run_many(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Generator[Result, None, None]:
    """
    Call *function* with each item, in threads, and yield what it returns.

    As `query_many`, but that an exception of *function* is raised here, and ends all.
    """
    if type(workers) is not int or workers < 1:
        raise InvalidArgumentError("workers", "is not a whole number from 1")
    return _run(function, items, workers)


def _run(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    crew = _Crew(function)
    source = iter(items)
    under_way = 0
    failure: Exception | None = None
    more = True
    try:
        while more or under_way:
            if more:
                try:
                    item = next(source)
                except StopIteration:
                    more = False
                except Exception as error:
                    # What is under way is still the caller's.
                    more, failure = False, error
                else:
                    crew.take(item, workers)
                    under_way += 1
            # Wait only where there is nothing to be begun, or enough that has been.
            wait = under_way == 2 * workers or (under_way > 0 and not more)
            for result in crew.finished(wait=wait):
                under_way -= 1
                yield result
    finally:
        crew.dismiss()
    if failure is not None:
        raise failure


class _Crew:
    """
    The threads, and the queues to them and back.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._todo: SimpleQueue[Any] = SimpleQueue()
        self._done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._dismissed = threading.Event()
        self._threads: list[threading.Thread] = []

    def take(self, item: object, workers: int) -> None:
        self._todo.put(item)
        if len(self._threads) < workers:
            # A daemon, so that a generator left half-way never holds up the exit.
            thread = threading.Thread(
                target=self._work, name="wxlogistics-bulk", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def finished(self, *, wait: bool) -> Generator[Any, None, None]:
        """
        Yield what is there; with *wait* at least one.
        """
        while True:
            try:
                result, error = self._done.get(block=wait)
            except Empty:
                return
            if error is not None:
                raise error
            yield result
            wait = False

    def dismiss(self) -> None:
        """
        Stop every thread after the call that it makes, and wait until they have.
        """
        self._dismissed.set()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            # The garbage collector may run this in any thread, one of these too.
            if thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        while True:
            item = self._todo.get()
            if self._dismissed.is_set():
                return
            try:
                self._done.put((self._function(item), None))
            except BaseException as error:
                self._done.put((None, error))
