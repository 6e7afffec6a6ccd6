"""The calls beside the plugin's, and what the first use of an appid makes known."""

import gc
import json
from typing import Any, Iterator

import pytest
import requests
from sandboxtools import (
    NOON,
    OPEN_MSG,
    OPENID,
    QUERY_TRACE,
    Door,
    direct,
    goods_of,
    told,
    with_settings,
)

from wxlogistics import ApiError, AuthorizerToken, Client, StableToken
from wxlogistics.sandbox import Clock, Sandbox, wire

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"


class TestJscode2session:
    def login(self, door: Door, code: str, **changes: Any) -> dict[str, Any]:
        query = {**door.account, "grant_type": "authorization_code", "js_code": code}
        query.update(changes)
        return door.send("GET", "/sns/jscode2session", params=query).json()

    def test_jscode2session(self, door):
        """A code gives a session_key and an openid, which can register a waybill."""
        code = door.sandbox.js_code(OPENID)

        reply = self.login(door, code)

        assert {"session_key", "openid"} == set(reply)
        assert OPENID == reply["openid"]
        assert 24 == len(reply["session_key"])
        assert door.register(openid=reply["openid"])
        # Without an openid a code is of a new user each time.
        openids = {self.login(door, door.sandbox.js_code())["openid"] for _ in range(3)}
        assert 3 == len(openids)

    @pytest.mark.parametrize(
        ("changes", "errcode"),
        [
            ({"appid": ""}, 41002),
            ({"js_code": ""}, 41008),
            ({"js_code": "0x"}, 40029),
            ({"grant_type": "client_credential"}, 40002),
            ({"secret": "0" * 32}, 40125),
        ],
    )
    def test_jscode2session__refused(self, door, changes, errcode):
        """What is missing or wrong is named, and does not use the code up."""
        code = door.sandbox.js_code()

        assert errcode == told(self.login(door, code, **changes))[0]
        assert "openid" in self.login(door, code)

    def test_jscode2session__once(self, door):
        """A used code is refused with 40163, an old one with 40029."""
        used, old = door.sandbox.js_code(), door.sandbox.js_code()
        self.login(door, used)

        again = self.login(door, used)
        door.sandbox.clock.tick(seconds=300)
        late = self.login(door, old)

        assert (40163, "code been used rid: ") == told(again)
        assert (40029, "invalid code rid: ") == told(late)

    def test_jscode2session__of_another_app(self, door):
        """A code of one app, or of a user of one, is not another's."""
        other = door.sandbox.add_app()
        codes = [
            door.sandbox.js_code(appid=other.appid),
            door.sandbox.js_code(door.sandbox.add_user(appid=other.appid)),
            door.sandbox.authorization_code(door.sandbox.add_component().appid),
        ]

        replies = [self.login(door, code) for code in codes]

        assert [40029] * 3 == [reply["errcode"] for reply in replies]
        mine = {"appid": other.appid, "secret": other.secret}
        assert "openid" in self.login(door, codes[0], **mine)


