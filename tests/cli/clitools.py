"""What the tests of the command line share."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

SNAPSHOTS = Path(__file__).parent.with_name("snapshots")


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """What is on stderr, unfolded."""
        return " ".join(self.err.split())

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@contextlib.contextmanager
def process(*argv: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start the command as a process; a test that fails ends it."""
    with subprocess.Popen(
        [sys.executable, "-m", "wxlogistics", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **{"encoding": "utf-8", **options},
    ) as started:
        try:
            yield started
        except BaseException:
            started.kill()
            raise


def ran(*argv: str, **options: Any) -> Ran:
    """Run the command as a process."""
    with process(*argv, **options) as started:
        out, err = started.communicate(timeout=60)
    return Ran(started.returncode, out, err)


def check_snapshot(name: str, text: str) -> None:
    """
    Compare *text* with the file of that name; WXLOGISTICS_SNAPSHOTS=write writes it.
    """
    path = SNAPSHOTS / f"{name}.txt"
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{8}){2}", "66557522-735e87a4-648726cc", text)
    if os.environ.get("WXLOGISTICS_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text
