"""What importing the library takes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

_SCRIPT = """
import time
began = time.process_time()
import requests, attr
others = time.process_time()
import wxlogistics
print(others - began, time.process_time() - others)
"""


def import_times(times: int) -> tuple[float, float]:
    """
    Return the milliseconds of CPU for requests and attrs, and for the library after
    them.
    """
    # Compiled once and kept, as after an installation.
    surroundings = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    found = []
    for _ in range(1 + times):
        said = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            check=True,
            capture_output=True,
            text=True,
            env=surroundings,
        ).stdout
        found.append([float(value) * 1000 for value in said.split()])
    others, own = zip(*found[1:])
    return statistics.median(others), statistics.median(own)
