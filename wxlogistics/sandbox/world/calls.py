"""What happened: the last calls."""

from __future__ import annotations

import re
from typing import Any

import attrs

from .fields import typed
from .plain_json import read_json

_RID = re.compile(r"rid:\s?([0-9a-f]{8}(?:-[0-9a-f]{8}){2})")


@attrs.frozen(kw_only=True, field_transformer=typed)
class Call:
    """
    One call that the sandbox answered.

    Attributes:
        number: Counts the calls of a sandbox.

        time: Unix time by the sandbox's clock.

        endpoint: The last part of the path, as ``query_trace``; the whole path if the
            sandbox does not know it.

        query: The query string as it came.

        request: The JSON body as text, or the query of a GET as JSON; empty if it was
            not a JSON object, or longer than the setting ``keep_body``.

        answer: The JSON sent back as text; empty if there was none, or a longer one.

        errcode: The reply's errcode: 0 if it has none; None if there is no reply.

        status: The HTTP status; 0 if the connection was dropped.

        milliseconds: How long the answer took.

        ip: The caller's address.

        waybill_id: The waybill that the call was about, if any.

        escaped: Whether the body wrote non-ASCII as ``\\uXXXX``: WeChat may show the
            escapes or refuse them.
    """

    number: int
    time: float
    endpoint: str
    query: str = ""
    request: str = ""
    answer: str = ""
    errcode: int | None = None
    status: int
    milliseconds: float
    ip: str = ""
    waybill_id: str = ""
    escaped: bool = False

    @property
    def payload(self) -> dict[str, Any] | None:
        """
        The JSON object of the request; None if there was none.
        """
        return _object(self.request)

    @property
    def reply(self) -> dict[str, Any] | None:
        """
        The JSON object sent back; None if there was none.
        """
        return _object(self.answer)

    @property
    def rid(self) -> str:
        """
        The rid of a refusal; empty if there is none.
        """
        found = _RID.search(self.answer) if self.errcode else None
        return found[1] if found else ""


def _object(text: str) -> dict[str, Any] | None:
    # The text is this sandbox's own writing, or comes from a state file.
    try:
        value = read_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
