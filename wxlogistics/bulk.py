"""Many calls over one client: concurrent, lazy, and in bounded memory."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import attrs

from ._arguments import wrong_type
from .client import Client
from .errors import InvalidArgumentError
from .models import Trace

Item = TypeVar("Item")
Result = TypeVar("Result")


@attrs.frozen
class QueryResult:
    """
    The result of one query: either a trace or an error.

    Attributes:
        token: The queried waybill_token.

        trace: The trace; raises the *error* if there is one.

        error: Why there is no trace: a `WxLogisticsError`, or another exception of the
            client's token provider or session; None if there is a trace.
    """

    token: str
    _trace: Trace | None = attrs.field(default=None, alias="trace")
    error: Exception | None = None

    @property
    def trace(self) -> Trace:
        """
        The trace; raises the *error* if there is one.
        """
        if self._trace is None:
            raise self.error or LookupError("this result holds no trace")
        return self._trace


def query_many(
    client: Client, tokens: Iterable[str], *, workers: int = 16
) -> Generator[QueryResult, None, None]:
    """
    Query many waybills concurrently, and yield each result as it arrives.

    The results come in the order in which WeChat answers. A single failure raises
    nothing; it is a result. When the caller stops early, by ``close()``, by an
    exception or by dropping the generator, the calls under way are waited for, and no
    other is made.

    Args:
        client: Makes the calls.

        tokens: The waybill_tokens: any iterable, which is read in the caller's thread
            and at most ``2 * workers`` ahead.

        workers: How many calls are under way at the same time.

    Raises:
        InvalidArgumentError: *tokens* is a str or not an iterable, or *workers* is not
            a whole number from 1.
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

    As `query_many`, but an exception of *function* is raised here, and ends all.
    """
    if type(workers) is not int or workers < 1:
        raise InvalidArgumentError("workers", "is not a whole number from 1")
    return _run(function, items, workers)


def _run(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    under_way: set[Future[Result]] = set()
    done: queue.SimpleQueue[Future[Result]] = queue.SimpleQueue()
    failure: Exception | None = None
    pool = ThreadPoolExecutor(workers, "wxlogistics-bulk")

    def read() -> Iterator[Item]:
        nonlocal failure
        try:
            yield from items
        except Exception as error:
            # Raised at the end, after the results of the calls under way.
            failure = error

    def next_result() -> Result:
        future = done.get()
        under_way.remove(future)
        return future.result()

    try:
        for item in read():
            future = pool.submit(function, item)
            under_way.add(future)
            future.add_done_callback(done.put)
            while not done.empty() or len(under_way) == 2 * workers:
                yield next_result()
        while under_way:
            yield next_result()
    finally:
        # The garbage collector may run this in any thread, even in one of the pool.
        inside = threading.current_thread().name.startswith("wxlogistics-bulk")
        pool.shutdown(wait=not inside, cancel_futures=True)
    if failure is not None:
        raise failure
