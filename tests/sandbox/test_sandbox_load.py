"""Many threads against the served sandbox."""

import http.client
import json
import threading
import time
from collections import Counter
from typing import Any

import pytest
from sandboxtools import JSON, OPEN_MSG, goods_of, port_of

from wxlogistics.sandbox import Sandbox

pytestmark = pytest.mark.once

THREADS = 32

#: Calls that each user may make a day.
LIMIT = 200


class Caller(threading.Thread):
    """
    Registers, queries and updates waybills of its own, and checks every answer.

    Two callers share one user, so that its quota is spent by both at once.
    """

    def __init__(self, number: int, sandbox: Sandbox, port: int) -> None:
        super().__init__()
        self.number = number
        self.openid = f"o{number // 2:027d}"
        self.end = time.monotonic() + 60
        self.path = OPEN_MSG + "{}?access_token=" + sandbox.access_token()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.outcomes: Counter[int] = Counter()
        self.problems: list[str] = []
        self.serial = 0

    def call(self, endpoint: str, payload: Any) -> Any:
        self.connection.request(
            "POST",
            self.path.format(endpoint),
            json.dumps(payload, ensure_ascii=False).encode(),
            JSON,
        )
        reply = json.loads(self.connection.getresponse().read())
        self.outcomes[reply["errcode"]] += 1
        return reply

    def run(self) -> None:
        try:
            while time.monotonic() < self.end and self.refused < 20:
                self.live()
        except Exception as problem:
            self.problems.append(repr(problem))
        finally:
            self.connection.close()

    @property
    def refused(self) -> int:
        """How many calls were refused."""
        return self.outcomes.total() - self.outcomes[0]

    def live(self) -> None:
        """The life of one waybill."""
        self.serial += 1
        waybill_id = f"W{self.number}-{self.serial}"
        goods = goods_of(waybill_id)
        who = {"openid": self.openid, "waybill_id": waybill_id}
        registered = self.call("trace_waybill", {**who, "goods_info": goods})
        if registered["errcode"] != 0:
            return
        token = {"waybill_token": registered["waybill_token"]}
        for name in ("一", "二"):
            queried = self.call("query_trace", token)
            if queried["errcode"] == 0:
                self.expect(waybill_id, queried["waybill_info"]["waybill_id"])
                self.expect(goods, queried["shop_info"]["goods_info"])
            changed = goods_of(name)
            update = {**token, "goods_info": changed}
            updated = self.call("update_waybill_goods", update)
            if updated["errcode"] == 0:
                goods = changed

    def expect(self, expected: object, actual: object) -> None:
        if expected != actual:
            self.problems.append(f"{actual!r} instead of {expected!r}")


class TestLoad:
    def test_load__limited(self):
        """No wrong answer, and each user's quota is spent to the last call."""
        sandbox = Sandbox(user_daily_limit=LIMIT, appid_daily_limit=10**9)
        with sandbox.serve() as server:
            port = port_of(server.url)
            callers = [Caller(number, sandbox, port) for number in range(THREADS)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join(120)

        assert [] == [problem for caller in callers for problem in caller.problems]
        for first, second in zip(callers[::2], callers[1::2]):
            outcomes = first.outcomes + second.outcomes
            assert {0, 9300513} == set(outcomes)
            assert LIMIT == outcomes[0]
            assert {"query": LIMIT} == sandbox.counters["users"][first.openid]
        total = sum(caller.outcomes.total() for caller in callers)
        assert {"query": total} == sandbox.counters["apps"][sandbox.appid]
