"""Masks the secrets of the environment."""

from __future__ import annotations

import os
import re


def private_values() -> list[str]:
    """
    Return the variables' values, except for appids, plain addresses and short values.
    """
    shown = r"wx[0-9a-f]{16}|(https?://[\w.:-]+/?,?)+|.{,7}"
    return [
        value.strip()
        for name, value in os.environ.items()
        if name.startswith("WXLOGISTICS_") and not re.fullmatch(shown, value.strip())
    ]


def known_masked(text: str) -> str:
    """
    Return *text* with *** for the secrets of the environment.
    """
    for value in sorted(private_values(), key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def masked(text: str) -> str:
    """
    Return *text* with *** for everything that may be a secret.
    """
    text = known_masked(text)
    return re.sub(r"(?<![\w-])([0-9A-Fa-f]{32}|[\w-]{48,})(?![\w-])", "***", text)
