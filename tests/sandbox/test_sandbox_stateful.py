"""A random life of two sandboxes, one behind each door, that must stay alike."""

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)
from sandboxtools import JSON, NOON, OPEN_MSG, account_of, direct

from wxlogistics.sandbox import Clock, Sandbox

pytestmark = pytest.mark.once

LIMITS: dict[str, Any] = {
    "appid_daily_limit": 30,
    "user_daily_limit": 8,
    "user_daily_limit_message": 4,
    "bound_limit": 2,
    "edit_limit": 2,
    "force_refresh_daily_limit": 2,
}

openids = st.sampled_from(["o" + letter * 27 for letter in "AB"])
waybill_ids = st.sampled_from(["W1", "SF2", "STATUS5", "ERR931023", "QUERYERR-1"])
components = st.sampled_from(
    [
        ("trace_waybill", "query_trace", "update_waybill_goods"),
        ("follow_waybill", "query_follow_trace", "update_follow_waybill_goods"),
    ]
)
goods_infos = st.lists(
    st.fixed_dictionaries(
        {
            "goods_name": st.text(max_size=5),
            "goods_img_url": st.sampled_from(
                ["", "www.qq.com", "a[1].png", "x.invalid"]
            ),
        }
    ),
    min_size=0,
    max_size=11,
).map(lambda details: {"detail_list": details})


class Life(RuleBasedStateMachine):
    """The same is done to both; every reply must be the same to the last digit."""

    tokens = Bundle("tokens")

    @initialize()
    def begin(self) -> None:
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.session = self.stack.enter_context(direct())
        self.sandboxes = [
            Sandbox(seed=5, clock=Clock(NOON, speed=0), **LIMITS) for _ in range(2)
        ]
        self.goods: dict[str, Any] = {}
        self.queries: dict[str, str] = {}
        self.doors = contextlib.ExitStack()
        self.open()

    def open(self) -> None:
        mocked, served = self.sandboxes
        server = self.doors.enter_context(served.serve())
        self.mock = mocked.mock(strict=False)
        self.server_url = server.url

    def send(self, path: str, query: dict[str, str], payload: Any) -> Any:
        """The reply, which must be the same through both doors."""
        options: dict[str, Any] = {
            "params": query,
            "data": json.dumps(payload, ensure_ascii=False).encode(),
            "headers": JSON,
            "timeout": 10,
        }
        with self.mock:
            mocked = self.session.post("https://api.weixin.qq.com" + path, **options)
        served = self.session.post(self.server_url + path, **options)
        assert mocked.content == served.content
        assert mocked.status_code == served.status_code
        assert mocked.headers["Content-Type"] == served.headers["Content-Type"]
        return json.loads(mocked.content)

    def call(self, endpoint: str, payload: Any) -> Any:
        first, second = [sandbox.access_token() for sandbox in self.sandboxes]
        assert first == second
        return self.send(OPEN_MSG + endpoint, {"access_token": first}, payload)

    @rule(
        target=tokens,
        component=components,
        openid=openids,
        waybill_id=waybill_ids,
        goods_info=goods_infos,
    )
    def register(
        self, component: Any, openid: str, waybill_id: str, goods_info: Any
    ) -> Any:
        """Registering keeps the goods of the first time."""
        endpoint, query, update = component
        payload = {
            "openid": openid,
            "waybill_id": waybill_id,
            "receiver_phone": "12345678901",
            "goods_info": goods_info,
        }
        reply = self.call(endpoint, payload)
        if reply["errcode"] != 0:
            return multiple()
        token = reply["waybill_token"]
        self.goods.setdefault(token, goods_info)
        self.queries[token] = query
        return (token, query, update)

    @rule(registered=tokens)
    def query(self, registered: Any) -> None:
        """A query returns the goods as they were registered or updated."""
        token, query, _ = registered
        reply = self.call(query, {"waybill_token": token})
        if reply["errcode"] == 0:
            assert self.goods[token] == reply["shop_info"]["goods_info"]

    @rule(registered=tokens, goods_info=goods_infos)
    def update(self, registered: Any, goods_info: Any) -> None:
        """An update changes the goods if it is answered with 0 and not ignored."""
        token, _, update = registered
        reply = self.call(update, {"waybill_token": token, "goods_info": goods_info})
        if reply["errcode"] == 0 and goods_info["detail_list"]:
            self.goods[token] = goods_info

    @rule()
    def force_refresh(self) -> None:
        """A forced token, or its refusal."""
        payload = {**account_of(self.sandboxes[0]), "force_refresh": True}
        self.send("/cgi-bin/stable_token", {}, payload)

    @rule(hours=st.sampled_from([0.01, 1, 7, 24]))
    def tick(self, hours: float) -> None:
        for sandbox in self.sandboxes:
            sandbox.clock.tick(hours=hours)

    @rule(
        registered=tokens,
        status=st.integers(min_value=0, max_value=7),
        waybill_id=st.sampled_from(["W1", "SF2"]),
    )
    def move(self, registered: Any, status: int, waybill_id: str) -> None:
        for sandbox in self.sandboxes:
            if waybill_id in sandbox.world.parcels:
                sandbox.move(waybill_id, status)

    @rule(
        endpoint=st.sampled_from(["*", "query_trace", "follow_waybill"]),
        errcode=st.sampled_from([-1, 40001, 45009]),
        times=st.integers(min_value=1, max_value=2),
        openid=st.none() | openids,
        waybill_id=st.none() | waybill_ids,
    )
    def fail(self, endpoint: str, **options: Any) -> None:
        for sandbox in self.sandboxes:
            sandbox.fail(endpoint, **options)

    @rule(deed=st.sampled_from(["mend", "revoke_tokens"]))
    def undo(self, deed: str) -> None:
        for sandbox in self.sandboxes:
            getattr(sandbox, deed)()

    @rule()
    def restart(self) -> None:
        """Both end and go on from their files."""
        self.doors.close()
        for number, sandbox in enumerate(self.sandboxes):
            sandbox.save(self.folder / f"{number}.json")
            self.sandboxes[number] = Sandbox.load(
                self.folder / f"{number}.json", clock=Clock(speed=0)
            )
        self.open()

    @invariant()
    def quotas_hold(self) -> None:
        """No count is negative or beyond its limit."""
        limits = {"stable_token": 500_000, "force_refresh": 2}
        for sandbox in getattr(self, "sandboxes", []):
            counters = sandbox.counters
            for counts in counters["apps"].values():
                for name, count in counts.items():
                    assert 0 < count <= limits.get(name, 30)
            for counts in counters["users"].values():
                assert 0 <= counts.get("query", 0) <= 8
                assert 0 <= counts.get("message", 0) <= 4

    def teardown(self) -> None:
        """In the end every waybill that was registered is still there."""
        if not hasattr(self, "stack"):
            return
        try:
            for token, goods_info in self.goods.items():
                for sandbox in self.sandboxes:
                    sandbox.clock.tick(days=1)
                    sandbox.mend()
                reply = self.call(self.queries[token], {"waybill_token": token})
                registration = self.sandboxes[0].world.registrations[token]
                if registration.waybill_id == "QUERYERR-1":
                    assert -1 == reply["errcode"]
                else:
                    assert goods_info == reply["shop_info"]["goods_info"]
        finally:
            self.doors.close()
            self.stack.close()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
