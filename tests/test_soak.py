"""`make soak`, for two seconds: many threads, and a server that misbehaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.once
class TestSoak:
    def test_soak__a_short_one(self):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.soak"]
            + ["--seconds", "2", "--threads", "16"],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=90,
        )
        lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())

        assert ("", 0) == (done.stderr, done.returncode)
        assert 100 < int(lines["calls"].split()[0])
        assert 20 < int(lines["faults"])
        assert "0" == lines["wrong answers"] == lines["lost calls"].strip()
