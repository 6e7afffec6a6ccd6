"""Writes what the documentation takes from the code: `python docs/generate.py`.

Between ``<!-- from: ... -->`` and ``<!-- end -->`` a page shows

- ``errcodes en`` or ``errcodes zh``, the table of errcodes;
- a file of examples/, whole, or those of its top-level statements that are named.

With ``--check`` nothing is written, and the exit code is 1 if a page is out of date.
"""

from __future__ import annotations

import ast
import pathlib
import re
import sys
from typing import Iterator

from wxlogistics.cli.language import say, speak
from wxlogistics.cli.output import advice, meaning
from wxlogistics.errcodes import WORDS
from wxlogistics.errors import (
    AccessTokenError,
    ApiError,
    RateLimitError,
    SystemBusyError,
    api_error,
)

DOCS = pathlib.Path(__file__).resolve().parent
ROOT = DOCS.parent

_PART = re.compile(r"(<!-- from: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)

_HEADS = {
    "en": "| errcode | meaning | exception | what to do |\n|---|---|---|---|\n",
    "zh": "| 错误码 | 含义 | 异常 | 处理办法 |\n|---|---|---|---|\n",
}
_REFERENCE = {"en": "reference.md", "zh": "reference.zh-CN.md"}
_ADDRESS = {"en": "the address in `.ip`", "zh": " `.ip` 里的地址"}

# What the client does by itself.
_RENEWS = {
    "en": "(The client does that, and calls once more.)",
    "zh": "（客户端会自动换 token 重试一次。）",
}
_REPEATS = {"en": "(The client tries again.)", "zh": "（客户端会自动重试。）"}
_REPEATS_BY_SECOND = {
    "en": "(If it is the second, the client tries again.)",
    "zh": "（按秒限制的，客户端会自动重试。）",
}
_LANGUAGES = {".py": "python", ".js": "javascript", ".json": "json"}


def outdated() -> Iterator[tuple[pathlib.Path, str]]:
    """
    Yield each page that is not as it should be, with the text that it should have.
    """
    for page in sorted(DOCS.rglob("*.md")):
        now = page.read_text(encoding="utf-8")
        due = _PART.sub(lambda part: part[1] + _written(part[2]) + part[3], now)
        if due != now:
            yield page, due


def _written(what: str) -> str:
    source, *names = what.split(maxsplit=1)
    if source == "errcodes":
        return errcode_table(names[0])
    path = ROOT / source
    code = path.read_text(encoding="utf-8")
    if names:
        code = "\n\n".join(excerpt(code, name) for name in names[0].split(", "))
    language = _LANGUAGES[path.suffix]
    title = source.removeprefix("examples/")
    return f'```{language} title="{title}"\n{code.strip()}\n```\n'


def errcode_table(language: str) -> str:
    """
    Return the table of errcodes, in ``en`` or ``zh``.
    """
    rows = []
    with speak(language):
        for errcode in WORDS:
            text = meaning(errcode)
            if language == "en":
                text += f" ({WORDS[errcode].meaning_zh})"
            rows.append(_row(api_error("", errcode, ""), text, language))
            # One errcode, two meanings.
            if errcode == 45009:
                pace = api_error("", errcode, "second")
                rows.append(_row(pace, say("[too fast]"), language))
    return _HEADS[language] + "".join(rows)


def _row(error: ApiError, meaning: str, language: str) -> str:
    name = type(error).__name__
    link = f"[`{name}`]({_REFERENCE[language]}#wxlogistics.{name})"
    what = advice(error).replace(say("this machine's address"), _ADDRESS[language])
    does = ""
    if isinstance(error, AccessTokenError):
        does = _RENEWS[language]
    elif isinstance(error, SystemBusyError):
        does = _REPEATS[language]
    elif error.errcode == 45009 and isinstance(error, RateLimitError):
        does = _REPEATS_BY_SECOND[language]
    if does and language == "en":
        does = " " + does
    return f"| {error.errcode} | {meaning} | {link} | {what}{does} |\n"


def excerpt(code: str, name: str) -> str:
    """
    Return the top-level statement of *code* that defines *name*, or begins with it.

    The comment right above it belongs to it.
    """
    lines = code.splitlines()
    begins = None
    for node in ast.parse(code).body:
        decorators = getattr(node, "decorator_list", [])
        first = min(part.lineno for part in [node, *decorators])
        while first > 1 and lines[first - 2].startswith("#"):
            first -= 1
        text = "\n".join(lines[first - 1 : node.end_lineno]) + "\n"
        if getattr(node, "name", None) == name:
            return text
        if begins is None and lines[node.lineno - 1].startswith(name):
            begins = text
    if begins is None:
        raise LookupError(f"there is no {name!r} any more")
    return begins


def main(argv: list[str]) -> int:
    """
    Write what is out of date, or with ``--check`` only name it.
    """
    stale = list(outdated())
    for page, text in stale:
        print(page.relative_to(ROOT))
        if "--check" not in argv:
            page.write_text(text, encoding="utf-8")
    return int("--check" in argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
