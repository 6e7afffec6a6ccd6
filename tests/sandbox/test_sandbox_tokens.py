"""The token endpoints, through each door of the sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sandboxtools import EXAMPLE, OPENID, Door, told, with_settings


def errcode(door: Door, access_token: str) -> int:
    """What a call with *access_token* gives."""
    return door.post("get_delivery_list", {}, access_token)["errcode"]


class TestStableToken:
    """POST /cgi-bin/stable_token."""

    def test_stable_token__reply(self, door: Door) -> None:
        """A success has neither errcode nor errmsg; the token works."""
        reply = door.stable_token()

        assert {"access_token", "expires_in"} == set(reply)
        assert 7200 == reply["expires_in"]
        assert 100 < len(reply["access_token"]) <= 512
        assert 0 == errcode(door, reply["access_token"])

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"grant_type": None}, (40002, "invalid grant_type rid: ")),
            ({"grant_type": "authorization_code"}, (40002, "invalid grant_type rid: ")),
            ({"appid": None}, (41002, "appid missing rid: ")),
            ({"secret": None}, (41004, "appsecret missing rid: ")),
            ({"appid": "wx0000000000000000"}, (40013, "invalid appid rid: ")),
            ({"secret": "0" * 32}, (40125, "invalid appsecret rid: ")),
            ({"secret": ["0"]}, (40125, "invalid appsecret rid: ")),
            ({"appid": ["0"]}, (40013, "invalid appid rid: ")),
        ],
    )
    def test_stable_token__refused(
        self, door: Door, changes: dict[str, Any], expected: tuple[int, str]
    ) -> None:
        """What is missing or wrong in the request is named."""
        assert expected == told(door.stable_token(**changes))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"data": {"appid": "x"}}, (41002, "appid missing rid: ")),
            (
                {"data": b"", "headers": {"Content-Type": "application/json"}},
                (41002, "appid missing rid: "),
            ),
            (
                {"data": b"{", "headers": {"Content-Type": "application/json"}},
                (47001, "data format error rid:"),
            ),
        ],
        ids=["form", "empty", "no JSON"],
    )
    def test_stable_token__body(
        self, door: Door, options: dict[str, Any], expected: tuple[int, str]
    ) -> None:
        """A form or an empty body is no request at all."""
        response = door.send("POST", "/cgi-bin/stable_token", **options)

        assert expected == told(response.json())

    def test_stable_token__get(self, door: Door) -> None:
        """GET is refused."""
        response = door.send("GET", "/cgi-bin/stable_token")

        assert (43002, "require POST method rid: ") == told(response.json())

    def test_stable_token__forced(self, door: Door) -> None:
        """force_refresh kills the old token at once."""
        first = door.stable_token()["access_token"]
        second = door.stable_token(force_refresh=True)["access_token"]

        assert first != second
        assert 40001 == errcode(door, first)
        assert 0 == errcode(door, second)

    def test_stable_token__forced_too_soon(self, door: Door) -> None:
        """
        A forced call within 30 seconds hands out the token in use and counts as none.
        """
        first = door.stable_token(force_refresh=True)
        door.sandbox.clock.tick(seconds=29)
        again = door.stable_token(force_refresh=True)
        door.sandbox.clock.tick(seconds=1)
        second = door.stable_token(force_refresh=True)

        assert {**first, "expires_in": 7171} == again
        assert first["access_token"] != second["access_token"]
        assert 2 == door.sandbox.counters["apps"][door.sandbox.appid]["force_refresh"]

    @with_settings(force_refresh_too_soon=45011)
    def test_stable_token__forced_too_soon_refused(self, door: Door) -> None:
        """A setting has it refused."""
        first = door.stable_token(force_refresh=True)
        door.sandbox.clock.tick(seconds=29)
        refused = door.stable_token(force_refresh=True)
        door.sandbox.clock.tick(seconds=1)
        second = door.stable_token(force_refresh=True)

        assert (
            45011,
            "api minute-quota reach limit, must slower, retry next minute rid: ",
        ) == told(refused)
        assert first["access_token"] != second["access_token"]

    def test_stable_token__forced_limit(self, door: Door) -> None:
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
    def test_stable_token__limits(self, door: Door) -> None:
        """Calls are limited by the minute and by the day."""
        replies = [door.stable_token() for _ in range(3)]
        door.sandbox.clock.tick(minutes=1)
        replies += [door.stable_token() for _ in range(2)]

        assert [None, None, 45011, None, 45009] == [
            reply.get("errcode") for reply in replies
        ]

    @with_settings(ip_whitelist=["203.0.113.7"])
    def test_stable_token__ip(self, door: Door) -> None:
        """A caller whose address is not in the whitelist gets that address back."""
        assert (
            40164,
            "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: ",
        ) == told(door.stable_token())

    @with_settings(ip_whitelist=["203.0.113.7", "127.0.0.1"])
    def test_stable_token__ip_listed(self, door: Door) -> None:
        """A caller in the whitelist gets a token."""
        assert 7200 == door.stable_token()["expires_in"]

    @with_settings(token_lifetime=60)
    def test_stable_token__short_life(self, door: Door) -> None:
        """A token with a short life is renewed when half of it is over."""
        first = door.stable_token()
        door.sandbox.clock.tick(seconds=30)
        second = door.stable_token()
        door.sandbox.clock.tick(seconds=1)
        third = door.stable_token()

        assert first["access_token"] == second["access_token"]
        assert 30 == second["expires_in"]
        assert second["access_token"] != third["access_token"]

    @with_settings(token_lifetime=600)
    def test_stable_token__lifetime(self, door: Door) -> None:
        """A setting shortens a token's life."""
        token = door.stable_token()
        assert 600 == token["expires_in"]

        door.sandbox.clock.tick(seconds=600)

        assert 42001 == errcode(door, token["access_token"])

    def test_stable_token__old_ones_forgotten(self, door: Door) -> None:
        """A token that ended more than a day ago is not known as expired any more."""
        token = door.stable_token()["access_token"]
        door.sandbox.clock.tick(hours=26, seconds=1)
        before = errcode(door, token)
        door.stable_token()

        assert 42001 == before
        assert 40001 == errcode(door, token)

    def test_access_token__of_an_app(self, door: Door) -> None:
        """
        Another app has a token of its own; each appid and secret works for its own.
        """
        other = door.sandbox.add_app("wx1111111111111111", "s3cret")

        reply = door.stable_token(appid="wx1111111111111111", secret="s3cret")

        assert other.appid == "wx1111111111111111"
        assert door.sandbox.access_token(other.appid) == reply["access_token"]
        assert door.sandbox.access_token() != reply["access_token"]


