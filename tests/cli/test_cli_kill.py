"""kill -9 at random moments, and then another run: one line for every row."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clitools import ran

# Whatever the version of Python.
pytestmark = pytest.mark.once

KILLS = 10
ROWS = 800

#: Seconds that a call takes; with 4 workers a run comes to some 300 rows a second.
DELAY = 0.012


def openid(number: int) -> str:
    return f"o{number:027d}"


#: Forks a process for each command line that it reads, since starting Python each
#: time takes longer than all the rest. Prints the number of each, and its exit code.
NURSERY = """
import json, os, sys
import wxlogistics.cli.bulk
from wxlogistics.__main__ import main

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def kill_and_go_on(out: Path, *argv: str) -> tuple[list[dict[str, Any]], int]:
    """
    Start *argv* and kill it, ten times, then let it come to its end.

    Returns:
        The results, and how many runs had begun to write when they were killed.
    """
    moments = random.Random(20261124)
    cut_short = 0
    command = ["bulk", *argv, "--workers", "4", "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as nursery:
        assert nursery.stdin and nursery.stdout
        for _ in range(KILLS):
            before = out.stat().st_size if out.exists() else 0
            nursery.stdin.write(json.dumps(command) + "\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            if moments.random() < 0.8:
                # From its first result on; else at any moment from its start on.
                deadline = time.monotonic() + 60
                while not out.exists() or out.stat().st_size == before:
                    assert time.monotonic() < deadline
                    time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.2))
            os.kill(child, signal.SIGKILL)
            assert -signal.SIGKILL == int(nursery.stdout.readline())
            cut_short += out.exists() and out.stat().st_size > before
        nursery.stdin.close()
    last = ran(*command, "--json")

    assert json.loads(last.out)["complete"], last.err
    lines = out.read_text(encoding="utf-8-sig").splitlines()
    if out.suffix == ".csv":
        return [*csv.DictReader(lines)], cut_short
    return [json.loads(line) for line in lines], cut_short


class TestKill:
    @pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
    def test_trace__every_row_once(self, name, wechat):
        """The results of all runs are the input: each row has one line."""
        wechat.fail("trace_waybill", delay=DELAY, times=None)
        rows = "".join(
            f"{openid(n)},SF{n},13800138000,tea,www.qq.com\n"
            for n in range(1, ROWS + 1)
        )
        Path("orders.csv").write_text(
            f"openid,waybill_id,receiver_phone,goods_name,goods_img_url\n{rows}"
        )

        results, cut_short = kill_and_go_on(Path(name), "trace", "orders.csv")
        sent = Counter(
            call.payload["waybill_id"]
            for call in wechat.calls
            if call.endpoint == "trace_waybill"
        )

        assert cut_short > 5
        assert [(n, f"SF{n}") for n in range(1, ROWS + 1)] == sorted(
            (int(each["row"]), each["waybill_id"]) for each in results
        )
        assert {64} == {len(each["waybill_token"].lstrip("'")) for each in results}
        assert sum(sent.values()) - ROWS <= 4 * KILLS