class TestComponent:
    """The service providers' calls beside the tokens."""

    def call(
        self,
        door: Door,
        endpoint: str,
        parameter: str = "component_access_token",
        **payload: Any,
    ) -> dict[str, Any]:
        sandbox = door.sandbox
        [component] = sandbox.world.tokens.components.values()
        return door.send(
            "POST",
            f"/cgi-bin/component/{endpoint}",
            params={parameter: sandbox.component_access_token(component.appid)},
            json={"component_appid": component.appid, **payload},
        ).json()

    @pytest.mark.parametrize("parameter", ["component_access_token", "access_token"])
    def test_authorization(self, door, parameter):
        """From pre_auth_code to a call for the shop, by both names of the token."""
        sandbox = door.sandbox
        component = sandbox.add_component()
        code = sandbox.authorization_code(component.appid)

        pre_auth = self.call(door, "api_create_preauthcode", parameter)
        reply = self.call(door, "api_query_auth", parameter, authorization_code=code)
        again = self.call(door, "api_query_auth", parameter, authorization_code=code)
        info = reply["authorization_info"]
        shop = {
            "authorizer_appid": sandbox.appid,
            "authorizer_refresh_token": info["authorizer_refresh_token"],
        }
        renewed = self.call(door, "api_authorizer_token", parameter, **shop)
        del shop["authorizer_refresh_token"]
        about = self.call(door, "api_get_authorizer_info", parameter, **shop)

        assert {"pre_auth_code", "expires_in"} == set(pre_auth)
        assert sandbox.appid == info["authorizer_appid"]
        assert [{"funcscope_category": {"id": 45}}] == info["func_info"]
        for each in (info, renewed):
            token = each["authorizer_access_token"]
            assert 0 == door.errcode("get_delivery_list", {}, token)
        assert 61010 == again["errcode"]
        assert info["authorizer_refresh_token"] == (
            about["authorization_info"]["authorizer_refresh_token"]
        )
        assert {"nick_name", "user_name", "principal_name", "MiniProgramInfo"} <= set(
            about["authorizer_info"]
        )

    def test_refused(self, door):
        """Not authorized, an unknown code, another's code or token, no token."""
        sandbox = door.sandbox
        other = sandbox.add_component()
        code = sandbox.authorization_code(other.appid)
        del sandbox.world.tokens.components[other.appid]
        sandbox.add_component()

        replies = [
            self.call(door, "api_get_authorizer_info", authorizer_appid="wx0"),
            self.call(door, "api_query_auth", authorization_code="x"),
            self.call(door, "api_query_auth", authorization_code=[code]),
            self.call(door, "api_query_auth", authorization_code=code),
            self.call(door, "api_create_preauthcode", component_appid="wx0"),
            self.call(door, "api_create_preauthcode", "token"),
        ]

        assert [61003, 61010, 61010, 61010, 40013, 41001] == [
            reply["errcode"] for reply in replies
        ]

    def test_permissions(self, door):
        """The permission sets of a code hold for the authorization."""
        sandbox = door.sandbox
        component = sandbox.add_component()
        code = sandbox.authorization_code(component.appid, permissions=[17])

        reply = self.call(door, "api_query_auth", authorization_code=code)

        token = reply["authorization_info"]["authorizer_access_token"]
        assert 61007 == door.errcode("get_delivery_list", {}, token)

    @with_settings(any_content_type=False)
    def test_content_type__strict(self, door):
        """A setting has JSON without its Content-Type count as unread."""
        door.sandbox.add_component()

        response = door.send("POST", COMPONENT_TOKEN, data=b'{"a": 1}')

        assert 41002 == response.json()["errcode"]

    @with_settings(opening_unauthorized=0)
    def test_open__unauthorized(self, door):
        """By a setting a component can be opened without permission set 45."""
        sandbox = door.sandbox
        component = sandbox.add_component()
        refresh_token = sandbox.authorize(component.appid, permissions=[17])
        shop = {
            "authorizer_appid": sandbox.appid,
            "authorizer_refresh_token": refresh_token,
        }
        token = self.call(door, "api_authorizer_token", **shop)

        used = token["authorizer_access_token"]
        assert 0 == door.errcode("open_query_plugin", {}, used)


