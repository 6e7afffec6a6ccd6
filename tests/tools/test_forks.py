"""A client that was used before a fork of any kind, and copies of such a client.

Every process puts its pid into the waybill_tokens that it asks for: the server knows
whose request came in by which connection. The scenarios run in a process of their own,
this file as a script.
"""

import contextlib
import copy
import json
import multiprocessing
import os
import pickle
import sys
import threading
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Callable

import programs
import pytest
import requests
import trustme
from chaos import ChaosServer
from programs import needed
from toolbox import application, in_threads, pids_by_connection

from wxlogistics import Client

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

#: What becomes of a client that has made a call.
COPIES: dict[str, Callable[[Client], Client]] = {
    "itself": lambda client: client,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda client: pickle.loads(pickle.dumps(client)),
}


def ask(client: Client, first: int) -> None:
    """Make five calls; the answers are those of this process."""
    for number in range(first, first + 5):
        name = f"{os.getpid()}-{number}"
        assert name == client.query_trace(name).waybill_id


def in_child(work: Callable[[], object], leave: Callable[[int], Any] = os._exit) -> int:
    """Do *work* in a child that ends by *leave*; return its pid."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        leave(0)
    return pid


def well_ended(pids: list[int]) -> bool:
    return not any(os.waitpid(pid, 0)[1] for pid in pids)


def by_os_fork(leave: Callable[[int], Any]) -> Callable[[Client], None]:
    def way(client: Client) -> None:
        pids = [in_child(lambda: ask(client, 10), leave) for _ in range(3)]
        ask(client, 10)
        assert well_ended(pids)

    return way


def under_load(client: Client) -> None:
    """Fork while 16 threads are calling; the children make threads of their own."""
    stop = threading.Event()

    def run(number: int) -> None:
        while not stop.is_set():
            ask(client, 1000 + 10 * number)

    def threads() -> None:
        in_threads(4, lambda number: ask(client, 10 * number))

    with ThreadPoolExecutor(16) as pool:
        runs = [pool.submit(run, number) for number in range(16)]
        for _ in range(6):
            time.sleep(0.01)
            assert well_ended([in_child(threads) for _ in range(2)])
        stop.set()
        for each in runs:
            each.result()


def first_used_by_threads(client: Client) -> None:
    """Threads of the child all use the client at once, for the first time."""
    barrier = threading.Barrier(16)

    def work(number: int) -> None:
        barrier.wait()
        ask(client, 10 * number)

    pids = [in_child(lambda: in_threads(16, work)) for _ in range(3)]
    assert well_ended(pids)


def closed_in_child(client: Client) -> None:
    """The child closes the client before, between and after its calls."""

    def work() -> None:
        for first in (10, 20):
            client.close()
            ask(client, first)
        client.close()

    assert well_ended([in_child(work), in_child(work), in_child(work)])
    assert well_ended([in_child(client.close)])


def grandchildren(client: Client) -> None:
    """Children fork children, before and after they call."""

    def grandchild() -> int:
        return in_child(lambda: ask(client, 30))

    def child() -> None:
        early = grandchild()
        ask(client, 20)
        assert well_ended([early, grandchild()])
        ask(client, 40)

    assert well_ended([in_child(child)])


def by_multiprocessing(method: str) -> Callable[[Client], None]:
    def way(client: Client) -> None:
        context = multiprocessing.get_context(method)
        workers = [context.Process(target=ask, args=(client, 10)) for _ in range(3)]
        for worker in workers:
            worker.start()
        ask(client, 10)
        for worker in workers:
            worker.join()
        assert not any(worker.exitcode for worker in workers)

    return way


def by_process_pool(client: Client) -> None:
    """The bound method is pickled, and so are the Traces."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        names = [f"{os.getpid()}_pool-{number}" for number in range(20)]
        traces = list(pool.map(client.query_trace, names))
    assert names == [trace.waybill_id for trace in traces]


WAYS: dict[str, Callable[[Client], None]] = {
    "os.fork": by_os_fork(os._exit),
    "os.fork, sys.exit": by_os_fork(sys.exit),
    "under load": under_load,
    "first used by threads": first_used_by_threads,
    "closed in the child": closed_in_child,
    "grandchildren": grandchildren,
    "multiprocessing, fork": by_multiprocessing("fork"),
    "multiprocessing, spawn": by_multiprocessing("spawn"),
    "ProcessPoolExecutor": by_process_pool,
}

CASES = [
    *((kind, "os.fork") for kind in COPIES),
    *(("itself", way) for way in WAYS if way != "os.fork"),
    ("deepcopy", "multiprocessing, fork"),
]


