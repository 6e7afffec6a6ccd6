"""Runs other programs, and skips the tests of those that are missing."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any, NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it if WXLOGISTICS_REQUIRE_SERVERS is 1."""
    if os.environ.get("WXLOGISTICS_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def needed(module: str, package: str = "") -> None:
    """Skip the test if *module*, which comes with *package*, is missing."""
    if importlib.util.find_spec(module) is None:
        missing(f"no {module} here: pip install {package or module}")


def program(name: str, package: str) -> str:
    """Return the path of a program of Debian's *package*; skip the test without it."""
    # Debian keeps initdb out of the path.
    postgres = map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([os.environ["PATH"], *postgres])
    return shutil.which(name, path=path) or missing(
        f"no {name} here: apt-get install --no-install-recommends {package}"
    )


def run(*command: str | pathlib.Path, **options: Any) -> str:
    """Run *command* and return what it prints; it must not fail."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        **{"timeout": 300} | options,
    )
    assert 0 == done.returncode, done.stdout
    return done.stdout


def run_python(*arguments: str | pathlib.Path, **options: Any) -> str:
    """Run this Python with *arguments*, as `run` does."""
    return run(sys.executable, *arguments, **options)
