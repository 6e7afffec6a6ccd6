"""What PyInstaller asks for, so that it packs the sandbox's data files."""

from __future__ import annotations


def get_hook_dirs() -> list[str]:
    """
    Return where the hooks are.
    """
    return list(__path__)