class TestClassicToken:
    """GET /cgi-bin/token."""

    def get(self, door: Door, **changes: str) -> dict[str, Any]:
        query = {
            "grant_type": "client_credential",
            "appid": door.sandbox.appid,
            "secret": door.sandbox.secret,
            **changes,
        }
        return door.send("GET", "/cgi-bin/token", params=query).json()

    def test_token__replaces(self, door: Door) -> None:
        """Each call gives a new token; the one before lives five minutes."""
        first = self.get(door)
        second = self.get(door)
        door.sandbox.clock.tick(seconds=299)
        in_time = errcode(door, first["access_token"])
        door.sandbox.clock.tick(seconds=1)
        too_late = errcode(door, first["access_token"])

        assert {"access_token", "expires_in"} == set(first)
        assert 7200 == first["expires_in"]
        assert first["access_token"] != second["access_token"]
        assert (0, 40001) == (in_time, too_late)
        assert 0 == errcode(door, second["access_token"])

    def test_token__does_not_disturb_stable(self, door: Door) -> None:
        """Classic and stable tokens live side by side."""
        stable = door.stable_token()["access_token"]
        classic = self.get(door)["access_token"]
        forced = door.stable_token(force_refresh=True)["access_token"]
        door.sandbox.clock.tick(minutes=6)

        assert 40001 == errcode(door, stable)
        assert 0 == errcode(door, classic)
        assert 0 == errcode(door, forced)

    def test_token__post(self, door: Door) -> None:
        """POST is taken as well, with the same query."""
        query = {
            "grant_type": "client_credential",
            "appid": door.sandbox.appid,
            "secret": door.sandbox.secret,
        }

        reply = door.send("POST", "/cgi-bin/token", params=query).json()

        assert 7200 == reply["expires_in"]

    def test_token__other_methods(self, door: Door) -> None:
        """Anything else is refused."""
        assert 43002 == door.send("PUT", "/cgi-bin/token").json()["errcode"]

    def test_token__refused(self, door: Door) -> None:
        """Its refusals are those of stable_token."""
        assert 40125 == self.get(door, secret="wrong")["errcode"]
        assert 40002 == self.get(door, grant_type="")["errcode"]

    @with_settings(classic_token_daily_limit=1)
    def test_token__limit(self, door: Door) -> None:
        """Its calls are limited by the day."""
        self.get(door)

        assert 45009 == self.get(door)["errcode"]


