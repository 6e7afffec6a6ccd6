"""The token endpoints, through each door of the sandbox."""

import json
from typing import Any

import pytest
from sandboxtools import EXAMPLE, JSON, NOON, OPENID, Door, told, with_settings

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
AUTHORIZER_TOKEN = "/cgi-bin/component/api_authorizer_token"

NO_APPID = (41002, "appid missing rid: ")
BAD_APPID = (40013, "invalid appid rid: ")
BAD_SECRET = (40125, "invalid appsecret rid: ")
BAD_GRANT = (40002, "invalid grant_type rid: ")
NOT_AUTHORIZED = (61007, "api is unauthorized to component rid: ")


def errcode(door: Door, access_token: str) -> int:
    """What a call with *access_token* gives."""
    return door.errcode("get_delivery_list", {}, access_token)


class TestStableToken:
    def test_stable_token__reply(self, door):
        """A success has neither errcode nor errmsg; the token works."""
        reply = door.stable_token()

        assert {"access_token", "expires_in"} == set(reply)
        assert 7200 == reply["expires_in"]
        assert 100 < len(reply["access_token"]) <= 512
        assert 0 == errcode(door, reply["access_token"])

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"grant_type": None}, BAD_GRANT),
            ({"grant_type": "authorization_code"}, BAD_GRANT),
            ({"appid": None}, NO_APPID),
            ({"secret": None}, (41004, "appsecret missing rid: ")),
            ({"appid": "wx0000000000000000"}, BAD_APPID),
            ({"appid": ["0"]}, BAD_APPID),
            ({"secret": "0" * 32}, BAD_SECRET),
            ({"secret": ["0"]}, BAD_SECRET),
        ],
    )
    def test_stable_token__refused(self, door, changes, expected):
        """What is missing or wrong in the request is named."""
        assert expected == told(door.stable_token(**changes))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"data": {"appid": "x"}}, NO_APPID),
            ({"data": b"", "headers": JSON}, NO_APPID),
            ({"data": b"{", "headers": JSON}, (47001, "data format error rid:")),
            ({"method": "GET"}, (43002, "require POST method rid: ")),
        ],
        ids=["form", "empty", "no JSON", "GET"],
    )
    def test_stable_token__body(self, door, options, expected):
        """A form or an empty body is no request at all, and GET is refused."""
        options = {"method": "POST", "path": "/cgi-bin/stable_token", **options}

        assert expected == told(door.send(**options).json())

    def test_stable_token__forced(self, door):
        """force_refresh kills the old token at once."""
        first = door.stable_token()["access_token"]
        second = door.stable_token(force_refresh=True)["access_token"]

        assert first != second
        assert (40001, 0) == (errcode(door, first), errcode(door, second))

    def forced_after(self, door: Door) -> list[dict[str, Any]]:
        """The replies to forced calls at 0, 29 and 30 seconds."""
        replies = [door.stable_token(force_refresh=True)]
        for seconds in (29, 1):
            door.sandbox.clock.tick(seconds=seconds)
            replies.append(door.stable_token(force_refresh=True))
        return replies

    def test_stable_token__forced_too_soon(self, door):
        """A forced call within 30 seconds returns the token in use, uncounted."""
        first, again, second = self.forced_after(door)

        assert {**first, "expires_in": 7171} == again
        assert first["access_token"] != second["access_token"]
        assert 2 == door.sandbox.counters["apps"][door.sandbox.appid]["force_refresh"]

    @with_settings(force_refresh_too_soon=45011)
    def test_stable_token__forced_too_soon_refused(self, door):
        """A setting has it refused."""
        first, refused, second = self.forced_after(door)

        assert (
            45011,
            "api minute-quota reach limit, must slower, retry next minute rid: ",
        ) == told(refused)
        assert first["access_token"] != second["access_token"]

    def test_stable_token__forced_limit(self, door):
        """The 21st forced call of a day is refused, and the token stays."""
        for _ in range(20):
            last = door.stable_token(force_refresh=True)["access_token"]
            door.sandbox.clock.tick(seconds=30)
        refused = door.stable_token(force_refresh=True)
        still_valid = errcode(door, last)
        door.sandbox.clock.tick(hours=12)
        next_day = door.stable_token(force_refresh=True)

        assert (
            45009,
            "reach max api daily quota limit, could get access_token by "
            "getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r "
            "rid: ",
        ) == told(refused)
        assert 0 == still_valid
        assert "access_token" in next_day

    @with_settings(token_minute_limit=2, token_daily_limit=3)
    def test_stable_token__limits(self, door):
        """Calls are limited by the minute and by the day."""
        errcodes = [door.stable_token().get("errcode") for _ in range(3)]
        door.sandbox.clock.tick(minutes=1)
        errcodes += [door.stable_token().get("errcode") for _ in range(2)]

        assert [None, None, 45011, None, 45009] == errcodes

    @with_settings(ip_whitelist=["203.0.113.7"])
    def test_stable_token__ip(self, door):
        """An address outside the whitelist is returned; one inside gets a token."""
        assert (
            40164,
            "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: ",
        ) == told(door.stable_token())
        app = door.sandbox.world.tokens.apps[door.sandbox.appid]
        app.ip_whitelist = ("127.0.0.1",)
        assert 7200 == door.stable_token()["expires_in"]

    @with_settings(token_lifetime=60)
    def test_stable_token__short_life(self, door):
        """A token with a short life is renewed when half of it is over, and ends."""
        first = door.stable_token()
        door.sandbox.clock.tick(seconds=30)
        second = door.stable_token()
        door.sandbox.clock.tick(seconds=1)
        third = door.stable_token()
        door.sandbox.clock.tick(seconds=28)
        in_time = errcode(door, first["access_token"])
        door.sandbox.clock.tick(seconds=1)

        assert {**first, "expires_in": 30} == second
        assert 60 == first["expires_in"] == third["expires_in"]
        assert second["access_token"] != third["access_token"]
        assert (0, 42001) == (in_time, errcode(door, first["access_token"]))

    def test_stable_token__old_ones_forgotten(self, door):
        """A token that ended more than a day ago is not known as expired any more."""
        token = door.stable_token()["access_token"]
        door.sandbox.clock.tick(hours=26, seconds=1)
        before = errcode(door, token)
        door.stable_token()

        assert (42001, 40001) == (before, errcode(door, token))

    def test_access_token__of_an_app(self, door):
        """Another app has a token of its own, for its appid and secret."""
        other = door.sandbox.add_app("wx1111111111111111", "s3cret")

        reply = door.stable_token(appid="wx1111111111111111", secret="s3cret")

        assert other.appid == "wx1111111111111111"
        assert door.sandbox.access_token(other.appid) == reply["access_token"]
        assert door.sandbox.access_token() != reply["access_token"]