class TestDiagnosis:
    def ask(self, door: Door, path: str, **payload: Any) -> dict[str, Any]:
        return door.send(
            "POST", "/cgi-bin/" + path, params=door.token, json=payload
        ).json()

    @pytest.mark.parametrize("endpoint", ["getcallbackip", "get_api_domain_ip"])
    def test_addresses(self, door, endpoint):
        """They are a check of the token."""
        path = "/cgi-bin/" + endpoint

        good = door.send("GET", path, params=door.token).json()
        bad = door.send("GET", path, params={"access_token": "x"}).json()

        assert {"ip_list"} == set(good)
        assert all(isinstance(each, str) for each in good["ip_list"])
        assert 40001 == bad["errcode"]

    def test_quota_get(self, door):
        """What was used of a component's quota, or of a token endpoint's."""
        door.register()
        door.query("x")
        door.stable_token()

        replies = [
            self.ask(door, "openapi/quota/get", cgi_path=path)
            for path in (QUERY_TRACE, QUERY_TRACE[1:], "/cgi-bin/stable_token")
        ]

        assert [
            {"daily_limit": 100_000, "used": 2, "remain": 99_998},
            {"daily_limit": 100_000, "used": 2, "remain": 99_998},
            {"daily_limit": 500_000, "used": 1, "remain": 499_999},
        ] == [reply["quota"] for reply in replies]
        assert {"errcode", "errmsg", "quota"} == set(replies[0])

    @with_settings(calls_per_minute=7)
    def test_quota_get__pace(self, door):
        """A pace that is set is returned."""
        reply = self.ask(door, "openapi/quota/get", cgi_path=QUERY_TRACE)

        assert {"call_count": 7, "refresh_second": 60} == reply["rate_limit"]

    @pytest.mark.parametrize(
        ("call", "cgi_path", "errcode"),
        [
            ("get", "/cgi-bin/nothing", 76021),
            ("get", None, 76021),
            ("get", "/cgi-bin/clear_quota", 76022),
            ("clear", "/cgi-bin/nothing", 76021),
            ("clear", "/cgi-bin/clear_quota", 76022),
        ],
    )
    def test_quota__refused(self, door, call, cgi_path, errcode):
        """An unknown path, and one without a quota."""
        reply = self.ask(door, f"openapi/quota/{call}", cgi_path=cgi_path)

        assert errcode == told(reply)[0]

    @with_settings(appid_daily_limit=2, clear_quota_monthly_limit=2)
    def test_clear(self, door):
        """A cleared quota can be spent again; that is allowed a few times a month."""

        def spend() -> list[int]:
            return [door.errcode("get_delivery_list") for _ in range(3)]

        stories = [spend()]
        for path, payload in (
            ("openapi/quota/clear", {"cgi_path": QUERY_TRACE}),
            ("clear_quota", {"appid": door.sandbox.appid}),
            ("clear_quota", {"appid": door.sandbox.appid}),
        ):
            cleared = self.ask(door, path, **payload)["errcode"]
            stories.append([cleared, *spend()])
        door.sandbox.clock.tick(days=31)
        spend()
        next_month = self.ask(door, "clear_quota", appid=door.sandbox.appid)

        assert [
            [0, 0, 45009],
            [0, 0, 0, 45009],
            [0, 0, 0, 45009],
            [48006, 45009, 45009, 45009],
        ] == stories
        assert {"errcode": 0, "errmsg": "ok"} == next_month

    def test_clear_quota__of_another_app(self, door):
        """An app clears its own quotas alone; users' are not cleared."""
        door.register()
        refused = self.ask(door, "clear_quota", appid="wx0")
        self.ask(door, "clear_quota", appid=door.sandbox.appid)

        assert 40013 == refused["errcode"]
        assert {OPENID: {"query": 1}} == door.sandbox.counters["users"]
        assert {} == door.sandbox.counters["apps"]

    def test_month__at_the_end_of_the_calendar(self, door):
        """A month that no calendar has is a day."""
        door.sandbox.clock.tick(days=10**12)

        reply = self.ask(door, "clear_quota", appid=door.sandbox.appid)

        assert 0 == reply["errcode"]

    def test_rid_get(self, door):
        """A rid of the sandbox is explained from its list of calls."""
        refused = door.query("x")
        door.post("get_delivery_list", {})

        reply = self.ask(door, "openapi/rid/get", rid=refused["errmsg"][-26:])

        explained = reply["request"]
        assert {"waybill_token": "x"} == json.loads(explained.pop("request_body"))
        assert refused == json.loads(explained.pop("response_body"))
        assert NOON == explained["invoke_time"]
        assert "127.0.0.1" == explained["client_ip"]
        assert "access_token=" + door.token["access_token"] == explained["request_url"]

    @pytest.mark.parametrize("rid", ["", "66557522-735e87a4-648726cc", None, 5])
    def test_rid_get__unknown(self, door, rid):
        """Others are not found."""
        door.post("get_delivery_list", {})

        assert (76001, "rid not found rid: ") == told(
            self.ask(door, "openapi/rid/get", rid=rid)
        )

    @with_settings(quota_reset_hour=13)
    def test_quota__reset_hour(self, door):
        """A setting has the day begin at another hour in China; it is noon now."""
        door.post("get_delivery_list", {})
        door.sandbox.clock.tick(minutes=59)
        before = door.sandbox.counters["apps"]
        door.sandbox.clock.tick(minutes=1)

        assert before != door.sandbox.counters["apps"] == {}


