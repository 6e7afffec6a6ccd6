"""Every message in both languages, which of them is used, and how text is folded."""

import ast
import locale
import os
import re
import string
import sys
from pathlib import Path
from typing import Any, Iterator

import click
import pytest
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

import wxlogistics.cli
from wxlogistics.cli.language import LANGUAGES, choose_language, listed, say, speak
from wxlogistics.cli.main import commands
from wxlogistics.cli.output import Terminal, advice, cells, fold, meaning, pad, unusable
from wxlogistics.errcodes import WORDS
from wxlogistics.errors import api_error
from wxlogistics.probe import CALLS
from wxlogistics.sandbox.command import NOTICES, OPTIONS, PROBLEMS

#: The fields of click's own plurals.
PLURALS = {
    "Did you mean {possibility}?": "{possibilities}",
    "{value!r} is not {choice}.": "{choices}",
    "Got unexpected extra argument ({args})": "",
}

FOLDER = Path(wxlogistics.cli.__file__).parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")

#: The same in both languages: no words of either.
WORDLESS = {"[tls]", "[token]", "{reason}", "{lines}", "{path}: {reason}"}
WORDLESS |= {"{host}: {reason}", "{title}: {call}", ", "}


def catalogue(language: str, kind: str = "po") -> Any:
    path = FOLDER / "locale" / language / "LC_MESSAGES" / f"wxlogistics.{kind}"
    with open(path, "rb") as file:
        return read_mo(file) if kind == "mo" else read_po(file, locale=language)


def texts(language: str, kind: str = "po") -> dict[str, list[str]]:
    """Return the texts of each message, by the message's name."""
    found = {}
    for message in catalogue(language, kind):
        name = message.id if isinstance(message.id, str) else message.id[0]
        if name:
            many = message.string
            found[name] = [many] if isinstance(many, str) else [*many]
    return found


