from datetime import timedelta

import pytest
from shop import shipping
from shop.models import db, now

from wxlogistics import WaybillStatus


@pytest.fixture
def refresh(app):
    """
    Return a function that runs the command and returns its exit code and output.
    """

    def refresh(*arguments):
        result = app.test_cli_runner().invoke(args=["refresh-orders", *arguments])
        return result.exit_code, result.output

    return refresh


@pytest.fixture
def shipped(make_order):
    """
    Return a function that ships so many orders of one customer.
    """

    def shipped(count):
        orders = [make_order() for _ in range(count)]
        for number, order in enumerate(orders):
            shipping.ship(order.id, f"SF100{number}")
        return orders

    return shipped


def test_parcels_are_brought_up_to_date(refresh, shipped, wechat):
    orders = shipped(3)
    wechat.move("SF1001", WaybillStatus.IN_TRANSIT)
    wechat.move("SF1002", WaybillStatus.SIGNED_BY_PROXY)

    assert refresh() == (0, "成功 3 个，未成功 0 个，调用微信 3 次。\n")
    assert [(order.state, order.parcel_status) for order in orders] == [
        ("shipped", 0),
        ("shipped", 2),
        ("signed", 6),
    ]


def test_second_run_asks_nothing(refresh, shipped):
    shipped(2)
    refresh()

    assert "调用微信 0 次" in refresh()[1]


def test_max_calls__longest_wait_first(refresh, shipped, wechat, sent):
    first, second, third = shipped(3)
    first.checked_at = now() - timedelta(hours=3)
    third.checked_at = now() - timedelta(hours=4)
    db.session.commit()
    wechat.fail("query_trace", errcode=-1, times=None)

    refresh("--max-calls=2")

    asked = {payload["waybill_token"] for payload in sent("query_trace")}
    assert asked == {second.waybill_token, third.waybill_token}
    assert len(sent("query_trace")) == 2


def test_missed_registration(refresh, shipped, wechat):
    wechat.fail("trace_waybill", errcode=931023)
    [order] = shipped(1)
    assert order.waybill_token == ""

    refresh()

    assert len(order.waybill_token) == 64
    assert order.problem == ""


def test_unknown_parcel__first_day_and_later(refresh, shipped, wechat):
    young, old = shipped(2)
    old.shipped_at = now() - timedelta(hours=25)
    db.session.commit()
    wechat.fail("query_trace", errcode=931023, times=None)

    assert "未成功 2 个" in refresh()[1]
    assert young.problem == ""
    assert "核对运单号" in old.problem_label


@pytest.mark.parametrize(
    ("errcode", "text"), [(45009, "次数暂时用完"), (48001, "配置有误")]
)
def test_account_error__ends_the_run(refresh, shipped, wechat, sent, errcode, text):
    shipped(30)
    wechat.fail("query_trace", errcode=errcode, times=None)

    code, said = refresh("--workers=1")

    assert code == 1
    assert text in said
    assert len(sent("query_trace")) < 10


def test_no_credentials__no_orders(app, refresh):
    app.config["WXLOGISTICS_SECRET"] = ""

    assert refresh() == (0, "成功 0 个，未成功 0 个，调用微信 0 次。\n")


def test_init_db__twice(app):
    for _ in range(2):
        assert app.test_cli_runner().invoke(args=["init-db"]).exit_code == 0
