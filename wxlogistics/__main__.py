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

        return run(argv)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("click", "rich"):
            raise
        says = f"the command line needs {missing}: pip install 'wxlogistics[cli]'"
    except ImportError as error:
        # The sandbox's own words on what to install.
        says = str(error)
    print(f"wxlogistics: {says}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
