"""The `wxlogistics` command, which says what to install where its extra is missing."""

from __future__ import annotations

import sys
from typing import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command and return its exit code.
    """
    try:
        from .cli import main as run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        print(
            f"wxlogistics: the command line needs {error.name}; install it with\n"
            "    pip install 'wxlogistics[cli,sandbox]'",
            file=sys.stderr,
        )
        return 2
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
