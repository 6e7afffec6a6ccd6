"""Every message in both languages, and which of them is spoken."""

from __future__ import annotations

import ast
import locale
import re
from pathlib import Path
from typing import Any

import pytest

import wxlogistics.cli
from wxlogistics.cli.doctor import STEPS
from wxlogistics.cli.messages import (
    LANGUAGES,
    MESSAGES,
    REFUSALS,
    STATUSES,
    Problem,
    Say,
    choose_language,
    fields_of,
)
from wxlogistics.cli.terminal import cells, fold, pad
from wxlogistics.errors import ERRCODES, api_error
from wxlogistics.models import WaybillStatus

CHINESE = re.compile(r"[\u4e00-\u9fff]")

#: The same in both languages: no sentences.
WORDLESS = {
    "as_is",
    "colon",
    "comma",
    "semicolon",
    "use.bad",
    "use.file",
    "doctor.unreached",
    "doctor.tls",
    "doctor.token",
    "error.rid",
}


class TestMessages:
    @pytest.mark.parametrize("key", MESSAGES)
    def test_messages__both_languages(self, key: str) -> None:
        """
        Each message says something in both languages, with the same fields.
        """
        english, chinese = MESSAGES[key]

        assert english.strip() and chinese.strip()
        assert fields_of(english) == fields_of(chinese)
        if key not in WORDLESS:
            assert not CHINESE.search(english.replace("物流查询插件", ""))
            assert CHINESE.search(chinese)

    @pytest.mark.parametrize("key", MESSAGES)
    def test_messages__chinese_punctuation(self, key: str) -> None:
        """
        Chinese sentences have Chinese punctuation.
        """
        chinese = MESSAGES[key].zh

        assert not re.search(r"[\u4e00-\u9fff][,;:!?(]", chinese)
        assert not re.search(r"[,;:!?)][\u4e00-\u9fff]", chinese)

    def test_messages__all_are_said(self) -> None:
        """
        No message is left that nobody says, and none is said that is not there.
        """
        folder = Path(wxlogistics.cli.__file__).parent
        said = {
            node.value
            for path in [*folder.glob("*.py"), folder.parent / "demo.py"]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if path.name != "messages.py" and isinstance(node, ast.Constant)
        } | {"advice.unknown", "advice.address"}
        # What is put together.
        said |= {f"doctor.{name}" for name in STEPS}
        said |= {f"bulk.{name}" for name in ("good", "refused", "failed")}
        made = ("help.", "bulk.stopped.", "bulk.is_")

        assert [
            key for key in MESSAGES if key not in said and not key.startswith(made)
        ] == []


class TestErrcodes:
    def test_refusals__complete(self) -> None:
        """
        Each row of the errcode table has its other half here.
        """
        assert set(ERRCODES) == set(REFUSALS)

    @pytest.mark.parametrize("errcode", ERRCODES)
    def test_refusals__both_languages(self, errcode: int) -> None:
        """
        Meaning and advice are there in both languages.
        """
        error = api_error("query_trace", errcode, "")
        english, chinese = Say("en"), Say("zh")

        assert not CHINESE.search(english.meaning(errcode))
        assert english.meaning(errcode)
        assert CHINESE.search(chinese.meaning(errcode))
        assert CHINESE.search(chinese.advice(error))
        assert chinese.advice(error).endswith("。")
        assert not re.search(r"[\u4e00-\u9fff][,;:]", chinese.advice(error))

    @pytest.mark.parametrize(
        "errcode, errmsg, advice",
        [
            (45009, "day", "请在北京时间零点以后继续\uff1b调用额度按天计算。"),
            (45009, "second", "请等到下一秒或下一分钟\uff0c并降低调用频率。"),
            (
                12345,
                "",
                "请在微信官方文档中查这个错误码\uff0c或带上 rid 到微信开放社区提问。",
            ),
            (40164, "", "请在微信公众平台把本机的出口地址加入 IP 白名单。"),
            (
                40164,
                "invalid ip 203.0.113.7",
                "请在微信公众平台把 203.0.113.7 加入 IP 白名单。",
            ),
        ],
    )
    def test_advice__chinese(self, errcode: int, errmsg: str, advice: str) -> None:
        """
        The advice fits the meaning that the errcode has this time.
        """
        assert advice == Say("zh").advice(api_error("query_trace", errcode, errmsg))

    @pytest.mark.parametrize(
        "errmsg, advice",
        [
            ("", "Put this machine's address on the IP whitelist in WeChat's console."),
            (
                "invalid ip 203.0.113.7",
                "Put 203.0.113.7 on the IP whitelist in WeChat's console.",
            ),
        ],
    )
    def test_advice__address(self, errmsg: str, advice: str) -> None:
        """
        At a terminal the advice names the address itself.
        """
        assert advice == Say("en").advice(api_error("query_trace", 40164, errmsg))

    def test_meaning__unknown(self) -> None:
        """
        An errcode in no row means nothing.
        """
        assert "" == Say("en").meaning(12345)

    def test_status__complete(self) -> None:
        """
        Each status has English words, and keeps the document's Chinese ones.
        """
        assert set(WaybillStatus) == set(STATUSES)
        assert "signed for" == Say("en").status(WaybillStatus.SIGNED)
        assert "已签收" == Say("zh").status(WaybillStatus.SIGNED)
        assert "unknown status 9" == Say("en").status(WaybillStatus(9))
        assert "未知状态 9" == Say("zh").status(WaybillStatus(9))


