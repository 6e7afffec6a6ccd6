#!/usr/bin/env python
"""
Run the shop on this machine against a sandbox in place of WeChat.

The database is new each time and removed at the end. Each mini-program logs in as the
demo customer. In the sandbox an hour passes every six seconds, so that parcels move.
"""

import argparse
import os
import secrets
import signal
import sys
import tempfile
import threading
import time

from shop import create_app, shipping
from shop.models import Customer, Order, db
from werkzeug.serving import make_server

from wxlogistics.sandbox import Clock, Sandbox

CUSTOMER = "oDEMO-customer-of-this-shop0"
OTHER_CUSTOMER = "oDEMO-another-customer-here0"


def make_orders():
    """
    Create a shipped order, an order to be shipped, and one of another customer.
    """
    customer, other = Customer(openid=CUSTOMER), Customer(openid=OTHER_CUSTOMER)
    for owner, name in [
        (customer, "龙井茶 Longjing tea"),
        (customer, "青花瓷茶杯 Porcelain cup"),
        (other, "竹制茶盘 Bamboo tray"),
    ]:
        goods = [{"name": name, "image_url": "https://shop.example/龙井.jpg"}]
        db.session.add(Order(customer=owner, receiver_phone="13800138000", goods=goods))
        db.session.commit()
    shipping.ship(1, "SF1000000000001", "SF")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", 5000))
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sandbox = Sandbox(clock=Clock(speed=600))
    password = secrets.token_hex(6)
    with tempfile.TemporaryDirectory() as folder, sandbox.serve() as wechat:
        app = create_app(
            {
                "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/demo.sqlite3",
                "REDIS_URL": "",
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
        print(f"Sandbox console 沙箱控制台: {wechat.url}/")
        print(f"Staff 后台: {url}/staff/  password 密码: {password}")
        print(f"Mini-program API 小程序接口: {url}/api", flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        refresh = ["refresh-orders", "--min-age=0"]
        try:
            # As cron would, but more often: parcels move fast here.
            while True:
                time.sleep(15)
                print(app.test_cli_runner().invoke(args=refresh).output, end="")
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
