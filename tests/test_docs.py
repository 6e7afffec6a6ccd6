"""What docs/ shows works as it stands there, in both languages."""

from __future__ import annotations

import ast
import importlib.metadata
import logging
import os
import pathlib
import re
import shlex
import subprocess
import sys
import types
from typing import Any, Callable, Iterator

import documents
import pytest
import requests
import responses

from wxlogistics import GoodsDetail, GoodsInfo, WaybillStatus
from wxlogistics.sandbox import Clock, Sandbox

pytestmark = pytest.mark.once

APPID = "wx0123456789abcdef"
SECRET = "your AppSecret"
OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
OPEN_MSG = "https://api.weixin.qq.com/cgi-bin/express/delivery/open_msg/"

#: 2026-05-20 12:00:00 in China.
NOON = 1779249600


def order(wechat: Any, status: int | None = None) -> types.SimpleNamespace:
    """
    An order of a shop's, registered with WeChat if *status* says where its parcel is.
    """
    made = types.SimpleNamespace(
        id=7,
        openid=OPENID,
        waybill_id="SF1234567890123",
        receiver_phone="13800138000",
        trans_id="4200001234567890",
        save=lambda: None,
    )
    if status is not None:
        made.waybill_token = register(wechat, made.waybill_id)
        if status == WaybillStatus.IN_TRANSIT:
            wechat.clock.tick(hours=10)
    return made


def register(wechat: Any, waybill_id: str) -> str:
    """
    Register a parcel of one article, and return its waybill_token.
    """
    token: str = wechat.client.trace_waybill(
        openid=OPENID,
        waybill_id=waybill_id,
        receiver_phone="13800138000",
        goods_info=GoodsInfo([GoodsDetail("Green tea", "https://shop.example/t.jpg")]),
    )
    return token


def registered_order(wechat: Any) -> dict[str, Any]:
    return {"order": order(wechat, WaybillStatus.IN_TRANSIT)}


def unregistered_order(wechat: Any) -> dict[str, Any]:
    return {"order": order(wechat)}


def order_on_its_way(wechat: Any) -> dict[str, Any]:
    wechat.add_waybill("SF1234567890123")
    wechat.clock.tick(hours=10)
    return {"order": order(wechat)}


def three_tokens(wechat: Any) -> dict[str, Any]:
    tokens = []
    for number, status in enumerate((2, 4, 5)):
        tokens.append(register(wechat, f"SF{number}"))
        wechat.move(f"SF{number}", status)
    return {"waybill_tokens": tokens}


def two_more_endpoints(wechat: Any) -> dict[str, Any]:
    for name, errcode in [("open_query_plugin", 0), ("open_openmsg", 933001)]:
        responses.post(OPEN_MSG + name, json={"errcode": errcode, "errmsg": "ok"})
    return {}


def a_token(wechat: Any) -> dict[str, Any]:
    return {"token": wechat.access_token()}


def nothing(wechat: Any) -> dict[str, Any]:
    return {}


def log_shown(wechat: Any) -> dict[str, Any]:
    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(self.format(record))

    handler = Shown()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.getLogger("wxlogistics").addHandler(handler)
    return {}


def wechatpy_there(wechat: Any) -> dict[str, Any]:
    pytest.importorskip("wechatpy")
    return {}


#: What the blocks of a page begin with, besides a WeChat; they run one after the other.
BEGIN_WITH: dict[str, Callable[[Any], dict[str, Any]]] = {
    "docs/guide/register.md": unregistered_order,
    "docs/guide/query.md": registered_order,
    "docs/guide/update.md": registered_order,
    "docs/guide/messages.md": order_on_its_way,
    "docs/guide/request.md": two_more_endpoints,
    "docs/guide/bulk.md": three_tokens,
    "docs/guide/errors.md": registered_order,
    "docs/resilience.md": a_token,
    "docs/privacy.md": log_shown,
    "docs/wechatpy.md": wechatpy_there,
}

#: The pages whose blocks other tests run.
RUN_ELSEWHERE = {
    "docs/quickstart.md": "tests/test_docs.py::TestQuickstart",
    "docs/testing.md": "tests/test_docs.py::TestTesting",
    "docs/tokens.md": "tests/test_token_docs.py",
    "docs/sandbox.md": "tests/sandbox/test_sandbox_docs.py",
}

ENGLISH = [page for page in documents.pages() if not page.endswith(documents.CHINESE)]

