"""The language of the command line: gettext's catalogues, for click's messages too.

A message is named by its English text, a long one by a short name in brackets, whose
English text is in the catalogue ``en``. Nothing but the standard library is imported
here: a missing click is reported in the chosen language.
"""

from __future__ import annotations

import contextlib
import gettext
import locale
import os
from pathlib import Path
from typing import Iterator, Mapping, Sequence

#: The languages of the command line.
LANGUAGES = ("zh", "en")

_DOMAIN = "wxlogistics"


def choose_language(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """
    Return the language that *argv* asks for, or else the one of the locale.
    """
    # The nearest one counts, as it does with click's other options.
    for word, after in reversed([*zip(argv, [*argv[1:], ""])]):
        name, _, value = word.partition("=")
        if name == "--lang" and (value or after) in LANGUAGES:
            return value or after
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "zh" if environ[name].lower().startswith("zh") else "en"
    # Without a variable, as on Windows: "Chinese (Simplified)_China".
    language = (locale.getlocale()[0] or "").lower()
    return "zh" if language.startswith(("zh", "chinese")) else "en"


@contextlib.contextmanager
def speak(language: str) -> Iterator[None]:
    """
    Say everything in one of `LANGUAGES` within the block.
    """
    domain, variable = gettext.textdomain(), os.environ.get("LANGUAGE")
    gettext.bindtextdomain(_DOMAIN, str(Path(__file__).with_name("locale")))
    gettext.textdomain(_DOMAIN)
    os.environ["LANGUAGE"] = language
    try:
        yield
    finally:
        gettext.textdomain(domain)
        del os.environ["LANGUAGE"]
        if variable is not None:
            os.environ["LANGUAGE"] = variable


def is_chinese() -> bool:
    """
    Return whether messages are in Chinese.
    """
    return os.environ.get("LANGUAGE") == "zh"


def say(text: str, /, **fields: object) -> str:
    """
    Return the message *text* with its fields.
    """
    found = gettext.gettext(text)
    return found.format(**fields) if fields else found


def plural(one: str, many: str, count: int, /, **fields: object) -> str:
    """
    Return *one* or *many*, with ``{count}`` and its other fields.
    """
    return gettext.ngettext(one, many, count).format(count=count, **fields)


def listed(items: Sequence[str]) -> str:
    """
    Return *items* as a list within a sentence.
    """
    return ("、" if is_chinese() else ", ").join(items)


def labelled(label: str, text: str) -> str:
    """
    Return *text* after a label and a colon.
    """
    return f"{label}：{text}" if is_chinese() else f"{label}: {text}"