class TestFirstUse:
    """In `mock()` the first use of an appid and its secret makes them known."""

    @pytest.fixture
    def wechat(self) -> Iterator[Any]:
        with Sandbox(clock=Clock(NOON, speed=0)).mock() as wechat:
            yield wechat

    @staticmethod
    def refused(token: Any) -> int:
        """The errcode of a call with a token that is refused."""
        with pytest.raises(ApiError) as caught:
            Client(token).get_delivery_list()
        return caught.value.errcode

    def test_app(self, wechat):
        """
        A client with an appid and a secret of its own works; another secret does not.
        The default app keeps its secret.
        """
        assert Client(StableToken("wxshop", "secret")).get_delivery_list()
        assert 40125 == self.refused(StableToken("wxshop", "other"))
        assert "secret" == wechat.world.tokens.apps["wxshop"].secret
        assert 40125 == self.refused(StableToken(wechat.appid, "other"))

    def test_app__as_the_default_one(self):
        """Settings of the default app hold for it."""
        with Sandbox(opened=False, ip_whitelist=["203.0.113.7"]).mock() as wechat:
            assert 40164 == self.refused(StableToken("wxshop", "secret"))
            assert not wechat.world.tokens.apps["wxshop"].opened

    @pytest.mark.parametrize(
        ("first_use", "known"), [(False, []), (None, ["wx1"]), (True, ["wx1", "wx2"])]
    )
    def test_setting(self, first_use, known):
        """A setting turns it off in the mock, or on for the server."""
        sandbox = Sandbox(first_use=first_use)
        query = {"grant_type": "client_credential", "secret": "s"}
        with sandbox.mock():
            url = "https://api.weixin.qq.com/cgi-bin/token"
            requests.get(url, params={**query, "appid": "wx1"}, timeout=60)
        with sandbox.serve() as server, direct() as session:
            url = server.url + "/cgi-bin/token"
            session.get(url, params={**query, "appid": "wx2"}, timeout=60)

        assert [sandbox.appid, *known] == list(sandbox.world.tokens.apps)

    def test_component(self, wechat):
        """So do a service provider's secret and ticket, and a shop's refresh token."""

        def ask(appid: str, secret: str, ticket: str) -> dict[str, Any]:
            payload = {
                "component_appid": appid,
                "component_appsecret": secret,
                "component_verify_ticket": ticket,
            }
            url = "https://api.weixin.qq.com" + COMPONENT_TOKEN
            return requests.post(url, json=payload, timeout=60).json()

        token = ask("wxprovider", "s", "ticket")["component_access_token"]
        shop = "wxprovider", token, "wxshop"

        assert Client(AuthorizerToken(*shop, "REFRESH")).get_delivery_list()
        assert Client(StableToken("wxshop", "secret")).get_delivery_list()
        assert 61023 == self.refused(AuthorizerToken(*shop, "OTHER"))
        assert 40125 == ask("wxprovider", "x", "ticket")["errcode"]
        assert 61006 == ask("wxprovider", "s", "x")["errcode"]
        # One appid is one account.
        assert 40013 == ask("wxshop", "secret", "ticket")["errcode"]
        assert 40013 == self.refused(StableToken("wxprovider", "s"))


