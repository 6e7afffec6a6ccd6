"""The control API, over HTTP."""

import json
import re
from typing import Any, Iterator

import attrs
import pytest
import requests
from sandboxtools import EXAMPLE, GOODS, NOON, OPENID, WAYBILL_ID, Door

from wxlogistics.sandbox import control
from wxlogistics.sandbox.wire import HttpRequest
from wxlogistics.sandbox.world import state

#: The default app's, by the seed.
APPID = "wx04d426c447eb6043"

#: What a text must be, in the words of JSON Schema.
TEXT = " of type 'string', 'null'"


@attrs.define
class Control:
    """A caller of the control API, and the door beside it."""

    door: Door

    def __call__(
        self, method: str, name: str, fields: Any = None, **options: Any
    ) -> requests.Response:
        return self.door.send(method, f"/_sandbox/{name}", json=fields, **options)

    def post(self, name: str, **fields: Any) -> Any:
        response = self("POST", name, fields)
        assert 200 == response.status_code, response.text
        return response.json()

    def get(self, name: str, **query: Any) -> Any:
        response = self("GET", name, params=query)
        assert 200 == response.status_code, response.text
        return response.json()


@pytest.fixture
def api(served_door: Door) -> Iterator[Control]:
    """The control API of a served sandbox."""
    return Control(served_door)


