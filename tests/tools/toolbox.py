"""Shared by the tests against other tools: find one, run Python, play WeChat."""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator

import chaos
import pytest
from chaos import ChaosServer, Fault
from programs import missing, run

from wxlogistics import Client

ROOT = Path(__file__).parents[2]


def installed(directory: Path, *packages: str) -> Path:
    """Install *packages* into a new environment; return its Python."""
    uv = shutil.which("uv")
    make = [uv, "venv", "-q"] if uv else [sys.executable, "-m", "venv"]
    subprocess.run([*make, str(directory)], check=True, capture_output=True)
    python = directory / "bin" / "python"
    if not python.exists():
        python = directory / "Scripts" / "python.exe"
    pip = [uv, "pip"] if uv else [str(python), "-m", "pip"]
    where = ["--python", str(python)] if uv else ["--disable-pip-version-check"]
    for each in packages:
        done = subprocess.run(
            [*pip, "install", "-q", *where, *each.split()],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            missing(f"PyPI is out of reach: pip install {each}\n{done.stderr[-500:]}")
    return python


def run_python(
    script: str, *arguments: object, python: Path | str = sys.executable, **environ: str
) -> str:
    """Run *script*, which sees this checkout and the tests; return what it prints."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environ = {**os.environ, "PYTHONPATH": path, **environ}
    return run(str(python), "-c", script, *map(str, arguments), env=environ)


def ended(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def logged(process: subprocess.Popen[Any], log: Path, pattern: str) -> str:
    """Return what *pattern* captures in *log* once *process* has written it there."""
    for _ in range(3000):
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.02)
    pytest.fail(log.read_text(errors="replace"))


@contextlib.contextmanager
def application(
    folder: Path, code: str, *command: str, bound: str, **environ: str
) -> Iterator[str]:
    """
    Yield the address of *code*, a WSGI application, which Python's *command* serves.

    Its output shows the address as *bound* captures it.
    """
    (folder / "app.py").write_text(code)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environ, stdout=log, stderr=log
        )
        try:
            yield logged(process, folder / "log", bound)
        finally:
            ended(process)


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def query(client: Client, name: object = "W") -> str:
    """Return the waybill_id of a query's answer; *name* if it is the right answer."""
    return client.query_trace(str(name)).waybill_id


def pids_by_connection(server: ChaosServer) -> dict[int, set[str]]:
    """Return the pids, from "PID-…" as waybill_token, by connection."""
    pids = defaultdict(set)
    for request in server.requests:
        if name := request.payload.get("waybill_token", ""):
            pids[request.connection].add(name.partition("-")[0])
    return pids


def together(count: int) -> Fault:
    """Answer the first *count* requests only when all of them have come."""
    numbers = itertools.count(1)
    barrier = threading.Barrier(count)

    def fault(peer: chaos.Peer, request: chaos.Request) -> None:
        if next(numbers) <= count:
            barrier.wait(30)
        chaos.answer(peer, request)

    return fault


class TokenWeChat(ChaosServer):
    """
    Hands out tokens of both kinds, and answers the calls that use them.

    Args:
        refused: Returns whether to answer a token with 40001.

        fresh: Whether a forced renewal brings a new token.

        most: How many calls for a token bring one.

        beyond: How the others end.

    Attributes:
        fetches: The payloads of the calls for a token.
    """

    def __init__(
        self,
        refused: Callable[[str], bool] = lambda token: False,
        fresh: bool = True,
        most: int = 1_000_000,
        beyond: Fault = chaos.close_after_request,
    ) -> None:
        super().__init__(then=self._answer)
        self.refused = refused
        self.fresh = fresh
        self.most = most
        self.beyond = beyond
        self.fetches: list[dict[str, Any]] = []
        self._number = 1
        self._turn = threading.Lock()

    def _answer(self, peer: chaos.Peer, request: chaos.Request) -> None:
        reply: dict[str, Any] = {"errcode": 40001, "errmsg": "invalid credential"}
        if request.endpoint in ("stable_token", "api_authorizer_token"):
            with self._turn:
                self.fetches.append(request.payload)
                if len(self.fetches) > self.most:
                    return self.beyond(peer, request)
                self._number += bool(
                    request.payload.get("force_refresh") and self.fresh
                )
                token = f"TOKEN-{self._number}"
                reply = {"access_token": token, "authorizer_access_token": token}
                reply["expires_in"] = 7200
        elif not self.refused(request.token):
            reply = chaos.right_reply(request)
        chaos.reply(reply)(peer, request)


def trickled(start: bytes, piece: bytes, over: threading.Event) -> Fault:
    """Send *start*, then *piece* fifty times a second for 30 s, then set *over*."""

    def fault(peer: chaos.Peer, request: chaos.Request) -> None:
        peer.send(start)
        for _ in range(1500):
            peer.send(piece)
            peer.wait(0.02)
        over.set()
        peer.close()

    return fault


def texts(error: BaseException) -> Iterator[str]:
    yield from (str(error), repr(error), *map(str, vars(error).values()))
