"""Every block of Python of every page and README runs, and passes type checkers."""

import ast
import inspect
import json
import logging
import os
import pathlib
import re
import socket
import sys
from collections.abc import Iterator
from typing import Any

import documents
import pytest
import redis.retry
import responses
from programs import run_python

from wxlogistics.sandbox import Clock, Sandbox
from wxlogistics.sandbox.mock import MockedSandbox

pytestmark = pytest.mark.once

APPID, SECRET, COMPONENT = "wx0123456789abcdef", "your AppSecret", "wx8888888888888888"

#: 2026-05-20 12:00:00 in China.
NOON = 1779249600

#: No server is there: a cache that fails must not stop a call.
ENVIRONMENT = {
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "WECHAT_APPID": APPID,
    "WECHAT_SECRET": SECRET,
    "WXLOGISTICS_APPID": APPID,
    "WXLOGISTICS_SECRET": SECRET,
}

#: What the files of a page need besides: what a page assumes of the reader's project.
ASSUMED = {
    "django": {
        "shop/__init__.py": "",
        "shop/urls.py": """
from django.urls import path

from .views import order_detail

urlpatterns = [path("orders/<int:pk>", order_detail)]
""",
        "shop/models.py": """
from typing import Any

from django.db import models

Text: Any = models.TextField


class _Order(models.Model):
    customer: Any = models.ForeignKey("auth.User", models.CASCADE)
    openid: Any = Text()
    waybill_id: Any = Text()
    receiver_phone: Any = Text()
    article: Any = Text()
    state: Any = Text(default="paid")
    waybill_token: Any = Text(default="")
    problem: Any = Text(default="")


Order: Any = _Order
""",
        "shop/installed.py": """
from shop.settings import *  # noqa: F403

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
INSTALLED_APPS += ["django.contrib.sessions", "shop"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
MIDDLEWARE += ["django.contrib.auth.middleware.AuthenticationMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "shop.urls"
SECRET_KEY = "not one"
""",
    }
}

#: Pages whose blocks without a title other tests run, with a server or one by one.
ELSEWHERE = {"index": "test_docs.py", "sandbox": "sandbox/test_sandbox_docs.py"}

EVERY_PAGE = [*documents.READMES, *documents.pages()]
WITH_PYTHON = [page for page in EVERY_PAGE if documents.modules(page)]
ENGLISH = [page for page in WITH_PYTHON if not page.endswith(documents.CHINESE)]


