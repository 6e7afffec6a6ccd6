"""The sandbox with its two doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .controls import Controls

if TYPE_CHECKING:
    from responses import RequestsMock

    from .mock import MockedSandbox
    from .server import Server


class Sandbox(Controls):
    """
    WeChat's logistics service on your desk.

    Args:
        seed: The same seed gives the same ids and tokens; None gives new ones.

        clock: A `Clock` of your own; None takes real time, which `clock.tick()` moves.

        settings: See `Settings`.
    """

    def mock(
        self, rsps: RequestsMock | None = None, *, strict: bool = True
    ) -> MockedSandbox:
        """
        Answer in this process what `requests` sends to WeChat's hosts.

        Used as a context manager, it gives this sandbox with a ready ``client``.

        Args:
            rsps: A `responses.RequestsMock` of your own that is active; None takes the
                one behind ``responses.activate``, ``responses.post`` and so on.

            strict: Whether a URL of WeChat that the sandbox does not know raises an
                AssertionError; False answers 40066 as WeChat would.
        """
        from .mock import MockedSandbox

        return MockedSandbox(self, rsps, strict=strict)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Server:
        """
        Answer over HTTP, from a thread of its own.

        Used as a context manager, it gives the server with its ``url``.

        Raises:
            OSError: The port is taken.
        """
        from .server import Server

        return Server(self, host, port)
