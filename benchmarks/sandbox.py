"""How many calls a second the sandbox's HTTP door answers, on one core.

Run as: python -m benchmarks.sandbox WAYBILLS
It serves a world with so many waybills, and is used by `calls_per_second`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Iterator
from urllib.parse import urlsplit

_PATH = "/cgi-bin/express/delivery/open_msg/"

#: So many waybills of the world are asked about, at most.
_ASKED = 1000


def calls_per_second(waybills: int, *, clients: int, seconds: float) -> float:
    """
    Return the queries a second, with so many waybills in the world.
    """
    with _running(waybills) as said:
        place = urlsplit(said["url"])
        asks = [
            (
                f"POST {_PATH}query_trace?access_token={said['access_token']} HTTP/1.1"
                f"\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
            for token in said["tokens"]
            for body in (json.dumps({"waybill_token": token}),)
        ]
        done: list[int] = []
        began = time.perf_counter()

        def work(number: int) -> None:
            count = number
            with socket.create_connection((place.hostname, place.port)) as sock:
                while time.perf_counter() < began + seconds:
                    sock.sendall(asks[count % len(asks)])
                    answer = sock.recv(65536)
                    # The head and the short body may come one by one.
                    while not answer.endswith(b"}"):
                        answer += sock.recv(65536)
                    assert b'"errcode":0' in answer.replace(b" ", b""), answer
                    count += 1
            done.append(count - number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == clients
        return sum(done) / (time.perf_counter() - began)


@contextlib.contextmanager
def _running(waybills: int) -> Iterator[dict[str, str]]:
    """
    Run the server in a process of its own, and yield what it prints.
    """
    command = [sys.executable, "-m", "benchmarks.sandbox", str(waybills)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


def main(waybills: int) -> None:
    """
    Serve until the last client has left.
    """
    from wxlogistics.sandbox import Sandbox, wire

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sandbox = Sandbox(user_daily_limit=10**9, appid_daily_limit=10**9)
    access_token = sandbox.access_token()
    openid = sandbox.add_user()
    tokens = []
    for number in range(waybills):
        payload = {
            "openid": openid,
            "waybill_id": f"SF{number:013d}",
            "receiver_phone": "13800138000",
            "goods_info": {
                "detail_list": [{"goods_name": "龙井茶", "goods_img_url": "www.qq.com"}]
            },
        }
        request = wire.HttpRequest(
            "POST",
            f"{_PATH}trace_waybill",
            f"access_token={access_token}",
            {"content-type": "application/json"},
            json.dumps(payload, ensure_ascii=False).encode(),
        )
        answer = wire.answer(sandbox.world, request)
        tokens.append(json.loads(answer.body)["waybill_token"])
    step = max(waybills // _ASKED, 1)
    with sandbox.serve() as server:
        said = {
            "url": server.url,
            "access_token": access_token,
            "tokens": tokens[::step],
        }
        print(json.dumps(said), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
