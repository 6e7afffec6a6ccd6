"""The benchmarks run; what they measure is nothing for a test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.once
class TestBenchmarks:
    def test_quick__prints_every_table_and_writes_nothing(self):
        pages = [*ROOT.glob("benchmarks/*.md"), *ROOT.glob("benchmarks/*.svg")]
        assert 5 == len(pages)
        before = [page.read_bytes() for page in pages]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--quick"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        lines = done.stdout.splitlines()

        assert ("", 0) == (done.stderr, done.returncode)
        assert [
            "### One query",
            "### The list of 1,500 carriers",
            "### Threads",
            "### The rest",
        ] == [line for line in lines if line.startswith("###")]
        counted = re.search(
            r"handshakes for 32 calls of 16 threads \| (\d+) \|", done.stdout
        )
        # Fewer if a thread ends before another begins.
        assert counted and 1 <= int(counted[1]) <= 16
        assert before == [page.read_bytes() for page in pages]
