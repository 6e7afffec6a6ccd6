"""WeChat's HTTP: what a request means and what a reply looks like.

Both doors of the sandbox answer through `answer()`.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, Mapping, NamedTuple
from urllib.parse import parse_qs

import attrs

from .world import platform, plugin
from .world.calls import Call
from .world.endpoints import GETS, PATHS, PLUGIN, TOKENS, Request
from .world.errcodes import Refusal
from .world.faults import Fault
from .world.plain_json import read_json
from .world.world import World

#: WeChat's hosts: the main one and those to fall back on.
HOSTS = (
    "api.weixin.qq.com",
    "api2.weixin.qq.com",
    "sh.api.weixin.qq.com",
    "sz.api.weixin.qq.com",
    "hk.api.weixin.qq.com",
)

#: The header of every reply: "encoding" where the standard says "charset".
CONTENT_TYPE = "application/json; encoding=utf-8"

#: A body that nests deeper than this is refused; what is let in must also get out
#: again, into the state file.
_DEEPEST = 20

#: Characters of a path or a query that are remembered of a call.
_LONGEST = 1024

#: A \uXXXX escape that JSON does not require, and not the end of an escaped backslash
#: with a u behind it.
_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[01])")


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@attrs.define
class HttpRequest:
    """
    An HTTP request as it came.

    Attributes:
        method: The HTTP method.

        path: The path, without the query.

        query: The query, without its question mark.

        headers: The headers, their names in small letters.

        body: The body.

        problem: The HTTP status of a request that could not be read; 0 if it could.
    """

    method: str = ""
    path: str = ""
    query: str = ""
    headers: dict[str, str] = attrs.field(factory=dict, converter=_lowered)
    body: bytes = b""
    problem: int = 0


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

    @property
    def reply(self) -> bytes:
        """
        WeChat's JSON; empty if there is none.
        """
        return self.body if self.headers.get("Content-Type") == CONTENT_TYPE else b""

    @property
    def errcode(self) -> int | None:
        """
        WeChat's errcode; None if there is no reply.
        """
        found = re.match(rb'\{"errcode":(-?\d+)', self.reply)
        return int(found[1]) if found else (0 if self.reply else None)


def answer(
    world: World,
    http: HttpRequest,
    *,
    ip: str = "127.0.0.1",
    in_process: bool = False,
) -> Answer:
    """
    Answer one HTTP request as WeChat would.

    Args:
        world: Its state.

        http: The request.

        ip: The caller's address.

        in_process: Whether the call came through `Sandbox.mock()`.
    """
    began = time.perf_counter()
    path, headers, body, problem = http.path, http.headers, http.body, http.problem
    if world.settings.leading_slashes and path.startswith("//"):
        path = "/" + path.lstrip("/")
    endpoint = PATHS.get(path, "")
    fields = parse_qs(http.query, keep_blank_values=True)
    parameters = {name: values[0] for name, values in fields.items()}
    if len(body) > world.settings.largest_body:
        problem = 413
    if "chunked" in headers.get("transfer-encoding", "").lower() and not problem:
        problem = 412
    payload: dict[str, Any] | None = None
    refusal: Refusal | None = None
    try:
        if endpoint in GETS:
            payload = dict(parameters)
        elif not problem:
            payload = _read(world, endpoint, headers, body)
    except Refusal as error:
        refusal = error
    token, first_use = parameters.get("access_token", ""), world.settings.first_use
    request = Request(
        endpoint=endpoint,
        method=http.method,
        payload=payload or {},
        refusal=refusal,
        escaped=payload is not None and bool(_ESCAPE.search(body)),
        access_token=token,
        # The older document has the longer name, the current one the shorter.
        component_access_token=parameters.get("component_access_token") or token,
        ip=ip,
        first_use=in_process if first_use is None else first_use,
    )
    with world.lock:
        now = world.clock.now()
        openid, waybill_id = world.subject(request.payload)
        if problem:
            result = Answer(problem, {}, b"")
        else:
            fault = endpoint and world.faults.take(endpoint, openid, waybill_id)
            result = _answer(world, request, fault or None)
        if endpoint in TOKENS and not problem:
            world.tokens.fetches.count(
                now,
                forced=request.payload.get("force_refresh") is True,
                refused=result.errcode != 0,
            )
        world.call_count += 1
        world.changes += 1
        world.calls.append(
            Call(
                number=world.call_count,
                time=now,
                endpoint=endpoint or path[:_LONGEST],
                query=http.query[:_LONGEST],
                request=_kept(world, b"" if payload is None else encode(payload)),
                answer=_kept(world, result.reply),
                errcode=result.errcode,
                status=0 if result.drop else result.status,
                milliseconds=(time.perf_counter() - began + result.delay) * 1000,
                ip=ip,
                waybill_id=waybill_id[:_LONGEST],
                escaped=request.escaped,
            )
        )
    return result


def _kept(world: World, text: bytes) -> str:
    """
    Return what a call remembers of *text*, so that memory stays flat.
    """
    return text.decode() if len(text) <= world.settings.keep_body else ""


def _read(
    world: World, endpoint: str, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """
    Return the JSON object in *body*.
    """
    if not body and endpoint in TOKENS:
        raise Refusal(41002)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json"
    if endpoint not in PLUGIN and endpoint != "stable_token":
        # Clients of other houses send no Content-Type there.
        is_json = is_json or world.settings.any_content_type
    if not body and (is_json or not media_type):
        raise Refusal(44002)
    if not is_json:
        # The body counts as unread, and the first field is missed in it.
        raise Refusal(40003 if endpoint in PLUGIN else 41002)
    try:
        payload = read_json(body.decode())
        if b"\\u" in body:
            # Half of a surrogate pair cannot be written as UTF-8.
            json.dumps(payload, ensure_ascii=False).encode()
    except ValueError:
        raise Refusal(47001) from None
    if not isinstance(payload, dict) or _is_deep(payload, _DEEPEST):
        raise Refusal(47001)
    return payload


def _is_deep(value: Any, levels: int) -> bool:
    """
    Return whether *value* nests lists and objects deeper than *levels*.
    """
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deep(item, levels - 1) for item in value)


def _answer(world: World, request: Request, fault: Fault | None) -> Answer:
    """
    Return what goes out: a fault's page, a refusal or the reply.
    """
    delay, drop = (fault.delay, fault.drop) if fault else (0.0, False)
    if fault and fault.status is not None:
        page = fault.body
        if page is None:
            page = f"<html><body><h1>{fault.status}</h1></body></html>\n"
        headers = {"Content-Type": "text/html"}
        return Answer(fault.status, headers, page.encode(errors="replace"), delay, drop)
    try:
        if fault and fault.errcode is not None:
            raise Refusal(fault.errcode, ip=request.ip)
        reply = _dispatch(world, request)
    except Refusal as refused:
        errmsg = refused.errmsg(make_rid(world))
        if fault and fault.errmsg is not None:
            errmsg = fault.errmsg
        reply = {"errcode": refused.errcode, "errmsg": errmsg}
    return Answer(200, {"Content-Type": CONTENT_TYPE}, encode(reply), delay, drop)


def _dispatch(world: World, request: Request) -> dict[str, Any]:
    endpoint = request.endpoint
    if not endpoint:
        raise Refusal(40066)
    if request.method not in (("GET", "POST") if endpoint in GETS else ("POST",)):
        raise Refusal(43002)
    if endpoint in PLUGIN:
        caller = world.tokens.check(request.access_token)
    if request.refusal:
        raise request.refusal
    if endpoint not in PLUGIN:
        return platform.HANDLERS[endpoint](world, request)
    if request.escaped and world.settings.unicode_escapes:
        raise Refusal(world.settings.unicode_escapes)
    return plugin.call(world, caller, request)


def make_rid(world: World) -> str:
    """
    Return a request id: three groups of eight hex digits, the first of them the time.
    """
    now = int(world.clock.now()) & 0xFFFFFFFF
    tail = world.mint.hex(16)
    return f"{now:08x}-{tail[:8]}-{tail[8:]}"


def encode(reply: object) -> bytes:
    """
    Return JSON as WeChat writes it: UTF-8, no blanks, no escapes.
    """
    text = json.dumps(reply, ensure_ascii=False, separators=(",", ":"))
    # A text that the user of the sandbox gave may hold half a surrogate pair.
    return text.encode(errors="replace")
