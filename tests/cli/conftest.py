"""Surroundings for the command line, a sandbox, and a way to run."""

from pathlib import Path
from typing import Iterator

import pytest
from clitools import Ran, Run
from private import APPID, SECRET

from wxlogistics.__main__ import main
from wxlogistics.sandbox import Clock, Sandbox

#: 2026-11-24 10:00:00 in China.
MORNING = 1795485600.0


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """
    English, 80 columns, no colours, and a cache folder and a current folder of its own.
    """
    for name in ("LC_MESSAGES", "LANG", "FORCE_COLOR", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def run(surroundings: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls the command as a function."""

    def run(*argv: str) -> Ran:
        capsys.readouterr()
        code = main(list(argv))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def wechat(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox over HTTP that the environment leads to; its time stands still."""
    sandbox = Sandbox(
        seed=1,
        clock=Clock(MORNING, speed=0),
        appid=APPID,
        secret=SECRET,
        # Parcels move by hand alone.
        route=(),
        user_daily_limit=100_000,
        keep_calls=100_000,
    )
    with sandbox.serve() as server:
        monkeypatch.setenv("WXLOGISTICS_BASE_URL", server.url)
        monkeypatch.setenv("WXLOGISTICS_APPID", APPID)
        monkeypatch.setenv("WXLOGISTICS_SECRET", SECRET)
        yield sandbox
