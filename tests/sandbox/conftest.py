"""The two doors of the sandbox, for the tests that go through both."""

from typing import Any, Iterator

import pytest
import requests
from sandboxtools import NOON, Door

from wxlogistics.sandbox import Clock, Sandbox


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings of the sandbox; parametrize it to have others."""
    return {}


@pytest.fixture
def sandbox(settings: dict[str, Any]) -> Sandbox:
    """A sandbox whose time stands still."""
    given = {"first_use": False, **settings}
    return Sandbox(seed=7, clock=Clock(NOON, speed=0), **given)


@pytest.fixture
def mock_door(sandbox: Sandbox) -> Iterator[Door]:
    """Door 1, in process."""
    with sandbox.mock(strict=False), requests.Session() as session:
        yield Door(sandbox, "https://api.weixin.qq.com", session)


@pytest.fixture
def served_door(sandbox: Sandbox) -> Iterator[Door]:
    """Door 2, over HTTP."""
    with sandbox.serve() as server, requests.Session() as session:
        session.trust_env = False
        yield Door(sandbox, server.url, session)


@pytest.fixture(params=["mock_door", "served_door"])
def door(request: pytest.FixtureRequest, sandbox: Sandbox) -> Door:
    """Each door in turn: what uses this is true of both."""
    return request.getfixturevalue(request.param)
