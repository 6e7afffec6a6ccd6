"""`wxlogistics probe`: compares the real WeChat with the sandbox."""

from __future__ import annotations

import json
import re
import sys
import urllib.parse
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Sequence

import click
import requests

from .. import WECHAT_URLS, __version__
from . import output
from .command import FILE, Command, option
from .doctor import base_urls
from .language import labelled, listed, say, speak

_FOLDER = "/cgi-bin/express/delivery/open_msg/"
_JSON = "application/json"
_TIMEOUT = 30

#: Values that belong to no parcel and no customer.
_QUERY = {"waybill_token": "probe"}
_GOODS = {"detail_list": [{"goods_name": "probe", "goods_img_url": ""}]}
_UPDATE = {**_QUERY, "goods_info": _GOODS}
_PHONE = {"receiver_phone": "10000000000"}
_TRACE = {"openid": "probe", "waybill_id": "PROBE0", **_PHONE, "goods_info": _GOODS}


class Call(NamedTuple):
    """
    One harmless call.

    Attributes:
        what: What it tries.

        endpoint: Its last part of the path.

        body: What is sent.

        content_type: None: no such header.

        slash: What stands before the path.

        chunked: Whether it is sent without a Content-Length.
    """

    what: str
    endpoint: str
    body: dict[str, Any] | None = {}
    content_type: str | None = _JSON
    slash: str = ""
    chunked: bool = False


#: With the call for a token these are ten.
CALLS = (
    Call("the carriers", "get_delivery_list"),
    Call("an empty body", "get_delivery_list", None),
    Call("neither body nor Content-Type", "get_delivery_list", None, None),
    Call("two slashes before the path", "get_delivery_list", slash="/"),
    Call("no Content-Length", "get_delivery_list", chunked=True),
    Call("no Content-Type", "query_trace", _QUERY, None),
    Call("a waybill_token that cannot be", "query_trace", _QUERY),
    Call("a waybill_token that cannot be", "update_waybill_goods", _UPDATE),
    Call("an openid that cannot be", "trace_waybill", _TRACE),
)

Answer = dict[str, Any]


def command(terminal: output.Terminal) -> click.Command:
    """
    Return the command.
    """

    def run(yes: bool, report: str) -> int:
        from ..sandbox import Sandbox

        url = (terminal.base_urls or base_urls())[0].rstrip("/")
        host = urllib.parse.urlsplit(url).hostname
        if not yes:
            _ask(str(host))
        with terminal.client() as client:
            token = client.access_token()
        with requests.Session() as session:
            found = [make(session, call, url, token) for call in CALLS]
        reference = Sandbox()
        with reference.serve() as server, requests.Session() as session:
            # A proxy of the environment does not lead to this machine.
            session.trust_env = False
            token = reference.access_token()
            known = [make(session, call, server.url, token) for call in CALLS]
        with speak("en"):
            server_name = "WeChat" if url in WECHAT_URLS else "a test server"
            head = f"## wxlogistics {__version__} probe of {server_name}\n\n"
            lines = compared(found, known)
            text = "".join(re.sub("^( *)", r"\1- ", line) + "\n" for line in lines)
            Path(report).write_text(head + text, encoding="utf-8")
        same = found == known
        if terminal.as_json:
            calls = [
                {**_names(call), "same": real == ours, "wechat": real, "sandbox": ours}
                for call, real, ours in zip(CALLS, found, known)
            ]
            output.answer({"ok": same, "calls": calls, "report": report})
        else:
            for line in compared(found, known):
                output.echo(output.clean(line))
            output.echo(say("[probe: report]", path=report))
        return output.GOOD if same else output.REFUSED

    params = [
        option("--yes", is_flag=True),
        option("--report", metavar="FILE", type=FILE, default="wxlogistics-probe.md"),
    ]
    examples = ["wxlogistics probe", "wxlogistics probe --yes --json"]
    return Command(terminal, "probe", run, params, examples=examples)


def _names(call: Call) -> dict[str, str]:
    return {"endpoint": call.endpoint, "what": call.what}


def _ask(host: str) -> None:
    """
    Say which calls will be made, and ask whether to make them.
    """
    if not (sys.stdin and sys.stdin.isatty()):
        raise output.Problem("[probe: say yes]")
    output.note(say("[probe: calls]", host=host))
    for call in CALLS:
        output.note(f"  {call.endpoint}: {say(call.what)}")
    if not click.confirm(say("Make these calls?"), err=True):
        raise click.Abort


def make(session: requests.Session, call: Call, url: str, token: str) -> Answer:
    """
    Make one call, and return what can be compared: nothing of it is private.
    """
    body = b"" if call.body is None else json.dumps(call.body).encode()
    try:
        response = session.post(
            f"{url}{call.slash}{_FOLDER}{call.endpoint}",
            params={"access_token": token},
            data=iter([body]) if call.chunked else body,
            headers={"Content-Type": call.content_type} if call.content_type else {},
            timeout=_TIMEOUT,
            allow_redirects=False,
            # Not what ~/.netrc has for this host.
            auth=lambda request: request,
        )
    except requests.RequestException as error:
        return {"no answer": type(error).__name__}
    found: Answer = {"HTTP": response.status_code}
    for name in ("Content-Type", "Content-Encoding"):
        found[name] = response.headers.get(name)
    try:
        reply = json.loads(response.content.decode("utf-8-sig"), strict=False)
    except ValueError:
        return {**found, "body": "empty" if not response.content else "not JSON"}
    found["keys"] = sorted({*_keys(reply)})
    if isinstance(reply, dict):
        found["errcode"] = reply.get("errcode")
        found["errmsg"] = _public(str(reply.get("errmsg", "")), token)
    return found


def _keys(value: object, before: str = "") -> Iterator[str]:
    """
    Yield the keys of a JSON value, with the way to each.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield before + key
            yield from _keys(inner, f"{before}{key}.")
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner, f"{before[:-1]}[].")


def _public(errmsg: str, token: str) -> str:
    """
    Return an errmsg without its rid, and without whom it concerns.
    """
    text = re.sub(r"\s*(rid: ?[\w-]*|hints?: ?\[[^\]]*\])\s*$", "", errmsg)
    text = re.sub(r"\bwx[0-9a-f]{16}\b|\bo[\w-]{27}\b", "***", text)
    text = re.sub(r"[0-9a-fA-F:]*:[0-9a-fA-F:.]+|\d+\.\d+\.\d+\.\d+", "ADDRESS", text)
    for value in filter(None, [token, *output.private_values()]):
        text = text.replace(value, "***")
    return text


def compared(found: Sequence[Answer], known: Sequence[Answer]) -> Iterator[str]:
    """
    Yield a line for each call, and how the two answers differ.
    """
    for call, real, ours in zip(CALLS, found, known):
        sign, verdict = ("✓", "same") if real == ours else ("✗", "different")
        name = labelled(call.endpoint, say(call.what))
        yield f"{sign} {say(verdict)}  {name}"
        for key in dict.fromkeys([*real, *ours]):
            if real.get(key) != ours.get(key):
                for label, each in ((key, real), (listed([key, say("sandbox")]), ours)):
                    value = json.dumps(each.get(key), ensure_ascii=False)
                    yield f"  {labelled(label, value)}"
