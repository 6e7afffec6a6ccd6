"""How the console answers a browser: which page, which action, which headers.

It is for a person at this machine. A foreign page that is open in the same browser must
neither read it nor press its buttons: what `control` refuses is refused here too, and
every action is a POST with its own page as its Origin.
"""

from __future__ import annotations

import functools
import math
import re
import secrets
from importlib import resources
from typing import Any, Callable, Collection, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import jinja2

from .. import control, wire
from ..controls import Controls
from ..wire import Answer, HttpRequest
from . import pages, texts
from .pages import Missing, Visit

#: Every path of the console but ``/`` begins with this.
PREFIX = "/console/"

#: The stream of changes, as server-sent events.
EVENTS = PREFIX + "events"

#: Distinguishes this run from an earlier one on the same port.
_RUN = secrets.token_hex(4)

_COOKIE = "wxlogistics_console_language"

_STATIC = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

#: Milliseconds; JavaScript has no longer timeout.
_LONGEST_WAIT = 2**31 - 1

#: Hours in a year.
_LONGEST_TICK = 366 * 24

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a browser would send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'{pictures}; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

#: The headers of the stream of changes.
EVENT_HEADERS = {**_HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}


def is_path(method: str, path: str) -> bool:
    """
    Whether the console answers here, and not WeChat.
    """
    return path.startswith(PREFIX) or (path == "/" and method in ("GET", "HEAD"))


def version(sandbox: Controls) -> str:
    """
    Another text whenever something in *sandbox* has changed.
    """
    return f"{_RUN}-{sandbox.world.changes}-{sandbox.clock.jumps}"


def answer(
    sandbox: Controls,
    request: HttpRequest,
    *,
    allowed_hosts: Collection[str] = (),
    scheme: str = "http",
) -> Answer:
    """
    Answer one request of a browser's.

    Args:
        sandbox: What is shown.

        request: Of its method and path `is_path()` is true; its body is a form, or
            nothing.

        allowed_hosts: As `control.answer()` takes them.

        scheme: How the browser came here.
    """
    headers, is_post = request.headers, request.method == "POST"
    welcome = control.is_welcome(headers, allowed_hosts)
    if is_post:
        # A browser sends it with every POST, and nothing else needs to come here.
        welcome = welcome and "origin" in headers
    visit = Visit(
        sandbox=sandbox,
        language=_language(headers),
        path=request.path,
        fields=_fields(request.query),
        base_url=f"{scheme}://{headers['host']}" if welcome else "",
        version=version(sandbox),
        typed=_fields(request.body.decode(errors="replace")),
    )
    if not welcome:
        return _page(visit, "refused.html", {}, status=403)
    name = request.path.removeprefix(PREFIX)
    if is_post:
        return _act(visit, name)
    if name.startswith("static/"):
        return _static(visit, name.removeprefix("static/"))
    return _look(visit, name)


def _fields(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _language(headers: Mapping[str, str]) -> str:
    chosen = re.search(rf"\b{_COOKIE}=(\w+)", headers.get("cookie", ""))
    if chosen and chosen[1] in texts.LANGUAGES:
        return chosen[1]
    return texts.choose(headers.get("accept-language", ""))


# Pages


_View = Callable[[Visit], dict[str, Any]]

#: The path below `PREFIX` -> the template and what it shows.
_VIEWS: dict[str, tuple[str, _View]] = {
    "/": ("waybills.html", pages.waybills),
    "waybill": ("waybill.html", pages.waybill),
    "new": ("register.html", pages.register),
    "calls": ("calls.html", pages.calls),
    "call": ("call.html", pages.call),
    "faults": ("faults.html", pages.faults),
    "tokens": ("tokens.html", pages.tokens),
}


def _look(visit: Visit, name: str, status: int = 200) -> Answer:
    if name not in _VIEWS:
        return _missing(visit, "No such page")
    template, view = _VIEWS[name]
    try:
        values = view(visit)
    except Missing as missing:
        return _missing(visit, str(missing))
    return _page(visit, template, values, status=status)


def _missing(visit: Visit, reason: str) -> Answer:
    return _page(visit, "missing.html", {"reason": reason}, status=404)


def _page(
    visit: Visit, template: str, values: dict[str, Any], *, status: int
) -> Answer:
    world = visit.sandbox.world
    now, speed = world.clock.now(), world.clock.speed
    due = values.get("due")
    # Milliseconds until the clock itself changes what is shown here.
    wait: int | str = ""
    if due and speed:
        # At a very low speed they are infinite.
        wait = math.ceil(min((due - now) / speed * 1000, _LONGEST_WAIT))
    shown = _templates().get_template(template)
    text = shown.render(
        values,
        visit=visit,
        say=visit.say,
        now=now,
        speed=speed,
        wait=wait,
        languages=texts.LANGUAGES,
        status_name=functools.partial(texts.status_name, visit.language),
    )
    pictures = " http: https:" if values.get("pictures") else ""
    return Answer(
        status,
        {
            **_HEADERS,
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": _POLICY.format(pictures=pictures),
            "Vary": "Accept-Language, Cookie",
        },
        text.encode(errors="replace"),
    )


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wxlogistics.sandbox.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        china_time=pages.china_time,
        duration=pages.duration,
        picture_url=pages.picture_url,
        query=lambda fields: urlencode(fields, errors="replace"),
    )
    return environment