RUN_HERE = [
    page
    for page in ENGLISH
    if documents.blocks(page, "python") and page not in RUN_ELSEWHERE
]


def both(pages: Any) -> list[str]:
    """
    Return *pages* and their translations, as far as there are any.
    """
    names = (name for page in pages for name in (page, documents.translation(page)))
    return [name for name in names if (documents.ROOT / name).exists()]


@pytest.fixture
def wechat() -> Iterator[Any]:
    """
    A WeChat whose time stands still, and which knows the mini-program of the pages.
    """
    clock = Clock(start=NOON, speed=0)
    with Sandbox(appid=APPID, secret=SECRET, clock=clock, seed=1).mock() as mocked:
        yield mocked


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("wxlogistics")
    handlers, level = logger.handlers.copy(), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


class TestPython:
    """
    The blocks of Python.
    """

    @pytest.mark.parametrize("page", both(RUN_HERE))
    def test_blocks__run(self, page: str, wechat: Any) -> None:
        """
        Each does and prints what the page says.
        """
        english = page.replace(documents.CHINESE, ".md")
        names = {"__name__": "shown", **BEGIN_WITH.get(english, nothing)(wechat)}
        for block in documents.blocks(page, "python"):
            printed = documents.run(page, block, names)
            if block.printed is not None:
                assert documents.is_as_shown(
                    printed, block.printed
                ), f"{page}:{block.line} prints:\n{printed}"

    def test_pages__that_are_there(self) -> None:
        """
        No page with a setting or a test of its own has gone.
        """
        assert set(BEGIN_WITH) - set(RUN_HERE) == set()
        assert [page for page in RUN_ELSEWHERE if page not in ENGLISH] == []

    @pytest.mark.parametrize("test", RUN_ELSEWHERE.values())
    def test_pages__tests_elsewhere(self, test: str) -> None:
        """
        The tests that are said to run them are there.
        """
        file, _, name = test.partition("::")

        assert name in documents.read(file)

    @pytest.mark.parametrize("page", ENGLISH)
    def test_blocks__the_same_in_both_languages(self, page: str) -> None:
        """
        The translation shows the same code, but for comments and texts.
        """
        chinese = documents.translation(page)
        if not (documents.ROOT / chinese).exists():
            pytest.skip("not translated")

        assert [outline(code) for code in documents.codes(page, "python")] == [
            outline(code) for code in documents.codes(chinese, "python")
        ]


def outline(code: str) -> str:
    """
    Return *code* without its comments, and without the words in its strings.
    """
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if not re.fullmatch(r"[\w./-]+|https?://\S+", node.value, re.ASCII):
                node.value = "…"
    shown = ast.dump(tree)
    for word in ("Tea", "characters"):
        shown = shown.replace(f"'{word}'", "'…'")
    return shown


class TestGenerated:
    """
    What docs/generate.py writes.
    """

    def test_generate__nothing_to_do(self) -> None:
        """
        The tables and the excerpts are those of the code as it is.
        """
        pytest.importorskip("click")
        done = subprocess.run(
            [sys.executable, "docs/generate.py", "--check"],
            cwd=documents.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )

        assert (
            0 == done.returncode
        ), f"run python docs/generate.py, for it would change:\n{done.stdout}"

    def test_errcodes__all_there(self) -> None:
        """
        The tables in both languages have a row for each errcode.
        """
        from wxlogistics.errors import ERRCODES

        for page in ("docs/errcodes.md", "docs/errcodes.zh-CN.md"):
            rows = re.findall(r"^\| (-?\d+) \|", documents.read(page), re.MULTILINE)
            assert {*map(int, rows)} == {*ERRCODES}
            assert ["45009"] == [row for row in rows if rows.count(row) > 1][1:]


