"""What no plugin does for MkDocs.

- The links to translations and to examples/ are for readers of the repository.
- Each language has an index of its own for its search: mkdocs-static-i18n makes one.
- Each language has an API reference of its own to link to.
"""

from __future__ import annotations

import json
import logging
import pathlib
import re
from typing import Any

import jieba
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.pages import Page

# jieba splits Chinese into words for the search.
jieba.setLogLevel(logging.ERROR)

CHINESE = "zh-CN"

#: "[简体中文](page.zh-CN.md)" below the title.
_SWITCH = re.compile(r"^\[(简体中文|English)\]\([^)]+\)\n+", re.MULTILINE)

#: "[the example](../examples/django_shop)", which is not on the site.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_config(config: MkDocsConfig) -> None:
    """
    Forget the anchors of the language before.
    """
    config.plugins["autorefs"].__init__()


def on_page_markdown(markdown: str, **_: Any) -> str:
    """
    Remove the links that only the repository has.
    """
    return _OUTSIDE.sub(r"\1", _SWITCH.sub("", markdown, count=1))


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """
    Lead the search of a Chinese page to the Chinese index.
    """
    if not page.file.dest_uri.startswith(f"{CHINESE}/"):
        return output
    base = '"base": ".."'
    assert base in output, "the theme has no base any more"
    return output.replace(base, '"base": "."', 1)


# After the plugins i18n, which joins the two indexes, and offline.
@event_priority(-200)
def on_post_build(config: MkDocsConfig) -> None:
    """
    Split the search index by language.
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
