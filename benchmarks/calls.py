"""What one call costs, beside the same call by other means."""

from __future__ import annotations

import gc
import http.client
import importlib.util
import json
import socket
import statistics
import threading
import time
from typing import Any, Callable
from urllib.parse import urlsplit

from wxlogistics import Client

TOKEN = "84_" + "A" * 133
WAYBILL_TOKEN = "T" * 64
PATH = "/cgi-bin/express/delivery/open_msg/"
HEADERS = {"Content-Type": "application/json"}

#: A contender's name; what to import for it; and how, from a URL, an endpoint and a
#: payload, to make a function that makes one call.
Make = Callable[[str, str, Any], Callable[[], object]]


def _target(endpoint: str) -> str:
    return f"{PATH}{endpoint}?access_token={TOKEN}"


def _wxlogistics(url: str, endpoint: str, payload: Any) -> Callable[[], object]:
    client = Client(TOKEN, base_url=url)
    if endpoint == "query_trace":
        return lambda: client.query_trace(payload["waybill_token"])
    return client.get_delivery_list


def _urllib3(url: str, endpoint: str, payload: Any) -> Callable[[], object]:
    import urllib3

    manager = urllib3.PoolManager(maxsize=64)
    target = url + _target(endpoint)

    def call() -> object:
        body = json.dumps(payload).encode()
        answer = manager.request("POST", target, body=body, headers=HEADERS)
        return json.loads(answer.data)

    return call


def _requests(url: str, endpoint: str, payload: Any) -> Callable[[], object]:
    import requests

    session = requests.Session()
    target = url + PATH + endpoint
    query = {"access_token": TOKEN}
    return lambda: session.post(target, params=query, json=payload).json()


def _wechatpy(url: str, endpoint: str, payload: Any) -> Callable[[], object]:
    from wechatpy import WeChatClient

    client = WeChatClient("wx1", "secret", access_token=TOKEN)
    target = url + PATH + endpoint
    return lambda: client.post(target, data=payload)


def _httpx(url: str, endpoint: str, payload: Any) -> Callable[[], object]:
    import httpx

    client = httpx.Client()
    target = url + _target(endpoint)
    return lambda: client.post(target, json=payload).json()


def _http_client(url: str, endpoint: str, payload: Any) -> Callable[[], object]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    target = _target(endpoint)

    def call() -> object:
        connection.request("POST", target, json.dumps(payload).encode(), HEADERS)
        return json.loads(connection.getresponse().read())

    return call


def _socket(url: str, endpoint: str, payload: Any) -> Callable[[], object]:
    place = urlsplit(url)
    sock = socket.create_connection((place.hostname, place.port))
    head = f"POST {_target(endpoint)} HTTP/1.1\r\nHost: {place.netloc}\r\n"

    def call() -> object:
        body = json.dumps(payload).encode()
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = sock.recv(65536)
        head_length = answer.index(b"\r\n\r\n") + 4
        length = int(answer.partition(b"Content-Length: ")[2].partition(b"\r")[0])
        while len(answer) < head_length + length:
            answer += sock.recv(65536)
        return json.loads(answer[head_length:])

    return call


CONTENDERS: dict[str, tuple[str, Make]] = {
    "wxlogistics": ("wxlogistics", _wxlogistics),
    "urllib3": ("urllib3", _urllib3),
    "requests": ("requests", _requests),
    "wechatpy": ("wechatpy", _wechatpy),
    "httpx": ("httpx", _httpx),
    "http.client": ("http.client", _http_client),
    "socket": ("socket", _socket),
}


def missing() -> list[str]:
    """
    Return the contenders that are not installed.
    """
    return [
        name
        for name, (module, _) in CONTENDERS.items()
        if importlib.util.find_spec(module.partition(".")[0]) is None
    ]


def cpu_per_call(
    url: str, endpoint: str, payload: Any, *, rounds: int, calls: int
) -> dict[str, list[float]]:
    """
    Return the microseconds of CPU that one call costs, for each contender and round.

    They take turns, so that whatever else the machine does is the same for all, there
    and back, so that each comes as often before its neighbour as after it: the
    second to run the same code finds it in the processor's caches.
    """
    away = missing()
    made = {
        name: make(url, endpoint, payload)
        for name, (_, make) in CONTENDERS.items()
        if name not in away
    }
    for call in made.values():
        for _ in range(calls):
            call()
    taken: dict[str, list[float]] = {name: [] for name in made}
    # What the others have imported is none of the garbage collector's business.
    gc.collect()
    gc.freeze()
    turns = [*made.items()]
    for _ in range(rounds):
        turns.reverse()
        for name, call in turns:
            call()
            began = time.process_time()
            for _ in range(calls):
                call()
            taken[name].append((time.process_time() - began) / calls * 1e6)
    return taken


def median(values: list[float]) -> float:
    return statistics.median(values)


def ratio(values: list[float], others: list[float]) -> float:
    """
    Return the median of the ratios within each round.
    """
    return statistics.median(a / b for a, b in zip(values, others))


def cpu_by_threads(
    url: str, counts: list[int], *, rounds: int, calls: int
) -> dict[str, dict[int, float]]:
    """
    Return the microseconds of CPU for one query, by contender and number of threads.

    The threads of each share one client, and do *calls* between them.
    """
    payload = {"waybill_token": WAYBILL_TOKEN}
    made = {
        name: CONTENDERS[name][1](url, "query_trace", payload)
        for name in ("wxlogistics", "urllib3")
    }
    taken: dict[str, dict[int, list[float]]]
    taken = {name: {count: [] for count in counts} for name in made}
    # The first time connections are made, which does not count.
    for number in range(rounds + 1):
        for count in counts:
            for name, call in made.items():
                cpu = _in_threads(call, count, calls) / calls * 1e6
                if number:
                    taken[name][count].append(cpu)
    return {
        name: {count: median(values) for count, values in found.items()}
        for name, found in taken.items()
    }


def _in_threads(call: Callable[[], object], count: int, calls: int) -> float:
    def work() -> None:
        for _ in range(calls // count):
            call()

    threads = [threading.Thread(target=work) for _ in range(count)]
    began = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.process_time() - began


def bulk(url: str, counts: list[int], *, calls: int) -> dict[int, tuple[float, float]]:
    """
    Return the calls a second that `query_many` makes, and the microseconds of CPU for
    each, by its workers.

    Args:
        url: A server that answers after a set time.

        counts: How many workers.

        calls: How many calls each worker makes.
    """
    from wxlogistics.bulk import query_many

    found = {}
    for count in counts:
        with Client(TOKEN, base_url=url) as client:
            for _ in query_many(client, [WAYBILL_TOKEN] * 2 * count, workers=count):
                pass
            began, cpu_began = time.perf_counter(), time.process_time()
            tokens = [WAYBILL_TOKEN] * calls * count
            good = sum(
                result.trace is not None
                for result in query_many(client, tokens, workers=count)
            )
            assert good == calls * count
            cpu = (time.process_time() - cpu_began) / good * 1e6
            found[count] = good / (time.perf_counter() - began), cpu
    return found
