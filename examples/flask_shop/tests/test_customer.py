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


def test_owner_gets_token_and_status(customer, shipped, wechat):
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


def test_stranger_gets_nothing(customer, shipped):
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
def test_nobody_gets_nothing(app, shipped, header):
    response = app.test_client().get(
        f"/api/orders/{shipped.id}", headers={"Authorization": header}
    )

    assert response.status_code == 401
    assert response.json == {"message": "请先登录。"}


def test_list_has_no_token(customer, shipped):
    [order] = customer()("/api/orders").json["orders"]

    assert order["id"] == shipped.id
    assert "waybill_token" not in order


def test_order_before_shipping(customer, order, wechat):
    assert customer()(f"/api/orders/{order.id}").json["waybill_token"] == ""
    assert wechat.calls == []


def test_pulling_to_refresh_costs_one_call(customer, shipped, sent):
    get = customer()

    for _ in range(5):
        get(f"/api/orders/{shipped.id}")

    assert len(sent("query_trace")) == 1


def test_signed_parcel_ends_the_order(customer, shipped, wechat, sent):
    wechat.move(WAYBILL_ID, WaybillStatus.SIGNED)

    assert customer()(f"/api/orders/{shipped.id}").json["state_label"] == "已签收"


def test_exception_is_the_staffs(customer, shipped, wechat):
    wechat.move(WAYBILL_ID, WaybillStatus.EXCEPTION)

    customer()(f"/api/orders/{shipped.id}")

    assert "联系快递公司" in shipped.problem_label


@pytest.mark.parametrize(
    "fault", [{"errcode": 931023}, {"delay": 60}, {"status": 404}, {"errcode": 45009}]
)
def test_failure_leaves_what_is_known(customer, shipped, wechat, fault):
    wechat.fail("query_trace", times=None, **fault)

    response = customer()(f"/api/orders/{shipped.id}")

    assert response.json["waybill_token"] == shipped.waybill_token
    assert shipped.problem == ""


def test_login__asks_wechat(app, wechat):
    responses.get(
        CODE2SESSION,
        json={"openid": STRANGER, "session_key": "key"},
        match=[
            responses.matchers.query_param_matcher(
                {
                    "appid": wechat.appid,
                    "secret": wechat.secret,
                    "js_code": "the code",
                    "grant_type": "authorization_code",
                }
            )
        ],
    )

    first = app.test_client().post("/api/login", json={"code": "the code"})
    second = app.test_client().post("/api/login", json={"code": "the code"})

    assert first.status_code == second.status_code == 200
    assert STRANGER not in first.text
    assert "key" not in first.json


@pytest.mark.parametrize(
    "reply",
    [
        {"json": {"errcode": 40029, "errmsg": "invalid code"}},
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


@pytest.mark.parametrize("body", [{}, [], {"code": 1}, {"code": ""}])
def test_login__no_code(app, body):
    assert app.test_client().post("/api/login", json=body).status_code == 400
