"""What MkDocs has to do besides, so that one set of files reads well in both places.

In the repository the pages link to their translations and to examples/. On the site
there is a switch for the language, and only what is in docs/.
"""

from __future__ import annotations

import json
import logging
import pathlib
import posixpath
import re
from typing import Any

import jieba
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.pages import Page

# What parts Chinese into words for the search need not say that it does.
jieba.setLogLevel(logging.ERROR)

CHINESE = "zh-CN"

#: "[简体中文](page.zh-CN.md)" below the title.
_SWITCH = re.compile(r"^\[(简体中文|English)\]\([^)]+\)\n+", re.MULTILINE)

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#]+)[^)]*\)")


def on_config(config: MkDocsConfig) -> None:
    """
    Prepare for one of the languages.
    """
    # Each language has a reference of its own to link to.
    config.plugins["autorefs"].__init__()


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """
    Take out the links that lead nowhere on the site: [text](../examples/django_shop).
    """
    folder = posixpath.dirname(page.file.src_uri)

    def inside(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[1] if target.startswith("../") else link[0]

    return _LINK.sub(inside, _SWITCH.sub("", markdown, count=1))


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """
    Let a Chinese page search the Chinese index.
    """
    if not page.file.dest_uri.startswith(f"{CHINESE}/"):
        return output
    here, count = re.subn(
        r'("base": ")\.\.(?:/(\.\.[^"]*))?"',
        lambda found: f'{found[1]}{found[2] or "."}"',
        output,
        count=1,
    )
    assert count, "the theme no longer says where the index is"
    return here


# After the plugins i18n, which joins the two indexes, and offline.
@event_priority(-200)
def on_post_build(config: MkDocsConfig) -> None:
    """
    Part the search index: who reads one language searches in it.
    """
    site = pathlib.Path(config.site_dir)
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    parts: dict[str, list[Any]] = {"en": [], "zh": []}
    for entry in index["docs"]:
        location = entry["location"]
        if location.startswith(f"{CHINESE}/"):
            entry["location"] = location.removeprefix(f"{CHINESE}/")
            parts["zh"].append(entry)
        else:
            parts["en"].append(entry)
    for language, folder in [("en", site), ("zh", site / CHINESE)]:
        index["config"]["lang"] = [language]
        index["docs"] = parts[language]
        text = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
        search = folder / "search"
        search.mkdir(parents=True, exist_ok=True)
        (search / "search_index.json").write_text(text, encoding="utf-8")
        # For pages that are opened from the disk.
        script = f"var __index = {text}"
        (search / "search_index.js").write_text(script, encoding="utf-8")