def _static(visit: Visit, name: str) -> Answer:
    if name not in _STATIC:
        return _missing(visit, "No such page")
    folder = resources.files(__package__).joinpath("static")
    content = folder.joinpath(name).read_bytes()
    return Answer(200, {**_HEADERS, "Content-Type": _STATIC[name]}, content)


# Actions


def _act(visit: Visit, name: str) -> Answer:
    """
    Do what a form asks for, and lead to the page that shows it.
    """
    if name not in _ACTIONS:
        return _missing(visit, "No such page")
    try:
        target = _ACTIONS[name](visit)
    except Missing as missing:
        return _missing(visit, str(missing))
    except (TypeError, ValueError, LookupError) as error:
        # The page of the form again, with what was typed in.
        back = urlsplit(_back(visit))
        again = attrs.evolve(
            visit,
            path=back.path,
            fields=_fields(back.query),
            problem=visit.say(str(error)),
        )
        return _look(again, back.path.removeprefix(PREFIX), status=400)
    headers = {**_HEADERS, "Location": target}
    if name == "language":
        headers["Set-Cookie"] = (
            f"{_COOKIE}={visit.typed['to']}; Path=/; Max-Age=31536000; "
            "SameSite=Strict; HttpOnly"
        )
    return Answer(303, headers, b"")


def _back(visit: Visit) -> str:
    """
    Return the page that a form was on; only pages of the console.
    """
    try:
        parts = urlsplit(visit.typed.get("back", "/"))
    except ValueError:
        return "/"
    known = parts.path == "/" or parts.path.removeprefix(PREFIX) in _VIEWS
    if parts.scheme or parts.netloc or not known:
        return "/"
    return parts.path + ("?" + urlencode(_fields(parts.query)) if parts.query else "")


def _number(visit: Visit, name: str, kind: Callable[[str], Any] = int) -> Any:
    """
    The number in a field; None where it is empty.
    """
    text = visit.typed.get(name, "").strip()
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise ValueError(visit.say("a number is expected: {}", text)) from None


def _text(visit: Visit, name: str) -> str | None:
    return visit.typed.get(name, "").strip() or None


def _set_language(visit: Visit) -> str:
    if visit.typed.get("to") not in texts.LANGUAGES:
        raise Missing("No such page")
    return _back(visit)


def _register(visit: Visit) -> str:
    """
    Register a waybill as a program would, so that it is in the list of calls.
    """
    names = ("openid", "waybill_id", "receiver_phone", "delivery_id")
    payload: dict[str, Any] = {
        name: text for name in names if (text := _text(visit, name))
    }
    payload["openid"] = payload.get("openid") or visit.sandbox.add_user()
    payload["goods_info"] = {
        "detail_list": [
            {name: _text(visit, name) or "" for name in ("goods_name", "goods_img_url")}
        ]
    }
    return _send(visit, payload, visit.typed.get("component") == "message")


def _register_example(visit: Visit) -> str:
    return _send(visit, pages.EXAMPLE, False)


def _send(visit: Visit, payload: dict[str, Any], message: bool) -> str:
    answer = wire.answer(
        visit.sandbox.world,
        HttpRequest(
            "POST",
            pages.REGISTER[message],
            urlencode({"access_token": visit.sandbox.access_token()}),
            {"Content-Type": "application/json"},
            wire.encode(payload),
        ),
    )
    if b'"waybill_token"' in answer.body:
        return _waybill(payload["waybill_id"])
    errcode = answer.errcode
    refused = f"HTTP {answer.status}" if errcode is None else errcode
    text = visit.say("refused: {} {}", refused, visit.meaning(errcode or 0))
    raise ValueError(text.strip())


def _waybill(waybill_id: str) -> str:
    return f"{PREFIX}waybill?{urlencode({'id': waybill_id})}"


def _move(visit: Visit) -> str:
    status = _number(visit, "status")
    if status is None:
        raise ValueError("The parcel is at its end.")
    waybill_id, message = visit.typed.get("waybill_id", ""), _text(visit, "message")
    visit.sandbox.move(waybill_id, status, message=message)
    return _back(visit)


def _tick(visit: Visit) -> str:
    hours = _number(visit, "hours", float) or 0.0
    if hours > _LONGEST_TICK:
        raise ValueError("at most a year at once")
    visit.sandbox.clock.tick(hours=hours)
    return _back(visit)


def _fail(visit: Visit) -> str:
    visit.sandbox.fail(
        visit.typed.get("endpoint", "*"),
        errcode=_number(visit, "errcode"),
        errmsg=_text(visit, "errmsg"),
        status=_number(visit, "status"),
        delay=_number(visit, "delay", float) or 0.0,
        drop="drop" in visit.typed,
        times=_number(visit, "times"),
        openid=_text(visit, "openid"),
        waybill_id=_text(visit, "waybill_id"),
    )
    return PREFIX + "faults"


def _mend(visit: Visit) -> str:
    visit.sandbox.mend(_number(visit, "fault"))
    return PREFIX + "faults"


def _revoke(visit: Visit) -> str:
    visit.sandbox.revoke_tokens(token=_text(visit, "token"))
    return _back(visit)


#: The path below `PREFIX` -> what is done, and returns which page shows it.
_ACTIONS: dict[str, Callable[[Visit], str]] = {
    "language": _set_language,
    "example": _register_example,
    "register": _register,
    "move": _move,
    "tick": _tick,
    "fail": _fail,
    "mend": _mend,
    "revoke": _revoke,
}
