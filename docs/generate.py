"""Writes the tables of errcodes in docs/errors.md: `python docs/generate.py`.

With ``--check`` nothing is written, and the exit code is 1 if a page is out of date.
"""

from __future__ import annotations

import pathlib
import re
import sys

from wxlogistics.errcodes import SLOW_DOWN, WORDS
from wxlogistics.errors import (
    AccessTokenError,
    ApiError,
    SystemBusyError,
    api_error,
)

DOCS = pathlib.Path(__file__).resolve().parent

_TABLE = re.compile(r"(<!-- from: errcodes (en|zh) -->\n).*?(<!-- end -->)", re.DOTALL)

#: By language: the head, the reference's page, and what the client does by itself.
_TEXTS = {
    "en": (
        "| errcode | meaning | exception | what to do |\n|---|---|---|---|\n",
        "reference.md",
        " (The client does that, and calls once more.)",
        " (The client tries again after a limit per second.)",
        "too fast: the errmsg names a second or a minute",
    ),
    "zh": (
        "| 错误码 | 含义 | 异常 | 处理办法 |\n|---|---|---|---|\n",
        "reference.zh-CN.md",
        "（客户端会自动换 token 再调用一次。）",
        "（按秒的限制，客户端会自动重试。）",
        "调用太快：errmsg 里有 second 或 minute",
    ),
}


def table(language: str) -> str:
    """
    Return the table of errcodes, in ``en`` or ``zh``.
    """
    head, reference, renews, repeats, pace = _TEXTS[language]
    chinese = language == "zh"
    rows = []

    def add(error: ApiError, meaning: str, advice: str) -> None:
        name = type(error).__name__
        does = ""
        if isinstance(error, AccessTokenError) and error.errcode != 41001:
            does = renews
        elif isinstance(error, SystemBusyError) or "second" in error.errmsg:
            does = repeats
        link = f"[`{name}`]({reference}#wxlogistics.{name})"
        rows.append(f"| {error.errcode} | {meaning} | {link} | {advice}{does} |\n")

    for errcode, words in sorted(WORDS.items()):
        meaning = f"{words.meaning} ({words.meaning_zh})"
        if chinese:
            add(api_error("", errcode, ""), words.meaning_zh, words.advice_zh)
        else:
            add(api_error("", errcode, ""), meaning, words.advice)
        if errcode == 45009:
            add(api_error("", errcode, "second"), pace, SLOW_DOWN[chinese])
    return head + "".join(rows)


def main(argv: list[str]) -> int:
    """
    Write what is out of date, or with ``--check`` only name it.
    """
    stale = 0
    for page in DOCS / "errors.md", DOCS / "errors.zh-CN.md":
        now = page.read_text(encoding="utf-8")
        due = _TABLE.sub(lambda found: found[1] + table(found[2]) + found[3], now)
        if now != due:
            print(page.name)
            stale += 1
            if "--check" not in argv:
                page.write_text(due, encoding="utf-8")
    return int("--check" in argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
