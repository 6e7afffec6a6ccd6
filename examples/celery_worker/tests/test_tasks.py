import os
import re
import signal

import pytest
from parcels import quota, settings, store, tasks
from parcels.celery import app

from wxlogistics import (
    OpenidError,
    SystemBusyError,
    Trace,
    TransportError,
    WaybillNotFoundError,
    WaybillStatus,
)

from .conftest import wait_for

PATIENCE = 30


def run(task, order):
    """
    Run a task in the worker; return its result or raise its error.
    """
    return task.delay(order.appid, order.number).get(timeout=PATIENCE)


def now(order):
    return store.get(order.appid, order.number)


class TestRegister:
    def test_token_is_kept(self, make_order, sent):
        order = make_order()

        assert run(tasks.register, order) is None

        assert len(now(order).waybill_token) == 64
        assert [body["waybill_id"] for body in sent("trace_waybill")] == [
            order.waybill_id
        ]

    def test_same_order_many_times(self, make_order, wechat, sent):
        """Eight deliveries of one order at the same time make one call."""
        order = make_order()
        wechat.fail("trace_waybill", delay=0.3)

        results = [tasks.register.delay(order.appid, order.number) for _ in range(8)]
        for result in results:
            result.get(timeout=PATIENCE)

        assert len(sent("trace_waybill")) == 1

    def test_many_orders_in_all_processes(self, make_order, wechat, sent, worker):
        """Four processes work at once; each fetches the access token once at most."""
        orders = [make_order() for _ in range(20)]
        wechat.revoke_tokens()
        wechat.fail("trace_waybill", delay=0.1, times=None)
        before = len(worker())

        results = [tasks.register.delay(o.appid, o.number) for o in orders]
        for result in results:
            result.get(timeout=PATIENCE)

        assert all(now(order).waybill_token for order in orders)
        assert len(sent("stable_token")) in range(1, 5)
        said = worker()[before:]
        assert len(set(re.findall(r"ForkPoolWorker-\d+\] Task", said))) == 4

    def test_busy__retries(self, make_order, wechat, sent):
        order = make_order()
        wechat.fail("trace_waybill", errcode=-1, times=2)

        run(tasks.register, order)

        assert now(order).waybill_token
        assert len(sent("trace_waybill")) == 3

    def test_busy_for_too_long(self, make_order, wechat, sent):
        """After the last retry the task raises the error."""
        order = make_order()
        wechat.fail("trace_waybill", errcode=-1, times=None)

        with pytest.raises(SystemBusyError) as raised:
            run(tasks.register, order)

        assert raised.value.retryable
        assert len(sent("trace_waybill")) == 1 + tasks.register.max_retries

    def test_refusal__no_retry(self, make_order, wechat, sent):
        """The error keeps its fields on its way through Redis."""
        order = make_order()
        wechat.fail("trace_waybill", errcode=40003, times=None)

        with pytest.raises(OpenidError) as raised:
            run(tasks.register, order)

        error = raised.value
        assert (error.endpoint, error.errcode) == ("trace_waybill", 40003)
        assert error.detail == "openid错误"
        assert error.rid
        assert len(sent("trace_waybill")) == 1

    def test_lost_answer(self, make_order, wechat, sent):
        """The retry gets the token and compares the goods."""
        order = make_order()
        wechat.fail("trace_waybill", drop=True)

        run(tasks.register, order)

        wait_for(lambda: not now(order).unsure)
        assert now(order).waybill_token
        assert len(sent("trace_waybill")) == 2
        assert len(sent("query_trace")) == 1
        assert sent("update_waybill_goods") == []

    def test_lost_answer_and_other_goods(self, make_order, wechat, sent):
        """WeChat keeps the goods of the first attempt; they are corrected once."""
        order = make_order()
        wechat.fail("trace_waybill", drop=True, times=8)
        with pytest.raises(TransportError) as raised:
            run(tasks.register, order)
        assert raised.value.maybe_applied
        store.keep_goods(order, [("碧螺春", "")])

        wechat.mend()
        run(tasks.register, order)

        wait_for(lambda: not now(order).unsure)
        [detail] = run(tasks.query, order).goods
        assert detail.goods_name == "碧螺春"
        assert len(sent("update_waybill_goods")) == 1

    def test_worker_is_killed(self, make_order, wechat, sent):
        """Another process gets the task again."""
        order = make_order()
        wechat.fail("trace_waybill", delay=1.5)
        result = tasks.register.delay(order.appid, order.number)
        [pid] = wait_for(
            lambda: [
                task["worker_pid"]
                for active in (app.control.inspect().active() or {}).values()
                for task in active
                if task["id"] == result.id and sent("trace_waybill")
            ]
        )

        os.kill(pid, signal.SIGKILL)

        wait_for(lambda: now(order).waybill_token)
        wait_for(lambda: not now(order).unsure)
        assert len(sent("trace_waybill")) == 2

    def test_service_provider(self, make_order, wechat, redis_server):
        """A shop that has authorized a service provider; its refresh token changes."""
        component = wechat.add_component(settings.COMPONENT_APPID)
        shop = wechat.add_app()
        redis_server.set(
            "component_access_token", wechat.component_access_token(component.appid)
        )
        first = wechat.authorize(component.appid, shop.appid)
        redis_server.hset("refresh_tokens", shop.appid, first)
        second = wechat.change_refresh_token(component.appid, shop.appid)
        order = make_order(appid=shop.appid)

        run(tasks.register, order)

        assert now(order).waybill_token
        assert redis_server.hget("refresh_tokens", shop.appid) == second


