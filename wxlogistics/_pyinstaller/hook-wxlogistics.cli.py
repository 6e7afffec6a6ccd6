"""PyInstaller's hook for `wxlogistics.cli`: its catalogues and headings."""

from PyInstaller.utils.hooks import collect_data_files  # type: ignore[import-untyped]

datas = collect_data_files("wxlogistics.cli")
