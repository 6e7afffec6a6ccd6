"""Many threads against a server that misbehaves in every fifth call, for a while.

    python -m tests.soak --seconds 120 --threads 64

At the end it prints what was called and what came of it, and exits with 1 if a call got
a wrong answer or an end other than its fault should have, or if a socket is left open.

The server runs in a process of its own, so that sockets and memory are the client's.
A call's waybill_token names its fault.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import chaos  # noqa: E402
from clients import make_client  # noqa: E402

from wxlogistics import Client, GoodsDetail, GoodsInfo, WxLogisticsError  # noqa: E402

GOODS = GoodsInfo([GoodsDetail("围巾", "")])

ANSWERED = "answered"
LOST = "TransportError"
STRANGE = "UnexpectedResponseError"


class Ends(NamedTuple):
    """
    A fault, and how a call ends that meets it once.

    Attributes:
        fault: What the server does.

        repeatable: How queries and registrations end.

        others: How updates and `Client.request` end.

        weight: How often it is chosen.
    """

    fault: chaos.Fault
    repeatable: str
    others: str
    weight: float = 1


FAULTS = {
    "close": Ends(chaos.close_after_request, ANSWERED, LOST),
    "reset": Ends(chaos.reset_after_request, ANSWERED, LOST),
    # http.client takes a head that is cut for a whole one.
    "close in head": Ends(chaos.close_in_head, STRANGE, STRANGE),
    "reset in body": Ends(chaos.reset_in_body, ANSWERED, LOST),
    "cut chunk": Ends(chaos.chunked_cut_in_chunk, ANSWERED, LOST),
    "garbage": Ends(chaos.garbage, ANSWERED, LOST),
    "502": Ends(chaos.gateway(502), ANSWERED, LOST),
    "errcode -1": Ends(chaos.reply({"errcode": -1, "errmsg": ""}), ANSWERED, ANSWERED),
    "500": Ends(chaos.status(500), STRANGE, STRANGE),
    "page": Ends(chaos.status(200), STRANGE, STRANGE),
    "redirect": Ends(chaos.redirect("http://127.0.0.1:9/"), STRANGE, STRANGE),
    "length too short": Ends(chaos.length_too_short, STRANGE, STRANGE),
    "gzip bomb": Ends(chaos.encoded(chaos.bomb(64)), STRANGE, STRANGE, 0.2),
    "endless body": Ends(chaos.endless_body, STRANGE, STRANGE, 0.1),
    "silence": Ends(chaos.silence, ANSWERED, LOST, 0.02),
    "trickle": Ends(chaos.trickle_body, LOST, LOST, 0.02),
    "answer and close": Ends(chaos.answer_and_close, ANSWERED, ANSWERED),
    "answer and reset": Ends(chaos.answer_and_reset, ANSWERED, ANSWERED),
    "two answers": Ends(chaos.two_answers, ANSWERED, ANSWERED),
    "103": Ends(chaos.early_hint, STRANGE, STRANGE),
    "delay": Ends(chaos.delay(0.1), ANSWERED, ANSWERED),
}

#: Of a call without a fault.
WELL = Ends(chaos.answer, ANSWERED, ANSWERED)

#: Each kind of call: the call, what it should return, whether it may be repeated.
KINDS: list[tuple[Callable[[Client, str], Any], Callable[[str], Any], bool]] = [
    (lambda client, name: client.query_trace(name).waybill_id, lambda name: name, True),
    (
        lambda client, name: client.trace_waybill(
            openid="o123", waybill_id=name, receiver_phone="13", goods_info=GOODS
        ),
        lambda name: f"token of {name}",
        True,
    ),
    (
        lambda client, name: client.update_waybill_goods(name, GOODS),
        lambda name: None,
        False,
    ),
    (
        lambda client, name: client.request("/x", {"waybill_token": name})["echo"],
        lambda name: {"waybill_token": name},
        False,
    ),
]


def serve() -> None:
    """
    Be the server until stdin ends; then print what was seen.

    What comes by stdin are the calls of which the client does not know whether they
    arrived.
    """
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def respond(peer: chaos.Peer, request: chaos.Request) -> None:
        payload = request.payload
        name = payload.get("waybill_token") or payload["waybill_id"]
        with lock:
            server.requests.clear()
            seen[name] += 1
            first = seen[name] == 1
        ends = FAULTS.get(name.partition("/")[0], WELL)
        (ends.fault if first else chaos.answer)(peer, request)

    with chaos.ChaosServer(then=respond) as server:
        print(server.url, flush=True)
        doubtful = json.loads(sys.stdin.read())
        counts = {"requests": sum(seen.values()), "connections": server.connections}
        counts["arrived"] = sum(
            seen[name] > name.startswith("errcode -1/") for name in doubtful
        )
        # Of what may not be repeated only errcode -1 is.
        counts["sent twice"] = sum(
            count > 1 and "/once/" in name and not name.startswith("errcode -1/")
            for name, count in seen.items()
        )
    print(json.dumps(counts), flush=True)


def open_sockets() -> int:
    gc.collect()
    return sum(map(is_socket, range(min(os.sysconf("SC_OPEN_MAX"), 65536))))


def is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def memory() -> float:
    """Return the peak memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def run(url: str, seconds: float, threads: int, seed: int) -> dict[str, Any]:
    """Call for *seconds*, and return the counts and failures."""
    stop_at = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    wrong: list[str] = []
    lost: list[str] = []
    doubtful: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        dice = random.Random(f"{seed}-{number}")
        weights = [ends.weight for ends in FAULTS.values()]
        count = 0
        while time.monotonic() < stop_at:
            count += 1
            call, right, repeatable = dice.choice(KINDS)
            fault = ""
            if count % 5 == 0:
                (fault,) = dice.choices(list(FAULTS), weights)
            how_often = "often" if repeatable else "once"
            name = f"{fault}/{how_often}/{number}/{count}"
            with lock:
                counts["begun"] += 1
                if fault:
                    faults[fault] += 1
            end, value = ANSWERED, None
            try:
                value = call(client, name)
            except WxLogisticsError as error:
                end, value = type(error).__name__, getattr(error, "maybe_applied", None)
            except Exception as error:
                end = repr(error)
            ends = FAULTS.get(fault, WELL)
            with lock:
                counts["ended"] += 1
                counts[end] += 1
                if end == (ends.repeatable if repeatable else ends.others):
                    if end == ANSWERED and value != right(name):
                        wrong.append(f"{name}: {value!r}")
                elif value is True and not repeatable:
                    # Another call's fault has closed the connection under this one.
                    doubtful.append(name)
                else:
                    lost.append(f"{name}: {end}")

    with make_client(
        "TOKEN",
        base_url=url,
        timeout=(10, 4),
        deadline=8,
        retries=4,
        sleep=lambda pause: time.sleep(pause / 10),
        random=random.random,
    ) as client:
        client.query_trace("/often/warm/up")
        memory_before = memory()
        workers = [
            threading.Thread(target=work, args=(number,), daemon=True)
            for number in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(max(0, stop_at - time.monotonic()) + 60)
        sockets_between = open_sockets()
    return {
        "counts": counts,
        "faults": faults,
        "wrong": wrong,
        "doubtful": doubtful,
        # A call that never ended is lost as well.
        "lost": lost + ["never ended"] * (counts["begun"] - counts["ended"]),
        "sockets between": sockets_between,
        "memory before": memory_before,
        "memory after": memory(),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.serve:
        serve()
        return 0

    sockets_before = open_sockets()
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin and server.stdout
        url = server.stdout.readline().strip()
        started = time.monotonic()
        seen = run(url, args.seconds, args.threads, args.seed)
        took = time.monotonic() - started
        server.stdin.write(json.dumps(seen["doubtful"]))
        server.stdin.close()
        served = json.loads(server.stdout.read())
    sockets_after = open_sockets()

    counts, faults = seen["counts"], seen["faults"]
    calls = counts["begun"]
    print(f"calls          {calls} by {args.threads} threads in {took:.0f} s")
    for end in sorted(counts.keys() - {"begun", "ended"}):
        print(f"  {counts[end]:8} {end}")
    print(f"requests       {served['requests']} by {served['connections']} connections")
    print(f"faults         {sum(faults.values())}")
    for fault in FAULTS:
        print(f"  {faults[fault]:8} {fault}")
    for kind in ("wrong", "lost"):
        for each in seen[kind][:10]:
            print(f"{kind}: {each}")
    # These raised maybe_applied. If one has arrived, its answer was lost.
    lost = len(seen["lost"]) + served["arrived"]
    doubtful, arrived = len(seen["doubtful"]), served["arrived"]
    print(f"closed under   {doubtful}, of which {arrived} had arrived")
    print(f"wrong answers  {len(seen['wrong'])}")
    print(f"lost calls     {lost}")
    print(f"sent twice     {served['sent twice']}")
    print(
        f"open sockets   {sockets_before} at the start, {seen['sockets between']} "
        f"before close(), {sockets_after} at the end"
    )
    print(
        f"peak memory    {seen['memory before']:.1f} MiB at the start, "
        f"{seen['memory after']:.1f} MiB at the end"
    )
    left = sockets_after - sockets_before
    return int(bool(seen["wrong"] or lost or served["sent twice"] or left))


if __name__ == "__main__":
    sys.exit(main())
