"""`make soak`, for two seconds: many threads, and a server that misbehaves."""

from pathlib import Path

import pytest
from programs import run_python


@pytest.mark.once
class TestSoak:
    def test_soak__a_short_one(self):
        printed = run_python(
            *("-W", "error", "-m", "tests.soak", "--seconds", "2", "--threads", "16"),
            cwd=Path(__file__).parents[1],
        )
        lines = dict(line.split("  ", 1) for line in printed.splitlines())

        assert 100 < int(lines["calls"].split()[0])
        assert 20 < int(lines["faults"])
        assert "0" == lines["wrong answers"] == lines["lost calls"].strip()
