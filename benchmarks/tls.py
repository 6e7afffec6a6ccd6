"""How many TLS handshakes the calls of many threads take."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from wxlogistics import Client

from . import stub_server


def handshakes(*, threads: int, calls: int) -> int:
    """
    Return how many handshakes a server counts for so many calls, by so many threads
    over one client.
    """
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    count = 0

    class Connection(stub_server._Connection):
        # asyncio calls this when the handshake is done.
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal count
            count += 1
            super().connection_made(transport)

    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()

    async def listen() -> int:
        server = await loop.create_server(
            lambda: Connection(0), "127.0.0.1", 0, ssl=context
        )
        port: int = server.sockets[0].getsockname()[1]
        return port

    try:
        port = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / "authority.pem"
            authority.cert_pem.write_to_path(str(bundle))
            trust = {"REQUESTS_CA_BUNDLE": str(bundle)}
            url = f"https://127.0.0.1:{port}"
            with mock.patch.dict(os.environ, trust), Client(
                "T", base_url=url
            ) as client:
                all_there = threading.Barrier(threads)

                def work(number: int) -> None:
                    all_there.wait()
                    for _ in range(calls // threads + (number < calls % threads)):
                        client.query_trace("T" * 64)

                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(work, range(threads)))
        return count
    finally:
        loop.call_soon_threadsafe(loop.stop)
        runner.join()
        loop.close()
