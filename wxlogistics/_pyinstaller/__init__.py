"""The entry point by which PyInstaller finds the hook beside this file."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """
    Return the folder of the hook.
    """
    return [os.path.dirname(__file__)]