def topic(page: str) -> str:
    return pathlib.PurePath(page).name.partition(".")[0]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Sandbox:
    """WeChat as the pages assume it: with a mini-program, and a parcel on its way."""
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def resolve(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no network in tests")

    # Redis takes seconds to give up.
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(redis.retry, "sleep", lambda seconds: None)
    clock = Clock(start=NOON, speed=0)
    sandbox = Sandbox(appid=APPID, secret=SECRET, clock=clock, seed=1)
    sandbox.add_waybill("SF1234567890123")
    clock.tick(hours=10)
    return sandbox


@pytest.fixture(autouse=True)
def log_shown() -> Iterator[None]:
    """The log goes to stdout, as docs/errors.md shows it."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(f"{record.name}: {record.getMessage()}")

    logger, handler = logging.getLogger("wxlogistics"), Shown(logging.DEBUG)
    logger.addHandler(handler)
    level = logger.level
    yield
    logger.removeHandler(handler)
    logger.setLevel(level)


class TestBlocks:
    """The blocks without a title: they run one after the other."""

    @pytest.mark.parametrize(
        "page", [page for page in WITH_PYTHON if "page.py" in documents.modules(page)]
    )
    def test_blocks__output_as_shown(self, page, sandbox):
        names: dict[str, Any] = {"__name__": "shown"}
        for block in documents.blocks(page, "python"):
            if block.title or topic(page) in ELSEWHERE:
                continue
            known = set(names)
            with sandbox.mock() as wechat:
                printed = documents.run(page, block, names)
                run_tests(names, set(names) - known, wechat)
            if block.printed is not None:
                where = f"{page}:{block.line} prints:\n{printed}"
                assert documents.is_as_shown(printed, block.printed), where

    @pytest.mark.parametrize("page", ["docs/tokens.md", "docs/tokens.zh-CN.md"])
    def test_tokens__every_client_calls(self, page, sandbox):
        sandbox.add_component(COMPONENT)
        names: dict[str, Any] = {}
        with sandbox.mock():
            token = {"access_token": sandbox.access_token()}
            responses.get("https://tokens.shop.example/wechat", json=token)
            for block in documents.blocks(page, "python"):
                documents.run(page, block, names)
                assert names["client"].get_delivery_list()
            names["refresh_tokens"][APPID] = sandbox.authorize(COMPONENT)
            changed = sandbox.change_refresh_token(COMPONENT)
            component_token = sandbox.component_access_token(COMPONENT)
            names["component_access_token"] = lambda: component_token

            assert names["client_for"](APPID).get_delivery_list()
        assert changed == names["refresh_tokens"][APPID]

    @pytest.mark.parametrize("page", documents.READMES)
    @pytest.mark.parametrize(
        ("fault", "printed"),
        [
            ({"errcode": 931023}, "no route yet|还没有物流轨迹"),
            ({"errcode": 48001}, "48001 api unauthorized"),
            ({"drop": True, "times": 3}, "the connection broke.* True"),
            ({"status": 404, "body": "x"}, "query_trace: not WeChat's"),
        ],
    )
    def test_readme__errors_caught(self, page, sandbox, fault, printed):
        (block,) = (
            one for one in documents.blocks(page, "python") if "error:" in one[2]
        )
        sandbox.fail("query_trace", **fault)

        with sandbox.mock():
            assert re.search(printed, documents.run(page, block, {}))


class TestFiles:
    """The blocks with a title: together they are files of a project with tests."""

    @pytest.mark.parametrize(
        "page", [page for page in ENGLISH if {*documents.modules(page)} - {"page.py"}]
    )
    def test_files__pass(self, page, tmp_path):
        write(page, tmp_path)
        settings = {"DJANGO_SETTINGS_MODULE": "shop.installed"}
        printed = run_python(
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=append"),
            *("-o", "python_files=test_*.py tests.py", "."),
            cwd=tmp_path,
            env=os.environ | ENVIRONMENT | (settings if "django" in page else {}),
        )
        tests = sum(
            code.count("def test_")
            for name, code in files_of(page).items()
            if name != "page.py"
        )

        assert f"{tests} passed" in printed, printed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Every page that is a single module in one folder, each other in its own."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "modules").mkdir()
    for page in ENGLISH:
        name = re.sub(r"\W", "_", page)
        if [*files_of(page)] == ["page.py"]:
            code = documents.modules(page)["page.py"]
            (folder / "modules" / f"{name}.py").write_text(code, encoding="utf-8")
        else:
            write(page, folder / name)
    return folder


class TestTyped:
    """The blocks as a reader's own code."""

    def test_mypy__strict(self, folder):
        """Libraries without types are allowed."""
        pytest.importorskip("mypy")
        options = [
            "--strict",
            "--follow-imports=silent",
            f"--cache-dir={folder.parent}/m",
        ]
        options.append("--disable-error-code=import-untyped")
        for page in sorted(folder.iterdir()):
            found = check(page, "mypy", *options)
            assert "no issues found" in found, f"{page.name}\n{found}"

    def test_pyright__no_errors(self, folder):
        pytest.importorskip("pyright")
        roots = [{"root": page.name} for page in folder.iterdir()]
        config = {"extraPaths": [str(documents.ROOT)], "executionEnvironments": roots}
        (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
        found = check(
            folder, "pyright", "--level=error", f"--pythonpath={sys.executable}"
        )

        assert found.endswith("0 errors, 0 warnings, 0 informations\n"), found


class TestLanguages:
    @pytest.mark.parametrize("page", ENGLISH)
    def test_blocks__same_code_in_both_languages(self, page):
        english, chinese = (
            [outline(block.code) for block in documents.blocks(each, "python")]
            for each in (page, documents.translation(page))
        )

        assert english == chinese


def run_tests(names: dict[str, Any], new: set[str], wechat: MockedSandbox) -> None:
    """Run the tests among the *new* of the *names*, with the fixture `wechat`."""
    for name in sorted(new):
        if name.startswith("test_"):
            takes = inspect.signature(names[name]).parameters
            names[name](**({"wechat": wechat} if "wechat" in takes else {}))


def files_of(page: str) -> dict[str, str]:
    return documents.modules(page) | ASSUMED.get(topic(page), {})


def write(page: str, folder: pathlib.Path) -> None:
    for name, code in files_of(page).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")


def check(folder: pathlib.Path, program: str, *options: str) -> str:
    """Return what a type checker prints of *folder*."""
    surroundings = os.environ | {"MYPYPATH": str(documents.ROOT)}
    return run_python("-m", program, *options, ".", cwd=folder, env=surroundings)


def outline(code: str) -> str:
    """
    Return *code* without its comments, with a number for each text in its strings.

    What is outlined alike has the same types, and the same tests pass.
    """
    tree = ast.parse(code)
    texts: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if not re.fullmatch(r"[\w./-]+|https?://\S+", node.value, re.ASCII):
                node.value = texts.setdefault(node.value, f"text {len(texts)}")
    return ast.dump(tree)
