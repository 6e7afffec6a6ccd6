"""``python -m wxlogistics.sandbox``: the sandbox as an HTTP server."""

import sys

if __name__ == "__main__":  # pragma: no branch
    try:
        from wxlogistics.sandbox.server import main
    except ImportError as error:
        # It says what to install, as it does through `wxlogistics sandbox`.
        print(f"wxlogistics: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(main())