def said() -> Iterator[str]:
    """Yield the name of each message that the code says."""
    for path in [*FOLDER.glob("*.py"), *FOLDER.parent.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                first = ast.literal_eval(node.args[0]) if _is_text(node.args) else ""
                if called in ("say", "_say", "Problem", "plural") and first:
                    yield first
                if called == "option" and first and len(node.args) == 1:
                    yield f"[{first.split()[0]}]"
    yield from (option.help for option in OPTIONS)
    yield from NOTICES
    yield from PROBLEMS
    yield from (call.what for call in CALLS)


def _is_text(args: list[ast.expr]) -> bool:
    return bool(args) and isinstance(args[0], ast.Constant)


def fields(text: str) -> set[str]:
    return {str(name) for _, name, _, _ in string.Formatter().parse(text)} - {"None"}


class TestCatalogues:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_catalogue__is_compiled(self, language):
        """What is shipped is what the source of the catalogue says."""
        source, shipped = texts(language), texts(language, "mo")

        assert source == shipped

    def test_catalogue__complete(self):
        """Each message has Chinese words; a name in brackets has English ones too."""
        english, chinese = texts("en"), texts("zh")
        names = {*said()}

        assert len(names) > 120
        assert names - {*chinese} == set()
        assert {name for name in {*chinese} if name[0] == "["} - {"[OPTIONS]"} == {
            *english
        }

    @pytest.mark.parametrize("name", [*texts("zh")])
    def test_catalogue__both_languages(self, name):
        """A message has the same fields and its language's marks in both."""
        english = texts("en").get(name, [name])
        for chinese in texts("zh")[name]:
            assert fields(chinese) <= fields(english[-1] + PLURALS.get(name, ""))
            assert not re.search(
                r"[\u4e00-\u9fff][,;:!?(]|[,;:!?)][\u4e00-\u9fff]", chinese
            )
            assert not re.search(r"[，。：；！？] |登记|应答|运力公司|AppID", chinese)
            if name not in WORDLESS:
                assert CHINESE.search(chinese)
        for text in english:
            assert not CHINESE.search(text.replace("物流查询插件", ""))

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_help__no_name_is_shown(self, language):
        """No message's bare name is left in any help."""
        with speak(language):
            group = commands(Terminal(False))
            todo: list[click.Command] = [group]
            for command in todo:
                context = command.make_context("x", [], resilient_parsing=True)
                text = command.get_help(context)
                todo += getattr(command, "commands", {}).values()

                assert not re.search(
                    r"\[(help|--|exit|[A-Z_]+\])",
                    text.replace("[OPTIONS]", "")
                    .replace("[CODE]", "")
                    .replace("[TEXT]", ""),
                )
                if language == "zh":
                    # A file's format, not prose.
                    assert not re.search("Show |Usage|Options|Commands", text)


class TestErrcodes:
    @pytest.mark.parametrize("errcode", WORDS)
    def test_words__both_languages(self, errcode):
        """Meaning and advice are there in both languages."""
        error = api_error("query_trace", errcode, "")
        with speak("en"):
            assert meaning(errcode) and not CHINESE.search(meaning(errcode))
        with speak("zh"):
            assert CHINESE.search(meaning(errcode))
            assert advice(error).endswith("。")

    @pytest.mark.parametrize(
        "language, errcode, errmsg, text",
        [
            ("zh", 45009, "day", "请在北京时间零点以后继续"),
            ("zh", 45009, "second", "请等到下一秒或下一分钟"),
            ("en", 45009, "second", "Wait for the next second or minute"),
            ("zh", 12345, "", "请在微信文档中查找该错误码"),
            ("zh", 40164, "", "请在微信公众平台把本机的出口地址加入 IP 白名单。"),
            (
                "zh",
                40164,
                "invalid ip 203.0.113.7",
                "请在微信公众平台把 203.0.113.7 加",
            ),
            ("en", 40164, "", "Put this machine's address on the IP whitelist in"),
            ("en", 40164, "invalid ip 203.0.113.7", "Put 203.0.113.7 on the IP white"),
        ],
    )
    def test_advice__each(self, language, errcode, errmsg, text):
        """The advice fits the meaning that the errcode has this time."""
        with speak(language):
            assert advice(api_error("query_trace", errcode, errmsg)).startswith(text)


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
            # The nearer one counts.
            (["--lang", "en", "sandbox", "--lang", "zh"], {}, "zh"),
            (["--lang=zh", "sandbox", "--lang", "en"], {}, "en"),
        ],
    )
    def test_choose_language__order(self, argv, environ, language):
        """--lang goes before the locale; LC_ALL before LC_MESSAGES before LANG."""
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
    def test_choose_language__no_variables(self, name, language, monkeypatch):
        """Without variables, as on Windows, the system's locale counts."""
        monkeypatch.setattr(locale, "getlocale", lambda: (name, "cp936"))

        assert language == choose_language([], {})

    @pytest.mark.parametrize("before", [None, "de"])
    def test_speak__within_the_block(self, before, monkeypatch):
        """The language is as before behind the block."""
        monkeypatch.delenv("LANGUAGE", raising=False)
        if before:
            monkeypatch.setenv("LANGUAGE", before)
        with speak("zh"):
            assert ("{name} 为空", "a、b") == (say("{name} is empty"), listed("ab"))
            assert "x：没有这个文件或目录" == unusable("x", 2).format_message()

        assert before == os.environ.get("LANGUAGE")
        assert "{name} is empty" == say("{name} is empty")


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
            ("运单不，存在", 6, ["运单", "不，存", "在"]),
            ("运单（不）存在", 6, ["运单", "（不）", "存在"]),
            ("运单, 存在", 6, ["运单,", "存在"]),
            ("运单「ab」。存", 6, ["运单", "「ab」。", "存"]),
            ("查 https://shop.example/tea", 6, ["查", "https://shop.example/tea"]),
        ],
    )
    def test_fold__breaks(self, text, width, lines):
        """English breaks at blanks, Chinese between any two characters."""
        assert lines == fold(text, width)

    def test_cells__wide(self):
        """A Chinese character takes two columns."""
        assert [3, 4, 2] == [cells("abc"), cells("运单"), cells("，")]
        assert "运单  |" == pad("运单", 6) + "|"

    @pytest.mark.parametrize(
        "encoding, signs",
        [("utf-8", "✓✗●"), ("gbk", "√×●"), ("ascii", "+x*"), ("latin-1", "+×*")],
    )
    def test_stand_in__other_encodings(
        self, encoding, signs, run, monkeypatch, tmp_path
    ):
        """What a console cannot show has a stand-in: ✓ is not like ✗."""
        with open(tmp_path / "out", "w", encoding=encoding) as file:
            monkeypatch.setattr(sys, "stdout", file)
            run("--version")
            print("✓✗●\u2603", file=file)
        monkeypatch.undo()
        text = (tmp_path / "out").read_bytes().decode(encoding)

        assert signs == text.splitlines()[-1][:3]
        assert encoding == "utf-8" or "?" == text.splitlines()[-1][3]
