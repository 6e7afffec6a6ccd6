"""Bundles the package's files that are not modules: pages, styles, openapi.json."""

from PyInstaller.utils.hooks import collect_data_files  # type: ignore[import-untyped]

datas = collect_data_files("wxlogistics")
