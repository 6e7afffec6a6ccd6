"""The story of a parcel by a Python client: CLIENT URL APPID SECRET EXAMPLE."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import Any, Callable

OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"

Post = Callable[[str, Any], Any]


def wechatpy(url: str, appid: str, secret: str) -> Post:
    """wechatpy, told to send the Content-Type that it does not send by itself."""
    from wechatpy import WeChatClient
    from wechatpy.exceptions import WeChatClientException

    class LocalClient(WeChatClient):  # type: ignore[misc]
        API_BASE_URL = url + OPEN_MSG

        def fetch_access_token(self) -> Any:
            # It has WeChat's address in the middle of its own method.
            query = {
                "grant_type": "client_credential",
                "appid": self.appid,
                "secret": self.secret,
            }
            return self._fetch_access_token(url + "/cgi-bin/token", query)

    client = LocalClient(appid, secret, timeout=60)

    def post(endpoint: str, payload: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        try:
            return client.post(endpoint, data=payload, headers=headers)
        except WeChatClientException as error:
            return {"errcode": error.errcode}

    return post


def renewing(fetch: Callable[[], str], call: Callable[[str, Any, str], Any]) -> Post:
    """A client that keeps a token and fetches another when it is refused."""
    kept = [fetch()]

    def post(endpoint: str, payload: Any) -> Any:
        reply = call(endpoint, payload, kept[0])
        if reply.get("errcode") == 42001:
            kept[0] = fetch()
            reply = call(endpoint, payload, kept[0])
        return reply

    return post


def curl(url: str, appid: str, secret: str) -> Post:
    """Plain curl."""

    def run(path: str, payload: Any) -> Any:
        body = json.dumps(payload, ensure_ascii=False)
        done = subprocess.run(
            ["curl", "-sS", url + path]
            + ["-H", "Content-Type: application/json", "--data-raw", body],
            check=True,
            capture_output=True,
        )
        return json.loads(done.stdout)

    def fetch() -> str:
        who = {"grant_type": "client_credential", "appid": appid, "secret": secret}
        return str(run("/cgi-bin/stable_token", who)["access_token"])

    def call(endpoint: str, payload: Any, token: str) -> Any:
        return run(f"{OPEN_MSG}{endpoint}?access_token={token}", payload)

    return renewing(fetch, call)


def generated(url: str, appid: str, secret: str) -> Post:
    """What openapi-python-client makes of the sandbox's OpenAPI."""
    from importlib import import_module

    from generated_client.api.tokens import stable_token
    from generated_client.client import Client
    from generated_client.models.nothing import Nothing
    from generated_client.models.query import Query
    from generated_client.models.registration import Registration
    from generated_client.models.stable_token_request import StableTokenRequest
    from generated_client.models.update import Update

    shapes = {
        "trace_waybill": Registration,
        "query_trace": Query,
        "update_waybill_goods": Update,
        "get_delivery_list": Nothing,
    }

    def fetch() -> str:
        who = {"grant_type": "client_credential", "appid": appid, "secret": secret}
        body = StableTokenRequest.from_dict(who)
        return str(stable_token.sync(client=Client(url), body=body).access_token)

    def call(endpoint: str, payload: Any, token: str) -> Any:
        module = import_module("generated_client.api.query_component." + endpoint)
        client = Client(url, httpx_args={"params": {"access_token": token}})
        reply = module.sync(client=client, body=shapes[endpoint].from_dict(payload))
        return reply.to_dict()

    return renewing(fetch, call)


def main(name: str, url: str, appid: str, secret: str, text: str) -> None:
    """Tell the story; print what it was told."""
    example = json.loads(text)
    post: Post = {"wechatpy": wechatpy, "curl": curl, "generated": generated}[name](
        url, appid, secret
    )
    token = post("trace_waybill", example)["waybill_token"]
    trace = post("query_trace", {"waybill_token": token})
    update = {"waybill_token": token, "goods_info": example["goods_info"]}
    post("update_waybill_goods", update)
    carriers = post("get_delivery_list", {})
    post("trace_waybill", {**example, "openid": "x"})
    post("trace_waybill", {**example, "waybill_id": "UNKNOWN"})
    tick = urllib.request.Request(url + "/_sandbox/tick", b'{"hours": 3}')
    urllib.request.urlopen(tick, timeout=60).read()
    post("get_delivery_list", {})
    goods = trace["shop_info"]["goods_info"]["detail_list"]
    same = carriers["count"] == len(carriers["delivery_list"])
    print(
        json.dumps([trace["waybill_info"]["waybill_id"], goods[0]["goods_name"], same])
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
