"""The control API: what `Sandbox` does in Python, for programs in any language.

It lives under a path that WeChat does not have. It is not for web pages: a page that
somebody opens in a browser on this machine must not be able to use it.
"""

from __future__ import annotations

import ipaddress
import re
from importlib import resources
from typing import Any, Callable, Collection, Mapping
from urllib.parse import parse_qs, urlsplit

import attrs

from . import state
from ._sandbox import Sandbox
from .checks import check, read_json, write_json
from .wire import Answer

#: Every path of the control API begins with this.
PREFIX = "/_sandbox/"


def answer(
    sandbox: Sandbox,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    allowed_hosts: Collection[str] = (),
) -> Answer:
    """
    Answer one request to the control API.

    Args:
        sandbox: What is controlled.

        method: The HTTP method.

        path: The path, which begins with `PREFIX`.

        query: The query, without its question mark.

        headers: The headers, in any case of letters.

        body: A JSON object, or nothing.

        allowed_hosts: Names besides localhost and plain addresses that may stand in
            the Host header.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    if not is_welcome(headers, allowed_hosts):
        return _json(403, {"error": "not from this Host or Origin"})
    name = path.removeprefix(PREFIX)
    command = _COMMANDS.get((method, name))
    if command is None:
        known = [f"{verb} {PREFIX}{word}" for verb, word in _COMMANDS]
        return _json(404, {"error": f"no {method} {path}", "known": known})
    try:
        fields = {key: values[0] for key, values in parse_qs(query).items()}
        if body:
            fields = read_json(body)
        if not isinstance(fields, dict):
            raise ValueError("the body is a JSON object")
        return _json(200, command(sandbox, fields))
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        return _json(400, {"error": str(error)})


def is_welcome(headers: Mapping[str, str], allowed_hosts: Collection[str]) -> bool:
    """
    Whether the Host is no foreign name (DNS rebinding) and the Origin no other page.
    """
    host = headers.get("host", "")
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return False
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    # The name came out in small letters.
    if name == "localhost" or name in map(str.lower, allowed_hosts):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _json(status: int, reply: object) -> Answer:
    body = write_json(reply, indent=1) + b"\n"
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Answer(status, headers, body)


def _about(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "appid": sandbox.appid,
        "secret": sandbox.secret,
        "access_token": sandbox.access_token(),
        "now": sandbox.clock.now(),
        "speed": sandbox.clock.speed,
    }


def _calls(
    sandbox: Sandbox,
    *,
    endpoint: str | None = None,
    after: int | str = 0,
    last: int | str = 100,
) -> list[dict[str, Any]]:
    check("endpoint", endpoint, str | None)
    first, most = _amount("after", after), _amount("last", last)
    calls = [
        call
        for call in sandbox.calls
        if call.number > first and endpoint in (None, call.endpoint)
    ]
    # Not calls[-most:], which for 0 is all of them.
    kept = calls[max(0, len(calls) - most) :]
    return [attrs.asdict(call, recurse=False) for call in kept]


def _amount(name: str, value: object) -> int:
    """
    The number in *value*, which in a query is a text.
    """
    if not re.fullmatch("[0-9]{1,18}", str(value)):
        raise ValueError(f"{name} is a whole number from 0, not {value!r:.200}")
    return int(str(value))


def _tokens(sandbox: Sandbox) -> dict[str, Any]:
    fetches = sandbox.token_fetches
    return {
        "total": fetches.total,
        "refused": fetches.refused,
        "forced": fetches.forced,
        "forced_spacing": fetches.forced_spacing,
    }


def _replace(sandbox: Sandbox, data: Any) -> None:
    sandbox.world.become(state.restore(data, sandbox.clock))


def _openapi() -> Any:
    return read_json(
        resources.files(__package__).joinpath("openapi.json").read_text("utf-8")
    )


_Command = Callable[[Sandbox, Any], Any]

#: (method, the path below `PREFIX`) -> what to do with the fields.
_COMMANDS: dict[tuple[str, str], _Command] = {
    ("GET", ""): lambda sandbox, fields: _about(sandbox),
    ("POST", "reset"): lambda sandbox, fields: sandbox.reset(),
    ("POST", "tick"): lambda sandbox, fields: {"now": sandbox.clock.tick(**fields)},
    ("POST", "move"): lambda sandbox, fields: sandbox.move(**fields),
    ("POST", "waybills"): lambda sandbox, fields: sandbox.add_waybill(**fields),
    ("POST", "users"): lambda sandbox, fields: {"openid": sandbox.add_user(**fields)},
    ("POST", "apps"): lambda sandbox, fields: attrs.asdict(sandbox.add_app(**fields)),
    ("POST", "components"): lambda sandbox, fields: attrs.asdict(
        sandbox.add_component(**fields)
    ),
    ("POST", "authorize"): lambda sandbox, fields: {
        "authorizer_refresh_token": sandbox.authorize(**fields)
    },
    ("GET", "tokens"): lambda sandbox, fields: _tokens(sandbox),
    ("POST", "tokens/revoke"): lambda sandbox, fields: {
        "revoked": sandbox.revoke_tokens(**fields)
    },
    ("POST", "fail"): lambda sandbox, fields: attrs.asdict(sandbox.fail(**fields)),
    ("GET", "faults"): lambda sandbox, fields: [
        attrs.asdict(fault) for fault in sandbox.faults
    ],
    ("POST", "mend"): lambda sandbox, fields: sandbox.mend(**fields),
    ("GET", "calls"): lambda sandbox, fields: _calls(sandbox, **fields),
    ("GET", "counters"): lambda sandbox, fields: sandbox.counters,
    ("GET", "state"): lambda sandbox, fields: state.dump(sandbox.world),
    ("PUT", "state"): _replace,
    ("GET", "openapi.json"): lambda sandbox, fields: _openapi(),
}
