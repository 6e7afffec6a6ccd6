"""What WeChat does, through each door of the sandbox."""

import gzip
import json
import re

import pytest
from sandboxtools import (
    EXAMPLE,
    GOODS,
    JSON,
    NOON,
    OPEN_MSG,
    OPENID,
    OTHER_OPENID,
    QUERY_TRACE,
    WAYBILL_ID,
    goods_of,
    told,
    with_settings,
)

from wxlogistics import WaybillStatus

OK = {"errcode": 0, "errmsg": "ok"}

BAD_OPENID = (40003, "invalid openid detail: [openid错误] rid: ")
BAD_TOKEN = (
    9300507,
    "invalid token, can't decryption or decryption result is different from the "
    "plaintext detail: [waybill_token参数错误] rid: ",
)
BAD_URL = (40066, "invalid url rid: ")
NO_JSON = (47001, "data format error rid:")


class TestPlugin:
    """The plugin's endpoints."""

    # The document's example

    def test_trace_waybill__example(self, door):
        """The document's example is registered."""
        reply = door.post("trace_waybill", EXAMPLE)

        assert {**OK, "waybill_token": reply["waybill_token"]} == reply
        assert re.fullmatch(r"[A-Za-z0-9_-]{64}", reply["waybill_token"])

    def test_query_trace__example(self, door):
        """Right after, its query gives the document's reply to the letter."""
        reply = door.query(door.register(), openid=OPENID)

        assert {
            **OK,
            "waybill_info": {"status": 0, "waybill_id": WAYBILL_ID},
            "shop_info": {"goods_info": GOODS},
        } == reply

    def test_update_waybill_goods__example(self, door):
        """The document's update answers ok and changes the goods."""
        token = door.register()
        goods = goods_of("测试更新商品", url="www.qq.com")
        update = {"waybill_token": token, "openid": OPENID, "goods_info": goods}

        assert OK == door.post("update_waybill_goods", update)
        assert goods == door.query(token)["shop_info"]["goods_info"]

    def test_get_delivery_list__example(self, door):
        """Carriers come with their count and without errmsg."""
        reply = door.post("get_delivery_list", {})

        carriers = {
            each["delivery_id"]: each["delivery_name"]
            for each in reply["delivery_list"]
        }
        assert {"errcode", "delivery_list", "count"} == set(reply)
        assert 0 == reply["errcode"]
        assert len(carriers) == len(reply["delivery_list"]) == reply["count"]
        assert ("(AU)", "Interparcel") == next(iter(carriers.items()))
        assert "顺丰速运" == carriers["SF"]

    def test_follow_waybill__example(self, door):
        """The message component registers, queries and updates in the same shapes."""
        token = {"waybill_token": door.post("follow_waybill", EXAMPLE)["waybill_token"]}
        goods = goods_of("新")
        update = {**token, "goods_info": goods}

        assert OK == door.post("update_follow_waybill_goods", update)
        assert {
            **OK,
            "waybill_info": {"status": 0, "waybill_id": WAYBILL_ID},
            "shop_info": {"goods_info": goods},
        } == door.post("query_follow_trace", token)

    def test_reply__header(self, door):
        """Replies name their encoding as WeChat does, and are UTF-8 without escapes."""
        response = door.raw(OPEN_MSG + "get_delivery_list", b"{}")

        assert "application/json; encoding=utf-8" == response.headers["Content-Type"]
        assert "顺丰速运".encode() in response.content
        assert response.content.startswith(b'{"errcode":0,"delivery_list":[{"deliv')

    # Refusals before the body counts

    def test_request__chunked(self, door):
        """A chunked request gets HTTP 412 without a body."""
        response = door.raw(QUERY_TRACE, iter([b"{}"]))

        assert (412, b"") == (response.status_code, response.content)

    @pytest.mark.parametrize(
        ("path", "body", "headers", "expected"),
        [
            (QUERY_TRACE, b"{}", {"Content-Type": "text/plain"}, BAD_OPENID),
            (OPEN_MSG + "trace_waybill", b"{}", {}, BAD_OPENID),
            (
                OPEN_MSG + "get_delivery_list",
                b"",
                JSON,
                (44002, "empty post data rid: "),
            ),
            (QUERY_TRACE, b"{", JSON, NO_JSON),
            (QUERY_TRACE, b"[]", JSON, NO_JSON),
            (QUERY_TRACE, b'{"x":NaN}', JSON, NO_JSON),
            (QUERY_TRACE, b'{"x":1e999}', JSON, NO_JSON),
            (
                QUERY_TRACE,
                gzip.compress(b"{}"),
                {**JSON, "Content-Encoding": "gzip"},
                NO_JSON,
            ),
            (QUERY_TRACE, '{"waybill_token":"中"}'.encode("gbk"), JSON, NO_JSON),
            (QUERY_TRACE, b'{"waybill_token":"\\ud800"}', JSON, NO_JSON),
            (QUERY_TRACE, b'{"waybill_token":1}', JSON, NO_JSON),
            (QUERY_TRACE, b"[" * 100_000, JSON, NO_JSON),
            (QUERY_TRACE, b'{"x":' + b"[" * 21 + b"]" * 21 + b"}", JSON, NO_JSON),
            (QUERY_TRACE + "s", b"{}", JSON, BAD_URL),
            ("/cgi-bin%2fstable_token", b"{}", JSON, BAD_URL),
        ],
        ids=lambda value: None if isinstance(value, (bytes, dict)) else str(value),
    )
    def test_request__refused(self, door, path, body, headers, expected):
        """What is no proper request is refused with HTTP 200."""
        response = door.raw(path, body, headers)

        assert 200 == response.status_code
        assert expected == told(response.json())

    def test_request__other_methods(self, door):
        """GET is refused, and HEAD as GET is, with a reply that has no body."""
        response = door.raw(QUERY_TRACE, b"", {}, "GET")
        head = door.session.head(
            door.base_url + QUERY_TRACE, params=door.token, timeout=60
        )

        assert (43002, "require POST method rid: ") == told(response.json())
        assert (200, b"") == (head.status_code, head.content)
        assert 43002 == door.sandbox.calls[-1].errcode

    def test_refusal__rid(self, door):
        """A rid begins with the time in hex."""
        assert " rid: 6a0d31c0-" in door.query("x")["errmsg"]

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
    def test_access_token__refused(self, door, access_token, expected):
        """Access tokens that are missing, misshapen or unknown are refused."""
        assert expected == told(door.post("get_delivery_list", {}, access_token))

    def test_access_token__expired(self, door):
        """After two hours a token has expired."""
        token = door.sandbox.access_token()
        door.sandbox.clock.tick(seconds=7199)
        assert 0 == door.errcode("get_delivery_list", {}, token)
        door.sandbox.clock.tick(seconds=1)

        assert (42001, "access_token expired rid: ") == told(
            door.post("get_delivery_list", {}, token)
        )

    def test_access_token__revoked(self, door):
        """A revoked token is refused as not the latest; the next one works."""
        token = door.sandbox.access_token()

        assert 1 == door.sandbox.revoke_tokens()
        assert 40001 == door.errcode("get_delivery_list", {}, token)
        assert 0 == door.errcode("get_delivery_list")

    def test_stable_token__normal(self, door):
        """Within its life the same token is returned, with the seconds left."""
        first = door.stable_token()
        door.sandbox.clock.tick(seconds=6900)
        second = door.stable_token()

        assert {"access_token": first["access_token"], "expires_in": 7200} == first
        assert {"access_token": first["access_token"], "expires_in": 300} == second

    def test_stable_token__renewed_early(self, door):
        """Five minutes before its end a new one comes; the old one still works."""
        first = door.stable_token()
        door.sandbox.clock.tick(seconds=6901)
        second = door.stable_token()

        assert first["access_token"] != second["access_token"]
        assert 7200 == second["expires_in"]
        for token in (first, second):
            assert 0 == door.errcode("get_delivery_list", {}, token["access_token"])

    # The main path

    def test_trace_waybill__again(self, door):
        """Registering again gives a token, but keeps the first goods."""
        first = door.register()
        second = door.register(goods_info=goods_of("x"))

        assert GOODS == door.query(second)["shop_info"]["goods_info"]
        assert first == second

    def test_query_trace__by_the_clock(self, door):
        """A parcel moves along with the clock."""
        token = door.register()
        seen = []
        for hours in (0, 1, 4, 15, 10, 3):
            door.sandbox.clock.tick(hours=hours)
            seen.append(door.query(token)["waybill_info"]["status"])

        assert [0, 1, 2, 2, 3, 4] == seen

    def test_query_trace__moved(self, door):
        """A parcel moved by hand has the status and the text that were given."""
        token = door.register(waybill_id="SF1234567890")
        door.sandbox.move("SF1234567890", WaybillStatus.SIGNED, message="放门口了")

        reply = door.query(token)

        step = {
            "action_time": 1779249600,
            "action_type": 300003,
            "action_msg": "放门口了",
        }
        assert {
            "status": 4,
            "waybill_id": "SF1234567890",
            "path": {"path_action": [step]},
        } == reply["waybill_info"]
        carrier = {"delivery_id": "SF", "delivery_name": "顺丰速运"}
        assert carrier == reply["delivery_info"]

    # Refusals of the document's table and beyond

    @pytest.mark.parametrize("openid", ["", "x" * 28, "o" + "!" * 27])
    def test_trace_waybill__openid(self, door, openid):
        """An openid of the wrong shape is refused."""
        reply = door.post("trace_waybill", {**EXAMPLE, "openid": openid})

        assert BAD_OPENID == told(reply)

    def test_trace_waybill__openid_of_another_app(self, door):
        """An openid belongs to the app that used it first."""
        door.register()
        other = door.sandbox.access_token(door.sandbox.add_app().appid)

        assert (
            9300534,
            "invalid appid, not same body detail: [access_token与openid不匹配] rid: ",
        ) == told(door.post("trace_waybill", EXAMPLE, other))

    @pytest.mark.parametrize(
        "endpoint", ["query_trace", "update_waybill_goods", "query_follow_trace"]
    )
    def test_waybill_token__unknown(self, door, endpoint):
        """A waybill_token that the sandbox did not make is refused."""
        reply = door.post(endpoint, {"waybill_token": "x" * 64, "goods_info": GOODS})

        assert BAD_TOKEN == told(reply)

    def test_update_waybill_goods__limit(self, door):
        """The sixth change of the goods is refused."""
        update = {"waybill_token": door.register(), "goods_info": GOODS}
        errcodes = [door.errcode("update_waybill_goods", update) for _ in range(5)]

        refused = door.post("update_waybill_goods", update)

        assert [0] * 5 == errcodes
        expected = (
            9300560,
            "update times reach limit detail: [达到修改次数上限] rid: ",
        )
        assert expected == told(refused)

    def test_query_trace__user_limit(self, door):
        """The 101st call about a user is refused until midnight in China."""
        token = door.register()
        for _ in range(99):
            door.query(token)

        refused = door.query(token)
        door.sandbox.clock.tick(hours=11, minutes=59)
        still = door.query(token)
        door.sandbox.clock.tick(minutes=1)
        again = door.query(token)

        expected = (9300513, "call times reach limit detail: [调用次数达到上限] rid: ")
        assert expected == told(refused)
        assert (9300513, 0) == (still["errcode"], again["errcode"])

    def test_update_waybill_goods__wrongly_nested(self, door):
        """Goods nested wrongly are answered with ok, ignored and not counted."""
        token = door.register()
        for _ in range(6):
            for wrong in ({"detail_list": GOODS}, [], None, GOODS["detail_list"]):
                update = {"waybill_token": token, "goods_info": wrong}
                assert OK == door.post("update_waybill_goods", update)

        assert GOODS == door.query(token)["shop_info"]["goods_info"]

    def test_waybill_token__wrong_openid(self, door):
        """A waybill_token together with another user's openid is refused."""
        assert 9300507 == door.query(door.register(), openid=OTHER_OPENID)["errcode"]

    @with_settings(wrong_openid=0)
    def test_waybill_token__wrong_openid_ignored(self, door):
        """A setting ignores the openid of a query."""
        assert 0 == door.query(door.register(), openid=OTHER_OPENID)["errcode"]

    def test_waybill_token__of_another_app(self, door):
        """A waybill_token is of no use to another app."""
        payload = {"waybill_token": door.register()}
        other = door.sandbox.access_token(door.sandbox.add_app().appid)

        assert 9300507 == door.errcode("query_trace", payload, other)

    @pytest.mark.parametrize(
        ("registers", "queries"),
        [("trace_waybill", "query_follow_trace"), ("follow_waybill", "query_trace")],
    )
    def test_waybill_token__of_the_other_component(self, door, registers, queries):
        """A waybill_token belongs to the component that it was made by."""
        token = door.post(registers, EXAMPLE)["waybill_token"]

        assert 9300507 == door.errcode(queries, {"waybill_token": token})

    def test_waybill_token__does_not_expire(self, door):
        """A waybill_token works after a year."""
        token = door.register()
        door.sandbox.clock.tick(days=365)

        assert 0 == door.query(token)["errcode"]

    # Goods

    @pytest.mark.parametrize(
        ("url", "errcode"),
        [
            ("", 0),
            ("www.qq.com", 0),
            ("https://img.example.com/%E9%A1%BA.png?x=1&y=2#z", 0),
            ("https://img.example.com/顺.png", 9300561),
            ("https://img.example.com/a[1].png", 9300561),
            ("https://img.example.com/a(1).png", 9300561),
            ("https://img.example.com/a b.png", 9300561),
            ("https://img.invalid/a.png", -1),
            ("img.invalid", -1),
            ("https://img.invalid:8080/a.png", -1),
            ("https://img.example.com/a.invalid", 0),
        ],
    )
    def test_goods__image(self, door, url, errcode):
        """Some image URLs are refused, and some kill the call."""
        payload = {**EXAMPLE, "goods_info": goods_of("x", url=url)}

        reply = door.post("trace_waybill", payload)

        assert errcode == reply["errcode"] == door.errcode("follow_waybill", payload)
        # It has a Chinese errmsg alone.
        text = "图片url错误 rid: "
        assert (errcode == 9300561) == reply["errmsg"].startswith(text)

    def test_goods__too_many(self, door):
        """Ten goods are taken, eleven answer -1."""
        detail = {"goods_name": "x", "goods_img_url": "", "goods_desc": "红"}
        eleven = {**EXAMPLE, "goods_info": {"detail_list": [detail] * 11}}

        token = door.register(goods_info={"detail_list": [detail] * 10})
        refused = door.post("trace_waybill", eleven)

        # No reply, documented or real, holds a goods_desc.
        kept = door.query(token)["shop_info"]["goods_info"]
        assert goods_of(*["x"] * 10) == kept
        expected = (-1, "system error detail: [未知异常,请稍后重试] rid: ")
        assert expected == told(refused)

    @pytest.mark.parametrize(
        "goods_info",
        [{"detail_list": ["x"]}, {"detail_list": [{"goods_name": 1}]}, None, {}],
    )
    def test_goods__malformed(self, door, goods_info):
        """Registering with goods of the wrong types, or without, is a format error."""
        reply = door.post("trace_waybill", {**EXAMPLE, "goods_info": goods_info})

        assert NO_JSON == told(reply)

    @with_settings(missing_goods=0)
    def test_goods__missing(self, door):
        """A setting accepts a waybill without goods."""
        reply = door.query(door.register(goods_info=None))

        assert {"goods_info": {"detail_list": []}} == reply["shop_info"]

    @with_settings(unicode_escapes=47001)
    @pytest.mark.parametrize(
        ("name", "errcode"),
        [
            (rb"C:\\users", 0),
            (rb"C:\\\\users", 0),
            (rb"\u6d4b", 47001),
            (rb"\u0041", 47001),
            (rb"\\\u6d4b", 47001),
        ],
    )
    def test_goods__escapes_refused(self, door, name, errcode):
        """A setting refuses escapes; an escaped backslash before a u is none."""
        body = json.dumps(EXAMPLE, ensure_ascii=False).encode()
        body = body.replace("测试名字2".encode(), name)

        response = door.raw(OPEN_MSG + "trace_waybill", body)

        assert errcode == response.json()["errcode"]

    def test_goods__escapes_read(self, door):
        """By default escapes are read as JSON."""
        body = json.dumps(EXAMPLE)
        assert "\\u6d4b" in body

        token = door.raw(OPEN_MSG + "trace_waybill", body).json()["waybill_token"]

        assert GOODS == door.query(token)["shop_info"]["goods_info"]

    # Waybills that WeChat does not know, or not yet

    @with_settings(unknown_waybill=9300559)
    def test_trace_waybill__unknown(self, door):
        """With a setting only waybills that were added are known."""
        refused = door.post("trace_waybill", EXAMPLE)
        door.sandbox.add_waybill(WAYBILL_ID)

        text = "waybill not exist detail: [运单不存在] rid: "
        assert (9300559, text) == told(refused)
        assert 0 == door.errcode("trace_waybill", EXAMPLE)

    @pytest.mark.parametrize("waybill_id", ["", None, "SF12345:1234"])
    def test_waybill__not_found(self, door, waybill_id):
        """No waybill_id, and one with a phone's tail, are about no waybill."""
        reply = door.post("trace_waybill", {**EXAMPLE, "waybill_id": waybill_id})

        assert (931023, "waybill not exist detail: [运单不存在] rid: ") == told(reply)

    @with_settings(uncollected=931023)
    def test_trace_waybill__uncollected(self, door):
        """With a setting a waybill without a route counts as not existing."""
        early = door.errcode("trace_waybill", EXAMPLE)
        door.sandbox.clock.tick(hours=1)
        token = door.register()
        late = door.query(token)
        door.sandbox.move(WAYBILL_ID, WaybillStatus.NOT_COLLECTED)

        assert 931023 == early
        assert 1 == late["waybill_info"]["status"]
        assert 931023 == door.query(token)["errcode"]

    def test_query_trace__half_a_character(self, door):
        """A carrier's message that cannot be written as UTF-8 does no harm."""
        token = door.register()
        door.sandbox.move(WAYBILL_ID, 1, message="\ud83d!")

        info = door.query(token)["waybill_info"]

        assert "?!" == info["path"]["path_action"][0]["action_msg"]

    # Replies with a route

    def test_query_trace__path(self, door):
        """A route comes newest first, with a courier's number among it."""
        token = door.register(delivery_id="YTO")
        door.sandbox.clock.tick(hours=33)

        reply = door.query(token)

        assert [
            (33, 300003, "【杭州市】快件已签收，感谢使用圆通速递"),
            (30, 300002, "【杭州市】快件正在派送中，派件员李师傅，电话13900139000"),
            (20, 500001, "【杭州市】快件已到达圆通速递杭州转运中心"),
            (5, 500001, "【深圳市】快件已到达圆通速递深圳转运中心"),
            (1, 100001, "【深圳市】圆通速递已揽件，揽件员王师傅，电话13800138000"),
        ] == [
            (
                (step["action_time"] - NOON) / 3600,
                step["action_type"],
                step["action_msg"],
            )
            for step in reply["waybill_info"]["path"]["path_action"]
        ]
        carrier = {"delivery_id": "YTO", "delivery_name": "圆通速递"}
        assert carrier == reply["delivery_info"]

    @pytest.mark.parametrize(
        ("waybill_id", "delivery_id", "expected"),
        [
            ("SF1234567890123", None, "SF"),
            ("JDVA00012345678", None, "JD"),
            ("YT1234567890123", None, "YTO"),
            ("JT1234567890123", None, "JTSD"),
            ("DPK123456789012", None, "DBL"),
            ("431234567890123", None, "YD"),
            ("771234567890123", None, "STO"),
            ("78123456789012", None, "ZTO"),
            ("9812345678901", None, "YZPY"),
            ("1112345678901", None, "EMS"),
            ("EB123456789CN", None, "EMS"),
            ("CA12345678901", None, "ZTO"),
            ("SF1234567890", "YTO", "YTO"),
            ("SF1234567890", "no such carrier", "SF"),
            ("1234567890", "(AU)", "(AU)"),
        ],
    )
    def test_query_trace__carrier(self, door, waybill_id, delivery_id, expected):
        """The carrier is the one named, or the one that the number begins with."""
        token = door.register(waybill_id=waybill_id, delivery_id=delivery_id)
        door.sandbox.move(waybill_id, WaybillStatus.COLLECTED)

        assert expected == door.query(token)["delivery_info"]["delivery_id"]

    @with_settings(path=False, delivery_info=False)
    def test_query_trace__bare(self, door):
        """Settings leave out what the document's example leaves out."""
        token = door.register()
        followed = door.post("follow_waybill", EXAMPLE)["waybill_token"]
        door.sandbox.move(WAYBILL_ID, WaybillStatus.COLLECTED)

        bare = door.query(token)
        told_all = door.post("query_follow_trace", {"waybill_token": followed})

        assert {"errcode", "errmsg", "waybill_info", "shop_info"} == set(bare)
        assert {"status": 1, "waybill_id": WAYBILL_ID} == bare["waybill_info"]
        assert 1 == len(told_all["waybill_info"]["path"]["path_action"])

    def test_query_trace__every_status(self, door):
        """Every status can be reached by hand, even one of tomorrow's."""
        token = door.register()
        seen = []
        for status in (1, 2, 3, 5, 4, 6, 7):
            door.sandbox.move(WAYBILL_ID, status)
            info = door.query(token)["waybill_info"]
            seen.append((info["status"], info["path"]["path_action"][0]["action_msg"]))

        assert [
            (1, "【深圳市】中通快递已揽件，揽件员王师傅，电话13800138000"),
            (2, "【深圳市】快件已到达中通快递深圳转运中心"),
            (3, "【杭州市】快件正在派送中，派件员李师傅，电话13900139000"),
            (5, "【杭州市】派送异常，请联系中通快递"),
            (4, "【杭州市】快件已签收，感谢使用中通快递"),
            (6, "【杭州市】快件已由驿站代签收"),
            (7, "未知状态 7"),
        ] == seen

    def test_query_trace__moved_back(self, door):
        """A parcel can be moved back; not being collected is no step of a route."""
        token = door.register()
        for status in (2, 0, 2):
            door.sandbox.move(WAYBILL_ID, status)

        info = door.query(token)["waybill_info"]

        assert [
            "【杭州市】快件已到达中通快递杭州转运中心",
            "【深圳市】快件已到达中通快递深圳转运中心",
        ] == [step["action_msg"] for step in info["path"]["path_action"]]

    def test_query_trace__moved_stays(self, door):
        """The clock does not move a parcel that was moved by hand."""
        token = door.register()
        door.sandbox.clock.tick(hours=2)
        door.sandbox.move(WAYBILL_ID, WaybillStatus.EXCEPTION)
        door.sandbox.clock.tick(days=9)

        info = door.query(token)["waybill_info"]

        assert 5 == info["status"]
        steps = [step["action_type"] for step in info["path"]["path_action"]]
        assert [400002, 100001] == steps

    # Magic waybill ids

    @pytest.mark.parametrize(
        ("waybill_id", "errcode"),
        [
            ("ERR931023", 931023),
            ("ERR931023-5", 931023),
            ("ERR9300559abc", 9300559),
            ("ERR-1", -1),
            ("ERR48001", 48001),
            ("ERR12345", 12345),
            ("ERR", 0),
            ("ERR0", 0),
            ("ERR12345678", 0),
            ("XERR931023", 0),
        ],
    )
    def test_magic__err(self, door, waybill_id, errcode):
        """ERR and a number is refused with that number."""
        reply = door.post("trace_waybill", {**EXAMPLE, "waybill_id": waybill_id})

        assert errcode == reply["errcode"]
        # An errcode that the sandbox has no text for.
        assert (errcode == 12345) == reply["errmsg"].startswith("unknown error rid: ")

    def test_magic__queryerr(self, door):
        """QUERYERR and a number can be registered; queries and updates are refused."""
        payload = {"waybill_token": door.register(waybill_id="QUERYERR931023")}

        assert 931023 == door.errcode("query_trace", payload)
        update = {**payload, "goods_info": GOODS}
        assert 931023 == door.errcode("update_waybill_goods", update)

    def test_magic__status(self, door):
        """STATUS and a number is a parcel that has this status and keeps it."""
        token = door.register(waybill_id="STATUS6-a")
        door.sandbox.clock.tick(days=9)

        info = door.query(token)["waybill_info"]

        assert 6 == info["status"]
        assert 1 == len(info["path"]["path_action"])

    # Quotas

    @with_settings(appid_daily_limit=3)
    def test_quota__appid(self, door):
        """One app's calls are limited for each component, until midnight in China."""
        taken = [door.errcode("get_delivery_list") for _ in range(3)]
        refused = door.post("get_delivery_list", {})
        other_component = door.errcode("follow_waybill", EXAMPLE)
        other = door.sandbox.access_token(door.sandbox.add_app().appid)
        other_app = door.errcode("get_delivery_list", {}, other)
        door.sandbox.clock.tick(hours=12)
        next_day = door.errcode("get_delivery_list")

        assert (45009, "reach max api daily quota limit rid: ") == told(refused)
        assert [0] * 6 == [*taken, other_component, other_app, next_day]

    def test_quota__message_user(self, door):
        """The message component allows 50 calls about one user a day."""
        query = {"waybill_token": door.post("follow_waybill", EXAMPLE)["waybill_token"]}
        taken = [door.errcode("query_follow_trace", query) for _ in range(49)]
        refused = door.errcode("query_follow_trace", query)
        of_the_other = door.errcode("trace_waybill", EXAMPLE)
        another = door.errcode("follow_waybill", {**EXAMPLE, "openid": OTHER_OPENID})

        assert [0] * 49 == taken
        assert [9300513, 0, 0] == [refused, of_the_other, another]

    @with_settings(user_daily_limit_message=1000)
    def test_quota__bound(self, door):
        """A user can be bound to 100 open waybills."""
        hundredth = {**EXAMPLE, "waybill_id": "W100"}
        taken = [
            door.errcode("follow_waybill", {**EXAMPLE, "waybill_id": f"W{number}"})
            for number in range(100)
        ]
        refused = door.errcode("follow_waybill", hundredth)
        again = door.errcode("follow_waybill", {**EXAMPLE, "waybill_id": "W5"})
        traced = door.errcode("trace_waybill", hundredth)
        door.sandbox.move("W5", WaybillStatus.SIGNED)
        after_one_was_signed = door.errcode("follow_waybill", hundredth)

        assert [0] * 100 == taken
        assert [9300513, 0, 0, 0] == [refused, again, traced, after_one_was_signed]

    @with_settings(calls_per_second=2, calls_per_minute=3)
    def test_quota__pace(self, door):
        """Calls that come too fast are refused until the second or minute ends."""
        first = [door.post("get_delivery_list", {}) for _ in range(3)]
        door.sandbox.clock.tick(seconds=1)
        second = [door.post("get_delivery_list", {}) for _ in range(2)]
        door.sandbox.clock.tick(minutes=1)
        third = door.post("get_delivery_list", {})

        assert [0] * 4 == [reply["errcode"] for reply in (*first[:2], second[0], third)]
        assert (45009, "reach max api second frequence limit rid: ") == told(first[2])
        assert (
            45011,
            "api minute-quota reach limit, must slower, retry next minute rid: ",
        ) == told(second[1])

    # Permission

    @with_settings(opened=False)
    def test_permission__not_opened(self, door):
        """An app without the logistics service is refused until it is opened."""
        refused = door.post("get_delivery_list", {})

        assert (48001, "api unauthorized rid: ") == told(refused)
        assert OK == door.post("open_query_plugin", {})
        assert 0 == door.errcode("get_delivery_list")