class TestQuickstart:
    """
    docs/quickstart.md, step by step, with a real server and a new process.
    """

    @pytest.mark.parametrize("page", both(["docs/quickstart.md"]))
    def test_steps(self, page: str, tmp_path: pathlib.Path) -> None:
        """
        Each step prints what the page says.
        """
        said = {command.split()[0]: [] for command in documents.commands(page)}
        for command in documents.commands(page):
            said[command.split()[0]].append(shlex.split(command)[1:])
        (code,) = documents.codes(page, "python")
        first, again = documents.codes(page, "text")
        (tmp_path / "first.py").write_text(code, encoding="utf-8")
        exported = dict(words[0].split("=") for words in said["export"])
        here = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("WXLOGISTICS_") and "proxy" not in name.lower()
        }
        (sandbox,) = (
            words[1:] for words in said["wxlogistics"] if words[0] == "sandbox"
        )

        server = subprocess.Popen(
            [sys.executable, "-m", "wxlogistics.sandbox", *sandbox, "--port", "0"],
            env=here | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        with server:
            try:
                assert server.stdout
                url = server.stdout.readline().strip().removeprefix("url: ")

                def run() -> str:
                    return subprocess.run(
                        [sys.executable, *said["python"][0]],
                        cwd=tmp_path,
                        env=here
                        | exported
                        | {"WXLOGISTICS_BASE_URL": url, "PYTHONUTF8": "1"},
                        stdout=subprocess.PIPE,
                        encoding="utf-8",
                        timeout=60,
                        check=True,
                    ).stdout

                assert first == run()
                (curl,) = said["curl"]
                assert "http://127.0.0.1:8790/_sandbox/tick" == curl[2]
                with requests.Session() as session:
                    session.trust_env = False
                    tick = session.post(f"{url}/_sandbox/tick", curl[1], timeout=5)
                assert 200 == tick.status_code
                assert again == run()
            finally:
                server.terminate()

        assert "http://127.0.0.1:8790" == exported["WXLOGISTICS_BASE_URL"]
        assert f"appid={exported['WXLOGISTICS_APPID']}" in sandbox
        assert f"secret={exported['WXLOGISTICS_SECRET']}" in sandbox


class TestTesting:
    """
    docs/testing.md.
    """

    @pytest.mark.parametrize("page", both(["docs/testing.md"]))
    def test_files__pass(self, page: str, pytester: pytest.Pytester) -> None:
        """
        The files make a shop with tests that pass.
        """
        for block in documents.blocks(page, "python"):
            assert block.title.endswith(".py")
            (pytester.path / block.title).write_text(block.code, encoding="utf-8")

        done = pytester.runpytest_subprocess("-p", "no:cacheprovider")

        done.assert_outcomes(passed=9)


class TestPages:
    """
    All pages.
    """

    @pytest.mark.parametrize("page", documents.pages())
    def test_switch__leads_to_the_translation(self, page: str) -> None:
        """
        Below the title stands a link to the other language, where there is one.
        """
        name = pathlib.PurePath(page).name
        if page.endswith(documents.CHINESE):
            other, link = name.replace(documents.CHINESE, ".md"), "English"
        else:
            other, link = documents.translation(name), "简体中文"
        if not (documents.ROOT / page).with_name(other).exists():
            pytest.skip("not translated")

        lines = documents.read(page).splitlines()

        assert lines[0].startswith("# ")
        assert ["", f"[{link}]({other})", ""] == lines[1:4]

    @pytest.mark.parametrize("page", ENGLISH)
    def test_headings__the_same_in_both_languages(self, page: str) -> None:
        """
        The translation has the same sections.
        """
        chinese = documents.translation(page)
        if not (documents.ROOT / chinese).exists():
            pytest.skip("not translated")

        assert [len(level) for level, _ in headings(page)] == [
            len(level) for level, _ in headings(chinese)
        ]

    @pytest.mark.parametrize("page", documents.pages())
    def test_links__lead_somewhere(self, page: str) -> None:
        """
        Each link leads to a file that is there and to a heading that it has.
        """
        folder = (documents.ROOT / page).parent
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", documents.read(page)):
            file, _, anchor = link.partition("#")
            target = (folder / file).resolve() if file else documents.ROOT / page
            assert target.exists(), link
            if anchor and not anchor.startswith("wxlogistics."):
                assert anchor in anchors(
                    target.relative_to(documents.ROOT).as_posix()
                ), link

    @pytest.mark.parametrize(
        "page",
        [page for page in documents.pages() if page.endswith(documents.CHINESE)],
    )
    def test_links__stay_in_the_language(self, page: str) -> None:
        """
        A Chinese page links to Chinese pages, where there are any.
        """
        folder = (documents.ROOT / page).parent
        text = "\n".join(documents.read(page).splitlines()[4:])
        for link in re.findall(r"\]\((?!https?:)([^)#]+\.md)", text):
            if not link.endswith(documents.CHINESE):
                assert not (folder / documents.translation(link)).exists(), link


def headings(page: str) -> list[tuple[str, str]]:
    """
    Return the headings of *page*: their level as ``##``, and their words.
    """
    text = re.sub(r"^```.*?^```$", "", documents.read(page), flags=re.S | re.M)
    return re.findall(r"^(#+) (.+)$", text, re.MULTILINE)


def anchors(page: str) -> set[str]:
    """
    Return the anchors of *page*, as GitHub and the site name them.
    """
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for _, heading in headings(page))
    return {heading.replace(" ", "-") for heading in words}


