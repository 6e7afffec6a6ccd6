"""Reads what the READMEs and docs/ show, for the tests that run it."""

import contextlib
import io
import pathlib
import re
import textwrap
from typing import Any, Iterator, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHINESE = ".zh-CN.md"
READMES = ["README.md", "README.zh-CN.md"]

_FENCE = re.compile(
    r"^( *)```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^ *```$", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """
    One block of code.

    Attributes:
        language: As its fence names it.

        title: The file that it belongs in; empty if it names none.

        code: Its text, without the indentation of a list.

        line: The number of its first line in the document.

        printed: What it prints; None if no block of text follows it.
    """

    language: str
    title: str
    code: str
    line: int
    printed: str | None


def read(page: str) -> str:
    """Return the text of *page*, a path in the project."""
    return (ROOT / page).read_text(encoding="utf-8")


def pages() -> list[str]:
    """Return all pages of docs/, as paths in the project."""
    found = (ROOT / "docs").rglob("*.md")
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def translation(page: str) -> str:
    """Return the Chinese page that belongs to an English one."""
    return page.removesuffix(".md") + CHINESE


def blocks(page: str, language: str) -> list[Block]:
    """Return the blocks of *language* on *page*, in their order."""
    text = read(page)
    found = list(_FENCE.finditer(text))
    made = []
    for fence, after in zip(found, [*found[1:], None]):
        printed = None
        if (
            after
            and after[2] == "text"
            and not text[fence.end() : after.start()].strip()
        ):
            printed = after[4]
        line = text.count("\n", 0, fence.start()) + 2
        code = textwrap.dedent(fence[4])
        made.append(Block(fence[2], fence[3] or "", code, line, printed))
    return [block for block in made if language == block.language]


def modules(page: str) -> dict[str, str]:
    """
    Return the Python of *page* by file: a module of all blocks without a title, whose
    lines have the numbers of the document's, and the files that titles name.
    """
    whole = [""] * (read(page).count("\n") + 1)
    files = {}
    for block in blocks(page, "python"):
        if block.title:
            files[block.title] = block.code
        else:
            lines = block.code.splitlines()
            whole[block.line - 1 : block.line - 1 + len(lines)] = lines
    if any(whole):
        files["page.py"] = "\n".join(whole) + "\n"
    return files


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
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


def commands(page: str) -> Iterator[str]:
    """Yield the commands of *page*, those behind a ``$``."""
    for block in blocks(page, "console"):
        for line in block.code.splitlines():
            if line.startswith("$ "):
                yield line[2:]
