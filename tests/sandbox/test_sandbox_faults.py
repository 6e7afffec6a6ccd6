"""Faults on demand, through each door of the sandbox."""

import re
from typing import Any

import pytest
import requests
from sandboxtools import (
    EXAMPLE,
    GOODS,
    OPENID,
    OTHER_OPENID,
    QUERY_TRACE,
    WAYBILL_ID,
    Door,
    told,
)


class TestFail:
    def query(self, door: Door, token: str, **options: Any) -> requests.Response:
        payload = {"waybill_token": token}
        return door.send(
            "POST", QUERY_TRACE, params=door.token, json=payload, **options
        )

    def errcodes(self, door: Door, token: str, count: int) -> list[int]:
        return [self.query(door, token).json()["errcode"] for _ in range(count)]

    @pytest.mark.parametrize(
        ("options", "errcodes"),
        [({"errcode": -1, "times": 2}, [-1, -1, 0]), ({"errcode": 45009}, [45009, 0])],
    )
    def test_fail__times(self, door, options, errcodes):
        """The next two calls are refused, the third is not; by default it is one."""
        token = door.register()
        door.sandbox.fail("query_trace", **options)

        assert errcodes == self.errcodes(door, token, len(errcodes))

    def test_fail__text(self, door):
        """The text is WeChat's, with a rid, or one's own without."""
        token = door.register()
        door.sandbox.fail("query_trace", errcode=48001)
        door.sandbox.fail("query_trace", errcode=-1, errmsg="哎呀")
        door.sandbox.fail("query_trace", errcode=40164)

        assert (48001, "api unauthorized rid: ") == told(self.query(door, token).json())
        assert {"errcode": -1, "errmsg": "哎呀"} == self.query(door, token).json()
        assert (
            40164,
            "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: ",
        ) == told(self.query(door, token).json())

    def test_fail__has_no_effect(self, door):
        """A refused call changes nothing and counts for no quota."""
        token = door.register()
        door.sandbox.fail("update_waybill_goods", errcode=-1)
        before = door.sandbox.counters

        update = {"waybill_token": token, "goods_info": {"detail_list": [{}]}}
        errcode = door.errcode("update_waybill_goods", update)

        assert -1 == errcode
        assert before == door.sandbox.counters
        assert GOODS == door.query(token)["shop_info"]["goods_info"]

    def test_fail__other_endpoints(self, door):
        """Only the endpoint named is concerned, or all with a star."""
        token = door.register()
        door.sandbox.fail("trace_waybill", errcode=-1)
        untouched = self.errcodes(door, token, 1)
        door.sandbox.fail("*", errcode=45011, times=2)

        assert [0] == untouched
        assert [45011] == self.errcodes(door, token, 1)
        assert -1 == door.post("trace_waybill", EXAMPLE)["errcode"]
        assert 45011 == door.stable_token()["errcode"]

    @pytest.mark.parametrize(
        ("only", "other"),
        [
            ({"openid": OPENID}, {"openid": OTHER_OPENID}),
            ({"waybill_id": WAYBILL_ID}, {"waybill_id": "W2"}),
        ],
    )
    def test_fail__only(self, door, only, other):
        """A fault for one user or waybill is for registrations and queries of it."""
        mine, others = door.register(), door.register(**other)
        door.sandbox.fail("*", errcode=-1, times=None, **only)

        assert [-1] == self.errcodes(door, mine, 1)
        assert [0] == self.errcodes(door, others, 1)
        assert -1 == door.errcode("trace_waybill", EXAMPLE)

    def test_fail__status(self, door):
        """A server on the way answers with a page of its own."""
        token = door.register()
        door.sandbox.fail("query_trace", status=502)
        door.sandbox.fail("query_trace", status=200, body="<html>顺</html>")

        bad, strange = self.query(door, token), self.query(door, token)

        assert 502 == bad.status_code
        assert b"<html><body><h1>502</h1></body></html>\n" == bad.content
        assert "text/html" == bad.headers["Content-Type"].partition(";")[0]
        assert 200 == strange.status_code
        assert "<html>顺</html>" == strange.content.decode()

    def test_fail__drop(self, door):
        """The connection breaks, though the call has had its effect."""
        door.sandbox.fail("trace_waybill", drop=True)

        with pytest.raises(requests.ConnectionError):
            door.post("trace_waybill", EXAMPLE)

        assert WAYBILL_ID in door.sandbox.world.parcels
        call = door.sandbox.calls[-1]
        assert ("trace_waybill", 0, 0) == (call.endpoint, call.status, call.errcode)

    def test_fail__delay_beyond_the_timeout(self, door):
        """A delay that is longer than the caller waits is a timeout."""
        token = door.register()
        door.sandbox.fail("query_trace", delay=30, times=None)

        with pytest.raises(requests.ReadTimeout):
            self.query(door, token, timeout=(5, 0.1))

    def test_fail__delay(self, door):
        """A delay within the timeout is an answer; with an errcode, a late refusal."""
        token = door.register()
        door.sandbox.fail("query_trace", delay=0.1)
        door.sandbox.fail("query_trace", delay=0.1, errcode=-1)

        assert [0, -1] == self.errcodes(door, token, 2)
        assert [True, True] == [
            100 <= call.milliseconds for call in door.sandbox.calls[-2:]
        ]

    def test_mend(self, door):
        """Faults can be taken back, one or all."""
        token = door.register()
        first = door.sandbox.fail("query_trace", errcode=-1, times=None)
        second = door.sandbox.fail("query_trace", errcode=45011, times=None)

        seen = self.errcodes(door, token, 1)
        door.sandbox.mend(first)
        seen += self.errcodes(door, token, 1)
        door.sandbox.mend(second.number)
        seen += self.errcodes(door, token, 1)
        door.sandbox.fail("query_trace", errcode=-1)
        door.sandbox.mend()
        seen += self.errcodes(door, token, 1)

        assert [-1, 45011, 0, 0] == seen

    @pytest.mark.parametrize(
        ("options", "error", "problem"),
        [
            ({"endpoint": "x", "errcode": -1}, ValueError, "no endpoint 'x'"),
            ({}, ValueError, "name what goes wrong"),
            ({"errcode": 0}, ValueError, "errcode is"),
            ({"errmsg": "x", "drop": True}, ValueError, "errmsg goes with"),
            ({"errcode": 5, "status": 500}, ValueError, "errcode or status, not both"),
            ({"errcode": 5, "body": "x"}, ValueError, "body goes with a status"),
            ({"delay": 1, "body": ""}, ValueError, "body goes with a status"),
            ({"status": 99}, ValueError, "status is"),
            ({"delay": -1}, ValueError, "delay is"),
            ({"delay": float("nan")}, ValueError, "delay is"),
            ({"errcode": -1, "times": 0}, ValueError, "times is"),
            ({"errcode": "-1"}, TypeError, "errcode is of type int | None, not '-1'"),
            ({"errcode": True}, TypeError, "errcode is of type int | None, not True"),
            ({"delay": "1"}, TypeError, "delay is of type float, not '1'"),
        ],
    )
    def test_fail__nonsense(self, sandbox, options, error, problem):
        """An invalid fault raises at once, and so does a value of a wrong type."""
        with pytest.raises(error, match=re.escape(problem)):
            sandbox.fail(**{"endpoint": "query_trace", **options})

        assert [] == sandbox.faults

    def test_mend__spent(self, sandbox):
        """A fault that is gone may be removed again; one that never was may not."""
        fault = sandbox.fail("query_trace", errcode=-1)
        sandbox.mend(fault)

        sandbox.mend(fault)
        sandbox.mend(1)

        for number in (0, 2):
            with pytest.raises(
                LookupError, match=f"fault: there never was .* {number}"
            ):
                sandbox.mend(number)