class TestClassicToken:
    def get(self, door: Door, method: str = "GET", **changes: str) -> dict[str, Any]:
        query = {**door.account, **changes}
        return door.send(method, "/cgi-bin/token", params=query).json()

    def test_token__replaces(self, door):
        """Each call gives a new token; the one before lives five minutes."""
        first, second = self.get(door), self.get(door)
        door.sandbox.clock.tick(seconds=299)
        in_time = errcode(door, first["access_token"])
        door.sandbox.clock.tick(seconds=1)
        too_late = errcode(door, first["access_token"])

        assert {"access_token", "expires_in"} == set(first)
        assert 7200 == first["expires_in"]
        assert first["access_token"] != second["access_token"]
        assert (0, 40001) == (in_time, too_late)
        assert 0 == errcode(door, second["access_token"])

    def test_token__does_not_disturb_stable(self, door):
        """Classic and stable tokens live side by side."""
        stable = door.stable_token()["access_token"]
        classic = self.get(door)["access_token"]
        forced = door.stable_token(force_refresh=True)["access_token"]
        door.sandbox.clock.tick(minutes=6)

        assert [40001, 0, 0] == [errcode(door, t) for t in (stable, classic, forced)]

    def test_token__methods(self, door):
        """POST is taken as well, with the same query; others are refused."""
        assert 7200 == self.get(door, "POST")["expires_in"]
        assert 43002 == self.get(door, "PUT")["errcode"]

    def test_token__refused(self, door):
        """Its refusals are those of stable_token."""
        assert 40125 == self.get(door, secret="wrong")["errcode"]
        assert 40002 == self.get(door, grant_type="")["errcode"]

    @with_settings(classic_token_daily_limit=1)
    def test_token__limit(self, door):
        """Its calls are limited by the day."""
        self.get(door)

        assert 45009 == self.get(door)["errcode"]