class TestLanguage:
    @pytest.mark.parametrize(
        "argv, environ, language",
        [
            (["--lang", "zh"], {}, "zh"),
            (["query", "--lang=zh", "t"], {"LANG": "en_US.UTF-8"}, "zh"),
            (["--lang", "en"], {"LC_ALL": "zh_CN.UTF-8"}, "en"),
            (["--lang", "fr"], {"LANG": "zh_CN"}, "zh"),
            (["--lang"], {"LANG": "zh_CN"}, "zh"),
            ([], {"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US"}, "zh"),
            ([], {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
            ([], {"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh"),
            ([], {"LANG": "zh_CN.GB18030"}, "zh"),
            ([], {"LANG": "de_DE.UTF-8"}, "en"),
        ],
    )
    def test_choose_language__order(
        self, argv: list[str], environ: dict[str, str], language: str
    ) -> None:
        """
        --lang goes before the locale; LC_ALL before LC_MESSAGES before LANG.
        """
        assert language == choose_language(argv, environ)

    @pytest.mark.parametrize(
        "name, language",
        [
            ("zh_CN", "zh"),
            ("Chinese (Simplified)_China", "zh"),
            ("en_US", "en"),
            (None, "en"),
        ],
    )
    def test_choose_language__no_variables(
        self, name: str | None, language: str, monkeypatch: Any
    ) -> None:
        """
        Without variables, as on Windows, the system is asked.
        """
        monkeypatch.setattr(locale, "getlocale", lambda: (name, "cp936"))

        assert language == choose_language([], {})

    def test_languages__both(self) -> None:
        """
        There are two.
        """
        assert ("en", "zh") == LANGUAGES

    def test_problem__says(self) -> None:
        """
        A problem is told in the language of whoever hears it.
        """
        problem = Problem("row.empty", name="openid")

        assert "openid is empty" == Say("en").problem(problem)
        assert "openid 为空" == Say("zh").problem(problem)


class TestFold:
    @pytest.mark.parametrize(
        "text, width, lines",
        [
            ("", 10, [""]),
            ("one two three", 7, ["one two", "three"]),
            ("one two three", 8, ["one two", "three"]),
            ("abcdefghij", 4, ["abcdefghij"]),
            ("ab abcdefghij", 4, ["ab", "abcdefghij"]),
            ("a\nb", 10, ["a", "b"]),
            ("运单不存在", 6, ["运单不", "存在"]),
            ("运单 a 不存在", 7, ["运单 a", "不存在"]),
            # A closing mark takes along what it closes rather than begin a line.
            ("运单不\uff0c存在", 6, ["运单", "不\uff0c存", "在"]),
            # As one that opens does.
            ("运单\uff08不\uff09存在", 6, ["运单", "\uff08不\uff09", "存在"]),
            ("查 https://shop.example/tea", 6, ["查", "https://shop.example/tea"]),
        ],
    )
    def test_fold__breaks(self, text: str, width: int, lines: list[str]) -> None:
        """
        English breaks at blanks, Chinese between any two characters.
        """
        assert lines == fold(text, width)

    def test_cells__wide(self) -> None:
        """
        A Chinese character takes two columns.
        """
        assert [3, 4, 2] == [cells("abc"), cells("运单"), cells("\uff0c")]
        assert "运单  |" == pad("运单", 6) + "|"
