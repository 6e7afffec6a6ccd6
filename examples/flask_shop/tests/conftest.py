import os

import pytest
from shop import create_app
from shop.models import Customer, Order, db

OPENID = "oTEST-customer-of-this-shop0"
STRANGER = "oTEST-another-customer-here0"
PHONE = "13800138000"


@pytest.fixture
def app(wechat, tmp_path, monkeypatch):
    """
    The shop, in Chinese, with a sandbox in place of WeChat and a new database.
    """
    monkeypatch.setattr("shop.words.DEFAULT", "zh")
    app = create_app(
        {
            "TESTING": True,
            "WTF_CSRF_ENABLED": False,
            "SQLALCHEMY_DATABASE_URI": os.environ.get("DATABASE_URL")
            or f"sqlite:///{tmp_path}/shop.sqlite3",
            "CACHE_DIR": tmp_path / "cache",
            "STAFF_PASSWORD": "of the tests",
            "WXLOGISTICS_APPID": wechat.appid,
            "WXLOGISTICS_SECRET": wechat.secret,
        }
    )
    with app.app_context():
        db.create_all()
        try:
            yield app
        finally:
            db.session.remove()
            db.drop_all()
            db.engine.dispose()


@pytest.fixture
def make_order(app):
    """
    Return a function that creates an order of one customer.
    """
    customer = Customer(openid=OPENID)

    def make_order():
        order = Order(
            customer=customer,
            receiver_phone=PHONE,
            goods=[{"name": "龙井茶", "image_url": "https://shop.example/茶.jpg"}],
        )
        db.session.add(order)
        db.session.commit()
        return order

    return make_order


@pytest.fixture
def order(make_order):
    return make_order()


@pytest.fixture
def staff(app):
    """
    A browser with the staff logged in.
    """
    browser = app.test_client()
    browser.post("/staff/login", data={"password": "of the tests"})
    return browser


@pytest.fixture
def customer(app, wechat):
    """
    Return a function that logs a customer in: ``customer(openid)("/api/orders")``.
    """

    def log_in(openid=OPENID):
        browser = app.test_client()
        login = {"code": wechat.js_code(openid)}
        session = browser.post("/api/login", json=login).json["session"]
        headers = {"Authorization": f"Bearer {session}"}
        return lambda path: browser.get(path, headers=headers)

    return log_in


@pytest.fixture
def sent(wechat):
    """
    Return a function for the bodies sent to WeChat: ``sent("trace_waybill")``.
    """
    return lambda endpoint: [
        call.payload for call in wechat.calls if call.endpoint == endpoint
    ]