class TestAuthorizerToken:
    """POST /cgi-bin/component/api_authorizer_token, for service providers."""

    def authorized(self, door: Door, **options: Any) -> tuple[Any, str]:
        """A service provider, and the refresh token of its authorization."""
        component = door.sandbox.add_component()
        return component, door.sandbox.authorize(component.appid, **options)

    def fetch(
        self, door: Door, component: Any, refresh_token: str, **changes: str
    ) -> dict[str, Any]:
        access_token = changes.pop(
            "component_access_token",
            door.sandbox.component_access_token(component.appid),
        )
        payload = {
            "component_appid": component.appid,
            "authorizer_appid": door.sandbox.appid,
            "authorizer_refresh_token": refresh_token,
            **changes,
        }
        query = {"component_access_token": access_token}
        return door.send("POST", AUTHORIZER_TOKEN, params=query, json=payload).json()

    def test_api_authorizer_token__works(self, door):
        """The token acts for the shop: what it registers is the shop's own."""
        component, refresh_token = self.authorized(door)

        reply = self.fetch(door, component, refresh_token)

        token = reply["authorizer_access_token"]
        assert {
            "authorizer_access_token": token,
            "expires_in": 7200,
            "authorizer_refresh_token": refresh_token,
        } == reply
        registered = door.post("trace_waybill", EXAMPLE, token)
        assert 0 == door.query(registered["waybill_token"])["errcode"]

    def test_api_authorizer_token__changed_refresh_token(self, door):
        """When the refresh token changes, the old one lives five minutes."""
        component = door.sandbox.add_component()
        old = door.sandbox.authorize(component.appid)
        new = door.sandbox.change_refresh_token(component.appid)

        reply = self.fetch(door, component, old)
        door.sandbox.clock.tick(seconds=299)
        in_time = self.fetch(door, component, old)
        door.sandbox.clock.tick(seconds=1)
        too_late = self.fetch(door, component, old)
        with_new = self.fetch(door, component, new)

        assert old != new == reply["authorizer_refresh_token"]
        assert "authorizer_access_token" in in_time
        assert (61023, "refresh_token is invalid rid: ") == told(too_late)
        assert "authorizer_access_token" in with_new

    def test_api_authorizer_token__not_authorized(self, door):
        """A shop that has not authorized the service provider is not its."""
        component = door.sandbox.add_component()

        reply = self.fetch(door, component, "x")
        unknown = self.fetch(door, component, "x", authorizer_appid="wx0")

        expected = (61003, "component is not authorized by this account rid: ")
        assert expected == told(reply)
        assert 61003 == unknown["errcode"]

    def test_api_authorizer_token__component_token(self, door):
        """The call needs the service provider's own token."""
        component = door.sandbox.add_component()
        other = door.sandbox.add_component()
        refresh_token = door.sandbox.authorize(component.appid)

        replies = [
            self.fetch(door, component, refresh_token, component_access_token=token)
            for token in (
                "",
                door.sandbox.access_token(),
                door.sandbox.component_access_token(other.appid),
            )
        ]
        unknown = self.fetch(door, component, "x", component_appid="wx0")

        assert [41001, 40001, 40001] == [reply["errcode"] for reply in replies]
        assert 40013 == unknown["errcode"]

    def test_api_authorizer_token__ip(self, door):
        """A service provider's whitelist has an errcode of its own."""
        component = door.sandbox.add_component(ip_whitelist=["203.0.113.7"])
        refresh_token = door.sandbox.authorize(component.appid)

        assert (
            61004,
            "access clientip is not registered requestIP: 127.0.0.1 rid: ",
        ) == told(self.fetch(door, component, refresh_token))

    def test_permission_set__missing(self, door):
        """Without permission set 45 the token does not open the logistics plugin."""
        component, refresh_token = self.authorized(door, permissions=[17, 19])
        token = self.fetch(door, component, refresh_token)["authorizer_access_token"]

        assert NOT_AUTHORIZED == told(door.post("get_delivery_list", {}, token))

    @pytest.mark.parametrize("endpoint", ["open_query_plugin", "open_openmsg"])
    def test_permission_set__opens_nothing(self, door, endpoint):
        """Nor can the service be opened for the shop without it."""
        component, refresh_token = self.authorized(door, permissions=[17])
        token = self.fetch(door, component, refresh_token)["authorizer_access_token"]
        app = door.sandbox.world.tokens.apps[door.sandbox.appid]
        app.opened = False

        assert NOT_AUTHORIZED == told(door.post(endpoint, {}, token))
        assert app.opened is False

    @pytest.mark.parametrize("media_type", [None, "text/plain"])
    def test_api_component_token__content_type(self, door, media_type):
        """JSON is read as such whatever its Content-Type."""
        component = door.sandbox.add_component()
        payload = {
            "component_appid": component.appid,
            "component_appsecret": component.secret,
            "component_verify_ticket": component.ticket,
        }

        body, headers = json.dumps(payload).encode(), {"Content-Type": media_type}
        reply = door.send("POST", COMPONENT_TOKEN, data=body, headers=headers).json()

        assert ["component_access_token", "expires_in"] == list(reply)

    def test_component_token__is_no_access_token(self, door):
        """A component's own token does not open the plugin."""
        component = door.sandbox.add_component()
        token = door.sandbox.component_access_token(component.appid)

        assert 48001 == door.errcode("open_query_plugin", {}, token)
        assert 48001 == errcode(door, token)

    def test_api_component_token__works(self, door):
        """A service provider gets its token for its secret and its ticket."""
        component = door.sandbox.add_component("wx2222222222222222", "s3cret")
        payload = {
            "component_appid": "wx2222222222222222",
            "component_appsecret": "s3cret",
            "component_verify_ticket": component.ticket,
        }

        reply, *refused = (
            door.send("POST", COMPONENT_TOKEN, json={**payload, **changes}).json()
            for changes in (
                {},
                {"component_appid": "wx0"},
                {"component_appsecret": "wrong"},
                {"component_verify_ticket": "wrong"},
            )
        )

        assert {"component_access_token", "expires_in"} == set(reply)
        assert [40013, 40125, 61006] == [each["errcode"] for each in refused]
        refresh_token = door.sandbox.authorize(component.appid)
        token = {"component_access_token": reply["component_access_token"]}
        authorized = self.fetch(door, component, refresh_token, **token)
        assert "authorizer_access_token" in authorized


