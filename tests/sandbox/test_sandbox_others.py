"""The served sandbox and a client of another house: wechatpy."""

from __future__ import annotations

from typing import Any, Iterator

import pytest
from sandboxtools import EXAMPLE, GOODS, OPEN_MSG, WAYBILL_ID, Door
from wechatpy import WeChatClient, WeChatComponent
from wechatpy.exceptions import WeChatClientException

JSON = {"Content-Type": "application/json"}


class LocalClient(WeChatClient):
    """
    wechatpy's client with the sandbox for WeChat.
    """

    def __init__(self, door: Door) -> None:
        super().__init__(door.sandbox.appid, door.sandbox.secret, timeout=10)
        self.API_BASE_URL = door.base_url + OPEN_MSG
        self._http.trust_env = False
        self._token_url = door.base_url + "/cgi-bin/token"

    def fetch_access_token(self) -> Any:
        # wechatpy has WeChat's address in the middle of its own method.
        query = {
            "grant_type": "client_credential",
            "appid": self.appid,
            "secret": self.secret,
        }
        return self._fetch_access_token(self._token_url, query)


class TestWechatpy:
    """
    wechatpy through its generic client.
    """

    @pytest.fixture
    def client(self, served_door: Door) -> Iterator[LocalClient]:
        client = LocalClient(served_door)
        yield client
        client._http.close()

    @pytest.mark.parametrize(
        "endpoint",
        [
            "trace_waybill",
            "query_trace",
            "update_waybill_goods",
            "get_delivery_list",
            "follow_waybill",
            "query_follow_trace",
            "update_follow_waybill_goods",
        ],
    )
    def test_post__as_it_comes(self, client: LocalClient, endpoint: str) -> None:
        """
        It sends no Content-Type, and so gets 40003, as from WeChat.
        """
        with pytest.raises(WeChatClientException) as caught:
            client.post(endpoint, data=EXAMPLE)

        assert 40003 == caught.value.errcode

    @pytest.mark.parametrize(
        ("register", "query", "update"),
        [
            ("trace_waybill", "query_trace", "update_waybill_goods"),
            ("follow_waybill", "query_follow_trace", "update_follow_waybill_goods"),
        ],
    )
    def test_post__told_to(
        self, client: LocalClient, register: str, query: str, update: str
    ) -> None:
        """
        When told to send one, it calls every endpoint.
        """

        def post(endpoint: str, payload: Any) -> Any:
            return client.post(endpoint, data=payload, headers=JSON)

        token = post(register, EXAMPLE)["waybill_token"]
        trace = post(query, {"waybill_token": token})
        updated = post(update, {"waybill_token": token, "goods_info": GOODS})
        # An empty dict is JSON to wechatpy as well.
        carriers = post("get_delivery_list", {})

        assert WAYBILL_ID == trace["waybill_info"]["waybill_id"]
        assert GOODS == trace["shop_info"]["goods_info"]
        assert {"errcode": 0, "errmsg": "ok"} == updated
        assert carriers["count"] == len(carriers["delivery_list"])

    def test_post__token_replaced(self, client: LocalClient, served_door: Door) -> None:
        """
        When its token is revoked it fetches another and goes on.
        """
        client.post("get_delivery_list", data={}, headers=JSON)
        served_door.sandbox.revoke_tokens()
        client.post("get_delivery_list", data={}, headers=JSON)

        assert [
            ("token", 0),
            ("get_delivery_list", 0),
            ("get_delivery_list", 40001),
            ("token", 0),
            ("get_delivery_list", 0),
        ] == [(call.endpoint, call.errcode) for call in served_door.sandbox.calls]

    def test_component(self, served_door: Door) -> None:
        """
        Its service provider, which sends no Content-Type either, gets its tokens.
        """
        sandbox = served_door.sandbox
        account = sandbox.add_component()
        component = WeChatComponent(account.appid, account.secret, "t", "A" * 43)
        component._http.trust_env = False
        component.API_BASE_URL = served_door.base_url + "/cgi-bin"
        component.session.set("component_verify_ticket", account.ticket)

        reply = component.refresh_authorizer_token(
            sandbox.appid, sandbox.authorize(account.appid)
        )
        component._http.close()

        assert "authorizer_access_token" in reply
        assert [("api_component_token", 0), ("api_authorizer_token", 0)] == [
            (call.endpoint, call.errcode) for call in sandbox.calls
        ]