class TestAuthorizerToken:
    """POST /cgi-bin/component/api_authorizer_token, for service providers."""

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
        return door.send(
            "POST",
            "/cgi-bin/component/api_authorizer_token",
            params={"component_access_token": access_token},
            json=payload,
        ).json()

    def test_api_authorizer_token__works(self, door: Door) -> None:
        """The token acts for the shop: what it registers is the shop's own."""
        component = door.sandbox.add_component()
        refresh_token = door.sandbox.authorize(component.appid)

        reply = self.fetch(door, component, refresh_token)

        assert {
            "authorizer_access_token": reply["authorizer_access_token"],
            "expires_in": 7200,
            "authorizer_refresh_token": refresh_token,
        } == reply
        registered = door.post(
            "trace_waybill", EXAMPLE, reply["authorizer_access_token"]
        )
        queried = door.post(
            "query_trace", {"waybill_token": registered["waybill_token"]}
        )
        assert 0 == queried["errcode"]

    def test_api_authorizer_token__changed_refresh_token(self, door: Door) -> None:
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

    def test_api_authorizer_token__not_authorized(self, door: Door) -> None:
        """A shop that has not authorized the service provider is not its."""
        component = door.sandbox.add_component()

        reply = self.fetch(door, component, "x")
        unknown = self.fetch(door, component, "x", authorizer_appid="wx0")

        assert (61003, "component is not authorized by this account rid: ") == told(
            reply
        )
        assert 61003 == unknown["errcode"]

    def test_api_authorizer_token__component_token(self, door: Door) -> None:
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

    def test_api_authorizer_token__ip(self, door: Door) -> None:
        """A service provider's whitelist has an errcode of its own."""
        component = door.sandbox.add_component(ip_whitelist=["203.0.113.7"])
        refresh_token = door.sandbox.authorize(component.appid)

        assert (
            61004,
            "access clientip is not registered requestIP: 127.0.0.1 rid: ",
        ) == told(self.fetch(door, component, refresh_token))

    def test_permission_set__missing(self, door: Door) -> None:
        """Without permission set 45 the token does not open the logistics plugin."""
        component = door.sandbox.add_component()
        refresh_token = door.sandbox.authorize(component.appid, permissions=[17, 19])
        token = self.fetch(door, component, refresh_token)

        reply = door.post("get_delivery_list", {}, token["authorizer_access_token"])

        assert (61007, "api is unauthorized to component rid: ") == told(reply)

    @pytest.mark.parametrize("endpoint", ["open_query_plugin", "open_openmsg"])
    def test_permission_set__opens_nothing(self, door: Door, endpoint: str) -> None:
        """Nor can the service be opened for the shop without it."""
        component = door.sandbox.add_component()
        refresh_token = door.sandbox.authorize(component.appid, permissions=[17])
        token = self.fetch(door, component, refresh_token)
        app = door.sandbox.world.tokens.apps[door.sandbox.appid]
        app.opened = False

        reply = door.post(endpoint, {}, token["authorizer_access_token"])

        assert (61007, "api is unauthorized to component rid: ") == told(reply)
        assert app.opened is False

    @pytest.mark.parametrize(
        "headers", [{}, {"Content-Type": "text/plain"}], ids=["none", "other"]
    )
    def test_api_component_token__content_type(
        self, door: Door, headers: dict[str, str]
    ) -> None:
        """JSON is read as such whatever its Content-Type."""
        component = door.sandbox.add_component()
        refresh_token = door.sandbox.authorize(component.appid)
        replies = []

        for path, payload in (
            (
                "/cgi-bin/component/api_component_token",
                {
                    "component_appid": component.appid,
                    "component_appsecret": component.secret,
                    "component_verify_ticket": component.ticket,
                },
            ),
            (
                "/cgi-bin/component/api_authorizer_token",
                {
                    "component_appid": component.appid,
                    "authorizer_appid": door.sandbox.appid,
                    "authorizer_refresh_token": refresh_token,
                },
            ),
        ):
            response = door.send(
                "POST",
                path,
                params={
                    "component_access_token": door.sandbox.component_access_token(
                        component.appid
                    )
                },
                data=json.dumps(payload).encode(),
                headers=headers,
            )
            replies.append(list(response.json()))

        assert ["component_access_token", "expires_in"] == replies[0]
        assert "authorizer_access_token" == replies[1][0]

    def test_component_token__is_no_access_token(self, door: Door) -> None:
        """A component's own token does not open the plugin."""
        component = door.sandbox.add_component()
        token = door.sandbox.component_access_token(component.appid)

        opened = door.post("open_query_plugin", {}, token)

        assert 48001 == errcode(door, token)
        assert 48001 == opened["errcode"]

    def test_api_component_token__works(self, door: Door) -> None:
        """A service provider gets its token for its secret and its ticket."""
        component = door.sandbox.add_component("wx2222222222222222", "s3cret")
        payload = {
            "component_appid": "wx2222222222222222",
            "component_appsecret": "s3cret",
            "component_verify_ticket": component.ticket,
        }
        path = "/cgi-bin/component/api_component_token"

        reply = door.send("POST", path, json=payload).json()
        refused = [
            door.send("POST", path, json={**payload, **wrong}).json()["errcode"]
            for wrong in (
                {"component_appid": "wx0"},
                {"component_appsecret": "wrong"},
                {"component_verify_ticket": "wrong"},
            )
        ]

        assert {"component_access_token", "expires_in"} == set(reply)
        assert [40013, 40125, 61006] == refused
        authorized = self.fetch(
            door,
            component,
            door.sandbox.authorize(component.appid),
            component_access_token=reply["component_access_token"],
        )
        assert "authorizer_access_token" in authorized


