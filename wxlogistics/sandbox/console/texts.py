"""The console's texts, in English and in Chinese."""

from __future__ import annotations

import re

from ...models import WaybillStatus
from ..world.plain_json import read_resource

#: Language tag -> what it calls itself.
LANGUAGES = {"en": "English", "zh": "中文"}

#: English -> Chinese. The templates hold the English.
_CHINESE: dict[str, str] = read_resource(__package__, "zh.json")


def translate(language: str, english: str, *values: object) -> str:
    """
    *english* in *language*, with *values* in its braces.
    """
    text = _CHINESE.get(english, english) if language == "zh" else english
    return text.format(*values) if values else text


def status_name(language: str, status: WaybillStatus) -> str:
    """
    What *status* is called: in Chinese by the document.
    """
    return (
        status.label if language == "zh" else status.name.replace("_", " ").capitalize()
    )


def choose(accept_language: str) -> str:
    """
    The language that an Accept-Language header names first: browsers sort them.
    """
    found = re.search(r"\b(?<!-)(en|zh)\b", accept_language.lower())
    return found[1] if found else "en"
