"""PyInstaller's hook for `wxlogistics.sandbox`: its JSON, templates and styles."""

from PyInstaller.utils.hooks import collect_data_files  # type: ignore[import-untyped]

datas = collect_data_files("wxlogistics.sandbox")
