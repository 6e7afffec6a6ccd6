"""What each page of the console shows, as plain values for its template."""

from __future__ import annotations

import heapq
import json
import math
import pprint
import re
import shlex
import time
from typing import Any, Iterable, Sequence, TypeVar
from urllib.parse import urlencode

import attrs

from ...errcodes import WORDS
from ...models import WaybillStatus
from ..control import OPENAPI
from ..controls import Controls
from ..world.calls import Call
from ..world.carriers import CARRIERS
from ..world.endpoints import GETS, PATHS, PLUGIN
from ..world.faults import Fault
from ..world.parcels import Parcel
from ..world.quotas import LIMITS
from ..world.tokens import AccessToken
from . import texts

_Row = TypeVar("_Row")

#: Rows on one page of a list.
_ROWS = 50

#: Users whose quotas are shown.
_BUSIEST = 20

#: An AppSecret that is not shown.
_MASK = "•" * 8

#: Fields of a request that hold an AppSecret.
_SECRET_FIELDS = {"secret", "component_appsecret"}

#: What a quota counts, in words.
_COUNTED = {
    "query": "calls of the query component",
    "message": "calls of the message component",
    "stable_token": "calls of stable_token",
    "token": "calls of /cgi-bin/token",
    "force_refresh": "forced renewals",
}

#: A shorter text is not looked for in others.
_SHORTEST_SECRET = 8

#: Characters that turn the direction of a text or end its line, and lone surrogates.
_TRICKY = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

#: Where a waybill is registered: with the query component, with the message component.
REGISTER = [
    next(path for path, name in PATHS.items() if name == endpoint)
    for endpoint in ("trace_waybill", "follow_waybill")
]

#: The request of the document's example.
EXAMPLE: dict[str, Any] = OPENAPI["paths"][REGISTER[False]]["post"]["requestBody"][
    "content"
]["application/json"]["examples"]["document"]["value"]

#: A call as Python: of a GET, of the plugin, and of the others.
_GET = "import requests\n\nprint(requests.get({url!r}, timeout=20).json())"
_REQUEST = """\
from wxlogistics import Client

client = Client({token!r}, base_url={base_url!r})
payload = {payload}
print(client.request({path!r}, payload))"""
_POST = """\
import requests

payload = {payload}
print(requests.post({url!r}, json=payload, timeout=20).json())"""

#: What a parcel's next step is.
_NEXT = {0: 1, 1: 2, 2: 3, 3: 4, 5: 3}


class Missing(LookupError):
    """
    There is nothing to show here (any more).
    """


@attrs.frozen(kw_only=True)
class Visit:
    """
    A visit to a page.

    Attributes:
        sandbox: What is looked at.

        language: A key of `texts.LANGUAGES`.

        path: The page.

        fields: What stands in the query.

        base_url: How the browser reaches this server.

        version: What is shown may be this old.

        typed: What stood in the form that was sent and could not be done.

        problem: What was wrong with it.
    """

    sandbox: Controls
    language: str
    path: str
    fields: dict[str, str]
    base_url: str
    version: str
    typed: dict[str, str] = attrs.field(factory=dict)
    problem: str = ""

    def say(self, english: str, *values: object) -> str:
        """
        *english* in the visitor's language.
        """
        return texts.translate(self.language, english, *values)

    def url(self, **changes: object) -> str:
        """
        This page with another query; an empty value leaves it out.
        """
        fields = {**self.fields, **changes}
        query = urlencode({k: v for k, v in fields.items() if v}, errors="replace")
        return self.path + ("?" + query if query else "")

    @property
    def shows_secret(self) -> bool:
        """
        Whether the visitor asked for the AppSecret.
        """
        return self.fields.get("secret") == "1"

    def meaning(self, errcode: int) -> str:
        """
        Return what *errcode* means; empty if that is not known.
        """
        words = WORDS.get(errcode)
        if words is None:
            return ""
        return words.meaning if self.language == "en" else words.meaning_zh


