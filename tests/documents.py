"""Reads what the READMEs and docs/ show, for the tests that run it."""

from __future__ import annotations

import contextlib
import io
import pathlib
import re
from typing import Any, Iterator, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CHINESE = ".zh-CN.md"

READMES = ["README.md", "README.zh-CN.md"]

#: What docs/generate.py takes from examples/, whose own tests run it.
_TAKEN = re.compile(r"<!-- from: .+? -->\n.*?<!-- end -->", re.DOTALL)

_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.M)


class Block(NamedTuple):
    """
    One block of code.

    Attributes:
        language: As its fence says.

        title: The file that it belongs in, if it says so.

        code: What is shown.

        line: The number of its first line in the document.

        printed: What it prints, where the next block tells.
    """

    language: str
    title: str
    code: str
    line: int
    printed: str | None


def read(page: str) -> str:
    """
    Return the text of *page*, a path in the project.
    """
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str | None = None) -> list[Block]:
    """
    Return the blocks of *page*, in their order, but for those taken from examples/.
    """
    text = _TAKEN.sub(lambda taken: "\n" * taken[0].count("\n"), read(page))
    found = list(_FENCE.finditer(text))
    made = []
    for number, fence in enumerate(found):
        printed = None
        if fence[1] == "python" and number + 1 < len(found):
            after = found[number + 1]
            if after[1] == "text" and not text[fence.end() : after.start()].strip():
                printed = after[3]
        line = text.count("\n", 0, fence.start()) + 2
        made.append(Block(fence[1], fence[2] or "", fence[3], line, printed))
    return [block for block in made if language in (None, block.language)]


def codes(page: str, language: str) -> list[str]:
    """
    Return the code of the blocks of *language* on *page*.
    """
    return [block.code for block in blocks(page, language)]


def run(page: str, block: Block, names: dict[str, Any]) -> str:
    """
    Run *block* of *page* with *names*, and return what it prints.

    A traceback shows the document's own lines.
    """
    code = compile("\n" * (block.line - 1) + block.code, str(ROOT / page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return printed.getvalue()


def is_as_shown(printed: str, shown: str) -> bool:
    """
    Whether a program *printed* what a document has *shown*; ``…`` stands for anything.
    """
    pattern = ".*".join(map(re.escape, shown.split("…")))
    return re.fullmatch(pattern, printed) is not None


def commands(page: str) -> Iterator[str]:
    """
    Yield the commands of *page*, those behind a ``$``.
    """
    for code in codes(page, "console"):
        for line in code.splitlines():
            if line.startswith("$ "):
                yield line[2:]


def pages() -> list[str]:
    """
    Return all pages of docs/, as paths in the project.
    """
    found = DOCS.rglob("*.md")
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def translation(page: str) -> str:
    """
    Return the Chinese page that belongs to an English one.
    """
    return page.removesuffix(".md") + CHINESE
