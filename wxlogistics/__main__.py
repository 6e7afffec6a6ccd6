"""The `wxlogistics` command, which names the extra to install if it is missing."""

from __future__ import annotations

import os
import sys
from typing import Sequence

from .cli.language import choose_language, say, speak


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command and return its exit code.

    Args:
        argv: The arguments after the command's name; None takes the process's.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    with speak(choose_language(words, os.environ)):
        try:
            from .cli.main import run
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing != "click":
                raise
            text = say("{name} is missing", name=missing)
            hint = "pip install 'wxlogistics[cli]'"
            print(f"wxlogistics: {text}\n  {hint}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            # While the modules are imported.
            print(say("Interrupted."), file=sys.stderr)
            return 130
        return run(words)


if __name__ == "__main__":
    sys.exit(main())