class TestBookkeeping:
    """What the sandbox knows about tokens and calls."""

    def test_token_fetches(self, door: Door) -> None:
        """Fetches are counted: all, refused ones, forced ones and their spacing."""
        door.stable_token()
        door.stable_token(secret="wrong")
        door.stable_token(force_refresh=True)
        door.sandbox.clock.tick(seconds=10)
        door.stable_token(force_refresh=True)
        door.sandbox.clock.tick(seconds=45)
        door.stable_token(force_refresh=True)
        door.sandbox.access_token()
        door.sandbox.fail("stable_token", errcode=-1)
        door.stable_token()
        door.send("POST", "/cgi-bin/stable_token", data="a form")

        fetches = door.sandbox.token_fetches

        assert (7, 3, 3) == (fetches.total, fetches.refused, fetches.forced)
        assert (10.0, 45.0) == fetches.forced_spacing

    def test_counters(self, door: Door) -> None:
        """Calls are counted by app and by user, for each component and day."""
        token = door.register()
        door.post("query_trace", {"waybill_token": token})
        door.post("follow_waybill", EXAMPLE)
        door.post("get_delivery_list", {})
        door.stable_token(force_refresh=True)

        today = door.sandbox.counters
        door.sandbox.clock.tick(hours=12)
        tomorrow = door.sandbox.counters

        assert {
            "apps": {
                door.sandbox.appid: {
                    "query": 3,
                    "message": 1,
                    "stable_token": 1,
                    "force_refresh": 1,
                }
            },
            "users": {OPENID: {"query": 2, "message": 1}},
        } == today
        assert {"apps": {}, "users": {}} == tomorrow

    def test_calls(self, door: Door) -> None:
        """Calls are remembered with what was sent and answered."""
        door.sandbox.clock.tick(seconds=5)
        reply = door.post("trace_waybill", EXAMPLE)
        door.post("query_trace", {"waybill_token": "x"})
        door.send("GET", "/cgi-bin/no/such/path?x=1")
        door.send("POST", "/cgi-bin/stable_token", data=iter([b"x"]))

        first, second, third, fourth = door.sandbox.calls

        assert (1, 1779249605.0, "trace_waybill", EXAMPLE, reply, 200, 0) == (
            first.number,
            first.time,
            first.endpoint,
            first.payload,
            first.reply,
            first.status,
            first.errcode,
        )
        assert 0 < first.milliseconds < 1000
        assert ("query_trace", 9300507) == (second.endpoint, second.errcode)
        assert ("/cgi-bin/no/such/path", 40066) == (third.endpoint, third.errcode)
        assert ("stable_token", 412, None, None) == (
            fourth.endpoint,
            fourth.status,
            fourth.reply,
            fourth.errcode,
        )

    @with_settings(keep_calls=2)
    def test_calls__bounded(self, door: Door) -> None:
        """Only the last calls are kept; they keep their numbers."""
        for _ in range(5):
            door.post("get_delivery_list", {})

        assert [4, 5] == [call.number for call in door.sandbox.calls]

    def test_revoke_tokens__of_one_app(self, door: Door) -> None:
        """Tokens of one app can be revoked alone, and none twice."""
        other = door.sandbox.add_app()
        mine = door.sandbox.access_token()
        its = door.sandbox.access_token(other.appid)

        counts = [door.sandbox.revoke_tokens(other.appid) for _ in range(2)]

        assert [1, 0] == counts
        assert 0 == errcode(door, mine)
        assert 40001 == errcode(door, its)

    def test_reset(self, door: Door) -> None:
        """A reset forgets waybills, users, tokens, faults and counts; the app stays."""
        token = door.register()
        access_token = door.sandbox.access_token()
        appid, secret = door.sandbox.appid, door.sandbox.secret
        door.sandbox.fail("query_trace", errcode=-1, times=None)

        door.sandbox.reset()

        assert [] == door.sandbox.calls
        assert [] == door.sandbox.faults
        assert {"apps": {}, "users": {}} == door.sandbox.counters
        assert (appid, secret) == (door.sandbox.appid, door.sandbox.secret)
        assert 40001 == errcode(door, access_token)
        assert 9300507 == door.post("query_trace", {"waybill_token": token})["errcode"]
        assert 1779249600.0 == door.sandbox.clock.now()

    def test_reset__same_lock(self, door: Door) -> None:
        """A reset keeps the lock, so that nothing gets in meanwhile."""
        lock = door.sandbox.world.lock

        door.sandbox.reset()

        assert lock is door.sandbox.world.lock
