"""Harmless calls that show where the real WeChat and the sandbox differ."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, NamedTuple, Sequence

import requests

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

        token: An access_token in place of the caller's.
    """

    what: str
    endpoint: str
    body: dict[str, Any] | None = {}
    content_type: str | None = _JSON
    slash: str = ""
    token: str | None = None


#: With the call for a token these are ten.
CALLS = (
    Call("the carriers", "get_delivery_list"),
    Call("an empty body", "get_delivery_list", None),
    Call("two slashes before the path", "get_delivery_list", slash="/"),
    Call("an access_token that cannot be", "get_delivery_list", token="(none)"),
    Call("no Content-Type", "query_trace", _QUERY, None),
    Call("a waybill_token that cannot be", "query_trace", _QUERY),
    Call("Chinese as \\uXXXX", "query_trace", {"waybill_token": "没有"}),
    Call("a waybill_token that cannot be", "update_waybill_goods", _UPDATE),
    Call("an openid that cannot be", "trace_waybill", _TRACE),
)

Answer = dict[str, Any]


def make(
    session: requests.Session, call: Call, url: str, token: str, private: Sequence[str]
) -> Answer:
    """
    Make one call, and return what can be compared: nothing of it is private.

    Args:
        private: Values that are masked, beside the token.
    """
    body = b"" if call.body is None else json.dumps(call.body).encode()
    try:
        response = session.post(
            f"{url}{call.slash}{_FOLDER}{call.endpoint}",
            params={"access_token": call.token or token},
            data=body,
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
    private = [token, *private]
    found["keys"] = sorted({_public(key, private) for key in _keys(reply)})
    if isinstance(reply, dict):
        found["errcode"] = reply.get("errcode")
        found["errmsg"] = _public(str(reply.get("errmsg", "")), private)
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


def _public(errmsg: str, private: Sequence[str]) -> str:
    """
    Return a text without its rid and without private values.
    """
    text = re.sub(r"\s*(rid: ?[\w-]*|hints?: ?\[[^\]]*\])\s*$", "", errmsg)
    text = re.sub(r"\bwx[0-9a-f]{16}\b|\bo[\w-]{27}\b", "***", text)
    text = re.sub(r"[0-9a-fA-F:]*:[0-9a-fA-F:.]+|\d+\.\d+\.\d+\.\d+", "ADDRESS", text)
    for value in private:
        text = text.replace(value, "***")
    return text


def differences(real: Answer, ours: Answer) -> Iterator[tuple[str, str, str]]:
    """
    Yield the name of each value that differs, and both values as JSON.
    """
    for key in dict.fromkeys([*real, *ours]):
        values = (real.get(key), ours.get(key))
        if values[0] != values[1]:
            one, other = (json.dumps(each, ensure_ascii=False) for each in values)
            yield key, one, other
