"""WeChat's HTTP: what a request means and what a reply looks like.

Both doors of the sandbox answer through `answer()`.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, Mapping, NamedTuple
from urllib.parse import parse_qs

from .calls import Call
from .checks import read_json
from .errcodes import Refusal
from .world import ENDPOINTS, World

#: The header of every reply: "encoding" where the standard says "charset".
CONTENT_TYPE = "application/json; encoding=utf-8"

#: A body that nests deeper than this is none that WeChat knows; what is let in must
#: also get out again, into the state file.
_DEEPEST = 20

_OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"

#: A \uXXXX escape, and not the end of an escaped backslash with a u behind it.
_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u")

#: path -> the name of the endpoint.
PATHS: dict[str, str] = {
    **{_OPEN_MSG + endpoint: endpoint for endpoint in ENDPOINTS},
    "/cgi-bin/stable_token": "stable_token",
    "/cgi-bin/token": "token",
    "/cgi-bin/component/api_component_token": "api_component_token",
    "/cgi-bin/component/api_authorizer_token": "api_authorizer_token",
}

#: Those for service providers.
_COMPONENT = ("api_component_token", "api_authorizer_token")


class Answer(NamedTuple):
    """
    What goes back to the caller.

    Attributes:
        status: The HTTP status.

        headers: The headers, but for those of the connection.

        body: The body.

        delay: Seconds to wait before it is sent.

        drop: Break the connection instead of sending it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    delay: float = 0.0
    drop: bool = False


def answer(
    world: World,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    ip: str = "127.0.0.1",
) -> Answer:
    """
    Answer one HTTP request as WeChat would.

    Args:
        world: Who answers.

        method: The HTTP method.

        path: The path, without the query.

        query: The query, without its question mark.

        headers: The headers, in any case of letters.

        body: The body.

        ip: The caller's address.
    """
    began = time.perf_counter()
    request = _Request(method, path, query, headers, body, ip)
    with world.lock:
        now = world.clock.now()
        reply, result = _answer(world, request)
        if request.endpoint and request.endpoint not in ENDPOINTS:
            world.tokens.fetches.count(
                now,
                forced=(request.payload or {}).get("force_refresh") is True,
                refused=reply is None or "errcode" in reply,
            )
        world.call_count += 1
        world.changes += 1
        world.calls.append(
            Call(
                number=world.call_count,
                time=now,
                endpoint=PATHS.get(path, path),
                payload=request.payload,
                reply=reply,
                status=0 if result.drop else result.status,
                milliseconds=(time.perf_counter() - began + result.delay) * 1000,
            )
        )
    return result


class _Request:
    """
    A request, read as WeChat reads it.

    Attributes:
        payload: The JSON body, or the query of the classic token endpoint; None
            where there is none.

        problem: Why there is none.
    """

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        ip: str,
    ) -> None:
        self.method = method
        self.endpoint = PATHS.get(path, "")
        self.query = {
            name: values[0]
            for name, values in parse_qs(query, keep_blank_values=True).items()
        }
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body
        self.ip = ip
        self.payload: dict[str, Any] | None = None
        self.problem: Refusal | None = None
        try:
            self.payload = self._read()
        except Refusal as problem:
            self.problem = problem

    def _read(self) -> dict[str, Any]:
        if self.endpoint == "token":
            return dict(self.query)
        media_type = self.headers.get("content-type", "").partition(";")[0]
        # Nothing of the kind is known of the endpoints for service providers, and
        # clients of other houses send none there: assumed to do no harm.
        if (
            self.endpoint not in _COMPONENT
            and media_type.strip().lower() != "application/json"
        ):
            # The body counts as empty, and what is missed in it is the first field.
            raise Refusal(40003 if self.endpoint in ENDPOINTS else 41002)
        if not self.body:
            raise Refusal(44002 if self.endpoint in ENDPOINTS else 41002)
        try:
            payload = read_json(self.body.decode())
            if b"\\u" in self.body:
                # Half of a surrogate pair cannot be written as UTF-8.
                json.dumps(payload, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise Refusal(47001) from None
        if not isinstance(payload, dict) or _is_deep(payload, _DEEPEST):
            raise Refusal(47001)
        return payload


def _is_deep(value: Any, levels: int) -> bool:
    """
    Whether *value* nests lists and objects deeper than *levels*.
    """
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deep(item, levels - 1) for item in value)


def _answer(world: World, request: _Request) -> tuple[dict[str, Any] | None, Answer]:
    """
    The reply as JSON, if it is any, and as it goes out.
    """
    if "chunked" in request.headers.get("transfer-encoding", "").lower():
        return None, Answer(412, {}, b"")
    fault = None
    if request.endpoint:
        openid, waybill_id = world.subject(request.payload or {})
        fault = world.faults.take(request.endpoint, openid, waybill_id)
    delay, drop = (fault.delay, fault.drop) if fault else (0.0, False)
    if fault and fault.status is not None:
        page = fault.body
        if page is None:
            page = f"<html><body><h1>{fault.status}</h1></body></html>\n"
        headers = {"Content-Type": "text/html"}
        return None, Answer(
            fault.status, headers, page.encode(errors="replace"), delay, drop
        )
    try:
        if fault and fault.errcode is not None:
            raise Refusal(fault.errcode, ip=request.ip)
        reply = _dispatch(world, request)
    except Refusal as refusal:
        rid = make_rid(world)
        errmsg = refusal.errmsg(rid)
        if fault and fault.errmsg is not None:
            errmsg = fault.errmsg
        reply = {"errcode": refusal.errcode, "errmsg": errmsg}
    return reply, Answer(
        200, {"Content-Type": CONTENT_TYPE}, encode(reply), delay, drop
    )


def _dispatch(world: World, request: _Request) -> dict[str, Any]:
    endpoint = request.endpoint
    if not endpoint:
        raise Refusal(40066)
    if request.method != "POST" and not (
        endpoint == "token" and request.method == "GET"
    ):
        raise Refusal(43002)
    if endpoint not in ENDPOINTS:
        if request.problem:
            raise request.problem
        assert request.payload is not None
        token = request.query.get("component_access_token", "")
        return world.tokens.fetch(endpoint, request.payload, request.ip, token)
    caller = world.tokens.check(request.query.get("access_token", ""))
    if request.problem:
        raise request.problem
    assert request.payload is not None
    if world.settings.unicode_escapes and _ESCAPE.search(request.body):
        raise Refusal(world.settings.unicode_escapes)
    return world.call(endpoint, caller, request.payload)


def make_rid(world: World) -> str:
    """
    A request id: three groups of eight hex digits, the first of them the time.
    """
    now = int(world.clock.now()) & 0xFFFFFFFF
    tail = world.mint.hex(16)
    return f"{now:08x}-{tail[:8]}-{tail[8:]}"


def encode(reply: object) -> bytes:
    """
    JSON as WeChat writes it: UTF-8, no blanks, no escapes.
    """
    text = json.dumps(reply, ensure_ascii=False, separators=(",", ":"))
    # A text that the user of the sandbox gave may hold half a surrogate pair.
    return text.encode(errors="replace")