class TestControl:
    """Each command does what its counterpart in Python does."""

    def test_about(self, api):
        """The first page has all that a caller needs."""
        sandbox = api.door.sandbox

        assert {
            "appid": sandbox.appid,
            "secret": sandbox.secret,
            "access_token": sandbox.access_token(),
            "now": NOON,
            "speed": 0,
        } == api.get("")

    def test_move(self, api):
        """Time passes, and a parcel is moved."""
        token = api.door.register()

        assert {"now": NOON + 3 * 3600} == api.post("tick", hours=3)
        api.post("move", waybill_id=WAYBILL_ID, status=5, message="雨")

        info = api.door.post("query_trace", {"waybill_token": token})["waybill_info"]
        assert 5 == info["status"]
        assert "雨" == info["path"]["path_action"][0]["action_msg"]

    def test_fail(self, api):
        """Faults are set, listed and taken back."""
        fault = api.post("fail", endpoint="query_trace", errcode=-1, times=None)
        listed = api.get("faults")
        api.post("mend", fault=fault["number"])

        assert {"endpoint": "query_trace", "errcode": -1, "times": None} == {
            name: fault[name] for name in ("endpoint", "errcode", "times")
        }
        assert [fault] == listed
        assert [] == api.get("faults")

    def test_calls(self, api):
        """
        Calls are listed, all, by endpoint, after a number or the last; and counted,
        until all is forgotten.
        """
        api.door.register()
        for _ in range(3):
            api.door.post("get_delivery_list", {})

        calls = api.get("calls")
        by_endpoint = api.get("calls", endpoint="trace_waybill")

        assert [1, 2, 3, 4] == [call["number"] for call in calls]
        assert ("trace_waybill", EXAMPLE, 200) == (
            calls[0]["endpoint"],
            calls[0]["payload"],
            calls[0]["status"],
        )
        assert calls[:1] == by_endpoint
        assert calls[2:] == api.get("calls", after=2)
        assert calls[3:] == api.get("calls", last=1)
        assert [] == api.get("calls", last=0)
        assert {
            "apps": {api.door.sandbox.appid: {"query": 4}},
            "users": {OPENID: {"query": 1}},
        } == api.get("counters")
        assert api.post("reset") is None
        assert [] == api.get("calls")

    def test_token_fetches(self, api):
        """Token fetches come with their spacing."""
        api.door.stable_token(force_refresh=True)
        api.door.sandbox.clock.tick(seconds=31)
        api.door.stable_token(force_refresh=True)

        assert {
            "total": 2,
            "refused": 0,
            "forced": 2,
            "forced_spacing": [31.0],
        } == api.get("tokens")

    def test_revoke(self, api):
        """Tokens are revoked."""
        token = api.door.sandbox.access_token()

        assert {"revoked": 0} == api.post("tokens/revoke", appid="wx0")
        assert {"revoked": 1} == api.post("tokens/revoke")
        assert 40001 == api.door.post("get_delivery_list", {}, token)["errcode"]

    def test_state(self, api):
        """The state can be taken and put back; one that is none changes nothing."""
        token = api.door.register()
        taken = api.get("state")
        api.post("reset")
        api.post("tick", days=1)

        assert 400 == api("PUT", "state", {**taken, "calls": [{}]}).status_code
        assert [] == api.get("calls")
        assert 200 == api("PUT", "state", taken).status_code

        reply = api.door.post("query_trace", {"waybill_token": token})
        assert GOODS == reply["shop_info"]["goods_info"]
        assert NOON == api.door.sandbox.clock.now()

    @pytest.mark.parametrize(
        ("path", "value", "problem"),
        [
            (("clock", "now"), "abc", "'clock' must be"),
            (("clock", "speed"), -1, "speed is from 0"),
            (("mint", "serial"), "1", "damaged: 'str' object has no"),
            (("mint", "serial"), -1, "damaged: can't convert negative"),
            (("settings", "edit_limit"), "5", "edit_limit is of type int, not '5'"),
            (("faults", 0, "delay"), None, "delay is of type float, not None"),
            (("apps", 0, "secret"), 1, "secret is of type str, not 1"),
            (
                ("authorizations", 0, "permissions"),
                ["x"],
                "permissions is a list of numbers",
            ),
            (("tokens", 0, "component_appid"), "wx0", "component_appid: there is no"),
            (("latest", "stable wx1"), 1, "'latest' must be"),
            (("forced_at", "wx1"), "x", "'forced_at' must be"),
            (("fetches", "forced_at"), ["x"], "forced_at: 'x' is not a time"),
            (("spent", "day"), 1, "'spent' must be"),
            (("spent", "day", 0), "x", "spent: 'x' is not a day"),
            (("spent", "day", 1, "apps query wx1"), "x", "'apps query wx1': 'x'"),
            (("users", OPENID), 1, "'users' must be"),
            (("parcels", 0, "route", 0), ["x", 1, None], "at is of type float"),
            (("parcels", 0, "delivery_id"), "NO", "'delivery_id' must be in"),
            (("registrations", 0, "goods"), [{"goods_name": 1}], "'goods' must be"),
            (("registrations", 0, "component"), "x", "component: there is no 'x'"),
            (("registrations", 0, "waybill_id"), "x", "waybill_id: there is no 'x'"),
            (("bound", OPENID), 1, "'bound' must be"),
            (("bound", OPENID), ["x"], "bound: there is no 'x'"),
            (("calls", 0, "payload"), "x", "unexpected keyword argument 'payload'"),
            (("registrations", 0, "goods"), [{"goods_name": "x"}], "not an article"),
            (("spent", "day", 1), {"x": 1}, "spent: 'x': 1"),
        ],
    )
    def test_state__wrong_type(self, mock_door, path, value, problem):
        """A state with a value that calls would break on is refused, with its name."""
        sandbox = mock_door.sandbox
        sandbox.authorize(sandbox.add_component().appid)
        sandbox.fail("query_trace", errcode=-1)
        mock_door.stable_token(force_refresh=True)
        mock_door.register()
        damaged = inner = json.loads(json.dumps(state.dump(sandbox.world)))
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

        with pytest.raises(ValueError, match=re.escape(problem)):
            state.restore(damaged, sandbox.clock)

        assert (NOON, 0) == (sandbox.clock.now(), sandbox.clock.speed)

    def test_people(self, api):
        """Users, waybills, apps and service providers are added."""
        sandbox = api.door.sandbox
        app = api.post("apps", appid="wx1", ip_whitelist=["203.0.113.7"])
        component = api.post("components", secret="s")
        refresh_token = api.post(
            "authorize", component_appid=component["appid"], appid="wx1"
        )
        api.post("waybills", waybill_id="W", delivery_id="YTO")
        user = api.post("users", appid="wx1")

        assert ("wx1", ["203.0.113.7"]) == (app["appid"], app["ip_whitelist"])
        assert "s" == component["secret"]
        assert refresh_token["authorizer_refresh_token"].startswith("refreshtoken@@@")
        assert "YTO" == sandbox.world.parcels["W"].delivery_id
        assert "wx1" == sandbox.world.users[user["openid"]]

    @pytest.mark.parametrize(
        ("name", "fields", "problem"),
        [
            ("move", {"waybill_id": "W", "status": 4}, "no waybill 'W'"),
            ("move", {}, "is a required property"),
            ("move", {"waybill_id": "W", "status": "4"}, "is not of type 'integer'"),
            ("move", {"waybill_id": "W", "status": 1.5}, "is not of type 'integer'"),
            ("tick", {"weeks": 1}, "Additional properties are not allowed"),
            ("tick", {"hours": -1}, "time only moves forward"),
            ("tick", {"hours": "1"}, "hours: '1' is not of type 'number'"),
            ("tick", {"hours": 10**400}, "time only moves forward"),
            ("tick", {"days": 10**400, "hours": 0.5}, "time only moves forward"),
            ("tick", [], "is not of type 'object'"),
            ("fail", {"endpoint": "x", "errcode": 1}, "no endpoint 'x'"),
            ("fail", {"status": 502, "body": {"a": 1}}, "body: {'a': 1} is not" + TEXT),
            ("fail", {"errcode": 1, "errmsg": 5}, "errmsg: 5 is not" + TEXT),
            ("fail", {"errcode": 1, "body": "x"}, "body goes with a status"),
            ("mend", {"number": 1}, "Additional properties are not allowed"),
            ("mend", {"fault": "1"}, "fault: '1' is not of type 'integer', 'null'"),
            ("mend", {"fault": 77}, "fault: there never was a fault 77"),
            ("apps", {"secret": 123456789}, "secret: 123456789 is not" + TEXT),
            (
                "apps",
                {"appid": APPID, "secret": "x"},
                f"appid: '{APPID}' is in the sand",
            ),
            ("apps", {"ip_whitelist": "x"}, "ip_whitelist: 'x' is not of type 'array'"),
            ("apps", {"ip_whitelist": [5]}, "ip_whitelist[0]: 5 is not of type 'strin"),
            ("waybills", {"waybill_id": 5}, "waybill_id: 5 is not of type 'string'"),
            (
                "waybills",
                {"waybill_id": "W", "delivery_id": "NO SUCH"},
                "delivery_id: no carrier 'NO SUCH'",
            ),
            (
                "authorize",
                {"component_appid": "wx0", "permissions": 45},
                "permissions: 45 is not of type 'array'",
            ),
            ("calls", {"last": -1}, "last: -1 is less than the minimum of 0"),
            ("calls", {"after": "x"}, "after: 'x' is not of type 'integer'"),
            ("calls", {"endpoint": 1}, "endpoint: 1 is not of type 'string'"),
        ],
    )
    def test_mistake(self, api, name, fields, problem):
        """A mistake is HTTP 400."""
        response = api("GET" if name == "calls" else "POST", name, fields)

        assert 400 == response.status_code
        assert problem in response.json()["error"]

    @pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "Infinity"])
    def test_mistake__no_number(self, api, value):
        """What JSON has no number for is refused, and so never stands in a reply."""
        response = api.door.send(
            "POST", "/_sandbox/move", data=f'{{"waybill_id": "W", "status": {value}}}'
        )

        assert 400 == response.status_code
        assert {"error": f"{value} is not a JSON number"} == response.json()

    def test_half_a_character(self, api):
        """Half a surrogate pair comes back as what it is, and can be saved."""
        api("POST", "waybills", {"waybill_id": "W\ud800"})

        state = api("GET", "state")

        assert b'"W\\ud800"' in state.content
        assert "W\ud800" == state.json()["parcels"][0]["waybill_id"]
        assert 200 == api("PUT", "state", state.json()).status_code

    def test_mistake__no_json(self, api):
        """So is a body that is no JSON; its Content-Type does not matter."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        bad, worse, good = (
            api.door.send("POST", "/_sandbox/tick", data=data, headers=headers)
            for data in (b"{", b'{"hours": "\xff"}', b'{"hours": 1}')
        )

        assert (400, 400, 200) == (bad.status_code, worse.status_code, good.status_code)
        assert "can't decode byte 0xff in position 11" in worse.json()["error"]

    def test_unknown(self, api):
        """An unknown command is answered with those that there are."""
        response = api("GET", "tick")

        assert 404 == response.status_code
        assert "POST /_sandbox/tick" in response.json()["known"]


class TestStrangers:
    """Web pages must not reach the control API through a browser on this machine."""

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Host": "localhost:8790"}, 200),
            ({"Host": "127.0.0.1"}, 200),
            ({"Host": "[::1]:8790"}, 200),
            ({"Host": "192.168.1.5:8790"}, 200),
            ({"Host": "sandbox:8790"}, 200),
            ({"Host": "MyBox:8790"}, 200),
            ({"Host": "mybox:8790"}, 200),
            ({"Host": "evil.example:8790"}, 403),
            ({"Host": "localhost.evil.example"}, 403),
            ({"Host": "[::1"}, 403),
            ({"Host": ""}, 403),
            ({}, 403),
            ({"Host": "localhost:8790", "Origin": "http://localhost:8790"}, 200),
            ({"Host": "localhost:8790", "Origin": "http://evil.example"}, 403),
            ({"Host": "localhost:8790", "Origin": "http://localhost:1"}, 403),
            ({"Host": "localhost:8790", "Origin": "null"}, 403),
            ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ],
    )
    def test_answer__host_and_origin(self, sandbox, headers, status):
        """Foreign names in Host and other pages in Origin are refused."""
        request = HttpRequest(
            "POST", "/_sandbox/tick", headers=headers, body=b'{"hours": 1}'
        )
        hosts = ["sandbox", "MyBox", ""]
        answer = control.answer(sandbox, request, allowed_hosts=hosts)

        assert status == answer.status
        assert (NOON + 3600 if status == 200 else NOON) == sandbox.clock.now()

    def test_serve__foreign_host(self, api):
        """The server asks for this on its own."""
        response = api("POST", "reset", headers={"Host": "evil.example"})

        assert 403 == response.status_code
