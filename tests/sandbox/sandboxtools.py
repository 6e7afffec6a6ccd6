"""What the tests of the sandbox share: the example, and a door to call through."""

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
from importlib import resources
from typing import Any, Iterator

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
QUERY_TRACE = OPEN_MSG + "query_trace"

JSON = {"Content-Type": "application/json"}

OTHER_OPENID = "o" + "B" * 27

DESCRIPTION = json.loads(
    resources.files("wxlogistics.sandbox").joinpath("openapi.json").read_text("utf-8")
)


@functools.cache
def schema_of(method: str, path: str, what: str) -> Draft202012Validator:
    """The description's schema of an endpoint's "request" or "reply"."""
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


def goods_of(*names: str, url: str = "") -> dict[str, Any]:
    """A goods_info with an article for each name."""
    details = [{"goods_name": name, "goods_img_url": url} for name in names]
    return {"detail_list": details}


def port_of(url: str) -> int:
    """The port of a served sandbox."""
    return int(url.rpartition(":")[2])


@contextlib.contextmanager
def direct() -> Iterator[requests.Session]:
    """A session that goes past any proxy of the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def ask(url: str, path: str, **options: Any) -> requests.Response:
    """POST to a server on this machine."""
    with direct() as session:
        return session.post(url + path, timeout=60, **options)


def run_python(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this Python to its end."""
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, timeout=60, **options
    )


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
            headers=JSON,
        )
        assert 200 == response.status_code
        return json.loads(response.content)

    def raw(
        self, path: str, body: Any, headers: dict[str, str] = JSON, method: str = "POST"
    ) -> requests.Response:
        """The response to these bytes, sent with a token."""
        return self.send(method, path, params=self.token, data=body, headers=headers)

    def errcode(
        self, endpoint: str, payload: Any = {}, access_token: str | None = None
    ) -> int:
        """The errcode of one of the seven endpoints."""
        return self.post(endpoint, payload, access_token)["errcode"]

    def query(self, waybill_token: str, **payload: Any) -> dict[str, Any]:
        """The reply of query_trace."""
        return self.post("query_trace", {"waybill_token": waybill_token, **payload})

    @property
    def account(self) -> dict[str, str]:
        """What identifies the default app to a token endpoint."""
        return account_of(self.sandbox)

    def stable_token(self, **changes: Any) -> dict[str, Any]:
        """The reply of stable_token to the default app, with *changes*."""
        payload = {**self.account, **changes}
        payload = {key: value for key, value in payload.items() if value is not None}
        return self.send("POST", "/cgi-bin/stable_token", json=payload).json()

    def register(self, **changes: Any) -> str:
        """The waybill_token of the document's example, with *changes*."""
        return self.post("trace_waybill", {**EXAMPLE, **changes})["waybill_token"]


def account_of(sandbox: Sandbox) -> dict[str, str]:
    """What identifies the default app to a token endpoint."""
    who = {"appid": sandbox.appid, "secret": sandbox.secret}
    return {"grant_type": "client_credential", **who}


def told(reply: dict[str, Any]) -> tuple[int, str]:
    """A refusal's errcode, and its errmsg without the digits of its rid."""
    text, count = re.subn(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$", "", reply["errmsg"])
    assert 1 == count
    assert {"errcode", "errmsg"} == set(reply)
    return reply["errcode"], text


def with_settings(**settings: Any) -> pytest.MarkDecorator:
    """Run a test with these settings of the sandbox."""
    return pytest.mark.parametrize("settings", [settings], ids=[""])


@contextlib.contextmanager
def served_process(
    *options: str,
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A sandbox served by another process, and what that prints."""
    child = subprocess.Popen(
        [sys.executable, "-m", "wxlogistics.sandbox", "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said: dict[str, str] = {}
        assert child.stdout is not None
        while "access_token" not in said:
            name, _, value = child.stdout.readline().rstrip("\n").partition(": ")
            assert name, "it ended"
            said[name] = value
        yield child, said
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