@attrs.frozen
class Pager:
    """
    Where a page stands in a list.
    """

    number: int
    count: int
    previous: str
    following: str

    @classmethod
    def of(cls, visit: Visit, rows: int) -> Pager:
        """
        The page that *visit* asks for of a list of so many *rows*.
        """
        count = max(1, math.ceil(rows / _ROWS))
        wanted = visit.fields.get("page", "")
        is_number = re.fullmatch("[1-9][0-9]{0,8}", wanted)
        number = min(int(wanted), count) if is_number else 1
        before = visit.url(page=number - 1 if number > 2 else "")
        after = visit.url(page=number + 1)
        return cls(
            number,
            count,
            before if number > 1 else "",
            after if number < count else "",
        )

    def cut(self, rows: Sequence[_Row]) -> Sequence[_Row]:
        """
        Return the rows of this page.
        """
        return rows[(self.number - 1) * _ROWS :][:_ROWS]


# Values as the templates show them


def china_time(moment: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """
    *moment* on a clock in China; the number itself where no calendar has it.
    """
    try:
        return time.strftime(form, time.gmtime(moment + 8 * 3600))
    except (ValueError, OverflowError, OSError):
        return f"{moment:.0f}"


def duration(seconds: float) -> str:
    """
    *seconds* as hours, minutes and seconds: 1:59:07.
    """
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def formatted(value: object) -> str:
    """
    JSON to be read; nothing in it can turn the direction of the line.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _TRICKY.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def picture_url(url: str) -> str:
    """
    Where a browser finds a goods_img_url; empty where it cannot.
    """
    if re.match("https?://[^/]", url, re.IGNORECASE):
        return url
    return "http://" + url if re.match(r"[\w-]+(\.[\w-]+)+(/|$)", url) else ""


def _without_secret(visit: Visit, value: Any) -> Any:
    """
    *value* with what stands for an AppSecret in it masked, but for who asked for it.
    """
    if visit.shows_secret:
        return value
    if isinstance(value, dict):
        return {
            key: _MASK if key in _SECRET_FIELDS else _without_secret(visit, item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_secret(visit, item) for item in value]
    if not isinstance(value, str):
        return value
    tokens = visit.sandbox.world.tokens
    for app in [*tokens.apps.values(), *tokens.components.values()]:
        if len(app.secret) >= _SHORTEST_SECRET:
            value = value.replace(app.secret, _MASK)
    return value


# The first visit


def start(visit: Visit) -> dict[str, Any]:
    """
    How a program is pointed at this sandbox.
    """
    sandbox, base_url = visit.sandbox, visit.base_url
    secret = sandbox.secret if visit.shows_secret else _MASK
    python = (
        "from wxlogistics import Client, StableToken\n"
        f"token = StableToken({sandbox.appid!r}, {secret!r})\n"
        f"client = Client(token, base_url={base_url!r})"
    )
    curl = _curl(
        f"{base_url}{REGISTER[False]}?access_token={sandbox.access_token()}",
        json.dumps(EXAMPLE, ensure_ascii=False),
    )
    return {"python": python, "curl": curl, "secret": secret}


# Waybills


def waybills(visit: Visit) -> dict[str, Any]:
    """
    The list, those registered last first.
    """
    world = visit.sandbox.world
    query, status = visit.fields.get("q", "").strip(), visit.fields.get("status", "")
    with world.lock:
        now = world.clock.now()
        total = len(world.parcels)
        parcels: Iterable[Parcel] = reversed(list(world.parcels.values()))
    if query:
        # What is searched may change meanwhile; the world is not held up for it.
        needle = query.casefold()
        parcels = [each for each in parcels if needle in _described(visit, each)]
    if re.fullmatch("[0-9]", status):
        wanted = int(status)
        parcels = [parcel for parcel in parcels if parcel.status(now) == wanted]
    found = list(parcels)
    pager = Pager.of(visit, len(found))
    shown = pager.cut(found)
    with world.lock:
        rows = [_row(visit, parcel, now) for parcel in shown]
    return {
        "rows": rows,
        "pager": pager,
        "found": len(found),
        "total": total,
        "narrowed": bool(query or status),
        "due": _soonest(parcel.due(now) for parcel in shown),
        "statuses": [WaybillStatus(number) for number in range(7)],
        "start": start(visit),
    }


def _described(visit: Visit, parcel: Parcel) -> str:
    """
    Return the texts of a parcel that a search looks in.
    """
    words = [parcel.waybill_id, parcel.delivery_id, CARRIERS[parcel.delivery_id]]
    for one in list(visit.sandbox.world.registered.get(parcel.waybill_id, ())):
        words += [one.openid, *(goods["goods_name"] for goods in one.goods)]
    return "\n".join(words).casefold()


def _soonest(moments: Iterable[float | None]) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _row(visit: Visit, parcel: Parcel, now: float) -> dict[str, Any]:
    registered = visit.sandbox.world.registered.get(parcel.waybill_id, [])
    history = parcel.history(now)
    latest = registered[-1] if registered else None
    return {
        "waybill_id": parcel.waybill_id,
        "delivery_id": parcel.delivery_id,
        "carrier": CARRIERS[parcel.delivery_id],
        "status": parcel.status(now),
        "openid": latest.openid if latest else "",
        "others": len({one.openid for one in registered}) - 1,
        "goods": latest.goods if latest else [],
        "registered_at": latest.registered_at if latest else 0,
        "moved_at": history[-1].at if history else 0,
        "components": sorted({one.component for one in registered}, reverse=True),
    }


def waybill(visit: Visit) -> dict[str, Any]:
    """
    One waybill, as its customer sees it, and what can be done with it.

    Raises:
        Missing: There is no such waybill.
    """
    world = visit.sandbox.world
    waybill_id = visit.fields.get("id", "")
    with world.lock:
        now, parcel = world.clock.now(), world.parcels.get(waybill_id)
        if parcel is None:
            raise Missing("There is no such waybill.")
        registered = list(world.registered.get(waybill_id, ()))
        shown = next(
            (one for one in registered if one.token == visit.fields.get("token")),
            registered[-1] if registered else None,
        )
        following = _NEXT.get(parcel.status(now))
        return {
            **_row(visit, parcel, now),
            "actions": parcel.path(now),
            "registrations": registered,
            "shown": shown,
            "edit_limit": world.settings.edit_limit,
            "following": None if following is None else WaybillStatus(following),
            "statuses": [WaybillStatus(number) for number in range(7)],
            "due": parcel.due(now),
            "pictures": visit.fields.get("pictures") == "1",
            "has_pictures": shown is not None
            and any(picture_url(goods["goods_img_url"]) for goods in shown.goods),
        }


def register(visit: Visit) -> dict[str, Any]:
    """
    Return what the form for a waybill offers.
    """
    return {"carriers": CARRIERS}


# Calls


def calls(visit: Visit) -> dict[str, Any]:
    """
    The last calls, newest first.
    """
    kept = visit.sandbox.calls
    query = visit.fields.get("q", "").strip().casefold()
    endpoint, failed = visit.fields.get("endpoint", ""), visit.fields.get("failed", "")
    found = [
        call
        for call in reversed(kept)
        if endpoint in ("", call.endpoint)
        and (not failed or call.errcode != 0 or call.status == 0)
        and (not query or query in _described_call(call))
    ]
    pager = Pager.of(visit, len(found))
    return {
        "rows": [
            {
                "call": call,
                "rid": call.rid,
                "known": call.waybill_id in visit.sandbox.world.parcels,
            }
            for call in pager.cut(found)
        ],
        "pager": pager,
        "found": len(found),
        "total": len(kept),
        "endpoints": sorted({*PATHS.values()}),
        "narrowed": bool(query or endpoint or failed),
    }


def _described_call(call: Call) -> str:
    answer = call.answer if call.errcode or "waybill_token" in call.answer else ""
    return "\n".join(
        (call.endpoint, str(call.errcode), call.waybill_id, call.request, answer)
    ).casefold()


def call(visit: Visit) -> dict[str, Any]:
    """
    One call, with the code to make it again.

    Raises:
        Missing: It is not remembered.
    """
    number = visit.fields.get("number", "")
    kept = {str(one.number): one for one in visit.sandbox.calls}
    if number not in kept:
        raise Missing("This call is not remembered (any more).")
    one = kept[number]
    payload = _without_secret(visit, one.payload)
    reply = _without_secret(visit, one.reply)
    return {
        "call": one,
        "rid": one.rid,
        "known": one.waybill_id in visit.sandbox.world.parcels,
        "request": None if payload is None else formatted(payload),
        "reply": None if reply is None else formatted(reply),
        "before": one.number - 1 if str(one.number - 1) in kept else None,
        "after": one.number + 1 if str(one.number + 1) in kept else None,
        "masked": payload != one.payload or reply != one.reply or visit.shows_secret,
        **_again(visit, one, payload),
    }


def _again(visit: Visit, one: Call, payload: dict[str, Any] | None) -> dict[str, Any]:
    """
    A call as curl and as Python.
    """
    path = next((p for p, name in PATHS.items() if name == one.endpoint), "")
    if payload is None or not path:
        return {"curl": "", "python": ""}
    url, name = visit.base_url + path, one.endpoint
    if name in GETS:
        fields = {key: str(value) for key, value in payload.items()}
        url += "?" + urlencode(fields, errors="replace")
        return {"curl": f"curl {shlex.quote(url)}", "python": _GET.format(url=url)}
    token = ""
    if name.startswith("api_") and name != "api_component_token":
        url += "?component_access_token=COMPONENT_ACCESS_TOKEN"
    elif name not in ("stable_token", "api_component_token"):
        token = visit.sandbox.access_token()
        url += f"?access_token={token}"
    return {
        "curl": _curl(url, formatted(payload)),
        "python": (_REQUEST if name in PLUGIN else _POST).format(
            url=url,
            base_url=visit.base_url,
            path=path,
            token=token,
            payload=pprint.pformat(payload, width=79, sort_dicts=False),
        ),
    }


def _curl(url: str, body: str) -> str:
    return (
        f"curl {shlex.quote(url)} \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


# Faults


def faults(visit: Visit) -> dict[str, Any]:
    """
    The faults in force, and the form for another.
    """
    return {
        "rows": [
            {"fault": fault, "harm": _harm(visit, fault)}
            for fault in visit.sandbox.faults
        ],
        "endpoints": PATHS.values(),
        "errcodes": {number: visit.meaning(number) for number in sorted(WORDS)},
    }


def _harm(visit: Visit, fault: Fault) -> list[str]:
    late = visit.say("{} s late", f"{fault.delay:g}") if fault.delay else ""
    dropped = visit.say("dropped") if fault.drop else ""
    status = "" if fault.status is None else f"HTTP {fault.status}"
    return [text for text in (status, fault.errmsg, late, dropped) if text]


# Tokens and quotas


def tokens(visit: Visit) -> dict[str, Any]:
    """
    Who is there, the tokens handed out, newest first, and what was spent today.
    """
    world = visit.sandbox.world
    with world.lock:
        now = world.clock.now()
        apps = list(world.tokens.apps.values())
        components = list(world.tokens.components.values())
        issued = list(reversed(world.tokens.issued.values()))
        spent = list(world.quotas.current("day").items())
    pager = Pager.of(visit, len(issued))
    shown = pager.cut(issued)
    return {
        "apps": [(app, "mini-program") for app in apps]
        + [(component, "service provider") for component in components],
        "mask": "" if visit.shows_secret else _MASK,
        "rows": [
            {
                "token": token,
                "ends": token.ends,
                "left": max(0.0, token.ends - now),
                "state": _state(token, now),
            }
            for token in shown
        ],
        "lifetime": world.settings.token_lifetime,
        "pager": pager,
        "due": _soonest(token.ends for token in shown if token.ends > now),
        **_quotas(visit, spent),
    }


def _state(token: AccessToken, now: float) -> str:
    """
    What a token is besides valid.
    """
    if token.revoked_at is not None and token.revoked_at <= now:
        return "revoked"
    if token.expires_at <= now:
        return "expired"
    return "" if token.revoked_at is None else "replaced"


def _quotas(visit: Visit, spent: list[tuple[str, int]]) -> dict[str, Any]:
    settings = visit.sandbox.settings
    bars: dict[str, list[dict[str, Any]]] = {"apps": [], "users": []}
    for key, count in spent:
        kind, what, who = key.split(" ", 2)
        limit = getattr(settings, LIMITS[f"{kind} {what}"])
        bar = {"who": who, "what": _COUNTED[what], "count": count, "limit": limit}
        bars[kind].append(bar)
    return {
        "app_bars": bars["apps"],
        "user_bars": heapq.nlargest(
            _BUSIEST, bars["users"], key=lambda bar: bar["count"] / max(1, bar["limit"])
        ),
        "user_count": len(bars["users"]),
    }
