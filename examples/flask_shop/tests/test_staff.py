import logging
import threading

import pytest
from shop import shipping
from shop.models import db
from shop.wechat import make_client

from .conftest import OPENID, PHONE

WAYBILL_ID = "SF1234567890123"


@pytest.fixture
def press(staff):
    """
    Return a function that presses a button and returns the page that follows.
    """

    def press(button, order, **form):
        page = staff.post(
            f"/staff/orders/{order.id}/{button}", data=form, follow_redirects=True
        )
        return page.text

    return press


def test_ship(press, order, sent):
    said = press("ship", order, waybill_id=f" {WAYBILL_ID} ", delivery_id="SF")

    assert "已发货，微信开始跟踪物流" in said
    assert order.state == "shipped"
    assert len(order.waybill_token) == 64
    assert sent("trace_waybill") == [
        {
            "openid": OPENID,
            "waybill_id": WAYBILL_ID,
            "receiver_phone": PHONE,
            "goods_info": {
                "detail_list": [
                    {
                        "goods_name": "龙井茶",
                        "goods_img_url": "https://shop.example/%E8%8C%B6.jpg",
                    }
                ]
            },
            "delivery_id": "SF",
            "order_detail_path": f"pages/order/order?id={order.id}",
        }
    ]


def test_ship__second_click(press, order, sent):
    press("ship", order, waybill_id=WAYBILL_ID)

    assert "已经发过货了" in press("ship", order, waybill_id="YTO9999999")
    assert order.waybill_id == WAYBILL_ID
    assert len(sent("trace_waybill")) == 1


def test_ship__many_clicks_at_once(app, order, sent):
    order_id = order.id
    db.session.commit()
    barrier = threading.Barrier(6)
    outcomes = []

    def click():
        with app.app_context():
            barrier.wait()
            outcomes.append(shipping.ship(order_id, WAYBILL_ID))

    threads = [threading.Thread(target=click) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [False] * 5 + [True]
    assert len(sent("trace_waybill")) == 1


@pytest.mark.parametrize("waybill_id", ["", "1", "SF 123456", "运单"])
def test_ship__no_waybill(press, order, sent, waybill_id):
    assert "请填写正确的运单号" in press("ship", order, waybill_id=waybill_id)
    assert order.state == "paid"
    assert sent("trace_waybill") == []


@pytest.mark.parametrize("button", ["ship", "goods"])
@pytest.mark.parametrize("order_id", [2**31 - 1, 2**31, 2**63])
def test_no_such_order(staff, button, order_id):
    assert staff.post(f"/staff/orders/{order_id}/{button}").status_code == 404


@pytest.mark.parametrize(
    ("errcode", "text"),
    [
        (931023, "揽收后几小时"),
        (40003, "联系技术人员"),
        (45009, "次数暂时用完"),
        (48001, "配置有误"),
        (9300561, "商品图片"),
        (12345, "错误码 12345"),
    ],
)
def test_ship__refused(press, order, wechat, errcode, text):
    wechat.fail("trace_waybill", errcode=errcode)

    said = press("ship", order, waybill_id=WAYBILL_ID)

    assert "已发货，但还没有传运单" in said
    assert text in said
    assert order.state == "shipped"
    assert order.waybill_token == ""


def test_register__after_a_failure(order, press, wechat):
    wechat.fail("trace_waybill", status=500)
    assert "连不上微信" in press("ship", order, waybill_id=WAYBILL_ID)

    shipping.register(order.id)

    assert len(order.waybill_token) == 64
    assert order.problem == ""


def test_goods(press, order, wechat):
    assert "还没有传运单" in press("goods", order)
    press("ship", order, waybill_id=WAYBILL_ID)

    order.goods = [{"name": "碧螺春", "image_url": ""}]
    db.session.commit()

    assert "已更新" in press("goods", order)
    [detail] = wechat.client.query_trace(order.waybill_token).goods
    assert detail.goods_name == "碧螺春"


def test_goods__limit(press, order, wechat):
    press("ship", order, waybill_id=WAYBILL_ID)
    wechat.fail("update_waybill_goods", errcode=9300560)

    assert "修改次数已用完" in press("goods", order)


def test_goods__lost_answer_is_looked_up(press, order, wechat, sent):
    press("ship", order, waybill_id=WAYBILL_ID)
    wechat.fail("update_waybill_goods", drop=True)

    assert "已更新" in press("goods", order)
    assert len(sent("update_waybill_goods")) == 1


def test_carriers__are_asked_for_once(staff, sent):
    for _ in range(3):
        assert 'value="SF"' in staff.get("/staff/").text
    assert len(sent("get_delivery_list")) == 1


def test_carriers__wechat_is_away(staff, order, wechat):
    wechat.fail("get_delivery_list", errcode=48001)

    assert "龙井茶" in staff.get("/staff/").text


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("en-US,en;q=0.9", ["Orders", "shipped", "not collected", "waybill number"]),
        ("zh-CN,zh;q=0.9", ["订单", "已发货", "运单不存在或者未揽收", "运单号"]),
        ("fr", ["订单", "已发货", "运单不存在或者未揽收", "运单号"]),
    ],
)
def test_pages__language_of_the_browser(app, staff, make_order, header, words):
    make_order()
    shipping.ship(make_order().id, WAYBILL_ID)
    app.test_cli_runner().invoke(args=["refresh-orders"])

    page = staff.get("/staff/", headers={"Accept-Language": header})

    assert [word for word in words if word not in page.text] == []
    assert "Accept-Language" in page.vary