class TestReplaceGoods:
    def test_lost_answer_costs_one_edit(self, make_order, wechat, sent):
        order = make_order()
        run(tasks.register, order)
        store.keep_goods(order, [("碧螺春", "")])
        wechat.fail("update_waybill_goods", drop=True)

        run(tasks.replace_goods, order)

        assert len(sent("update_waybill_goods")) == 1
        assert len(sent("query_trace")) == 2


class TestQuery:
    def test_trace_comes_back(self, make_order, wechat):
        order = make_order()
        run(tasks.register, order)
        wechat.move(order.waybill_id, WaybillStatus.OUT_FOR_DELIVERY)

        trace = run(tasks.query, order)

        assert isinstance(trace, Trace)
        assert trace.status is WaybillStatus.OUT_FOR_DELIVERY
        assert trace.goods == order.goods_info.detail_list
        assert trace.waybill_info.path[0].action_msg
        assert now(order).status == "3"

    def test_parcel_without_a_route(self, make_order, wechat, sent):
        order = make_order()
        run(tasks.register, order)
        wechat.fail("query_trace", errcode=931023, times=None)

        with pytest.raises(WaybillNotFoundError):
            run(tasks.query, order)

        assert len(sent("query_trace")) == 1

    def test_spent_quota(self, make_order, wechat, sent, redis_server):
        """Polling stops before the day's calls are used up; registering goes on."""
        order = make_order()
        run(tasks.register, order)
        app_calls, _ = quota.keys(order)
        redis_server.set(app_calls, int(settings.CALLS_PER_DAY * 0.8) - 1)
        run(tasks.query, order)

        try:
            with pytest.raises(quota.QuotaSpent, match="mini-program"):
                run(tasks.query, order)
            run(tasks.register, make_order())
        finally:
            redis_server.delete(app_calls)

        assert len(sent("query_trace")) == 1

    def test_spent_quota_of_a_customer(self, make_order, wechat, sent, redis_server):
        order, other = make_order(), make_order()
        run(tasks.register, order)
        run(tasks.register, other)
        redis_server.set(quota.keys(order)[1], settings.CALLS_PER_CUSTOMER)

        with pytest.raises(quota.QuotaSpent, match="customer"):
            run(tasks.query, order)
        run(tasks.query, other)

        assert len(sent("query_trace")) == 1


class TestPoll:
    def test_open_orders(self, make_order, wechat, sent, redis_server):
        """It registers a new order, queries a moving one and skips a signed one."""
        redis_server.delete("open")
        new, moving, arrived = make_order(), make_order(), make_order()
        run(tasks.register, moving)
        run(tasks.register, arrived)
        wechat.move(arrived.waybill_id, WaybillStatus.SIGNED)
        run(tasks.query, arrived)
        wechat.move(moving.waybill_id, WaybillStatus.IN_TRANSIT)

        tasks.poll.delay().get(timeout=PATIENCE)

        wait_for(lambda: now(new).waybill_token and now(moving).status == "2")
        assert len(sent("query_trace")) == 2

    def test_order_is_gone(self, make_order, wechat, redis_server):
        """It is dropped; the others are registered."""
        redis_server.delete("open")
        orders = [make_order() for _ in range(3)]
        gone = make_order()
        redis_server.delete(f"order:{gone.appid}:{gone.number}")

        tasks.poll.delay().get(timeout=PATIENCE)

        wait_for(lambda: all(now(order).waybill_token for order in orders))
        assert not redis_server.sismember("open", f"{gone.appid}/{gone.number}")


def test_schedule_names_tasks_that_exist():
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks


def test_results__no_personal_data(make_order, wechat, redis_server):
    order = make_order()
    result = tasks.register.delay(order.appid, order.number)
    result.get(timeout=PATIENCE)

    kept = redis_server.get(f"celery-task-meta-{result.id}")

    assert "SUCCESS" in kept
    assert order.openid not in kept
    assert now(order).waybill_token not in kept