class TestBookkeeping:
    def test_token_fetches(self, door):
        """Fetches are counted: all, refused ones, forced ones and their spacing."""
        door.stable_token()
        door.stable_token(secret="wrong")
        for seconds in (10, 45, 0):
            door.stable_token(force_refresh=True)
            door.sandbox.clock.tick(seconds=seconds)
        door.sandbox.access_token()
        door.sandbox.fail("stable_token", errcode=-1)
        door.stable_token()
        door.send("POST", "/cgi-bin/stable_token", data="a form")

        fetches = door.sandbox.token_fetches

        assert (7, 3, 3) == (fetches.total, fetches.refused, fetches.forced)
        assert (10.0, 45.0) == fetches.forced_spacing

    def test_counters(self, door):
        """Calls are counted by app and by user, for each component and day."""
        door.query(door.register())
        door.post("follow_waybill", EXAMPLE)
        door.post("get_delivery_list", {})
        door.stable_token(force_refresh=True)

        today = door.sandbox.counters
        door.sandbox.clock.tick(hours=12)

        counts = {"query": 3, "message": 1, "stable_token": 1, "force_refresh": 1}
        assert {
            "apps": {door.sandbox.appid: counts},
            "users": {OPENID: {"query": 2, "message": 1}},
        } == today
        assert {"apps": {}, "users": {}} == door.sandbox.counters

    def test_calls(self, door):
        """Calls are remembered with what was sent and answered."""
        door.sandbox.clock.tick(seconds=5)
        reply = door.post("trace_waybill", EXAMPLE)
        door.query("x")
        door.send("GET", "/cgi-bin/no/such/path?x=1")
        door.send("POST", "/cgi-bin/stable_token", data=iter([b"x"]))

        first, *_, last = calls = door.sandbox.calls

        assert (1, NOON + 5) == (first.number, first.time)
        assert (EXAMPLE, reply) == (first.payload, first.reply)
        assert 0 < first.milliseconds < 60_000
        assert None is last.reply
        assert [
            ("trace_waybill", 200, 0),
            ("query_trace", 200, 9300507),
            ("/cgi-bin/no/such/path", 200, 40066),
            ("stable_token", 412, None),
        ] == [(call.endpoint, call.status, call.errcode) for call in calls]

    @with_settings(keep_calls=2)
    def test_calls__bounded(self, door):
        """Only the last calls are kept; they keep their numbers."""
        for _ in range(5):
            door.post("get_delivery_list", {})

        assert [4, 5] == [call.number for call in door.sandbox.calls]

    def test_revoke_tokens__of_one_app(self, door):
        """Tokens of one app can be revoked alone, and none twice."""
        other = door.sandbox.add_app()
        mine = door.sandbox.access_token()
        its = door.sandbox.access_token(other.appid)

        counts = [door.sandbox.revoke_tokens(other.appid) for _ in range(2)]

        assert [1, 0] == counts
        assert (0, 40001) == (errcode(door, mine), errcode(door, its))

    def test_reset(self, door):
        """A reset forgets all but the app; the lock stays."""
        token = door.register()
        access_token = door.sandbox.access_token()
        account, lock = door.account, door.sandbox.world.lock
        door.sandbox.fail("query_trace", errcode=-1, times=None)

        door.sandbox.reset()

        assert [] == door.sandbox.calls == door.sandbox.faults
        assert {"apps": {}, "users": {}} == door.sandbox.counters
        assert account == door.account
        # Nothing gets in meanwhile.
        assert lock is door.sandbox.world.lock
        assert 40001 == errcode(door, access_token)
        assert 9300507 == door.query(token)["errcode"]
        assert NOON == door.sandbox.clock.now()