class TestTruth:
    """Guesses that are settings, and what a call keeps."""

    def test_path__leading_slashes(self, door):
        """Slashes at the beginning of a path count as one, others do not."""
        replies = [
            door.send("GET", path).json()["errcode"]
            for path in ("//cgi-bin/token", "///cgi-bin/token", "/cgi-bin//token")
        ]

        assert [41002, 41002, 40066] == replies

    @with_settings(leading_slashes=False)
    def test_path__leading_slashes_refused(self, mock_door):
        """A setting refuses them; old requests send one slash to a server."""
        reply = mock_door.send("GET", "//cgi-bin/token").json()

        assert 40066 == reply["errcode"]

    def test_post__empty(self, door):
        """With neither body nor Content-Type 44002, with a body 40003."""
        url = OPEN_MSG + "get_delivery_list"

        replies = [
            door.send("POST", url, params=door.token, data=body).json()["errcode"]
            for body in (None, b"", b"{}")
        ]

        assert [44002, 44002, 40003] == replies

    @pytest.mark.parametrize("payload", [{}, {"grant_type": "x"}, {"secret": "s"}])
    def test_token__bare(self, door, payload):
        """A missing appid comes before anything is said of grant_type."""
        stable = door.send("POST", "/cgi-bin/stable_token", json=payload).json()
        classic = door.send("GET", "/cgi-bin/token", params=payload).json()

        assert [(41002, "appid missing rid: ")] * 2 == [told(stable), told(classic)]

    @with_settings(same_token=False)
    def test_trace_waybill__another_token(self, door):
        """A setting gives another token each time, for the goods of the first."""
        first = door.register()
        second = door.register(goods_info=goods_of("x"))

        assert first != second
        assert door.query(first) == door.query(second)

    @with_settings(foreign_token=0, misshapen_token=40001)
    def test_tokens__lenient(self, door):
        """Settings let another app's waybill_token pass, and name another errcode."""
        token = door.register()
        other = door.sandbox.access_token(door.sandbox.add_app().appid)

        assert 0 == door.errcode("query_trace", {"waybill_token": token}, other)
        assert 40001 == door.errcode("query_trace", {}, "not one!")

    @pytest.mark.parametrize(
        ("body", "escaped"),
        [
            (rb'{"waybill_token":"\u6d4b"}', True),
            ('{"waybill_token":"测"}'.encode(), False),
            (rb'{"waybill_token":"\u001f"}', False),
            (rb'{"waybill_token":"C:\\users"}', False),
        ],
    )
    def test_call__escaped(self, door, body, escaped):
        """A call that escapes what need not be is flagged."""
        door.raw(QUERY_TRACE, body)

        assert escaped is door.sandbox.calls[-1].escaped

    @with_settings(keep_body=100, largest_body=2000)
    def test_call__kept(self, door):
        """Long requests and replies are not kept; one beyond the limit is refused."""
        door.query("x" * 100)
        long = door.sandbox.calls[-1]
        door.post("get_delivery_list", {})
        answered = door.sandbox.calls[-1]
        refused = door.raw(QUERY_TRACE, b"x" * 2001)

        assert (None, 9300507) == (long.payload, long.errcode)
        assert ({}, None, 0) == (answered.payload, answered.reply, answered.errcode)
        assert 413 == refused.status_code
        assert 413 == door.sandbox.calls[-1].status

    def test_calls__memory_stays_flat(self):
        """However many calls come, what is kept of them is bounded."""
        sandbox = Sandbox(keep_calls=50)
        component = sandbox.add_component()
        payload = json.dumps(
            {
                "component_appid": component.appid,
                "component_appsecret": component.secret,
                "component_verify_ticket": component.ticket,
            }
        ).encode()
        request = wire.HttpRequest("POST", COMPONENT_TOKEN, body=payload)

        def call(times: int) -> int:
            for _ in range(times):
                wire.answer(sandbox.world, request)
            gc.collect()
            return len(sandbox.world.tokens.issued)

        assert 10_000 == call(10_050)
        assert 10_000 == call(500)
        assert 50 == len(sandbox.calls)
        assert sandbox.component_access_token(component.appid)
