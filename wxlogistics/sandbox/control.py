"""The control API: what `Controls` does in Python, for programs in any language.

It lives under a path that WeChat does not have. It is not for web pages: a page that is
open in a browser on this machine must not be able to use it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Callable, Collection, Mapping
from urllib.parse import parse_qs

import attrs
import jsonschema

from .controls import Controls
from .wire import Answer, HttpRequest
from .world import state
from .world.plain_json import read_json, read_resource, write_json

#: Every path of the control API begins with this.
PREFIX = "/_sandbox/"

#: The OpenAPI description of all calls, of these too.
OPENAPI: dict[str, Any] = read_resource(__package__, "openapi.json")

#: What is shown of a call.
_CALL = "number time endpoint payload reply status errcode milliseconds ip".split()
_CALL += ["waybill_id", "escaped"]

#: Of a body; the state that is put back may be large.
LARGEST_BODY = 256 * 1024 * 1024


def answer(
    controls: Controls, request: HttpRequest, *, allowed_hosts: Collection[str] = ()
) -> Answer:
    """
    Answer one request to the control API.

    Args:
        controls: What is controlled.

        request: Its path begins with `PREFIX`; its body is a JSON object, or nothing.

        allowed_hosts: Names besides localhost and plain addresses that may stand in
            the Host header.
    """
    if not is_welcome(request.headers, allowed_hosts):
        return _json(403, {"error": "not from this Host or Origin"})
    method, name = request.method, request.path.removeprefix(PREFIX) or "about"
    command = _COMMANDS.get((method, name))
    if command is None:
        known = [f"{verb} {PREFIX}{word}" for verb, word in _COMMANDS]
        return _json(404, {"error": f"no {method} {request.path}", "known": known})
    schema = _SCHEMAS[method, name]
    try:
        body = request.body
        fields = read_json(body) if body else _from_query(request.query, schema)
        _check(schema, fields)
        return _json(200, command(controls, fields))
    except (TypeError, ValueError, LookupError) as error:
        return _json(400, {"error": str(error)})


def is_welcome(headers: Mapping[str, str], allowed_hosts: Collection[str]) -> bool:
    """
    Return whether the Host is not foreign (DNS rebinding) and the Origin this server.
    """
    host = headers.get("host", "").lower()
    mine = (f"http://{host}", f"https://{host}")
    if headers.get("origin", mine[0]).lower() not in mine:
        return False
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[\w.-]+)(:[0-9]+)?", host, re.ASCII)
    name = found[1].strip("[]") if found else ""
    if name and name in ("localhost", *map(str.lower, allowed_hosts)):
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


def _schema(operation: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the schema of an operation's fields: its body's, or one of its parameters.
    """
    body = operation.get("requestBody")
    if body:
        found: dict[str, Any] = body["content"]["application/json"]["schema"]
        return found
    parameters = operation.get("parameters", ())
    return {
        "type": "object",
        "properties": {each["name"]: each["schema"] for each in parameters},
        "additionalProperties": False,
    }


_SCHEMAS = {
    (method.upper(), path.removeprefix(PREFIX)): _schema(operation)
    for path, operations in OPENAPI["paths"].items()
    if path.startswith(PREFIX)
    for method, operation in operations.items()
    if method != "servers"
}


def _from_query(query: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the fields of a query, with numbers for numbers.
    """
    fields: dict[str, Any] = {k: v[0] for k, v in parse_qs(query).items()}
    for name, value in fields.items():
        kind = schema.get("properties", {}).get(name, {}).get("type")
        if kind == "integer" and re.fullmatch("[0-9]{1,18}", value):
            fields[name] = int(value)
    return fields


def _check(schema: Mapping[str, Any], fields: object) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(fields))
    if error is not None:
        where = error.json_path.removeprefix("$").removeprefix(".")
        raise ValueError(f"{where or 'the body'}: {error.message:.300}")


def _about(controls: Controls) -> dict[str, Any]:
    return {
        "appid": controls.appid,
        "secret": controls.secret,
        "access_token": controls.access_token(),
        "now": controls.clock.now(),
        "speed": controls.clock.speed,
    }


def _calls(
    controls: Controls, *, endpoint: str = "", after: int = 0, last: int = 100
) -> list[dict[str, Any]]:
    calls = [
        call
        for call in controls.calls
        if call.number > after and endpoint in ("", call.endpoint)
    ]
    # Not calls[-last:], which for 0 is all of them.
    kept = calls[max(0, len(calls) - last) :]
    return [{name: getattr(call, name) for name in _CALL} for call in kept]


def _tokens(controls: Controls) -> dict[str, Any]:
    fetches = controls.token_fetches
    names = ("total", "refused", "forced", "forced_spacing")
    return {name: getattr(fetches, name) for name in names}


def _replace(controls: Controls, data: Any) -> None:
    controls.world.become(state.restore(data, controls.clock))


_Command = Callable[[Controls, Any], Any]

#: (method, the path below `PREFIX`) -> what to do with the fields.
_COMMANDS: dict[tuple[str, str], _Command] = {
    ("GET", "about"): lambda c, f: _about(c),
    ("POST", "reset"): lambda c, f: c.reset(),
    ("POST", "tick"): lambda c, f: {"now": c.clock.tick(**f)},
    ("POST", "move"): lambda c, f: c.move(**f),
    ("POST", "waybills"): lambda c, f: c.add_waybill(**f),
    ("POST", "users"): lambda c, f: {"openid": c.add_user(**f)},
    ("POST", "js_codes"): lambda c, f: {"js_code": c.js_code(**f)},
    ("POST", "apps"): lambda c, f: attrs.asdict(c.add_app(**f)),
    ("POST", "components"): lambda c, f: attrs.asdict(c.add_component(**f)),
    ("POST", "authorize"): lambda c, f: {"authorizer_refresh_token": c.authorize(**f)},
    ("POST", "authorization_codes"): lambda c, f: {
        "authorization_code": c.authorization_code(**f)
    },
    ("GET", "tokens"): lambda c, f: _tokens(c),
    ("POST", "tokens/revoke"): lambda c, f: {"revoked": c.revoke_tokens(**f)},
    ("POST", "fail"): lambda c, f: attrs.asdict(c.fail(**f)),
    ("GET", "faults"): lambda c, f: [attrs.asdict(fault) for fault in c.faults],
    ("POST", "mend"): lambda c, f: c.mend(**f),
    ("GET", "calls"): lambda c, f: _calls(c, **f),
    ("GET", "counters"): lambda c, f: c.counters,
    ("GET", "state"): lambda c, f: state.dump(c.world),
    ("PUT", "state"): _replace,
    ("GET", "openapi.json"): lambda c, f: OPENAPI,
}
