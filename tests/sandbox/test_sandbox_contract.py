"""What WeChat does, through each door of the sandbox."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import EXAMPLE, GOODS, OPEN_MSG, OPENID, WAYBILL_ID, Door

from wxlogistics import WaybillStatus

OTHER_OPENID = "o" + "B" * 27

JSON = {"Content-Type": "application/json"}


def errcode_and_text(reply: dict[str, Any]) -> tuple[int, str]:
    """
    The errcode and the errmsg without the rid's digits, which must be there.
    """
    text, count = re.subn(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$", "", reply["errmsg"])
    assert 1 == count
    assert {"errcode", "errmsg"} == set(reply)
    return reply["errcode"], text


class Contract:
    """
    Everything here is true of both doors.
    """

    @pytest.fixture
    def door(self) -> Door:
        raise NotImplementedError

    def token_of(self, door: Door) -> dict[str, str]:
        return {"access_token": door.sandbox.access_token()}

    # The document's example

    def test_trace_waybill__example(self, door: Door) -> None:
        """
        The document's example is registered.
        """
        reply = door.post("trace_waybill", EXAMPLE)

        assert {
            "errcode": 0,
            "errmsg": "ok",
            "waybill_token": reply["waybill_token"],
        } == reply
        assert re.fullmatch(r"[A-Za-z0-9_-]{64}", reply["waybill_token"])

    def test_query_trace__example(self, door: Door) -> None:
        """
        Right after, its query gives the document's reply to the letter.
        """
        token = door.register()

        reply = door.post("query_trace", {"waybill_token": token, "openid": OPENID})

        assert {
            "errcode": 0,
            "errmsg": "ok",
            "waybill_info": {"status": 0, "waybill_id": WAYBILL_ID},
            "shop_info": {"goods_info": GOODS},
        } == reply

    def test_update_waybill_goods__example(self, door: Door) -> None:
        """
        The document's update answers ok and changes the goods.
        """
        token = door.register()
        goods = {
            "detail_list": [
                {"goods_name": "测试更新商品", "goods_img_url": "www.qq.com"}
            ]
        }

        reply = door.post(
            "update_waybill_goods",
            {"waybill_token": token, "openid": OPENID, "goods_info": goods},
        )

        assert {"errcode": 0, "errmsg": "ok"} == reply
        queried = door.post("query_trace", {"waybill_token": token})
        assert goods == queried["shop_info"]["goods_info"]

    def test_get_delivery_list__example(self, door: Door) -> None:
        """
        Carriers come with their count and without errmsg.
        """
        reply = door.post("get_delivery_list", {})

        assert {"errcode", "delivery_list", "count"} == set(reply)
        assert 0 == reply["errcode"]
        assert len(reply["delivery_list"]) == reply["count"]
        assert {
            "delivery_id": "(AU)",
            "delivery_name": "Interparcel",
        } == reply[
            "delivery_list"
        ][0]
        assert {
            "delivery_id": "SF",
            "delivery_name": "顺丰速运",
        } in reply["delivery_list"]

    def test_follow_waybill__example(self, door: Door) -> None:
        """
        The message component registers, queries and updates in the same shapes.
        """
        token = door.post("follow_waybill", EXAMPLE)["waybill_token"]
        goods = {"detail_list": [{"goods_name": "新", "goods_img_url": ""}]}

        updated = door.post(
            "update_follow_waybill_goods",
            {"waybill_token": token, "goods_info": goods},
        )
        queried = door.post("query_follow_trace", {"waybill_token": token})

        assert {"errcode": 0, "errmsg": "ok"} == updated
        assert {
            "errcode": 0,
            "errmsg": "ok",
            "waybill_info": {"status": 0, "waybill_id": WAYBILL_ID},
            "shop_info": {"goods_info": goods},
        } == queried

    def test_reply__header(self, door: Door) -> None:
        """
        Replies name their encoding as WeChat does, and are UTF-8 without escapes.
        """
        door.register()
        response = door.send(
            "POST", OPEN_MSG + "get_delivery_list", params=self.token_of(door), json={}
        )

        assert "application/json; encoding=utf-8" == response.headers["Content-Type"]
        assert "顺丰速运".encode() in response.content
        assert response.content.startswith(b'{"errcode":0,"delivery_list":[{"deliv')

    # Refusals before the body counts

    def test_request__chunked(self, door: Door) -> None:
        """
        A chunked request gets HTTP 412 without a body.
        """
        response = door.send(
            "POST",
            OPEN_MSG + "query_trace",
            params=self.token_of(door),
            data=iter([b"{}"]),
            headers=JSON,
        )

        assert 412 == response.status_code
        assert b"" == response.content

    @pytest.mark.parametrize(
        ("method", "path", "body", "headers", "expected"),
        [
            (
                "POST",
                OPEN_MSG + "query_trace",
                b"{}",
                {"Content-Type": "text/plain"},
                (40003, "invalid openid detail: [openid错误] rid: "),
            ),
            (
                "POST",
                OPEN_MSG + "trace_waybill",
                b"{}",
                {},
                (40003, "invalid openid detail: [openid错误] rid: "),
            ),
            (
                "POST",
                OPEN_MSG + "get_delivery_list",
                b"",
                JSON,
                (44002, "empty post data rid: "),
            ),
            (
                "POST",
                OPEN_MSG + "query_trace",
                b"{",
                JSON,
                (47001, "data format error rid:"),
            ),
            (
                "POST",
                OPEN_MSG + "query_trace",
                b"[]",
                JSON,
                (47001, "data format error rid:"),
            ),
            (
                "POST",
                OPEN_MSG + "query_trace",
                '{"waybill_token":"中"}'.encode("gbk"),
                JSON,
                (47001, "data format error rid:"),
            ),
            (
                "POST",
                OPEN_MSG + "query_trace",
                b'{"waybill_token":"\\ud800"}',
                JSON,
                (47001, "data format error rid:"),
            ),
            (
                "POST",
                OPEN_MSG + "query_trace",
                b'{"waybill_token":1}',
                JSON,
                (47001, "data format error rid:"),
            ),
            (
                "POST",
                OPEN_MSG + "query_trace",
                b"[" * 100_000,
                JSON,
                (47001, "data format error rid:"),
            ),
            (
                "POST",
                OPEN_MSG + "query_traces",
                b"{}",
                JSON,
                (40066, "invalid url rid: "),
            ),
            (
                "GET",
                OPEN_MSG + "query_trace",
                b"",
                {},
                (43002, "require POST method rid: "),
            ),
        ],
        ids=lambda value: None if isinstance(value, (bytes, dict)) else str(value),
    )
    def test_request__refused(
        self,
        door: Door,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, str],
        expected: tuple[int, str],
    ) -> None:
        """
        What is no proper request is refused with HTTP 200.
        """
        response = door.send(
            method, path, params=self.token_of(door), data=body, headers=headers
        )

        assert 200 == response.status_code
        assert expected == errcode_and_text(response.json())

    def test_refusal__rid(self, door: Door) -> None:
        """
        A rid begins with the time in hex.
        """
        reply = door.post("query_trace", {"waybill_token": "x"})

        assert " rid: 6a0d31c0-" in reply["errmsg"]

    # Access tokens

    @pytest.mark.parametrize(
        ("access_token", "expected"),
        [
            ("", (41001, "access_token missing rid: ")),
            ("not/of this shape", (40014, "invalid access_token rid: ")),
            ("x" * 513, (40014, "invalid access_token rid: ")),
            (
                "87_unknown",
                (
                    40001,
                    "invalid credential, access_token is invalid or not latest, could "
                    "get access_token by getStableAccessToken, more details at "
                    "https://mmbizurl.cn/s/JtxxFh33r rid: ",
                ),
            ),
        ],
    )
    def test_access_token__refused(
        self, door: Door, access_token: str, expected: tuple[int, str]
    ) -> None:
        """
        Access tokens that are missing, misshapen or unknown are refused.
        """
        reply = door.post("get_delivery_list", {}, access_token)

        assert expected == errcode_and_text(reply)

    def test_access_token__expired(self, door: Door) -> None:
        """
        After two hours a token has expired.
        """
        token = door.sandbox.access_token()

        door.sandbox.clock.tick(seconds=7199)
        assert 0 == door.post("get_delivery_list", {}, token)["errcode"]
        door.sandbox.clock.tick(seconds=1)

        assert (42001, "access_token expired rid: ") == errcode_and_text(
            door.post("get_delivery_list", {}, token)
        )

    def test_access_token__revoked(self, door: Door) -> None:
        """
        A revoked token is refused as not the latest; the next one works.
        """
        token = door.sandbox.access_token()

        assert 1 == door.sandbox.revoke_tokens()

        assert 40001 == door.post("get_delivery_list", {}, token)["errcode"]
        assert 0 == door.post("get_delivery_list", {})["errcode"]

    def test_stable_token__normal(self, door: Door) -> None:
        """
        Within its life the same token comes again, with the seconds that are left.
        """
        first = door.stable_token()
        door.sandbox.clock.tick(seconds=6900)
        second = door.stable_token()

        assert {"access_token": first["access_token"], "expires_in": 7200} == first
        assert {"access_token": first["access_token"], "expires_in": 300} == second

    def test_stable_token__renewed_early(self, door: Door) -> None:
        """
        Less than five minutes before the end comes a new one; the old one still works.
        """
        first = door.stable_token()
        door.sandbox.clock.tick(seconds=6901)
        second = door.stable_token()

        assert first["access_token"] != second["access_token"]
        assert 7200 == second["expires_in"]
        for token in (first, second):
            reply = door.post("get_delivery_list", {}, token["access_token"])
            assert 0 == reply["errcode"]

    # The main path

    def test_trace_waybill__again(self, door: Door) -> None:
        """
        Registering again gives a token, but keeps the first goods.
        """
        first = door.register()
        second = door.register(
            goods_info={"detail_list": [{"goods_name": "x", "goods_img_url": ""}]}
        )

        queried = door.post("query_trace", {"waybill_token": second})

        assert GOODS == queried["shop_info"]["goods_info"]
        assert first == second

    def test_query_trace__by_the_clock(self, door: Door) -> None:
        """
        A parcel moves along with the clock.
        """
        token = door.register()
        seen = []
        for hours in (0, 1, 4, 15, 10, 3):
            door.sandbox.clock.tick(hours=hours)
            reply = door.post("query_trace", {"waybill_token": token})
            seen.append(reply["waybill_info"]["status"])

        assert [0, 1, 2, 2, 3, 4] == seen

    def test_query_trace__moved(self, door: Door) -> None:
        """
        A parcel moved by hand is where it was put, and tells so.
        """
        token = door.register(waybill_id="SF1234567890")
        door.sandbox.move("SF1234567890", WaybillStatus.SIGNED, message="放门口了")

        reply = door.post("query_trace", {"waybill_token": token})

        assert {
            "status": 4,
            "waybill_id": "SF1234567890",
            "path": {
                "path_action": [
                    {
                        "action_time": 1779249600,
                        "action_type": 300003,
                        "action_msg": "放门口了",
                    }
                ]
            },
        } == reply["waybill_info"]
        assert {
            "delivery_id": "SF",
            "delivery_name": "顺丰速运",
        } == reply["delivery_info"]

    # Refusals of the document's table and beyond

    @pytest.mark.parametrize("openid", ["", "short", "x" * 28, "o" + "!" * 27])
    def test_trace_waybill__openid(self, door: Door, openid: str) -> None:
        """
        An openid of the wrong shape is refused.
        """
        reply = door.post("trace_waybill", {**EXAMPLE, "openid": openid})

        assert (
            40003,
            "invalid openid detail: [openid错误] rid: ",
        ) == errcode_and_text(reply)

    def test_trace_waybill__openid_of_another_app(self, door: Door) -> None:
        """
        An openid belongs to the app that used it first.
        """
        door.register()
        other = door.sandbox.add_app()

        reply = door.post(
            "trace_waybill", EXAMPLE, door.sandbox.access_token(other.appid)
        )

        assert (
            9300534,
            "invalid appid, not same body detail: [access_token与openid不匹配] rid: ",
        ) == errcode_and_text(reply)

    @pytest.mark.parametrize(
        "endpoint", ["query_trace", "update_waybill_goods", "query_follow_trace"]
    )
    def test_waybill_token__unknown(self, door: Door, endpoint: str) -> None:
        """
        A waybill_token that the sandbox did not make is refused.
        """
        reply = door.post(endpoint, {"waybill_token": "x" * 64, "goods_info": GOODS})

        assert (
            9300507,
            "invalid token, can't decryption or decryption result is different from "
            "the plaintext detail: [waybill_token参数错误] rid: ",
        ) == errcode_and_text(reply)

    def test_update_waybill_goods__limit(self, door: Door) -> None:
        """
        The sixth change of the goods is refused.
        """
        token = door.register()
        update = {"waybill_token": token, "goods_info": GOODS}
        for _ in range(5):
            assert 0 == door.post("update_waybill_goods", update)["errcode"]

        assert (
            9300560,
            "update times reach limit detail: [达到修改次数上限] rid: ",
        ) == errcode_and_text(door.post("update_waybill_goods", update))

    def test_query_trace__user_limit(self, door: Door) -> None:
        """
        The 101st call about one user in a day is refused, until midnight in China.
        """
        token = door.register()
        for _ in range(99):
            door.post("query_trace", {"waybill_token": token})

        refused = door.post("query_trace", {"waybill_token": token})
        door.sandbox.clock.tick(hours=11, minutes=59)
        still = door.post("query_trace", {"waybill_token": token})
        door.sandbox.clock.tick(minutes=1)
        again = door.post("query_trace", {"waybill_token": token})

        assert (
            9300513,
            "call times reach limit detail: [调用次数达到上限] rid: ",
        ) == errcode_and_text(refused)
        assert 9300513 == still["errcode"]
        assert 0 == again["errcode"]


class TestMockDoor(Contract):
    """
    Door 1, in process.
    """

    @pytest.fixture
    def door(self, mock_door: Door) -> Door:
        return mock_door


class TestServedDoor(Contract):
    """
    Door 2, over HTTP.
    """

    @pytest.fixture
    def door(self, served_door: Door) -> Door:
        return served_door
