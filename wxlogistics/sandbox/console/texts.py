"""The console's texts, in English and in Chinese."""

from __future__ import annotations

import re

from ...models import WaybillStatus
from ..world.plain_json import read_resource

#: Language tag -> what it calls itself.
LANGUAGES = {"en": "English", "zh": "中文"}

#: English -> Chinese. The templates hold the English.
_CHINESE: dict[str, str] = read_resource(__package__, "zh.json")

_ENGLISH_STATUS = (
    "Not collected",
    "Collected",
    "In transit",
    "Out for delivery",
    "Signed",
    "Exception",
    "Signed by proxy",
)


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
    if 0 <= status < len(_ENGLISH_STATUS):
        if language == "zh":
            return status.label
        return _ENGLISH_STATUS[status]
    return translate(language, "Unknown status") + f" {int(status)}"


def choose(accept_language: str) -> str:
    """
    The language that an Accept-Language header names first: browsers sort them.
    """
    found = re.search(r"\b(?<!-)(en|zh)\b", accept_language.lower())
    return found[1] if found else "en"