#: Every command that a page may show, with what is checked of it.
CHECKS: dict[str, Callable[[list[str], str], None]] = {}


def check(
    name: str,
) -> Callable[[Callable[[list[str], str], None]], Callable[[list[str], str], None]]:
    def keep(
        function: Callable[[list[str], str], None],
    ) -> Callable[[list[str], str], None]:
        CHECKS[name] = function
        return function

    return keep


@check("pip")
def _(words: list[str], folder: str) -> None:
    """
    It installs this distribution, with extras that it has.
    """
    assert "install" == words[1]
    for wanted in words[2:]:
        found = re.fullmatch(r"wxlogistics(?:\[(.+)\])?", wanted)
        assert found
        have = importlib.metadata.metadata("wxlogistics").get_all("Provides-Extra")
        assert {*(found[1] or "all").split(",")} <= {*(have or ())}


@check("make")
def _(words: list[str], folder: str) -> None:
    """
    The Makefile has the target.
    """
    makefile = (documents.ROOT / folder / "Makefile").read_text(encoding="utf-8")
    for target in words[1:]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@check("cd")
def _(words: list[str], folder: str) -> None:
    """
    The folder is there.
    """
    assert (documents.ROOT / folder).is_dir()


@check("wxlogistics")
def _(words: list[str], folder: str) -> None:
    """
    The command has the subcommand and its options.
    """
    pytest.importorskip("click")
    ran = subprocess.run(
        [sys.executable, "-m", *command_path(words), "--help"],
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=60,
    )
    assert 0 == ran.returncode
    for option in words:
        if option.startswith("--"):
            assert option.partition("=")[0] in ran.stdout


def command_path(words: list[str]) -> list[str]:
    """
    Return the words up to the last subcommand.
    """
    path = [words[0]]
    for word in words[1:]:
        if not re.fullmatch("[a-z-]+", word) or word.startswith("-"):
            break
        path.append(word)
    return path


@check("python")
def _(words: list[str], folder: str) -> None:
    """
    The module or the file is there, in the project or on the page itself.
    """
    if words[1] == "-m":
        assert "wxlogistics.sandbox" == words[2]
    elif words[1] == "manage.py":
        command = f"orders/management/commands/{words[2]}.py"
        code = (documents.ROOT / folder / command).read_text(encoding="utf-8")
        assert all(f'"{word}"' in code for word in words[3:] if word.startswith("--"))
    else:
        assert "first.py" == words[1]


@check("flask")
def _(words: list[str], folder: str) -> None:
    """
    The example has the command and its options.
    """
    assert ["--app", "shop"] == words[1:3]
    commands = documents.read("examples/flask_shop/shop/commands.py")
    assert f"def {words[3].replace('-', '_')}(" in commands
    assert all(f'"{word}"' in commands for word in words[4:] if word.startswith("--"))


@check("export")
@check("unset")
def _(words: list[str], folder: str) -> None:
    """
    The variable is one that is read.
    """
    name = words[1].partition("=")[0]
    assert name.removeprefix("WXLOGISTICS_") in documents.read("wxlogistics/client.py")


@check("curl")
def _(words: list[str], folder: str) -> None:
    """
    It calls a sandbox on its default port; test_sandbox_docs.py runs them.
    """
    assert any(word.startswith("http://127.0.0.1:8790/") for word in words)


@pytest.mark.parametrize("page", [*documents.READMES, *documents.pages()])
def test_commands(page: str) -> None:
    """
    Each command of each page is one that there is.
    """
    folder = ""
    checked = set()
    for command in documents.commands(page):
        words = shlex.split(re.split(r" [|>&;]", command)[0])
        while re.match(r"\w+=", words[0]):
            del words[0]
        if words[0] == "cd":
            folder = words[1]
        elif page.startswith("docs/frameworks/") and not folder:
            folder = f"examples/{pathlib.PurePath(page).name.partition('.')[0]}_shop"
        if command not in checked:
            assert words[0] in CHECKS, command
            CHECKS[words[0]](words, folder)
        checked.add(command)
