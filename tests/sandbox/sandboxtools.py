"""What the tests of the sandbox share: the example, and a door to call through."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
from importlib import resources
from typing import IO, Any, Iterator

import attrs
import pytest
import requests
from jsonschema import Draft202012Validator

from wxlogistics.sandbox import Sandbox

#: 2026-05-20 12:00:00 in China.
NOON = 1779249600.0

OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
WAYBILL_ID = "WXTESTEXPRESS0000014"
GOODS = {
    "detail_list": [
        {"goods_name": "测试名字", "goods_img_url": "www.qq.com"},
        {"goods_name": "测试名字2", "goods_img_url": "www.qq.com"},
    ]
}

#: The request of the document's example.
EXAMPLE = {
    "openid": OPENID,
    "waybill_id": WAYBILL_ID,
    "sender_phone": "12345678901",
    "receiver_phone": "123456566",
    "goods_info": GOODS,
}

OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"


DESCRIPTION = json.loads(
    resources.files("wxlogistics.sandbox").joinpath("openapi.json").read_text("utf-8")
)


@functools.cache
def schema_of(method: str, path: str, what: str) -> Draft202012Validator:
    """
    The description's schema of an endpoint's "request" or "reply".
    """
    operation = DESCRIPTION["paths"][path][method.lower()]
    if what == "request":
        holder = operation["requestBody"]
    else:
        holder = operation["responses"]["200"]
    schema = holder["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": DESCRIPTION["components"]})


def check_described(method: str, path: str, reply: Any) -> None:
    """Fail if *reply* is not what the description promises; others are refusals."""
    if method.lower() in DESCRIPTION["paths"].get(path, {}):
        schema_of(method, path, "reply").validate(reply)
    else:
        assert {"errcode", "errmsg"} == set(reply)


@attrs.define
class Door:
    """A way into a sandbox: plain `requests`, and no client of this project's."""

    sandbox: Sandbox
    base_url: str
    session: requests.Session

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", 10)
        response = self.session.request(method, self.base_url + path, **options)
        if response.headers.get("Content-Type") == "application/json; encoding=utf-8":
            check_described(method, path, json.loads(response.content))
        return response

    @property
    def token(self) -> dict[str, str]:
        """The query of a call."""
        return {"access_token": self.sandbox.access_token()}

    def post(
        self, endpoint: str, payload: Any, access_token: str | None = None
    ) -> dict[str, Any]:
        """The reply of one of the seven endpoints."""
        if access_token is None:
            access_token = self.sandbox.access_token()
        response = self.send(
            "POST",
            OPEN_MSG + endpoint,
            params={"access_token": access_token},
            data=json.dumps(payload, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json"},
        )
        assert 200 == response.status_code
        return json.loads(response.content)

    def stable_token(self, **changes: Any) -> dict[str, Any]:
        """
        The reply of stable_token to the default app, with *changes* to the request.
        """
        payload = {
            "grant_type": "client_credential",
            "appid": self.sandbox.appid,
            "secret": self.sandbox.secret,
            **changes,
        }
        payload = {key: value for key, value in payload.items() if value is not None}
        return self.send("POST", "/cgi-bin/stable_token", json=payload).json()

    def register(self, **changes: Any) -> str:
        """
        The waybill_token of the document's example, with *changes* to the request.
        """
        return self.post("trace_waybill", {**EXAMPLE, **changes})["waybill_token"]


def told(reply: dict[str, Any]) -> tuple[int, str]:
    """
    A refusal's errcode, and its errmsg without the rid's digits, which must be there.
    """
    text, count = re.subn(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$", "", reply["errmsg"])
    assert 1 == count
    assert {"errcode", "errmsg"} == set(reply)
    return reply["errcode"], text


def with_settings(**settings: Any) -> pytest.MarkDecorator:
    """Run a test with these settings of the sandbox."""
    return pytest.mark.parametrize("settings", [settings], ids=[""])


@contextlib.contextmanager
def served_process() -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A sandbox served by another process, and its output."""
    child = subprocess.Popen(
        [sys.executable, "-m", "wxlogistics.sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        yield child, child.stdout
    finally:
        child.kill()
        child.communicate()


def need(found: object, missing: str) -> None:
    """
    Skip a test if what it needs is not *found*, with a sentence on what is *missing*.

    With WXLOGISTICS_REQUIRE_SERVERS=1 it fails instead.
    """
    if found:
        return
    if os.environ.get("WXLOGISTICS_REQUIRE_SERVERS") == "1":
        pytest.fail(missing)
    pytest.skip(missing)
