"""What docs/tokens.md shows works as it stands there, in both languages."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import types
from typing import Any, Iterator

import pytest
import responses
from servers import redis_server

from wxlogistics import AccessTokenError, GoodsDetail, GoodsInfo
from wxlogistics.sandbox import Sandbox

# The last cachelib for Python 3.10 calls what the newest redis deprecates.
pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:.*setex:DeprecationWarning"),
]

ROOT = pathlib.Path(__file__).resolve().parent.parent

APPID = "wx0123456789abcdef"
SECRET = "your AppSecret"
COMPONENT = "wx8888888888888888"

SECTIONS = [
    "one process",
    "Django",
    "Flask",
    "Redis",
    "service provider",
    "another system",
    "refusals",
]


@pytest.fixture(params=["tokens.md", "tokens.zh-CN.md"])
def document(request: pytest.FixtureRequest) -> str:
    """
    Each of the two in turn.
    """
    return (ROOT / "docs" / request.param).read_text(encoding="utf-8")


def blocks(document: str, section: str) -> list[str]:
    """
    The Python code of one section.
    """
    sections = re.split("^## ", document, flags=re.MULTILINE)[1:]
    assert len(SECTIONS) == len(sections)
    text = sections[SECTIONS.index(section)]
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(block: str) -> dict[str, Any]:
    """
    What *block* defines.
    """
    names: dict[str, Any] = {"__name__": "shown"}
    # As a file of its own: without the __future__ imports of this one.
    exec(compile(block, "shown", "exec", dont_inherit=True), names)
    return names


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """
    A WeChat that knows the mini-program, and an environment that names it.
    """
    monkeypatch.setenv("WECHAT_APPID", APPID)
    monkeypatch.setenv("WECHAT_SECRET", SECRET)
    sandbox = Sandbox(appid=APPID, secret=SECRET)
    with sandbox.mock():
        yield sandbox


class TestDocuments:
    def test_blocks__count(self, document: str) -> None:
        """
        No block is missed: these are the ones that the other tests run.
        """
        assert [2, 2, 1, 1, 1, 2, 0] == [
            len(blocks(document, section)) for section in SECTIONS
        ]

    def test_blocks__same_in_both_languages(self) -> None:
        """
        The translation shows the same code.
        """
        english, chinese = (
            (ROOT / "docs" / name).read_text(encoding="utf-8")
            for name in ("tokens.md", "tokens.zh-CN.md")
        )

        for section in SECTIONS:
            assert blocks(english, section) == blocks(chinese, section)

    def test_one_process(self, document: str, sandbox: Sandbox) -> None:
        """
        The token is fetched and used.
        """
        names = run(blocks(document, "one process")[0])

        assert len(names["carriers"]) > 50
        assert 1 == sandbox.token_fetches.total

    def test_one_process__environment(
        self, document: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The environment's variables are the ones that the text names.
        """
        assert "`WXLOGISTICS_APPID`" in document
        assert "`WXLOGISTICS_SECRET`" in document
        monkeypatch.setenv("WXLOGISTICS_APPID", APPID)
        monkeypatch.setenv("WXLOGISTICS_SECRET", SECRET)
        names = run(blocks(document, "one process")[1])

        assert names["client"].get_delivery_list()

    def test_django(
        self,
        document: str,
        sandbox: Sandbox,
        redis_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        In a process of its own, for Django's settings are those of a whole process.
        """
        monkeypatch.setenv("REDIS_URL", redis_url)
        project = """
import sys
from django.conf import settings
from wxlogistics.sandbox import Sandbox

names = {}
exec(sys.argv[1], names)
settings.configure(**{name: names[name] for name in names if name.isupper()})
sandbox = Sandbox(appid="wx0123456789abcdef", secret="your AppSecret")
with sandbox.mock():
    exec(sys.argv[2], names)
    assert names["client"].get_delivery_list()
    assert "wx0123456789abcdef" in repr(names["client"]._tokens)
    assert names["cache"].get("wxlogistics:stable_token:wx0123456789abcdef:token")
names["cache"].clear()
print("it works")
"""
        ended = subprocess.run(
            [sys.executable, "-c", project, *blocks(document, "Django")],
            capture_output=True,
            text=True,
            timeout=60,
        )

        assert ("", "it works\n") == (ended.stderr, ended.stdout)

    def test_flask(
        self,
        document: str,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: pathlib.Path,
    ) -> None:
        """
        The view answers, and the token stands in a file that only its owner may read.
        """
        pytest.importorskip("flask")
        monkeypatch.chdir(tmp_path)
        names = run(blocks(document, "Flask")[0])
        sandbox.add_waybill("SF1234567890123")
        waybill_token = names["client"].trace_waybill(
            openid="ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
            waybill_id="SF1234567890123",
            receiver_phone="13800138000",
            goods_info=GoodsInfo([GoodsDetail("茶", "www.qq.com")]),
        )
        answer = names["app"].test_client().get(f"/parcels/{waybill_token}")

        assert {"status": "运单不存在或者未揽收"} == answer.get_json()
        assert 1 == sandbox.token_fetches.total
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert {0} == {path.stat().st_mode & 0o077 for path in files}

    def test_redis(
        self,
        document: str,
        sandbox: Sandbox,
        redis_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        Two machines share one token, under the key that the text names.
        """
        monkeypatch.setenv("REDIS_URL", redis_url)
        one, other = (run(blocks(document, "Redis")[0]) for _ in range(2))
        one["client"].get_delivery_list()
        other["client"].get_delivery_list()

        assert 1 == sandbox.token_fetches.total
        assert "`wxlogistics:stable_token:<appid>:token`" in document
        key = f"shop:wxlogistics:stable_token:{APPID}:token"
        assert one["server"].exists(key)
        one["server"].flushdb()
        for names in (one, other):
            names["server"].close()

    def test_service_provider(
        self,
        document: str,
        sandbox: Sandbox,
        redis_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A shop's client works, and its changed refresh token is saved.
        """
        sandbox.add_component(COMPONENT)
        shop = types.SimpleNamespace(
            appid=APPID, refresh_token=sandbox.authorize(COMPONENT)
        )
        shop.save_refresh_token = lambda token: setattr(shop, "refresh_token", token)
        yourapp = types.SimpleNamespace(
            find_shop={APPID: shop}.__getitem__,
            component_access_token=lambda: sandbox.component_access_token(COMPONENT),
        )
        monkeypatch.setitem(sys.modules, "yourapp", yourapp)
        monkeypatch.setenv("REDIS_URL", redis_url)
        monkeypatch.setenv("WECHAT_COMPONENT_APPID", COMPONENT)
        changed = sandbox.change_refresh_token(COMPONENT)
        names = run(blocks(document, "service provider")[0])

        assert names["client_for"](APPID).get_delivery_list()
        assert changed == shop.refresh_token
        assert names["client_for"](APPID) is names["client_for"](APPID)
        names["client_for"].cache_clear()
        names["server"].flushdb()
        names["server"].close()

    def test_another_system__function(self, document: str, sandbox: Sandbox) -> None:
        """
        The token server is asked for each call, and once more after a refusal; if it
        returns the refused token again, nothing is sent.
        """
        good = sandbox.access_token()
        for token in [good, "dead", good, "dead", "dead"]:
            responses.get(
                "https://tokens.shop.example/wechat", json={"access_token": token}
            )
        client = run(blocks(document, "another system")[0])["client"]

        assert client.get_delivery_list()
        assert client.get_delivery_list()
        with pytest.raises(AccessTokenError):
            client.get_delivery_list()
        assert 4 == len(sandbox.calls)

    def test_another_system__class(self, document: str, sandbox: Sandbox) -> None:
        """
        The token server receives the token that was refused.
        """
        url = "https://tokens.shop.example/wechat"
        responses.get(url, json={"access_token": "dead"})
        responses.post(
            url,
            json={"access_token": sandbox.access_token()},
            match=[responses.matchers.json_params_matcher({"rejected": "dead"})],
        )
        client = run(blocks(document, "another system")[1])["client"]

        assert client.get_delivery_list()
