"""``python -m wxlogistics.sandbox``: the sandbox as an HTTP server."""

import sys

from wxlogistics.sandbox.command import main

if __name__ == "__main__":  # pragma: no branch
    sys.exit(main())
