"""Bulk: how fast 32 workers are, and how much memory 100,000 rows take.

Run as: python -m benchmarks.bench_bulk [--quick]
It prints a table, and exits with 1 if a bound is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator

from wxlogistics import Client
from wxlogistics.bulk import query_many

from . import stub_server

#: Milliseconds until the stub answers, and calls at the same time: 800 calls a second
#: at best.
DELAY = 40
WORKERS = 32
AT_BEST = WORKERS * 1000 / DELAY

#: Each rate is measured so many times.
TIMES = 3

#: Bounds. The command keeps every row of its input, the library none.
LEAST_SHARE = 0.9
MOST_MEMORY = 20
MOST_MEMORY_OF_COMMAND = 250

# Run in a process of its own; prints its peak memory in KiB.
_LIBRARY = """
import resource, sys
from wxlogistics import Client
from wxlogistics.bulk import query_many
url, count = sys.argv[1], int(sys.argv[2])
with Client("ACCESS_TOKEN", base_url=url) as client:
    tokens = (f"T{number:063d}" for number in range(count))
    good = sum(result.trace is not None for result in query_many(client, tokens))
assert good == count, good
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_COMMAND = """
import contextlib, io, resource, sys
from wxlogistics.__main__ import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(["bulk", *sys.argv[1:]])
assert code == 0, code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def throughput_of_library(rows: int) -> float:
    """
    Return how many queries a second `query_many` makes.
    """
    with stub_server.running(DELAY) as url, Client("T", base_url=url) as client:
        list(query_many(client, ["T"] * 100, workers=WORKERS))
        began = time.perf_counter()
        tokens = (f"T{number}" for number in range(rows))
        good = sum(
            result.trace is not None
            for result in query_many(client, tokens, workers=WORKERS)
        )
        assert good == rows
        return rows / (time.perf_counter() - began)


def throughput_of_command(rows: int, name: str, folder: Path) -> float:
    """
    Return how many rows a second `wxlogistics bulk` does, by its own report.
    """
    source, out = folder / f"{name}.jsonl", folder / f"{name}.out"
    out.unlink(missing_ok=True)
    write_input(source, name, rows)
    command = [sys.executable, "-m", "wxlogistics", "bulk", name, source, "--json"]
    with stub_server.running(DELAY) as url:
        done = subprocess.run(
            [*command, "--workers", str(WORKERS), "--out", out],
            check=True,
            capture_output=True,
            env=environment(url),
        )
    report = json.loads(done.stdout)
    assert report["outcomes"]["ok"] == rows
    return rows / float(report["seconds"])


def memory(script: str, *argv: str, url: str) -> float:
    """
    Return the most MiB that *script* ever had.
    """
    done = subprocess.run(
        [sys.executable, "-c", script, *argv],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(url),
        text=True,
    )
    return int(done.stdout) / 1024


def environment(url: str) -> dict[str, str]:
    """
    Return the variables that lead the command to the stub.
    """
    return {
        **os.environ,
        "WXLOGISTICS_BASE_URL": url,
        "WXLOGISTICS_ACCESS_TOKEN": "ACCESS_TOKEN",
    }


def write_input(path: Path, name: str, rows: int) -> None:
    """
    Write so many rows for ``bulk query`` or ``bulk trace``.
    """
    with open(path, "w", encoding="utf-8") as file:
        for number in range(rows):
            row = {"id": f"A{number}", "waybill_token": f"T{number:063d}"}
            if name == "trace":
                row = {
                    "id": f"A{number}",
                    "openid": f"o{number:027d}",
                    "waybill_id": f"SF{number:013d}",
                    "receiver_phone": "13800138000",
                    "goods": "龙井茶=https://shop.example/tea.jpg",
                }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def memories(few: int, many: int, folder: Path) -> Iterator[tuple[str, float, float]]:
    """
    Yield what was run, and its memory with few and with many rows.
    """
    with stub_server.running() as url:
        found = [memory(_LIBRARY, url, str(rows), url=url) for rows in (few, many)]
        yield "query_many", found[0], found[1]
        for name in ("query", "trace"):
            found = []
            for rows in (few, many):
                source = folder / f"{name}-{rows}.jsonl"
                write_input(source, name, rows)
                found.append(memory(_COMMAND, name, str(source), url=url))
            yield f"bulk {name}", found[0], found[1]
            # Nothing left to do, but all of it to be read again.
            yield (
                f"bulk {name}, resumed",
                memory(_COMMAND, name, str(folder / f"{name}-{few}.jsonl"), url=url),
                memory(_COMMAND, name, str(folder / f"{name}-{many}.jsonl"), url=url),
            )


def main() -> int:
    """
    Measure, print, and return the exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    quick = parser.parse_args().quick
    rows, few, many = (2_000, 1_000, 10_000) if quick else (8_000, 1_000, 100_000)
    bad = 0
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"\n{WORKERS} workers, answers after {DELAY} ms: {AT_BEST:.0f}/s at best")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, measure in (
            ("query_many", lambda: throughput_of_library(rows)),
            ("bulk query", lambda: throughput_of_command(rows, "query", folder)),
            ("bulk trace", lambda: throughput_of_command(rows, "trace", folder)),
        ):
            # The best is the one that the rest of the machine disturbed least.
            rate = max(measure() for _ in range(TIMES))
            is_good = rate >= LEAST_SHARE * AT_BEST
            bad += not is_good
            sign = "✓" if is_good else "✗"
            print(f"{sign} {label:28} {rate:6.0f}/s  {rate / AT_BEST:6.1%}", flush=True)
        print(f"\nMemory in MiB, with {few:,} and with {many:,} rows")
        for label, small, large in memories(few, many, folder):
            of_library = label == "query_many"
            most = MOST_MEMORY if of_library else MOST_MEMORY_OF_COMMAND
            is_good = large - small <= most
            bad += not is_good
            sign = "✓" if is_good else "✗"
            more = f"{small:6.1f} {large:6.1f}  {large - small:+6.1f}"
            print(f"{sign} {label:28} {more}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
