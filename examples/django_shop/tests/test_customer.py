"""
The customer's pages, tested with the fixture `wechat`: the sandbox.
"""

import pytest
from orders import shipping
from orders.models import Order

from wxlogistics import WaybillStatus

pytestmark = pytest.mark.django_db


@pytest.fixture
def shipped(order, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert shipping.ship(order.pk)
    order.refresh_from_db()
    return order


def test_order__owner(client, customer, shipped, wechat):
    wechat.move(shipped.waybill_id, WaybillStatus.IN_TRANSIT)
    client.force_login(customer)

    response = client.get(f"/orders/{shipped.pk}/")

    assert response.json() == {
        "id": shipped.pk,
        "state": "shipped",
        "state_label": "已发货",
        "waybill_id": shipped.waybill_id,
        "waybill_token": shipped.waybill_token,
        "parcel_label": "运输中",
    }
    assert "no-store" in response["Cache-Control"]


def test_parcel_signed_while_the_owner_looks(client, customer, shipped, wechat):
    wechat.move(shipped.waybill_id, WaybillStatus.SIGNED)
    client.force_login(customer)

    assert client.get(f"/orders/{shipped.pk}/").json()["state_label"] == "已签收"


def test_order__other_customer(client, django_user_model, shipped):
    client.force_login(django_user_model.objects.create_user("stranger"))

    response = client.get(f"/orders/{shipped.pk}/")

    assert response.status_code == 404
    assert shipped.waybill_token not in response.content.decode()


def test_order__logged_out(client, shipped):
    assert client.get(f"/orders/{shipped.pk}/").status_code == 401


def test_order_before_shipping(client, customer, order, wechat):
    client.force_login(customer)

    assert client.get(f"/orders/{order.pk}/").json()["waybill_token"] == ""
    assert wechat.calls == []


def test_wechat_out_of_reach(client, customer, shipped, wechat):
    wechat.fail("query_trace", delay=30, times=None)
    client.force_login(customer)

    response = client.get(f"/orders/{shipped.pk}/")

    assert response.json()["waybill_token"] == shipped.waybill_token


def test_list_of_orders(client, customer, order):
    client.force_login(customer)

    assert f"订单 {order.pk}" in client.get("/").content.decode()
    client.logout()
    assert client.get("/").status_code == 302


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("en-US,en;q=0.9", ["My orders", "Order", "shipped", "in transit"]),
        ("zh-CN,zh;q=0.9", ["我的订单", "订单", "已发货", "运输中"]),
    ],
)
def test_pages__language_of_the_browser(client, customer, shipped, header, words):
    Order.objects.update(parcel_status=WaybillStatus.IN_TRANSIT)
    client.force_login(customer)

    page = client.get("/", headers={"Accept-Language": header}).content.decode()

    assert [word for word in words if word not in page] == []


def test_check_warns_of_a_missing_secret(settings):
    from django.core.checks import run_checks

    assert run_checks() == []
    settings.WXLOGISTICS_SECRET = ""
    assert [message.id for message in run_checks()] == ["orders.W001"]


def test_migrations_are_complete():
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
