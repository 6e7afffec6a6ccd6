"""A Client that is used before a fork, and then on both sides of it.

Each scenario runs in a process of its own, this file called as a script, and puts its
pid into every waybill_token, so that the server sees whose request came by which
connection.
"""

from __future__ import annotations

import contextlib
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
from typing import Any, Callable, Iterator, NoReturn

import pytest
import requests
import trustme
from chaos import ChaosServer
from requests.adapters import BaseAdapter, HTTPAdapter

from wxlogistics import Client, _wire

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

_numbers = itertools.count()


def ask(client: Client, times: int = 1) -> None:
    """
    Make calls, and see to it that their answers are this process's own.
    """
    for _ in range(times):
        name = f"{os.getpid()}-{next(_numbers)}"
        got = client.query_trace(name).waybill_id
        if got != name:
            sys.exit(f"asked for {name}, got {got}")


def in_child(work: Callable[[], object], leave: Callable[[int], object]) -> int:
    """
    Do *work* in a child that ends by *leave*; return its pid.
    """
    pid = os.fork()
    if not pid:
        work()
        leave(0)
    return pid


def wait_for(pids: list[int]) -> None:
    """
    Wait for the children; it is wrong if one fails or hangs.
    """
    ends_at = time.monotonic() + 20
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
    """
    Fork with an idle connection; parent and children go on at the same time.
    """
    with Client("TOKEN", base_url=url) as client:
        ask(client)
        pids = [in_child(lambda: ask(client, 5), leave) for _ in range(4)]
        ask(client, 5)
        wait_for(pids)
        ask(client)


def callers_session(url: str, leave: Callable[[int], object]) -> None:
    """
    The same with a session of the caller's, whose pool is small and blocks.
    """
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=1, pool_block=True))
        session.cookies["mine"] = "kept"
        client = Client("TOKEN", base_url=url, session=session)
        ask(client)

        def work() -> None:
            ask(client, 5)
            assert {"mine": "kept"} == session.cookies.get_dict()

        pids = [in_child(work, leave) for _ in range(4)]
        ask(client, 5)
        wait_for(pids)
        ask(client)


def under_load(url: str, leave: Callable[[int], object]) -> None:
    """
    Fork while 16 threads are calling; the children make threads of their own.
    """
    with Client("TOKEN", base_url=url) as client:
        fork_under_load(client, leave)


def callers_session_under_load(url: str, leave: Callable[[int], object]) -> None:
    """
    The same with a session of the caller's, whose every connection is in use.
    """
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=2, pool_block=True))
        fork_under_load(Client("TOKEN", base_url=url, session=session), leave)


def fork_under_load(client: Client, leave: Callable[[int], object]) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.is_set():
                ask(client)
        except BaseException as error:
            failed.append(error)

    def threads() -> None:
        made = [threading.Thread(target=ask, args=(client, 5)) for _ in range(4)]
        for thread in made:
            thread.start()
        for thread in made:
            thread.join()

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
    """
    Threads of the child all use the client at once, for the first time.
    """

    def work() -> None:
        barrier = threading.Barrier(16)

        def call() -> None:
            barrier.wait()
            ask(client, 3)

        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with requests.Session() as session:
        for client in (
            Client("TOKEN", base_url=url),
            Client("TOKEN", base_url=url, session=session),
        ):
            ask(client)
            wait_for([in_child(work, leave)])
            client.close()


def locks_held(url: str, leave: Callable[[int], object]) -> None:
    """
    Fork while other threads hold every lock that there is, as it may happen.
    """
    with requests.Session() as session:
        clients = [
            Client("TOKEN", base_url=url),
            Client("TOKEN", base_url=url, session=session),
        ]
        for client in clients:
            ask(client)
            with contextlib.ExitStack() as stack:
                used = client._wire._session
                locks = [used.cookies._cookies_lock]
                for adapter in used.adapters.values():
                    pools = adapter.poolmanager.pools
                    locks += [
                        pools.lock,
                        *(pools[key].pool.mutex for key in pools.keys()),
                    ]
                for lock in locks:
                    stack.enter_context(held(lock))

                def work() -> None:
                    ask(client, 2)
                    client.close()
                    ask(client)

                pids = [in_child(work, leave)]
                # One that never calls must be able to end, too.
                pids += [in_child(client.close, leave)]
                wait_for(pids)
            ask(client)
            client.close()


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:
    """
    Have another thread hold *lock*.
    """
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def grandchildren(url: str, leave: Callable[[int], object]) -> None:
    """
    Children fork children, before and after they call.
    """
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
    """
    The child runs to the end of the parent's with statement, and the program.
    """
    with Client("TOKEN", base_url=url) as client:
        ask(client)
        pid = os.fork()
        ask(client, 3)
    if pid:
        wait_for([pid])


