"""What docs/ and the READMEs claim of commands, tables and links holds."""

import contextlib
import importlib.metadata
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import documents
import pytest
import requests
from programs import run_python

from wxlogistics import Client, StableToken
from wxlogistics.__main__ import main
from wxlogistics.errcodes import WORDS

pytestmark = pytest.mark.once

ENGLISH = [page for page in documents.pages() if not page.endswith(documents.CHINESE)]
EVERY_PAGE = [*documents.READMES, *documents.pages()]

#: An environment in which nothing of this test run is known.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("WXLOGISTICS_", "VIRTUAL_ENV", "PYTEST", "COV", "TOX"))
    and not name.startswith(("PYTHON", "MAKE"))
    and "proxy" not in name.lower()
}


class TestPages:
    def test_pages__at_most_fourteen_each_translated(self):
        chinese = [documents.translation(page) for page in ENGLISH]

        assert sorted([*ENGLISH, *chinese]) == documents.pages()
        assert len(ENGLISH) <= 14

    @pytest.mark.parametrize("page", documents.pages())
    def test_switch__below_the_title(self, page):
        name = pathlib.PurePath(page).name
        if page.endswith(documents.CHINESE):
            link = f"[English]({name.replace(documents.CHINESE, '.md')})"
        else:
            link = f"[简体中文]({documents.translation(name)})"

        title, *rest = documents.read(page).splitlines()
        assert title.startswith("# ")
        assert ["", link, ""] == rest[:3]

    @pytest.mark.parametrize("page", ["README.md", *ENGLISH])
    def test_headings__the_same_in_both_languages(self, page):
        english, chinese = (
            [re.sub("(?<=#) .*|(?<=!).*", "", line) for line in outline(each)]
            for each in (page, documents.translation(page))
        )

        assert english == chinese

    @pytest.mark.parametrize("page", documents.pages())
    def test_links__file_heading_and_language_exist(self, page):
        folder = (documents.ROOT / page).parent
        text = "\n".join(documents.read(page).splitlines()[4:])
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            file, _, anchor = link.partition("#")
            target = (folder / file).resolve() if file else documents.ROOT / page
            assert target.exists(), link
            name = target.relative_to(documents.ROOT).as_posix()
            if name.endswith(".md") and name.startswith("docs/"):
                chinese = page.endswith(documents.CHINESE)
                assert chinese == name.endswith(documents.CHINESE), link
            if anchor and not anchor.startswith("wxlogistics."):
                assert anchor in anchors(name), link

    @pytest.mark.parametrize("page", documents.READMES)
    def test_readme__no_relative_links(self, page):
        text = documents.read(page)
        named = re.findall(r"`((?:docs|examples)/[^`]*)`", text)

        assert [] == re.findall(r"\]\((?!https:)[^)]+\)", text)
        assert named
        assert [name for name in named if not (documents.ROOT / name).exists()] == []

    @pytest.mark.parametrize("page", EVERY_PAGE)
    def test_chinese__no_line_begins_with_a_closing_mark(self, page):
        assert [] == re.findall(
            r"^\s*[，。、；：？！）」》].*", documents.read(page), re.M
        )

    @pytest.mark.parametrize(
        ("page", "language"), [("docs/errors.md", "en"), ("docs/errors.zh-CN.md", "zh")]
    )
    def test_errcodes__table(self, page, language):
        """The table is the output of docs/generate.py."""
        run_python("docs/generate.py", "--check", cwd=documents.ROOT)
        rows = re.findall(r"^\| (-?\d+) \|", documents.read(page), re.MULTILINE)

        assert {*map(int, rows)} == {*WORDS}

    @pytest.mark.parametrize("name", ["app.json", "tracking.js"])
    def test_miniprogram__as_in_the_example(self, name):
        code = documents.read(f"examples/miniprogram/{name}")

        for page in ("docs/miniprogram.md", "docs/miniprogram.zh-CN.md"):
            assert f'title="miniprogram/{name}"\n{code}```\n' in documents.read(page)


def outline(page: str) -> list[str]:
    """Return the lines of *page* that make its structure: headings, heads, fences."""
    text = re.sub(
        r"^( *```\w+).*?^ *```$", r"\1", documents.read(page), flags=re.S | re.M
    )
    return re.findall(r"^(?:#+ .*|\|[-|]+|<!.*|!\[.*| *```\w+)$", text, re.MULTILINE)


def anchors(page: str) -> set[str]:
    """Return the anchors of *page*, as GitHub and the site name them."""
    headings = [line.lstrip("#") for line in outline(page) if line.startswith("#")]
    words = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in words}


