#!/usr/bin/env python
"""
Run the shop on this machine against a sandbox in place of WeChat.

The database is new each time and gone at the end. Whoever logs in from a mini-program
is the one demo customer. In the sandbox an hour passes every few seconds, so that
parcels are seen to move.
"""

import argparse
import secrets
import signal
import sys
import tempfile

from shop import create_app, shipping
from shop.models import Customer, Order, db
from werkzeug.serving import make_server

from wxlogistics.sandbox import Clock, Sandbox

CUSTOMER = "oDEMO-customer-of-this-shop0"
SOMEBODY_ELSE = "oDEMO-somebody-else-whoever0"


def make_orders():
    """
    One order on its way, one to be shipped, one of somebody else's.
    """
    customer, other = Customer(openid=CUSTOMER), Customer(openid=SOMEBODY_ELSE)
    for owner, name in [
        (customer, "龙井茶 250 克"),
        (customer, "青花瓷茶杯"),
        (other, "竹制茶盘"),
    ]:
        goods = [{"name": name, "image_url": "https://shop.example/龙井.jpg"}]
        db.session.add(Order(customer=owner, receiver_phone="13800138000", goods=goods))
        db.session.commit()
    shipping.ship(1, "SF1000000000001", "SF")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="0: any free one")
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sandbox = Sandbox(clock=Clock(speed=600))
    password = secrets.token_hex(6)
    with tempfile.TemporaryDirectory() as folder, sandbox.serve() as wechat:
        app = create_app(
            {
                "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/demo.sqlite3",
                "CACHE_DIR": f"{folder}/cache",
                "STAFF_PASSWORD": password,
                "WXLOGISTICS_APPID": sandbox.appid,
                "WXLOGISTICS_SECRET": sandbox.secret,
                "WXLOGISTICS_BASE_URL": wechat.url,
                "OPENID_FOR_CODE": lambda code: CUSTOMER,
            }
        )
        with app.app_context():
            db.create_all()
            make_orders()
        server = make_server("127.0.0.1", port, app, threaded=True)
        url = f"http://127.0.0.1:{server.server_port}"
        print(f"沙箱控制台：{wechat.url}/")
        print(f"后台：{url}/staff/ 密码：{password}")
        print(f"小程序接口：{url}/api", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
