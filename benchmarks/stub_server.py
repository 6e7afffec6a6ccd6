"""A stub of WeChat that answers every call after a set time, and fast.

It knows no rules: every token is good, every waybill is on its way. What it costs is
some 30 microseconds a call, so that a benchmark measures the client and not the server.

Run as: python benchmarks/stub_server.py [--port PORT] [--delay MILLISECONDS]
It prints its URL, and serves until it is stopped. In a benchmark:

    with stub_server.running(delay=40) as url:
        client = Client("ACCESS_TOKEN", base_url=url)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
from typing import Any, Iterator

_REPLIES: dict[str, dict[str, Any]] = {
    "query_trace": {
        "errcode": 0,
        "errmsg": "ok",
        "waybill_info": {"status": 2, "waybill_id": "SF1234567890123"},
        "shop_info": {
            "goods_info": {
                "detail_list": [{"goods_name": "龙井茶", "goods_img_url": "www.qq.com"}]
            }
        },
        "delivery_info": {"delivery_id": "SF", "delivery_name": "顺丰速运"},
    },
    "trace_waybill": {"errcode": 0, "errmsg": "ok", "waybill_token": "T" * 64},
    "update_waybill_goods": {"errcode": 0, "errmsg": "ok"},
    "get_delivery_list": {
        "errcode": 0,
        "delivery_list": [
            {"delivery_id": f"SF{number}", "delivery_name": f"顺丰速运{number}"}
            for number in range(1500)
        ],
        "count": 1500,
    },
    "query_follow_trace": {},
    "follow_waybill": {},
    "update_follow_waybill_goods": {},
    "stable_token": {"access_token": "A" * 136, "expires_in": 7200},
}
_REPLIES["query_follow_trace"] = _REPLIES["query_trace"]
_REPLIES["follow_waybill"] = _REPLIES["trace_waybill"]
_REPLIES["update_follow_waybill_goods"] = _REPLIES["update_waybill_goods"]

_UNKNOWN = {"errcode": 40066, "errmsg": "invalid url rid: 661633da-30391928-0300468b"}


def _http(reply: dict[str, Any]) -> bytes:
    body = json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode()
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/json; encoding=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_ANSWERS = {name.encode(): _http(reply) for name, reply in _REPLIES.items()}
_OTHER = _http(_UNKNOWN)
_ENDPOINT = re.compile(rb"[A-Z]+ [^ ?]*/([a-z_]+)[ ?]")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """
    One keep-alive connection, whose requests are answered in order.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head + 2)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            endpoint = _ENDPOINT.match(self._buffer)
            answer = _ANSWERS.get(endpoint[1], _OTHER) if endpoint else _OTHER
            self._buffer = self._buffer[end:]
            if self._delay:
                self._loop.call_later(self._delay, self._answer, answer)
            else:
                self._answer(answer)

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(delay), "127.0.0.1", port, backlog=512
    )
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(delay: float = 0.0) -> Iterator[str]:
    """
    Run a stub in a process of its own, and give its URL.

    Args:
        delay: Milliseconds until an answer goes out.
    """
    command = [sys.executable, __file__, "--delay", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """
    Serve until stopped.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument(
        "--delay", type=float, default=0.0, help="milliseconds; default: 0"
    )
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.port, options.delay / 1000))


if __name__ == "__main__":
    main()
