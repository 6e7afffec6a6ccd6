"""Many processes that share one token through Redis, over HTTP."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import time
from typing import Any, Callable, Iterator

import pytest
from servers import redis_server

from wxlogistics.sandbox import Sandbox
from wxlogistics.sandbox.world.errcodes import Refusal

PROCESSES = 8
THREADS = 8

#: One process: calls from all its threads until its input ends, then the outcome.
WORKER = """
import json, sys, threading, time
import cachelib, redis
from wxlogistics import Client, StableToken

appid, secret, url, port = sys.argv[1:]
cache = cachelib.RedisCache(redis.Redis("127.0.0.1", int(port)))
provider = StableToken(appid, secret, cache=cache, base_url=url)
client = Client(provider, base_url=url)
stopped = threading.Event()
calls, errors = [], []

def work():
    while not stopped.is_set():
        try:
            client.request("/cgi-bin/express/delivery/open_msg/open_query_plugin", {})
            calls.append(1)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
        time.sleep(0.005)

threads = [threading.Thread(target=work) for _ in range(int(THREADS))]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads:
    thread.start()
sys.stdin.read()
stopped.set()
for thread in threads:
    thread.join()
print(json.dumps({"calls": len(calls), "errors": errors}))
""".replace("THREADS", str(THREADS))


@contextlib.contextmanager
def workers(*arguments: str) -> Iterator[list[subprocess.Popen[str]]]:
    """
    So many processes at work at once.
    """
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(PROCESSES):
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout and "ready\n" == process.stdout.readline()
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        yield processes


def outcome(processes: list[subprocess.Popen[str]]) -> tuple[int, list[str]]:
    """
    Stop them; how many calls succeeded, and what the others said.
    """
    said = [json.loads(process.communicate(timeout=30)[0]) for process in processes]
    return (
        sum(each["calls"] for each in said),
        [error for each in said for error in each["errors"]],
    )


def wait_for_calls(sandbox: Sandbox, count: int) -> None:
    """
    Wait until WeChat has seen so many more calls.
    """
    enough = sandbox.world.call_count + count
    ends_at = time.monotonic() + 30
    while sandbox.world.call_count < enough:
        assert time.monotonic() < ends_at, "the workers do not get on"
        time.sleep(0.01)


def revoke(sandbox: Sandbox) -> None:
    """
    Normal mode hands out another token at once.
    """
    sandbox.revoke_tokens()


def refuse(sandbox: Sandbox) -> None:
    """
    The token is refused from now on, and normal mode hands it out all the same.
    """
    tokens: Any = sandbox.world.tokens
    dead = sandbox.access_token()
    check = tokens.check

    def check_again(value: str) -> Any:
        if value == dead:
            raise Refusal(40001)
        return check(value)

    tokens.check = check_again


@pytest.mark.parametrize(
    "kill, fetches, forced", [(revoke, 2, 0), (refuse, 3, 1)], ids=["revoked", "forced"]
)
def test_processes_and_threads_share_one_token(
    kill: Callable[[Sandbox], None], fetches: int, forced: int, tmp_path: pathlib.Path
) -> None:
    """
    8 processes of 8 threads, and the token dies under their hands: every call succeeds,
    WeChat is asked for a token a handful of times, and forced once at most.
    """
    sandbox = Sandbox()
    with redis_server(tmp_path) as port, sandbox.serve() as server:
        arguments = (sandbox.appid, sandbox.secret, server.url, str(port))
        with workers(*arguments) as processes:
            wait_for_calls(sandbox, 500)
            kill(sandbox)
            wait_for_calls(sandbox, 500)
            calls, errors = outcome(processes)

    counted = sandbox.token_fetches
    print(
        f"{PROCESSES} processes of {THREADS} threads: {calls} calls, "
        f"{len(errors)} failed, {counted.total} token fetches, {counted.forced} forced"
    )
    assert [] == errors
    assert calls > 900
    # A lease may end between two looks of another process: that costs one more.
    assert fetches <= counted.total <= fetches + 2
    assert forced == counted.forced
    assert 0 == counted.refused