@pytest.mark.parametrize(
    ("header", "text"), [("en", "(errcode 48001)"), ("zh", "（错误码 48001）")]
)
def test_problem__language_of_the_browser(press, staff, order, wechat, header, text):
    wechat.fail("trace_waybill", errcode=48001)
    press("ship", order, waybill_id=WAYBILL_ID)

    assert text in staff.get("/staff/", headers={"Accept-Language": header}).text


def test_no_credentials(app, press, staff, order):
    app.config["WXLOGISTICS_SECRET"] = ""

    assert staff.get("/staff/").status_code == 200
    assert "配置有误" in press("ship", order, waybill_id=WAYBILL_ID)


def test_logout(staff):
    staff.post("/staff/logout")

    assert staff.get("/staff/").location == "/staff/login"


def test_login(app, order):
    browser = app.test_client()

    assert browser.get("/staff/").location == "/staff/login"
    assert browser.post(f"/staff/orders/{order.id}/ship").location == "/staff/login"
    wrong = browser.post("/staff/login", data={"password": "wrong"})
    assert "密码不对" in wrong.text


def test_login__no_password_set(app):
    app.config["STAFF_PASSWORD"] = ""

    app.test_client().post("/staff/login", data={"password": ""})

    assert app.test_client().get("/staff/").location == "/staff/login"


def test_forms_need_the_pages_own_token(app, staff, order):
    app.config["WTF_CSRF_ENABLED"] = True

    response = staff.post(f"/staff/orders/{order.id}/ship", data={"waybill_id": "SF12"})

    assert response.status_code == 400
    assert "csrf_token" in staff.get("/staff/").text


def test_nothing_private_is_logged(press, order, wechat, caplog):
    caplog.set_level(logging.DEBUG)
    wechat.fail("trace_waybill", errcode=9300534, errmsg=f"no {OPENID} {PHONE}")

    press("ship", order, waybill_id=WAYBILL_ID)

    assert "9300534" in caplog.text
    for private in (OPENID, PHONE, wechat.secret, wechat.access_token()):
        assert private not in caplog.text


def test_processes_share_one_token(app, press, order, sent):
    press("ship", order, waybill_id=WAYBILL_ID)

    # As another process: only the cache is shared.
    make_client(app).query_trace(order.waybill_token)

    assert len(sent("stable_token")) == 1
