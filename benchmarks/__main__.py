"""Measure everything, print it, and write README.md's tables and plots.

Run as: python -m benchmarks [--quick]
It takes about two minutes. With --quick it only shows that it runs: nothing is
written, and the figures mean nothing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from typing import NamedTuple

from . import calls, imports, report, sandbox, stub_server, tls


class Size(NamedTuple):
    """
    How much is done of each.
    """

    rounds: int = 150
    queries: int = 30
    lists: int = 6
    imports: int = 21
    threads: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    thread_rounds: int = 9
    thread_calls: int = 1600
    bulk_calls: int = 40
    tls_calls: int = 1000
    waybills: tuple[int, int] = (10, 100_000)
    seconds: float = 5.0


QUICK = Size(2, 2, 1, 1, (1, 2), 1, 4, 2, 32, (1, 3), 0.1)

#: Milliseconds until the stub answers, where it is to take its time.
DELAY = 40


def measure(size: Size) -> report.Figures:
    """
    Return all that is measured.
    """
    with stub_server.running() as url:
        query = calls.cpu_per_call(
            url,
            "query_trace",
            {"waybill_token": calls.WAYBILL_TOKEN},
            rounds=size.rounds,
            calls=size.queries,
        )
        carriers = calls.cpu_per_call(
            url, "get_delivery_list", {}, rounds=size.rounds // 2, calls=size.lists
        )
        threads = calls.cpu_by_threads(
            url,
            list(size.threads),
            rounds=size.thread_rounds,
            calls=size.thread_calls,
        )
    with stub_server.running(DELAY) as url:
        bulk = calls.bulk(url, list(size.threads), calls=size.bulk_calls)
    return report.Figures(
        machine=machine(),
        missing=calls.missing(),
        query=query,
        carriers=carriers,
        threads=threads,
        delay=DELAY,
        bulk=bulk,
        imports=imports.import_times(size.imports),
        sandbox={
            waybills: sandbox.calls_per_second(
                waybills, clients=8, seconds=size.seconds
            )
            for waybills in size.waybills
        },
        tls_calls=size.tls_calls,
        handshakes=tls.handshakes(threads=16, calls=size.tls_calls),
    )


def machine() -> str:
    """
    Describe what the figures were measured on.
    """
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line for line in file if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("requests", "urllib3", "attrs")
    ]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    cores = f"{os.cpu_count()} cores ({processor})"
    return ", ".join([cores, system, python, *versions])


def main(argv: list[str] | None = None) -> int:
    """
    Measure, print and write.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "--quick", action="store_true", help="show that it runs; write nothing"
    )
    quick = parser.parse_args(argv).quick
    figures = measure(QUICK if quick else Size())
    print(report.tables(figures, "en"))
    for name in figures.missing:
        print(f"Skipped: {name} is not installed.")
    if not quick:
        report.write(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
