"""What happened: the last calls."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Call:
    """
    One call that the sandbox answered.

    Attributes:
        number: Counts the calls of a sandbox.

        time: Unix time by the sandbox's clock.

        endpoint: The last part of the path, as ``query_trace``; the whole path where
            the sandbox does not know it.

        payload: The JSON body, or the query of a GET; None where it was no JSON
            object.

        reply: The JSON sent back; None where none was sent.

        status: The HTTP status; 0 where the connection was dropped.

        milliseconds: How long the answer took.
    """

    number: int
    time: float
    endpoint: str
    payload: dict[str, Any] | None
    reply: dict[str, Any] | None
    status: int
    milliseconds: float

    @property
    def errcode(self) -> int | None:
        """
        The reply's errcode: 0 where it has none; None where there is no reply.
        """
        return None if self.reply is None else int(self.reply.get("errcode", 0))
