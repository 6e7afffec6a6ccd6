"""``python -m wxlogistics.sandbox``: the sandbox as an HTTP server."""

import sys

from .server import main

if __name__ == "__main__":
    sys.exit(main())
