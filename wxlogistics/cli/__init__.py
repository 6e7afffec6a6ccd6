"""The `wxlogistics` command: what it does is in `wxlogistics.cli.main`."""
