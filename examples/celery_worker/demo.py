#!/usr/bin/env python
"""
Show three parcels from the shop to the door, on this machine.

Starts a Redis, a sandbox in place of WeChat and a worker with four processes, and stops
them at the end.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wxlogistics import WaybillStatus
from wxlogistics.sandbox import Sandbox

HERE = Path(__file__).resolve().parent

ROUTE = [
    WaybillStatus.COLLECTED,
    WaybillStatus.IN_TRANSIT,
    WaybillStatus.OUT_FOR_DELIVERY,
    WaybillStatus.SIGNED,
]


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main():
    redis_server = shutil.which("redis-server")
    if not redis_server:
        sys.exit("Install redis-server first 请先安装: apt install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    sandbox = Sandbox()
    with contextlib.ExitStack() as stack:
        wechat = stack.enter_context(sandbox.serve())
        os.environ.update(
            REDIS_URL=f"redis://127.0.0.1:{port}/0",
            WXLOGISTICS_APPID=sandbox.appid,
            WXLOGISTICS_SECRET=sandbox.secret,
            WXLOGISTICS_BASE_URL=wechat.url,
        )
        print(f"Sandbox console 沙箱控制台: {wechat.url}/", flush=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(open(f"{folder}/log", "w"))
        quiet = {"cwd": folder, "stdout": log, "stderr": log}
        redis = [redis_server, "--bind", "127.0.0.1", "--port", port, "--save", ""]
        stack.enter_context(running(redis, **quiet))
        # Celery waits until Redis answers.
        worker = "-m celery -A parcels worker --concurrency=4 --loglevel=INFO"
        stack.enter_context(
            running([sys.executable, *worker.split()], **quiet | {"cwd": HERE})
        )
        show(sandbox)
        if sys.stdin.isatty():
            input("Look at the console; Enter ends the demo 按回车结束 ")


def show(sandbox):
    # The environment is read at import.
    from parcels import store, tasks

    orders = [
        store.Order(
            appid=sandbox.appid,
            number=str(number),
            openid="oDEMO-customer-of-this-shop0",
            receiver_phone="13800138000",
            waybill_id=waybill_id,
            goods='[["龙井茶 Longjing tea", "https://shop.example/tea.jpg"]]',
        )
        for number, waybill_id in enumerate(["SF1000001", "YTO2000002", "ZTO3"], 1)
    ]
    wait_for_redis(store.connection)
    for order in orders:
        store.add(order)
    registrations = [tasks.register.delay(o.appid, o.number) for o in orders]
    for order, registration in zip(orders, registrations):
        registration.get(timeout=60)
        print(f"Order 订单 {order.number}: {order.waybill_id}", flush=True)
    for status in ROUTE:
        for order in orders:
            sandbox.move(order.waybill_id, status)
        results = [tasks.query.delay(order.appid, order.number) for order in orders]
        for order, result in zip(orders, results):
            status = result.get(timeout=60).status
            words = f"{status.name.replace('_', ' ').lower()} {status.label}"
            print(f"Order 订单 {order.number}: {words}", flush=True)
    print(f"Open orders 未完成的订单: {len(list(store.open_orders()))}")


def wait_for_redis(connection):
    from redis.exceptions import ConnectionError

    for _ in range(100):
        with contextlib.suppress(ConnectionError):
            return connection.ping()
        time.sleep(0.1)
    sys.exit("redis-server did not start 没有启动")


if __name__ == "__main__":
    main()