@pytest.fixture
def sandbox(page: str) -> Iterator[tuple[str, list[str]]]:
    """The server of the page's command: its URL and the lines that it prints."""
    commands = map(shlex.split, documents.commands(page))
    (words,) = (each[1:] for each in commands if each[:2] == ["wxlogistics", "sandbox"])
    server = subprocess.Popen(
        [sys.executable, "-m", "wxlogistics", *words, "--port", "0"],
        env=CLEAN | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            assert server.stdout
            lines = [server.stdout.readline().strip() for _ in range(5)]
            yield lines[0].removeprefix("url: "), lines
        finally:
            server.terminate()


class TestSandbox:
    """The sandbox as a server, as the READMEs and the first page start it."""

    @pytest.mark.parametrize("page", documents.READMES)
    def test_readme__output_and_client(self, page, sandbox):
        url, lines = sandbox
        shown = documents.blocks(page, "console")[-1].code.splitlines()[2:]
        (call,) = re.findall(
            r"`(Client\(StableToken\(.+?\), .+?\))`", documents.read(page)
        )
        printed = dict(line.split(": ", 1) for line in lines)
        names = {"Client": Client, "StableToken": StableToken} | printed

        assert [line.partition(":")[0] for line in shown] == [
            line.partition(":")[0] for line in lines
        ]
        with eval(call.replace("http://127.0.0.1:8790", url), names) as client:
            assert client.get_delivery_list()

    @pytest.mark.parametrize("page", ["docs/index.md", "docs/index.zh-CN.md"])
    def test_first_page__output(self, page, sandbox, tmp_path):
        url, _ = sandbox
        commands = [shlex.split(command) for command in documents.commands(page)]
        (block,) = documents.blocks(page, "python")
        first, again = (text.code for text in documents.blocks(page, "text"))
        (tmp_path / "first.py").write_text(block.code, encoding="utf-8")
        exports = (each[1].split("=") for each in commands if each[0] == "export")
        exported = {name: value for name, value in exports if not value.endswith("...")}
        assert "http://127.0.0.1:8790" == exported["WXLOGISTICS_BASE_URL"]
        exported |= {"WXLOGISTICS_BASE_URL": url, "PYTHONUTF8": "1"}

        run = partial(run_python, "first.py", cwd=tmp_path, env=CLEAN | exported)

        assert first == run()
        (curl,) = (each for each in commands if each[0] == "curl")
        assert "http://127.0.0.1:8790/_sandbox/tick" == curl[3]
        with requests.Session() as session:
            session.trust_env = False
            printed = session.post(f"{url}/_sandbox/tick", curl[2], timeout=5).text
        (shown,) = (
            each.code.partition("\n")[2]
            for each in documents.blocks(page, "console")
            if "$ curl" in each.code
        )
        assert documents.is_as_shown(printed, shown)
        assert again == run()


class TestCommands:
    """What stands behind a ``$``."""

    @pytest.mark.parametrize("page", documents.READMES)
    def test_readme__first_two_commands(self, page):
        assert "$ make demo\n$ make test\n" == documents.blocks(page, "console")[0].code

    @pytest.mark.parametrize("page", EVERY_PAGE)
    def test_commands__exist_with_their_options(self, page):
        folder = documents.ROOT
        in_text = re.findall(r"`(pip install .+?)`", documents.read(page))
        for command in dict.fromkeys([*documents.commands(page), *in_text]):
            words = shlex.split(re.split(r" [|>&;]", command)[0])
            match words:
                case ["cd", name]:
                    folder = documents.ROOT / name
                    assert folder.is_dir()
                case ["make", *targets]:
                    makefile = (folder / "Makefile").read_text(encoding="utf-8")
                    assert all(f"\n{target}:" in makefile for target in targets)
                case ["pip", "install", name]:
                    assert is_installable(name), command
                case ["wxlogistics", *_]:
                    assert_options(words)
                case ["export" | "unset", name]:
                    assert f'("{name.partition("=")[0][12:]}")' in client_code() or (
                        f'"{name.partition("=")[0][12:]}"' in client_code()
                    )
                case ["python", "first.py"] | ["python", "-m", "wxlogistics.sandbox"]:
                    pass
                case ["curl", *rest]:
                    # tests/sandbox/test_sandbox_docs.py runs them.
                    assert any("http://127.0.0.1:8790/" in word for word in rest)
                case _:
                    pytest.fail(f"no check for {command}")


def client_code() -> str:
    return documents.read("wxlogistics/client.py")


def is_installable(name: str) -> bool:
    """Whether *name* is this distribution or its checkout, with extras that it has."""
    if name == "cachelib":
        return True
    found = re.fullmatch(r"(?:wxlogistics|\.)(?:\[(.+)\])?", name)
    have = importlib.metadata.metadata("wxlogistics").get_all("Provides-Extra") or ()
    return found is not None and {*(found[1] or "all").split(",")} <= {*have}


def assert_options(words: list[str]) -> None:
    """Check that the command has the subcommand and the options of *words*."""
    pytest.importorskip("click")
    path = [words[0]]
    for word in words[1:]:
        if not re.fullmatch("[a-z][a-z-]*", word):
            break
        path.append(word)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert 0 == main([*path[1:], "--help"]), words
    for option in words:
        name = option.partition("=")[0]
        assert not option.startswith("--") or name in printed.getvalue()
