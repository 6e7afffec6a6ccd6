"""Many processes that share one token through a cache, over HTTP."""

import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest

from wxlogistics.sandbox import Sandbox

PROCESSES = 4
THREADS = 8
CALLS = 40

#: One process: so many calls of each thread; a line when the first is half through.
WORKER = """
import json, sys, threading
import cachelib
from wxlogistics import Client, StableToken

appid, secret, url, directory = sys.argv[1:5]
thread_count, call_count = map(int, sys.argv[5:])
cache = cachelib.FileSystemCache(directory)
client = Client(StableToken(appid, secret, cache=cache), base_url=url)
errors = []
half = threading.Lock()

def work():
    for call in range(call_count):
        try:
            client.request("/cgi-bin/express/delivery/open_msg/open_query_plugin", {})
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
        if call == call_count // 2 and half.acquire(blocking=False):
            print("half", flush=True)

threads = [threading.Thread(target=work) for _ in range(thread_count)]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(errors))
"""


def revoke(sandbox: Sandbox) -> None:
    """Normal mode hands out another token at once."""
    sandbox.revoke_tokens()


def refuse(sandbox: Sandbox) -> None:
    """One call's token is refused, and normal mode hands it out all the same."""
    sandbox.fail("open_query_plugin", errcode=40001)


@pytest.mark.once
@pytest.mark.parametrize("kill, forced", [(revoke, 0), (refuse, 1)])
def test_get__many_processes(kill, forced, tmp_path):
    """Every call succeeds, and each process fetches once for each token that ends."""
    sandbox = Sandbox()
    with sandbox.serve() as server, contextlib.ExitStack() as stack:
        arguments = [sandbox.appid, sandbox.secret, server.url, str(tmp_path)]
        command = [sys.executable, "-c", WORKER, *arguments, str(THREADS), str(CALLS)]
        processes: list[Any] = []
        for _ in range(PROCESSES):
            process: Any = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert "ready\n" == process.stdout.readline()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert "half\n" == processes[0].stdout.readline()
        kill(sandbox)
        outputs = [process.communicate(timeout=60)[0] for process in processes]

    errors = [
        error for output in outputs for error in json.loads(output.split("\n")[-2])
    ]
    assert [] == errors
    fetches = sandbox.token_fetches
    assert 2 <= fetches.total <= 2 * PROCESSES + forced
    assert (forced, 0) == (fetches.forced, fetches.refused)
