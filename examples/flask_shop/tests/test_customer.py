import pytest
import requests
import responses
from shop import shipping

from wxlogistics import WaybillStatus

from .conftest import STRANGER

WAYBILL_ID = "SF1234567890123"
CODE2SESSION = "https://api.weixin.qq.com/sns/jscode2session"


@pytest.fixture
def shipped(order):
    shipping.ship(order.id, WAYBILL_ID)
    return order


def test_order__owner(customer, shipped, wechat):
    wechat.move(WAYBILL_ID, WaybillStatus.OUT_FOR_DELIVERY)

    response = customer()(f"/api/orders/{shipped.id}")

    assert response.json == {
        "id": shipped.id,
        "goods": ["龙井茶"],
        "state": "shipped",
        "state_label": "已发货",
        "waybill_id": WAYBILL_ID,
        "waybill_token": shipped.waybill_token,
        "parcel_label": "派件中",
    }
    assert "no-store" in response.headers["Cache-Control"]


def test_order__other_customer(customer, shipped):
    stranger = customer(STRANGER)

    response = stranger(f"/api/orders/{shipped.id}")

    assert response.status_code == 404
    assert response.json == {"message": "没有找到这个订单。"}
    assert stranger("/api/orders").json == {"orders": []}


@pytest.mark.parametrize("order_id", [0, 2**31 - 1, 2**31, 2**63, 10**30])
def test_no_such_order(customer, shipped, order_id):
    response = customer()(f"/api/orders/{order_id}")

    assert response.status_code == 404
    assert response.json == {"message": "没有找到这个订单。"}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic eDp5"])
def test_order__logged_out(app, shipped, header):
    response = app.test_client().get(
        f"/api/orders/{shipped.id}", headers={"Authorization": header}
    )

    assert response.status_code == 401
    assert response.json == {"message": "请先登录。"}


def test_list_has_no_token(customer, shipped):
    [order] = customer()("/api/orders").json["orders"]

    assert order["id"] == shipped.id
    assert "waybill_token" not in order


def test_order_before_shipping(customer, order, sent):
    assert customer()(f"/api/orders/{order.id}").json["waybill_token"] == ""
    assert sent("query_trace") == []


def test_order__several_times(customer, shipped, sent):
    get = customer()

    for _ in range(5):
        get(f"/api/orders/{shipped.id}")

    assert len(sent("query_trace")) == 1


def test_order__signed(customer, shipped, wechat, sent):
    wechat.move(WAYBILL_ID, WaybillStatus.SIGNED)

    assert customer()(f"/api/orders/{shipped.id}").json["state_label"] == "已签收"


def test_order__exception(customer, shipped, wechat):
    wechat.move(WAYBILL_ID, WaybillStatus.EXCEPTION)

    customer()(f"/api/orders/{shipped.id}")

    assert "联系快递公司" in shipped.problem_label


@pytest.mark.parametrize(
    "fault", [{"errcode": 931023}, {"delay": 60}, {"status": 404}, {"errcode": 45009}]
)
def test_order__query_fails(customer, shipped, wechat, fault):
    wechat.fail("query_trace", times=None, **fault)

    response = customer()(f"/api/orders/{shipped.id}")

    assert response.json["waybill_token"] == shipped.waybill_token
    assert shipped.problem == ""


def test_login__code_of_wx_login(app, wechat):
    first, second = (
        app.test_client().post("/api/login", json={"code": wechat.js_code(STRANGER)})
        for _ in range(2)
    )

    assert first.status_code == second.status_code == 200
    assert first.json.keys() == {"session"}
    assert STRANGER not in first.text


@pytest.mark.parametrize(
    "reply",
    [
        {"json": []},
        {"body": "<html>"},
        {"body": requests.ConnectionError("no route to /?secret=…")},
    ],
)
def test_login__refused(app, wechat, caplog, reply):
    responses.get(CODE2SESSION, **reply)

    response = app.test_client().post("/api/login", json={"code": "old"})

    assert response.status_code == 403
    assert response.json == {"message": "微信登录失败，请重试。"}
    assert "secret" not in caplog.text


def test_login__wrong_code(app):
    assert app.test_client().post("/api/login", json={"code": "x"}).status_code == 403


@pytest.mark.parametrize("body", [{}, [], {"code": 1}, {"code": ""}])
def test_login__no_code(app, body):
    assert app.test_client().post("/api/login", json=body).status_code == 400