def run_cases(cases: list[Any], servers: list[ChaosServer], **environ: str) -> None:
    """Run this file as a script: each of *cases* with the server in its place."""
    python_path = os.pathsep.join(sys.path)
    arguments = json.dumps([[*case, each.url] for case, each in zip(cases, servers)])
    programs.run_python(
        # Python 3.12 and newer warn of a fork where there are threads.
        *("-W", "error", "-W", "ignore:This process", __file__, arguments),
        env={**os.environ, "PYTHONPATH": python_path, **environ},
    )


@pytest.fixture(scope="module")
def servers() -> dict[Any, ChaosServer]:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ChaosServer()) for _ in CASES]
        run_cases(CASES, servers)
    return dict(zip(CASES, servers))


class TestForks:
    @pytest.mark.parametrize("case", CASES)
    def test_fork__children_open_their_own_connections(self, servers, case):
        server, way = servers[case], case[1]
        parent = server.requests[0].payload["waybill_token"].partition("-")[0]
        pids = pids_by_connection(server)

        if way == "ProcessPoolExecutor":
            # The parent's names are the workers' calls.
            assert {parent} not in list(pids.values())[2:]
        else:
            processes = set().union(*pids.values())
            assert (13 if way == "under load" else 4) == len(processes)
        assert [1] * len(pids) == [len(each) for each in pids.values()]
        most = 17 if way == "under load" else 2
        assert most >= sum(parent in each for each in pids.values())

    def test_fork__under_tls(self, tmp_path):
        """No child may send TLS's close_notify over its parent's connection."""
        authority = trustme.CA()
        pem = str(tmp_path / "authority.pem")
        authority.cert_pem.write_to_path(pem)
        certificate = authority.issue_cert("127.0.0.1")
        ways = ("os.fork", "os.fork, sys.exit")
        with contextlib.ExitStack() as stack:
            servers = [ChaosServer(certificate=certificate) for _ in ways]
            for server in servers:
                stack.enter_context(server)
            cases = [("itself", way) for way in ways]
            run_cases(cases, servers, REQUESTS_CA_BUNDLE=pem)

        # The parent goes on with the connection that it had.
        for pids in map(pids_by_connection, servers):
            assert [1] * 4 == [len(each) for each in pids.values()]

    def test_copy__deep_of_a_client_in_use(self):
        with ChaosServer() as server, Client("TOKEN", base_url=server.url) as client:

            def work(number: int) -> list[str]:
                with copy.deepcopy(client) as other:
                    names = [f"{number}-{count}" for count in range(20)]
                    return [
                        name
                        for name in names
                        if {name}
                        != {
                            each.query_trace(name).waybill_id
                            for each in (client, other)
                        }
                    ]

            assert [[]] * 8 == in_threads(8, work)


APPLICATION = """
import os, sys
from test_forks import COPIES
from wxlogistics import Client

client = Client("TOKEN", base_url=os.environ["WECHAT"])
client.get_delivery_list()
client = COPIES[os.environ["KIND"]](client)
client.get_delivery_list()


def application(environ, start_response):
    name = f"{os.getpid()}-{environ['QUERY_STRING']}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{name} {client.query_trace(name).waybill_id}".encode()]
"""


@pytest.mark.once
class TestUWSGI:
    """uWSGI forks without Python's at-fork hooks."""

    @pytest.mark.parametrize("kind", ["itself", "deepcopy", "pickle"])
    def test_workers__open_their_own_connections(self, kind, tmp_path):
        needed("pyuwsgi")
        command = ["-c", "import pyuwsgi; pyuwsgi.run()"]
        command += ["--http-socket", "127.0.0.1:0", "--master", "--die-on-term"]
        command += ["--processes", "3", "--threads", "4", "--wsgi-file", "app.py"]
        bound = {"bound": r"TCP address (\S+:\d+)"}
        with ChaosServer() as server:
            environ = {"WECHAT": server.url, "KIND": kind}
            with application(
                tmp_path, APPLICATION, *command, **bound, **environ
            ) as address:
                got = self.answers(f"http://{address}")
            pids = pids_by_connection(server)

        assert [name for name, _ in got] == [answer for _, answer in got]
        assert 2 <= len(set().union(*pids.values()))
        assert [1] * len(pids) == [len(each) for each in pids.values()]

    def answers(self, url: str) -> list[list[str]]:
        def work(number: int) -> list[list[str]]:
            return [
                requests.get(f"{url}/?{number}-{count}", timeout=60).text.split(" ")
                for count in range(13)
            ]

        return [pair for pairs in in_threads(16, work) for pair in pairs]


if __name__ == "__main__":
    for kind, way, url in json.loads(sys.argv[1]):
        client = Client("TOKEN", base_url=url)
        ask(client, 0)
        copied = COPIES[kind](client)
        ask(copied, 5)
        WAYS[way](copied)
        ask(copied, 15)
        ask(client, 20)
