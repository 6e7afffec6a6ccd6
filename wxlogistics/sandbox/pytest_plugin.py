"""The pytest fixture ``wechat``: a sandbox that answers what the tests send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from .mock import MockedSandbox


@pytest.fixture
def wechat() -> Iterator[MockedSandbox]:
    """
    WeChat's logistics service, in this process; ``wechat.client`` is ready to call.
    """
    # Here, so that a test run without this fixture loads nothing of the sandbox.
    from . import Sandbox

    with Sandbox().mock() as sandbox:
        yield sandbox
