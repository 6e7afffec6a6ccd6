"""What all tests share: no surroundings, sample files, a client that never waits."""

import os
from typing import Any, Callable, Iterator

import pytest
import responses
from chaos import ChaosServer
from clients import make_client
from private import SAMPLES

from wxlogistics import Client

#: What the surroundings may say of a network, and of this library.
SURROUNDINGS = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NETRC",
    "WXLOGISTICS_ACCESS_TOKEN",
    "WXLOGISTICS_APPID",
    "WXLOGISTICS_SECRET",
    "WXLOGISTICS_BASE_URL",
)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove proxies and credentials of the environment."""
    for name in SURROUNDINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    """Reads a file of tests/samples."""
    return lambda name: (SAMPLES / name).read_bytes()


@pytest.fixture
def rsps() -> Iterator[responses.RequestsMock]:
    """Fail the test if a response is not used."""
    with responses.RequestsMock() as rsps:
        yield rsps


@pytest.fixture
def pauses() -> list[float]:
    """The seconds for which `client` would have waited."""
    return []


@pytest.fixture
def client(pauses: list[float]) -> Iterator[Client]:
    """A client that never waits and whose pauses are the longest possible."""
    with make_client("ACCESS_TOKEN", sleep=pauses.append) as client:
        yield client


@pytest.fixture
def server() -> Iterator[ChaosServer]:
    """A server whose answers are right until it gets a script."""
    with ChaosServer() as server:
        yield server


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add the reasons of skipped tests to the file that `make test` prints."""
    path = os.environ.get("WXLOGISTICS_SKIPPED")
    if not path:
        return
    # Each line goes out in one write: several runs share the file.
    with open(path, "a", encoding="utf-8", buffering=1) as skipped:
        for report in terminalreporter.stats.get("skipped", []):
            if isinstance(report.longrepr, tuple):
                reason = report.longrepr[2].removeprefix("Skipped: ")
                skipped.write(f"{reason}\n")
