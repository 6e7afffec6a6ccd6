"""Hooks for PyInstaller, which bundle the package's data files."""

from __future__ import annotations


def get_hook_dirs() -> list[str]:
    """
    Return the folders of the hooks.
    """
    return list(__path__)
