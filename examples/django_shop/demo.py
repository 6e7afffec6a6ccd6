#!/usr/bin/env python
"""
Run the shop on this machine against a sandbox in place of WeChat.

The database is new each time and removed at the end. In the sandbox an hour passes
every six seconds, so that parcels move.
"""

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from wxlogistics.sandbox import Clock, Sandbox

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", 8000))
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sandbox = Sandbox(clock=Clock(speed=600))
    password = secrets.token_hex(6)
    with tempfile.TemporaryDirectory() as folder, sandbox.serve() as wechat:
        environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{folder}/demo.sqlite3",
            "REDIS_URL": "",
            "DJANGO_DEBUG": "1",
            "DEMO_PASSWORD": password,
            "WXLOGISTICS_APPID": sandbox.appid,
            "WXLOGISTICS_SECRET": sandbox.secret,
            "WXLOGISTICS_BASE_URL": wechat.url,
        }

        def manage(*arguments):
            command = [sys.executable, "manage.py", *arguments]
            return subprocess.Popen(command, cwd=HERE, env=environment)

        for arguments in (["migrate", "--verbosity=0"], ["demo_data"]):
            if manage(*arguments).wait():
                return 1
        print(f"Sandbox console 沙箱控制台: {wechat.url}/")
        print(f"Admin 后台: http://127.0.0.1:{port}/admin/  user 用户名: staff")
        print(f"Customer 顾客: http://127.0.0.1:{port}/  user 用户名: customer")
        print(f"Password of both 密码: {password}", flush=True)
        server = manage("runserver", "--noreload", f"127.0.0.1:{port}")
        try:
            # As cron would, but more often: parcels move fast here.
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return server.wait(15)
                manage("refresh_orders", "--min-age=0").wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
