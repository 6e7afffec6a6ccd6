"""Many queries at once: lazily, in bounded memory, and never a thread left behind."""

import gc
import itertools
import pickle
import threading
import time
from typing import Any, Iterator

import pytest
from programs import run_python

from wxlogistics import Client, InvalidArgumentError, Trace, WaybillTokenError
from wxlogistics.bulk import QueryResult, query_many, run_many
from wxlogistics.sandbox import Sandbox


def bulk_threads() -> list[threading.Thread]:
    threads = threading.enumerate()
    return [each for each in threads if each.name.startswith("wxlogistics-bulk")]


class Calls:
    """A client whose calls can be held up, and that counts them."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most_at_once = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self._at_once = 0
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> None:
        self.go_on.clear()
        threading.Timer(seconds, self.go_on.set).start()

    def query_trace(self, token: str) -> Trace:
        with self._lock:
            self.begun.append(token)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.go_on.wait(60)
        with self._lock:
            self._at_once -= 1
        if token.startswith("bad"):
            raise WaybillTokenError("query_trace", 9300507, "invalid token")
        if token.startswith("odd"):
            raise KeyError(token)
        return Trace.from_reply({"waybill_info": {"status": 2, "waybill_id": token}})


def many(calls: Calls, tokens: Any, **options: Any) -> Iterator[QueryResult]:
    client: Any = calls
    return query_many(client, tokens, **options)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert bulk_threads() == []


class TestQueryMany:
    def test_query_many__each_token_once(self):
        results = list(many(Calls(), (f"t{index}" for index in range(300))))

        assert [f"t{index}" for index in range(300)] == sorted(
            (result.token for result in results), key=lambda token: int(token[1:])
        )
        assert all(result.trace.waybill_id == result.token for result in results)
        assert {None} == {result.error for result in results}

    def test_query_many__failures_are_results(self):
        found = {
            result.token: type(result.error)
            for result in many(Calls(), ["t1", "bad1", "odd1"])
        }

        assert {"t1": type(None), "bad1": WaybillTokenError, "odd1": KeyError} == found

    def test_query_many__token_of_wrong_type(self):
        with Client("ACCESS_TOKEN", base_url="http://127.0.0.1:9") as client:
            (result,) = query_many(client, [None])

        assert "waybill_token: is of type NoneType; give a str" == str(result.error)

    def test_query_many__real_client(self):
        sandbox = Sandbox(user_daily_limit=1000)
        with sandbox.serve() as server:
            token = sandbox.access_token()
            with Client(token, base_url=server.url) as client:
                results = list(query_many(client, ["a", "b", "c"], workers=2))

        assert [9300507] * 3 == [result.error.errcode for result in results]

    def test_query_many__reads_ahead_twice_the_workers(self):
        counter = itertools.count()
        results = many(Calls(), (f"t{number}" for number in counter), workers=4)

        for _ in range(10):
            next(results)
        read = next(counter)
        results.close()

        assert read <= 10 + 2 * 4

    def test_query_many__as_many_calls_as_workers(self):
        calls = Calls()
        calls.hold(0.2)

        list(many(calls, (f"t{index}" for index in range(40)), workers=7))

        assert 7 == calls.most_at_once

    def test_query_many__few_tokens_few_threads(self):
        calls = Calls()
        calls.hold(0.1)
        results = many(calls, ["t1", "t2", "t3"])

        next(results)

        assert 3 == len(bulk_threads())
        assert 2 == len(list(results))

    def test_query_many__slow_call_blocks_no_other(self):
        slow = threading.Event()

        class Client(Calls):
            def query_trace(self, token: str) -> Trace:
                if token == "slow":
                    slow.wait(60)
                return super().query_trace(token)

        tokens = []
        for result in many(Client(), ["slow", "t1", "t2", "t3"], workers=2):
            tokens.append(result.token)
            if len(tokens) == 3:
                slow.set()

        assert {"t1", "t2", "t3"} == set(tokens[:3])
        assert "slow" == tokens[3]

    def test_query_many__slow_input_blocks_no_result(self):
        events: list[str] = []

        def tokens() -> Iterator[str]:
            for name in ("t1", "t2", "t3"):
                events.append(f"in {name}")
                yield name
                time.sleep(0.05)

        for result in many(Calls(), tokens()):
            events.append(f"out {result.token}")

        assert events.index("out t1") < events.index("in t3")
        assert 6 == len(events)

    def test_query_many__input_raises(self):
        """Calls under way still yield their results first."""

        def tokens() -> Iterator[str]:
            yield "t1"
            yield "t2"
            raise ConnectionError("the database went away")

        calls = Calls()
        calls.hold(0.1)
        results = many(calls, tokens())
        found = {next(results).token, next(results).token}

        assert {"t1", "t2"} == found
        with pytest.raises(ConnectionError, match="the database went away"):
            next(results)

    @pytest.mark.parametrize("tokens", ["a-token", 5, None])
    def test_query_many__tokens_not_an_iterable(self, tokens):
        """A str would be taken for tokens of one letter."""
        with pytest.raises(InvalidArgumentError) as caught:
            many(Calls(), tokens)

        assert "tokens" == caught.value.field

    @pytest.mark.parametrize("workers", [0, -1, 1.5, "2", True, None])
    def test_query_many__wrong_workers(self, workers):
        with pytest.raises(
            InvalidArgumentError, match="workers: is not a whole number"
        ):
            many(Calls(), [], workers=workers)


class TestStopping:
    def test_close__waits_for_calls_under_way(self):
        turns = threading.Semaphore(0)
        begun = []

        def function(number):
            begun.append(number)
            turns.acquire(timeout=10)
            return number

        # Of four that are read, one ends, two are under way, and one waits.
        results = run_many(function, itertools.count(), workers=2)
        threading.Timer(0.1, turns.release).start()
        next(results)
        threading.Timer(0.3, turns.release, [9]).start()

        results.close()

        assert [] == bulk_threads()
        assert 3 >= len(begun)

    def test_close__before_the_first_result(self):
        calls = Calls()
        results: Any = many(calls, ["t1"])

        results.close()

        assert [] == calls.begun

    def test_consumer__raises_in_the_loop(self):
        with pytest.raises(ZeroDivisionError):
            for _ in many(Calls(), map(str, itertools.count()), workers=4):
                raise ZeroDivisionError
        gc.collect()

        assert [] == bulk_threads()

    def test_consumer__interrupted(self):
        calls = Calls()

        def tokens() -> Iterator[str]:
            yield from ("t1", "t2")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(many(calls, tokens(), workers=1))
        gc.collect()

        assert [] == bulk_threads()

    def test_consumer__closed_by_a_worker(self):
        held: list[Any] = []
        is_held = threading.Event()
        other_began = threading.Event()

        def function(number: int) -> int:
            if number == 0:
                other_began.wait(60)
            if number == 1:
                other_began.set()
                is_held.wait(60)
                # Not running at this moment, so that a thread may close it.
                try:
                    held.pop().close()
                except BaseException as error:
                    held.append(error)
            return number

        results = run_many(function, itertools.count(), workers=2)
        next(results)
        held.append(results)
        del results
        is_held.set()
        deadline = time.monotonic() + 60
        while bulk_threads() and time.monotonic() < deadline:
            time.sleep(0.01)

        assert [] == held
        assert [] == bulk_threads()

    def test_exit__does_not_wait_for_calls(self):
        code = (
            "import itertools, threading, time\n"
            "from wxlogistics.bulk import run_many\n"
            "def call(n):\n"
            "    if n: time.sleep(3600)\n"
            "    return n\n"
            "def main():\n"
            "    results = run_many(call, itertools.count(), workers=3)\n"
            "    print(next(results), flush=True)\n"
            "    threading.Event().wait()\n"
            "threading.Thread(target=main, daemon=True).start()\n"
            "time.sleep(0.3)\n"
        )

        assert "0\n" == run_python("-c", code, timeout=60)


class TestRunMany:
    def test_run_many__function_raises(self):
        def function(number: int) -> int:
            if number == 3:
                raise OSError("disk full")
            return number

        with pytest.raises(OSError, match="disk full"):
            list(run_many(function, itertools.count(), workers=2))

    def test_run_many__none_is_an_item(self):
        assert [None] == list(run_many(lambda item: item, [None], workers=1))


class TestQueryResult:
    def test_pickle__error(self):
        error = WaybillTokenError("query_trace", 9300507, "invalid token")
        result = pickle.loads(pickle.dumps(QueryResult("t", error=error)))

        assert ("t", 9300507) == (result.token, result.error.errcode)

    def test_trace__of_a_failed_query(self):
        error = WaybillTokenError("query_trace", 9300507, "invalid token")
        with pytest.raises(WaybillTokenError) as caught:
            QueryResult("t", error=error).trace

        assert caught.value is error

    def test_trace__neither_trace_nor_error(self):
        with pytest.raises(LookupError, match="this result holds no trace"):
            QueryResult("t").trace
