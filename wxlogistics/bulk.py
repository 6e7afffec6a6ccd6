"""Many calls over one client: concurrent, lazy, and in bounded memory."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Any, Callable, Generator, Iterable, TypeVar

import attrs

from .client import Client
from .errors import InvalidArgumentError
from .models import Trace, wrong_type

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
        InvalidArgumentError: *tokens* is a str or no iterable, or *workers* is not a
            whole number from 1.
    """
    if isinstance(tokens, str) or not isinstance(tokens, Iterable):
        raise wrong_type("tokens", tokens, "an iterable of waybill_tokens")

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
    # The items go to the threads by one queue, and what came of them back by another.
    todo: SimpleQueue[Any] = SimpleQueue()
    done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    dismissed = threading.Event()
    threads: list[threading.Thread] = []
    under_way = 0
    failure: Exception | None = None

    def work() -> None:
        while True:
            item = todo.get()
            if dismissed.is_set():
                return
            try:
                done.put((function(item), None))
            except BaseException as error:
                done.put((None, error))

    def read() -> Generator[Item, None, None]:
        nonlocal failure
        try:
            for item in items:
                yield item
        except Exception as error:
            # Raised in the end: what is under way is still the caller's.
            failure = error

    def finished(most: int) -> Generator[Result, None, None]:
        """
        Yield what is there, and wait while more than *most* calls are under way.
        """
        nonlocal under_way
        while under_way:
            try:
                result, error = done.get(block=under_way > most)
            except Empty:
                return
            if error is not None:
                raise error
            under_way -= 1
            yield result

    try:
        for item in read():
            todo.put(item)
            under_way += 1
            if len(threads) < workers:
                # A daemon, so that a generator left half-way never holds up the exit.
                thread = threading.Thread(
                    target=work, name="wxlogistics-bulk", daemon=True
                )
                thread.start()
                threads.append(thread)
            yield from finished(2 * workers - 1)
        yield from finished(0)
    finally:
        # Each stops after the call that it makes.
        dismissed.set()
        for _ in threads:
            todo.put(None)
        for thread in threads:
            # The garbage collector may run this in any thread, one of these too.
            if thread is not threading.current_thread():
                thread.join()
    if failure is not None:
        raise failure