def workers(url: str, leave: Callable[[int], object]) -> None:
    """
    multiprocessing's workers, forked.
    """
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
            process.join(20)
            if process.exitcode != 0:
                sys.exit(f"a worker ended with {process.exitcode}")
        ask(client)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        idle,
        callers_session,
        under_load,
        callers_session_under_load,
        first_used_by_threads,
        locks_held,
        grandchildren,
        with_statement,
        workers,
    )
}


def end_at_once(status: int) -> NoReturn:
    os._exit(status)


def run(scenario: str, url: str, leave: str, **environment: str) -> None:
    """
    Run a scenario in a process of its own; it must end well and silently.
    """
    # Python 3.12 and newer warn of a fork where there are threads.
    command = [sys.executable, "-W", "error", "-W", "ignore:This process"]
    done = subprocess.run(
        [*command, __file__, scenario, url, leave],
        capture_output=True,
        text=True,
        timeout=60,
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
        The end of a child does not end the parent's connection.
        """
        with ChaosServer() as server:
            run("idle", server.url, leave)
            parent = server.requests[0].payload["waybill_token"].partition("-")[0]
            pids = pids_by_connection(server)

        assert 1 == sum(parent in each for each in pids.values())
        assert 5 == len(pids)

    @pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
    def test_fork__under_tls(self, leave: str, tmp_path: Path) -> None:
        """
        Nor does it say good-bye in the parent's name under TLS.
        """
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

    @pytest.mark.parametrize("own", [True, False], ids=["own", "caller's"])
    def test_after_fork__other_connections(self, own: bool) -> None:
        """
        What is done in a child is to open other connections, and to keep those.
        """
        with ChaosServer() as server, requests.Session() as session:
            session.mount("ftp://", WithoutConnections())
            client = Client(
                "TOKEN", base_url=server.url, session=None if own else session
            )
            ask(client)
            _wire._after_fork()
            ask(client)
            ask(client)
            client.close()

            assert [1, 2, 2] == [request.connection for request in server.requests]

    def test_after_fork__strange_cookies(self) -> None:
        """
        One session with something else for a jar does not spoil it for the others.
        """
        with ChaosServer() as server, requests.Session() as odd:
            odd.cookies = {"a": "b"}  # type: ignore[assignment]
            strange = Client("TOKEN", base_url=server.url, session=odd)
            client = Client("TOKEN", base_url=server.url)
            ask(client)
            _wire._after_fork()
            ask(client)
            client.close()
            del strange

            assert [1, 2] == [request.connection for request in server.requests]

    def test_after_fork__under_a_proxy(self) -> None:
        """
        The connections to a proxy are not inherited either.
        """
        with ChaosServer() as proxy, requests.Session() as session:
            session.proxies["http"] = proxy.url
            client = Client("TOKEN", base_url="http://wechat.invalid", session=session)
            ask(client)
            _wire._after_fork()
            ask(client)

            assert [1, 2] == [request.connection for request in proxy.requests]

    def test_after_fork__pool_closed(self) -> None:
        """
        A pool that was closed is passed over.
        """
        with ChaosServer() as server, requests.Session() as session:
            client = Client("TOKEN", base_url=server.url, session=session)
            ask(client)
            manager = session.get_adapter(server.url).poolmanager
            manager.connection_from_url(server.url).close()
            _wire._after_fork()
            manager.clear()
            ask(client)

            assert [1, 2] == [request.connection for request in server.requests]


class WithoutConnections(BaseAdapter):
    """
    An adapter that is not of requests' own kind.
    """

    def close(self) -> None:
        pass


if __name__ == "__main__":
    _, name, url, leave = sys.argv
    SCENARIOS[name](url, end_at_once if leave == "os._exit" else sys.exit)
