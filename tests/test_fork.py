"""A Client that is used before a fork, and then on both sides of it.

Each scenario runs in a process of its own, this file called as a script, and puts its
pid into every waybill_token, so that the server sees whose request came by which
connection.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import ssl
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Callable, NoReturn

import pytest
import trustme
from chaos import ChaosServer

from wxlogistics import Client

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

_numbers = itertools.count()


def ask(client: Client, times: int = 1) -> None:
    """Make calls, and exit if an answer is another process's."""
    for _ in range(times):
        name = f"{os.getpid()}-{next(_numbers)}"
        got = client.query_trace(name).waybill_id
        if got != name:
            sys.exit(f"asked for {name}, got {got}")


def in_child(work: Callable[[], object], leave: Callable[[int], object]) -> int:
    """Do *work* in a child that ends by *leave*; return its pid."""
    pid = os.fork()
    if not pid:
        work()
        leave(0)
    return pid


def in_threads(count: int, work: Callable[[], object]) -> None:
    """Do *work* in so many threads, all of them started at once."""
    barrier = threading.Barrier(count)

    def started() -> None:
        barrier.wait()
        work()

    threads = [threading.Thread(target=started) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def wait_for(pids: list[int]) -> None:
    """Wait for the children; exit if one fails or hangs."""
    ends_at = time.monotonic() + 60
    for pid in pids:
        done, status = os.waitpid(pid, os.WNOHANG)
        while not done:
            if time.monotonic() > ends_at:
                os.kill(pid, 9)
                sys.exit(f"child {pid} hangs")
            time.sleep(0.005)
            done, status = os.waitpid(pid, os.WNOHANG)
        if status:
            sys.exit(f"child {pid} ended with {status}")


# Scenarios: each gets the server's URL.


def idle(url: str, leave: Callable[[int], object]) -> None:
    """Fork with an idle connection; parent and children go on at the same time."""
    with Client("TOKEN", base_url=url) as client:
        ask(client)
        pids = [in_child(lambda: ask(client, 5), leave) for _ in range(4)]
        ask(client, 5)
        wait_for(pids)
        ask(client)


def under_load(url: str, leave: Callable[[int], object]) -> None:
    """Fork while 16 threads are calling; the children make threads of their own."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.is_set():
                ask(client)
        except BaseException as error:
            failed.append(error)

    def threads() -> None:
        in_threads(4, lambda: ask(client, 5))

    with Client("TOKEN", base_url=url) as client:
        runners = [threading.Thread(target=run) for _ in range(16)]
        for runner in runners:
            runner.start()
        for _ in range(6):
            time.sleep(0.01)
            wait_for([in_child(threads, leave) for _ in range(2)])
        stop.set()
        for runner in runners:
            runner.join()
        if failed:
            raise failed[0]
        ask(client)


def first_used_by_threads(url: str, leave: Callable[[int], object]) -> None:
    """Threads of the child all use the client at once, for the first time."""
    with Client("TOKEN", base_url=url) as client:
        ask(client)
        work = lambda: in_threads(16, lambda: ask(client, 3))  # noqa: E731
        wait_for([in_child(work, leave)])


def closed_in_child(url: str, leave: Callable[[int], object]) -> None:
    """The child closes the client before, between and after its calls."""
    with Client("TOKEN", base_url=url) as client:
        ask(client)

        def work() -> None:
            client.close()
            ask(client, 2)
            client.close()
            ask(client)

        wait_for([in_child(work, leave), in_child(client.close, leave)])
        ask(client)


def grandchildren(url: str, leave: Callable[[int], object]) -> None:
    """Children fork children, before and after they call."""
    with Client("TOKEN", base_url=url) as client:
        ask(client)

        def child() -> None:
            pid = in_child(lambda: ask(client, 2), leave)
            ask(client, 2)
            wait_for([pid, in_child(lambda: ask(client, 2), leave)])
            ask(client)

        wait_for([in_child(child, leave)])
        ask(client)


def with_statement(url: str, leave: Callable[[int], object]) -> None:
    """The child runs to the end of the parent's with statement, and the program."""
    with Client("TOKEN", base_url=url) as client:
        ask(client)
        pid = os.fork()
        ask(client, 3)
    if pid:
        wait_for([pid])


def workers(url: str, leave: Callable[[int], object]) -> None:
    """multiprocessing's workers, forked."""
    context = multiprocessing.get_context("fork")
    with Client("TOKEN", base_url=url) as client:
        ask(client)
        processes = [
            context.Process(target=ask, args=(client, 5), daemon=True) for _ in range(4)
        ]
        for process in processes:
            process.start()
        ask(client, 5)
        for process in processes:
            process.join(60)
            if process.exitcode != 0:
                sys.exit(f"a worker ended with {process.exitcode}")
        ask(client)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        idle,
        under_load,
        first_used_by_threads,
        closed_in_child,
        grandchildren,
        with_statement,
        workers,
    )
}


def end_at_once(status: int) -> NoReturn:
    os._exit(status)


def run(scenario: str, url: str, leave: str, **environment: str) -> None:
    """Run a scenario in a process of its own; it must end well and silently."""
    # Python 3.12 and newer warn of a fork where there are threads.
    command = [sys.executable, "-W", "error", "-W", "ignore:This process"]
    done = subprocess.run(
        [*command, __file__, scenario, url, leave],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )

    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)


def pids_by_connection(server: ChaosServer) -> dict[int, set[str]]:
    pids = defaultdict(set)
    for request in server.requests:
        name = request.payload["waybill_token"]
        pids[request.connection].add(name.partition("-")[0])
    return pids


class TestFork:
    @pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_fork__no_connection_of_two(self, scenario: str, leave: str) -> None:
        """
        No child writes to a connection of its parent's or a sibling's, none gets
        another's answer, and none hangs, however it ends.
        """
        with ChaosServer() as server:
            run(scenario, server.url, leave)
            pids = pids_by_connection(server)

        assert 2 <= len(set().union(*pids.values()))
        assert [1] * len(pids) == [len(each) for each in pids.values()]

    @pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
    def test_fork__parents_connection_lives_on(self, leave: str) -> None:
        """
        The end of a child does not end the parent's connection, which is used again.
        """
        with ChaosServer() as server:
            run("idle", server.url, leave)
            parent = server.requests[0].payload["waybill_token"].partition("-")[0]
            pids = pids_by_connection(server)

        assert 1 == sum(parent in each for each in pids.values())
        assert 5 == len(pids)

    @pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
    def test_fork__under_tls(self, leave: str, tmp_path: Path) -> None:
        """Nor does it send TLS's close_notify over it."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        with ChaosServer(tls=context) as server:
            run(
                "idle",
                server.url,
                leave,
                REQUESTS_CA_BUNDLE=str(tmp_path / "authority.pem"),
            )
            pids = pids_by_connection(server)

        assert [1] * 5 == [len(each) for each in pids.values()]


if __name__ == "__main__":
    _, name, url, leave = sys.argv
    SCENARIOS[name](url, end_at_once if leave == "os._exit" else sys.exit)
