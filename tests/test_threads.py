"""One Client under many threads: whose answer is whose, and how many connections."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import chaos
import pytest
from chaos import ChaosServer
from clients import make_client
from private import GOODS

from wxlogistics import Client

THREADS = 64
CALLS = 40


@pytest.fixture
def server() -> Iterator[ChaosServer]:
    """A server that answers rightly."""
    with ChaosServer() as server:
        yield server


def in_threads(work: Any) -> list[Any]:
    """
    Return what *work* returns in each of the threads, all of them started at once.
    """
    barrier = threading.Barrier(THREADS)

    def started(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(started, range(THREADS)))


class TestThreads:
    def test_answers__reach_who_asked(
        self, server: ChaosServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """
        Every thread gets its own answers, over no more connections than threads;
        urllib3 drops none of them.
        """
        caplog.set_level(logging.DEBUG, "urllib3")

        def work(number: int) -> list[tuple[str, str]]:
            wrong = []
            for count in range(CALLS):
                name = f"{number}-{count}"
                if count % 2:
                    got = client.query_trace(name).waybill_id
                    right = name
                else:
                    got = client.trace_waybill(
                        openid=name,
                        waybill_id=name,
                        receiver_phone=name,
                        goods_info=GOODS,
                    )
                    right = f"token of {name}"
                if got != right:
                    wrong.append((right, got))
            return wrong

        with Client("TOKEN", base_url=server.url) as client:
            wrong = in_threads(work)
            used = server.connections
            again = in_threads(work)

        assert [[]] * THREADS == wrong == again
        assert 2 * THREADS * CALLS == len(server.requests)
        assert THREADS >= used
        assert THREADS >= server.connections
        assert [] == [
            record.getMessage()
            for record in caplog.records
            if record.levelno > logging.DEBUG or "dropped" in record.getMessage()
        ]

    def test_faults__stay_with_who_met_them(self, server: ChaosServer) -> None:
        """A connection that broke under one thread troubles no other."""

        def sometimes(peer: chaos.Peer, request: chaos.Request) -> None:
            name = request.payload["waybill_token"]
            first = name not in seen
            seen.add(name)
            number = sum(name.encode())
            if first and number % 3 == 0:
                faults[number % len(faults)](peer, request)
            else:
                chaos.answer(peer, request)

        seen: set[str] = set()
        faults = [
            chaos.close_after_request,
            chaos.reset_in_body,
            chaos.gateway(502),
            chaos.answer_and_close,
        ]
        server.script(then=sometimes)

        def work(number: int) -> list[str]:
            names = [f"{number}-{count}" for count in range(10)]
            got = [client.query_trace(name).waybill_id for name in names]
            return [name for name, each in zip(names, got) if name != each]

        with make_client("TOKEN", base_url=server.url, retries=5) as client:
            wrong = in_threads(work)

        assert [[]] * THREADS == wrong


@pytest.mark.once
class TestSoak:
    def test_soak__a_short_one(self) -> None:
        """`make soak` runs and finds nothing."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.soak"]
            + ["--seconds", "2", "--threads", "16"],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=90,
        )
        lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())

        assert ("", 0) == (done.stderr, done.returncode)
        assert 100 < int(lines["calls"].split()[0])
        assert 20 < int(lines["faults"])
        assert "0" == lines["wrong answers"] == lines["lost calls"].strip()
