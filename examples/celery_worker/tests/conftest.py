"""
A real Redis, a sandbox over HTTP and a real worker with four processes.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest

from wxlogistics.sandbox import Sandbox

HERE = Path(__file__).resolve().parent.parent


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# The program reads them at import.
REDIS_PORT, WECHAT_PORT = free_port(), free_port()
SANDBOX = Sandbox()
SETTINGS = {
    "REDIS_URL": f"redis://127.0.0.1:{REDIS_PORT}/0",
    "WXLOGISTICS_BASE_URL": f"http://127.0.0.1:{WECHAT_PORT}",
    "WXLOGISTICS_APPID": SANDBOX.appid,
    "WXLOGISTICS_SECRET": SANDBOX.secret,
    "WXLOGISTICS_COMPONENT_APPID": "wxc0ffee00c0ffee00",
    "WECHAT_DEADLINE": "2",
    "RETRY_AFTER": "0.05",
}
os.environ.update(SETTINGS)


def wait_for(condition, seconds=20):
    ends_at = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < ends_at, "timed out"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def redis_server():
    program = shutil.which("redis-server")
    if not program:
        reason = "no redis-server here: install Debian's package redis-server"
        if os.environ.get("WXLOGISTICS_REQUIRE_SERVERS"):
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [
                *(program, "--bind", "127.0.0.1", "--port", str(REDIS_PORT)),
                *("--save", "", "--appendonly", "no", "--dir", folder),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            from parcels.store import connection

            wait_for(lambda: answers(connection))
            yield connection
        finally:
            connection.close()
            server.terminate()
            server.wait()


def answers(connection):
    from redis.exceptions import ConnectionError

    try:
        return connection.ping()
    except ConnectionError:
        return False


@pytest.fixture(scope="session")
def worker(redis_server):
    """
    The worker; ``worker()`` returns its log.
    """
    with SANDBOX.serve(port=WECHAT_PORT), tempfile.NamedTemporaryFile() as log:
        command = "celery -A parcels worker --pool=prefork --concurrency=4 -l INFO"
        process = subprocess.Popen(
            [sys.executable, "-m", *command.split(), "--without-gossip"],
            cwd=HERE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

        def read():
            assert process.poll() is None
            return Path(log.name).read_text("utf-8")

        try:
            wait_for(lambda: " ready." in read())
            yield read
            for private in ("openid-of-customer", "13800138000", SANDBOX.secret):
                assert private not in read()
        finally:
            # A warm shutdown: running tasks finish.
            process.terminate()
            process.wait()


@pytest.fixture
def wechat(worker):
    SANDBOX.mend()
    return SANDBOX


@pytest.fixture
def sent(wechat):
    """
    Return a function for the bodies sent in this test: ``sent("trace_waybill")``.
    """
    before = max((call.number for call in wechat.calls), default=0)
    return lambda endpoint: [
        call.payload
        for call in wechat.calls
        if call.endpoint == endpoint and call.number > before
    ]


@pytest.fixture
def make_order(wechat):
    """
    Return a function that stores a shipped order of a new customer.
    """
    from parcels import store

    def make_order(appid=SANDBOX.appid, **fields):
        number = uuid.uuid4().hex[:8]
        defaults = {
            "openid": f"openid-of-customer-{number}-"[:28],
            "receiver_phone": "13800138000",
            "waybill_id": f"SF{number.upper()}",
            "goods": '[["龙井茶", "https://shop.example/tea.jpg"]]',
        }
        order = store.Order(appid=appid, number=number, **defaults | fields)
        store.add(order)
        return order

    return make_order
