"""The console without a browser: what its pages hold, do and refuse."""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import re
import shlex
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import attrs
import pytest
import requests
from sandboxtools import (
    EXAMPLE,
    GOODS,
    NOON,
    OPEN_MSG,
    OPENID,
    WAYBILL_ID,
    served_process,
    with_settings,
)

import wxlogistics.sandbox
from wxlogistics import Client, StableToken
from wxlogistics.errcodes import WORDS
from wxlogistics.models import WaybillStatus
from wxlogistics.sandbox import Clock, Sandbox, console
from wxlogistics.sandbox.console import pages, site, texts
from wxlogistics.sandbox.server import Server
from wxlogistics.sandbox.world.errcodes import TEXTS
from wxlogistics.sandbox.world.world import Registration

TEMPLATES = Path(wxlogistics.sandbox.__path__[0]) / "console/templates"

OTHER_OPENID = "o" + "2" * 27


@attrs.define
class Browser:
    """Asks a served console as a browser would."""

    url: str
    session: requests.Session

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.url + path, headers=headers, timeout=10)

    def read(self, path: str, **headers: str) -> str:
        """The text of a page that is there."""
        response = self.get(path, **headers)
        assert 200 == response.status_code
        return response.content.decode()

    def press(
        self, action: str, fields: dict[str, str], **headers: str
    ) -> requests.Response:
        """Send a form, and go where it leads."""
        return self.session.post(
            f"{self.url}/console/{action}",
            data=fields,
            headers={"Origin": self.url, **headers},
            timeout=10,
        )


@pytest.fixture
def browser(sandbox: Sandbox) -> Iterator[Browser]:
    with sandbox.serve() as server, requests.Session() as session:
        session.trust_env = False
        yield Browser(server.url, session)


def register(sandbox: Sandbox, **changes: Any) -> str:
    """The waybill_token of the document's example, with *changes* to the request."""
    payload = {**EXAMPLE, **changes}
    with sandbox.mock() as wechat:
        return wechat.client.request(pages.REGISTER[False], payload)["waybill_token"]


def shown(page: str, tag_id: str) -> str:
    """The text of the element with this id, which holds no other element."""
    found = re.search(rf'id="{tag_id}"[^>]*>([^<]*)<', page)
    assert found is not None, page
    return html.unescape(found[1])


def rows(page: str) -> list[str]:
    """The keys of a table's rows."""
    return [html.unescape(key) for key in re.findall(r'<tr data-key="([^"]*)"', page)]


class TestDoor:
    """Who may come in, and what every answer forbids."""

    @pytest.mark.parametrize("path", ["/", "/console/calls", "/console/static/x"])
    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "evil.example"},
            {"Host": "evil.example:8790"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "[::1"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
        ],
    )
    def test_get__foreign(
        self, browser: Browser, path: str, headers: dict[str, str]
    ) -> None:
        """A foreign Host or Origin sees nothing."""
        response = browser.get(path, **headers)

        assert 403 == response.status_code
        assert "wx" not in response.text

    @pytest.mark.parametrize(
        "action", ["language", "example", "move", "tick", "fail", "mend", "revoke"]
    )
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "https://127.0.0.1"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
        ],
    )
    def test_post__foreign(
        self, sandbox: Sandbox, browser: Browser, action: str, headers: dict[str, str]
    ) -> None:
        """No other page can press a button."""
        sandbox.fail("*", delay=1)
        before = console.version(sandbox)

        response = browser.press(action, {"hours": "1", "to": "zh"}, **headers)

        assert 403 == response.status_code
        assert before == console.version(sandbox)

    def test_post__no_origin(self, sandbox: Sandbox, browser: Browser) -> None:
        """Every browser sends an Origin with a POST; without one it is refused."""
        response = browser.session.post(
            browser.url + "/console/tick", data={"hours": "1"}, timeout=10
        )

        assert 403 == response.status_code
        assert NOON == sandbox.clock.now()

    def test_events__foreign(self, browser: Browser) -> None:
        """Nor does a foreign page hear when something happens."""
        response = browser.get(console.EVENTS, Origin="http://evil.example")

        assert 403 == response.status_code

    @pytest.mark.parametrize("action", sorted(site._ACTIONS))
    def test_get__action(self, sandbox: Sandbox, browser: Browser, action: str) -> None:
        """An action is a POST: a link or a picture cannot ask for it."""
        before = console.version(sandbox)

        response = browser.get(f"/console/{action}?hours=1&to=zh")

        assert 404 == response.status_code
        assert before == console.version(sandbox)

    def test_headers(self, sandbox: Sandbox, browser: Browser) -> None:
        """No page runs, shows or sends to anything but its own."""
        register(sandbox)
        for path in ("/", "/console/calls", "/console/nothing", f"/?q={WAYBILL_ID}"):
            headers = browser.get(path).headers

            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self';" in policy
            assert "style-src 'self';" in policy
            assert "img-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert "nosniff" == headers["X-Content-Type-Options"]
            assert "no-store" == headers["Cache-Control"]

    def test_allowed_host(self, sandbox: Sandbox) -> None:
        """An allowed name stands in the snippets, with its port."""
        answer = console.answer(
            sandbox, "GET", "/", "", {"Host": "box:80"}, b"", allowed_hosts=["box"]
        )

        assert 200 == answer.status
        assert "base_url='http://box:80'" in html.unescape(answer.body.decode())

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("localhost", "http://localhost"),
            ("[::1]:8790", "http://[::1]:8790"),
            ("127.0.0.1:'; reboot", "http://127.0.0.1"),
        ],
    )
    def test_base_url(self, sandbox: Sandbox, host: str, url: str) -> None:
        """
        The snippets hold the host and the port, and nothing else of the Host header.
        """
        answer = console.answer(sandbox, "GET", "/", "", {"Host": host}, b"")

        assert f"base_url='{url}'" in html.unescape(answer.body.decode())

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_root__others_are_wechat(self, browser: Browser, method: str) -> None:
        """But for looking, the path / is no page."""
        response = browser.session.request(method, browser.url + "/", timeout=10)

        assert 40066 == response.json()["errcode"]

    def test_head(self, browser: Browser) -> None:
        """HEAD is answered as GET."""
        response = browser.session.head(browser.url + "/", timeout=10)

        assert 200 == response.status_code

    @pytest.mark.parametrize("name", ["console.css", "console.js", "icon.svg"])
    def test_static(self, browser: Browser, name: str) -> None:
        """What a page needs is here, and asks for nothing elsewhere."""
        text = browser.read(f"/console/static/{name}")

        assert [] == re.findall(
            r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text
        )

    @pytest.mark.parametrize(
        "path",
        [
            "/console/",
            "/console/no",
            "/console/static/no",
            "/console/static/../pages.py",
        ],
    )
    def test_missing(self, browser: Browser, path: str) -> None:
        """What is not there leads back."""
        response = browser.get(path)

        assert 404 == response.status_code
        assert "To the waybills" in response.text

    def test_post__missing(self, browser: Browser) -> None:
        """Nor is there any other action."""
        assert 404 == browser.press("reboot", {}).status_code


class TestLanguage:
    """Chinese and English."""

    @pytest.mark.parametrize(
        ("accepted", "language"),
        [
            ("", "en"),
            ("zh", "zh"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
            ("en-GB,en;q=0.9,zh;q=0.8", "en"),
            ("en;q=0.5, zh-TW;q=0.9", "zh"),
            ("fr-FR,fr;q=0.9", "en"),
            ("fr,zh;q=0.1", "zh"),
            ("zh;q=much", "en"),
        ],
    )
    def test_accept_language(
        self, browser: Browser, accepted: str, language: str
    ) -> None:
        """The browser's wish decides."""
        page = browser.read("/", **{"Accept-Language": accepted})

        assert f'<html lang="{"zh-CN" if language == "zh" else "en"}">' in page

    def test_switch(self, browser: Browser) -> None:
        """The switch decides over the browser, for good, and stays on the page."""
        response = browser.press(
            "language", {"to": "zh", "back": "/console/calls?q=a b&failed=1"}
        )

        assert browser.url + "/console/calls?q=a+b&failed=1" == response.url
        assert 'lang="zh-CN"' in response.text
        assert 'lang="zh-CN"' in browser.read("/", **{"Accept-Language": "en"})

    def test_switch__unknown(self, browser: Browser) -> None:
        """There is no third."""
        response = browser.press("language", {"to": "x; Domain=evil.example"})

        assert 404 == response.status_code
        assert "Set-Cookie" not in response.headers

    @pytest.mark.parametrize(
        "back",
        [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/console/static/icon.svg",
            "javascript:alert(1)",
            "",
        ],
    )
    def test_switch__leads_nowhere_else(self, browser: Browser, back: str) -> None:
        """A form cannot lead out of the console."""
        response = browser.press("language", {"to": "en", "back": back})

        assert browser.url + "/" == response.url

    @pytest.mark.parametrize("cookie", ["\x01=1", f"{site._COOKIE}=fr", "a=b"])
    def test_cookie__strange(self, sandbox: Sandbox, cookie: str) -> None:
        """An unknown cookie is ignored."""
        headers = {"Host": "localhost", "Cookie": cookie, "Accept-Language": "zh"}

        answer = console.answer(sandbox, "GET", "/", "", headers, b"")

        assert b'lang="zh-CN"' in answer.body

    def test_texts__all_are_translated(self) -> None:
        """Whatever the templates and the code say has a Chinese text."""
        said = set()
        for path in TEMPLATES.glob("*.html"):
            said |= set(re.findall(r'say\("([^"]+)"', path.read_text("utf-8")))
        assert len(said) > 100

        assert set() == said - set(texts._CHINESE)

    def test_texts__same_braces(self) -> None:
        """Both languages leave as many places open."""
        for english, chinese in texts._CHINESE.items():
            count = english.count("{")
            assert count == chinese.count("{"), english

    @pytest.mark.parametrize(
        ("status", "english", "chinese"),
        [
            (0, "Not collected", "运单不存在或者未揽收"),
            (4, "Signed", "已签收"),
            (6, "Signed by proxy", "代签收"),
            (77, "Unknown status 77", "未知状态 77"),
        ],
    )
    def test_status_name(self, status: int, english: str, chinese: str) -> None:
        """The Chinese names are the document's."""
        assert english == texts.status_name("en", WaybillStatus(status))
        assert chinese == texts.status_name("zh", WaybillStatus(status))

    def test_meanings__of_what_the_sandbox_answers(self) -> None:
        """All but three errcodes of the calls beside the plugin are explained."""
        assert {41008, 48006, 61010} == set(TEXTS) - set(WORDS)


class TestWaybills:
    """The list."""

    def test_first_visit(self, sandbox: Sandbox, browser: Browser) -> None:
        """Before anything is registered it shows how, with the real port."""
        page = browser.read("/?secret=1")

        python = shown(page, "start-python")
        assert 3 == len(python.splitlines())
        names: dict[str, Any] = {}
        exec(python, names)
        with names["client"] as client:
            assert client.get_delivery_list()
        assert [] == rows(page)

    def test_first_visit__curl(self, sandbox: Sandbox, browser: Browser) -> None:
        """The curl call registers the document's example."""
        words = shlex.split(shown(browser.read("/"), "start-curl").replace("\\\n", ""))

        assert ["curl", "-H", "-d"] == [words[0], words[2], words[4]]
        reply = browser.session.post(
            words[1],
            data=words[5].encode(),
            headers=dict([words[3].split(": ")]),
            timeout=10,
        ).json()
        assert 0 == reply["errcode"]
        assert [WAYBILL_ID] == rows(browser.read("/"))

    def test_first_visit__secret(self, sandbox: Sandbox, browser: Browser) -> None:
        """The AppSecret is not on the page until it is asked for."""
        assert sandbox.secret not in browser.read("/")
        assert sandbox.secret in browser.read("/?secret=1")

    def test_example(self, sandbox: Sandbox, browser: Browser) -> None:
        """A button registers the document's example, as a call like any other."""
        response = browser.press("example", {})

        assert browser.url + f"/console/waybill?id={WAYBILL_ID}" == response.url
        assert EXAMPLE == sandbox.calls[-1].payload == pages.EXAMPLE
        assert 0 == sandbox.calls[-1].errcode

    @with_settings(opened=False)
    def test_example__refused(self, sandbox: Sandbox, browser: Browser) -> None:
        """If WeChat refuses, the page shows why."""
        response = browser.press("example", {})

        assert 400 == response.status_code
        assert "refused: 48001 " in response.text
        assert "48001" in response.text

    @pytest.mark.parametrize(
        ("component", "endpoint"),
        [("query", "trace_waybill"), ("message", "follow_waybill")],
    )
    def test_register(
        self, sandbox: Sandbox, browser: Browser, component: str, endpoint: str
    ) -> None:
        """A form registers any waybill, as a program would."""
        assert 'action="/console/register"' in browser.read("/console/new")
        fields = {
            "waybill_id": " SF123 ",
            "goods_name": "茶",
            "component": component,
            "delivery_id": "YTO",
            "receiver_phone": "",
            "openid": OPENID,
        }

        response = browser.press("register", fields)

        assert browser.url + "/console/waybill?id=SF123" == response.url
        assert endpoint == sandbox.calls[-1].endpoint
        assert {
            "openid": OPENID,
            "waybill_id": "SF123",
            "delivery_id": "YTO",
            "goods_info": {"detail_list": [{"goods_name": "茶", "goods_img_url": ""}]},
        } == sandbox.calls[-1].payload
        listed = browser.read("/")
        assert ["SF123"] == rows(listed)
        assert f">{component}</span>" in listed

    def test_register__refused(self, sandbox: Sandbox, browser: Browser) -> None:
        """A refusal is shown above the form, with what was typed in."""
        fields = {"waybill_id": "W", "openid": "x", "goods_name": "tea"}
        sandbox.fail("trace_waybill", status=502, waybill_id="V")

        refused = browser.press("register", {**fields, "back": "/console/new"})
        gateway = browser.press("register", {"waybill_id": "V", "goods_name": "tea"})

        assert 400 == refused.status_code == gateway.status_code
        assert "refused: 40003 openid wrong" in refused.text
        assert 'value="tea"' in refused.text
        assert "refused: HTTP 502" in gateway.text
        assert OPENID not in sandbox.world.users

    def test_pictures__none_to_load(self, sandbox: Sandbox, browser: Browser) -> None:
        """Without a picture none is offered."""
        goods = {"detail_list": [{"goods_name": "x", "goods_img_url": ""}]}
        register(sandbox, goods_info=goods)

        page = browser.read(f"/console/waybill?id={WAYBILL_ID}")

        assert "Load the pictures" not in page

    @pytest.mark.parametrize("back", ["http://[", "//evil.example", "/nowhere"])
    def test_back__nonsense(self, browser: Browser, back: str) -> None:
        """A page that is none of the console's leads to its first one."""
        response = browser.press("language", {"to": "en", "back": back})

        assert browser.url + "/" == response.url

    def test_row(self, sandbox: Sandbox, browser: Browser) -> None:
        """A row shows id, carrier, status, user, goods, and both times."""
        register(sandbox, delivery_id="SF")
        sandbox.clock.tick(hours=6)

        page = browser.read("/", **{"Accept-Language": "zh"})

        assert [WAYBILL_ID] == rows(page)
        for text in ("顺丰速运", "运输中", OPENID, "测试名字", "共 2 件"):
            assert text in page
        assert "05-20 12:00:00" in page
        assert "05-20 17:00:00" in page

    def test_row__not_registered(self, sandbox: Sandbox, browser: Browser) -> None:
        """A parcel that was not registered is listed as well."""
        sandbox.add_waybill("SF1")

        page = browser.read("/")

        assert ["SF1"] == rows(page)
        assert "not registered" in page

    def test_row__two_users(self, sandbox: Sandbox, browser: Browser) -> None:
        """Who registered it last is named."""
        register(sandbox)
        register(sandbox, openid=OTHER_OPENID)

        page = browser.read("/")

        assert [WAYBILL_ID] == rows(page)
        assert OTHER_OPENID in page
        assert "and 1 more" in page

    def test_order(self, sandbox: Sandbox, browser: Browser) -> None:
        """What was registered last stands first; registering again changes nothing."""
        sandbox.add_waybill("SF1")
        for waybill_id in ("SF2", "SF3", "SF1", "SF2"):
            register(sandbox, waybill_id=waybill_id)

        assert ["SF1", "SF3", "SF2"] == rows(browser.read("/"))

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("q=sf1", ["SF1"]),
            ("q=圆通", ["YTO2"]),
            ("q=yto", ["YTO2"]),
            (f"q={OTHER_OPENID}", ["YTO2"]),
            ("q=陶瓷", ["YTO2"]),
            ("q=测试名字2", ["SF1"]),
            ("q=%20sf1%20", ["SF1"]),
            ("status=4", ["YTO2"]),
            ("status=0", ["ZTO3", "SF1"]),
            ("q=sf&status=4", []),
            ("status=x", ["ZTO3", "YTO2", "SF1"]),
            ("q=nothing", []),
        ],
    )
    def test_search(
        self, sandbox: Sandbox, browser: Browser, query: str, found: list[str]
    ) -> None:
        """It looks in id, carrier, user and goods, and narrows to a status."""
        register(sandbox, waybill_id="SF1")
        goods = {"detail_list": [{"goods_name": "陶瓷杯", "goods_img_url": ""}]}
        register(sandbox, waybill_id="YTO2", openid=OTHER_OPENID, goods_info=goods)
        sandbox.add_waybill("ZTO3")
        sandbox.move("YTO2", 4)

        page = browser.read("/?" + query)

        assert found == rows(page)
        assert (not found) == ("No matches." in page)

    def test_pages(self, sandbox: Sandbox, browser: Browser) -> None:
        """Fifty on a page; what is no page's number is the first or the last."""
        for number in range(120):
            sandbox.add_waybill(f"SF{number}")

        first = browser.read("/?q=sf")
        assert [f"SF{number}" for number in range(119, 69, -1)] == rows(first)
        assert 'href="/?q=sf&amp;page=2"' in first
        second = browser.read("/?q=sf&page=2")
        assert 'href="/?q=sf"' in second
        assert 'href="/?q=sf&amp;page=3"' in second
        third = browser.read("/?page=3")
        assert [f"SF{number}" for number in range(19, -1, -1)] == rows(third)
        assert 'href="/?page=2"' in third
        assert rows(third) == rows(browser.read("/?page=99"))
        assert rows(first) == rows(browser.read("/?page=-1"))

    def test_wait(self, browser: Browser, sandbox: Sandbox) -> None:
        """The page knows when the clock moves the next parcel that it shows."""
        register(sandbox)
        assert 'data-wait=""' in browser.read("/")

        sandbox.clock.set(NOON, 3600)
        wait = int(re.findall('data-wait="([0-9]+)"', browser.read("/"))[0])
        assert 0 < wait <= 1000

        sandbox.move(WAYBILL_ID, 4)
        assert 'data-wait=""' in browser.read("/")

    def test_large(self, sandbox: Sandbox, browser: Browser) -> None:
        """With 100,000 waybills it is paged, searched and filtered."""
        world = sandbox.world
        for number in range(100_000):
            waybill_id = f"SF{number:08}"
            world.add_parcel(waybill_id)
            world.keep(
                Registration(
                    "query",
                    sandbox.appid,
                    f"o{number:027}",
                    waybill_id,
                    f"{number:064}",
                    [{"goods_name": f"goods {number}", "goods_img_url": ""}],
                )
            )
        for path in ("/", "/?page=2000", "/?q=goods+77777", "/?status=1"):
            assert "100,000 waybills" in browser.read(path)

        assert "SF00077777" in browser.read("/?q=goods+77777")


class TestWaybill:
    """One waybill."""

    def test_page(self, sandbox: Sandbox, browser: Browser) -> None:
        """It shows what the customer sees, and who registered it."""
        token = register(sandbox)
        sandbox.clock.tick(hours=6)

        page = browser.read(f"/console/waybill?id={WAYBILL_ID}")

        assert WAYBILL_ID == shown(page, "number")
        assert token == shown(page, "token-1")
        assert "测试名字2" in page
        assert "快件已到达中通快递深圳转运中心" in page
        assert "电话13800138000" in page
        assert "The clock moves it next: 05-21 08:00" in page

    def test_page__bare(self, sandbox: Sandbox, browser: Browser) -> None:
        """A parcel that was not registered has no goods and no track."""
        sandbox.add_waybill("SF1")

        page = browser.read("/console/waybill?id=SF1")

        assert "Waiting for the carrier" in page
        assert "This waybill is not registered yet." in page

    @with_settings(missing_goods=0)
    def test_page__without_goods(self, sandbox: Sandbox, browser: Browser) -> None:
        """Goods can be missing, and so can their names."""
        register(sandbox, waybill_id="SF1", goods_info=None)
        nameless = {"detail_list": [{"goods_desc": "描述"}]}
        register(sandbox, waybill_id="SF2", goods_info=nameless)

        assert "<ul" in browser.read("/console/waybill?id=SF1")
        assert "描述" in browser.read("/console/waybill?id=SF2")
        assert ["SF2", "SF1"] == rows(browser.read("/"))

    def test_page__two_users(self, sandbox: Sandbox, browser: Browser) -> None:
        """Each registration's goods can be seen."""
        first = register(sandbox)
        goods = {"detail_list": [{"goods_name": "陶瓷杯", "goods_img_url": ""}]}
        register(sandbox, openid=OTHER_OPENID, goods_info=goods)

        latest = browser.read(f"/console/waybill?id={WAYBILL_ID}")
        other = browser.read(f"/console/waybill?id={WAYBILL_ID}&token={first}")

        assert "陶瓷杯" in latest and "测试名字" not in latest
        assert "测试名字" in other and "陶瓷杯" not in other

    @pytest.mark.parametrize("path", ["/console/waybill", "/console/waybill?id=SF1"])
    def test_missing(self, browser: Browser, path: str) -> None:
        """An unknown waybill is a 404."""
        response = browser.get(path)

        assert 404 == response.status_code
        assert "There is no such waybill." in response.text

    def test_next(self, sandbox: Sandbox, browser: Browser) -> None:
        """Next step after next step, until it is signed; then there is none."""
        register(sandbox)
        fields = {
            "waybill_id": WAYBILL_ID,
            "status": "next",
            "back": f"/console/waybill?id={WAYBILL_ID}",
        }
        seen = []
        while (response := browser.press("move", fields)).status_code == 200:
            assert browser.url + fields["back"] == response.url
            seen.append(sandbox.world.parcels[WAYBILL_ID].status(NOON).name)

        assert ["COLLECTED", "IN_TRANSIT", "OUT_FOR_DELIVERY", "SIGNED"] == seen
        assert 400 == response.status_code
        assert "The parcel is at its end." in response.text
        assert WAYBILL_ID == shown(response.text, "number")

    def test_move(self, sandbox: Sandbox, browser: Browser) -> None:
        """Any status, with the carrier's words; after an exception it goes on."""
        register(sandbox)
        browser.press(
            "move", {"waybill_id": WAYBILL_ID, "status": "5", "message": " 地址不详 "}
        )
        page = browser.read(f"/console/waybill?id={WAYBILL_ID}")
        assert "地址不详" in page
        assert "Next step: Out for delivery" in page

        browser.press("move", {"waybill_id": WAYBILL_ID, "status": "77"})
        page = browser.read(f"/console/waybill?id={WAYBILL_ID}")
        assert "Unknown status 77" in page

        browser.press("move", {"waybill_id": WAYBILL_ID})
        assert 0 == sandbox.world.parcels[WAYBILL_ID].status(NOON)

    def test_move__problem(self, sandbox: Sandbox, browser: Browser) -> None:
        """A mistake is shown on the page of its form, with what was typed."""
        register(sandbox)

        response = browser.press(
            "move",
            {
                "waybill_id": WAYBILL_ID,
                "status": "四",
                "message": "说明",
                "back": f"/console/waybill?id={WAYBILL_ID}",
            },
        )

        assert 400 == response.status_code
        assert "a number is expected: 四" in response.text
        assert 'value="说明"' in response.text

    @pytest.mark.parametrize("status", ["next", "4"])
    def test_move__missing(self, browser: Browser, status: str) -> None:
        """A waybill that is not there cannot be moved."""
        response = browser.press("move", {"waybill_id": "SF1", "status": status})

        assert response.status_code in (400, 404)
        assert "waybill" in response.text

    def test_tick(self, sandbox: Sandbox, browser: Browser) -> None:
        """Time passes."""
        response = browser.press("tick", {"hours": "1.5", "back": "/console/tokens"})

        assert NOON + 5400 == sandbox.clock.now()
        assert browser.url + "/console/tokens" == response.url

    @pytest.mark.parametrize(
        ("hours", "problem"),
        [
            ("-1", "time only moves forward"),
            ("nan", "time only moves forward"),
            ("9000", "at most a year at once"),
            ("soon", "a number is expected: soon"),
        ],
    )
    def test_tick__problem(
        self, sandbox: Sandbox, browser: Browser, hours: str, problem: str
    ) -> None:
        """Only forward, and not out of all calendars."""
        response = browser.press("tick", {"hours": hours})

        assert 400 == response.status_code
        assert problem in response.text
        assert NOON == sandbox.clock.now()

    def test_pictures(self, sandbox: Sandbox, browser: Browser) -> None:
        """Goods pictures are not fetched, and may not be, unless one asks."""
        urls = ["https://img.example/a.png", "www.qq.com", ""]
        goods = [{"goods_name": "n", "goods_img_url": url} for url in urls]
        register(sandbox, goods_info={"detail_list": goods})
        path = f"/console/waybill?id={WAYBILL_ID}"

        without, asked = browser.get(path), browser.get(path + "&pictures=1")

        assert ["/console/static/icon.svg"] == re.findall(
            r'<img src="(.*?)"', without.text
        )
        assert "img-src 'self';" in without.headers["Content-Security-Policy"]
        assert [
            "/console/static/icon.svg",
            "https://img.example/a.png",
            "http://www.qq.com",
        ] == re.findall(r'<img src="(.*?)"', asked.text)
        assert 2 == asked.text.count('referrerpolicy="no-referrer"')
        policy = asked.headers["Content-Security-Policy"]
        assert "img-src 'self' http: https:;" in policy

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("HTTPS://img.example/a.png", "HTTPS://img.example/a.png"),
            ("www.qq.com/a.png", "http://www.qq.com/a.png"),
            ("", ""),
            ("javascript:alert(1)", ""),
            ("data:image/png;base64,AAAA", ""),
            ("//img.example/a.png", ""),
            ("/console/static/icon.svg", ""),
            ("http:///x", ""),
        ],
    )
    def test_picture_url(self, url: str, expected: str) -> None:
        """Only what leads to another server's picture."""
        assert expected == pages.picture_url(url)


class TestCalls:
    """The calls."""

    def test_list(self, sandbox: Sandbox, browser: Browser) -> None:
        """Newest first, with errcode, its meaning and the rid."""
        register(sandbox)
        with sandbox.mock() as wechat:
            with pytest.raises(wxlogistics.ApiError) as caught:
                wechat.client.query_trace("made up")

        page = browser.read("/console/calls")

        assert ["2", "1"] == rows(page)
        assert "9300507" in page
        assert "waybill_token wrong" in page
        assert caught.value.rid and caught.value.rid in page

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", ["3", "2", "1"]),
            ("endpoint=trace_waybill", ["1"]),
            ("failed=1", ["3", "2"]),
            (f"q={WAYBILL_ID}", ["1"]),
            ("q=9300507", ["2"]),
            ("q=MADE+UP", ["2"]),
            ("q=/no/such", ["3"]),
            ("q=nothing", []),
        ],
    )
    def test_search(
        self, sandbox: Sandbox, browser: Browser, query: str, found: list[str]
    ) -> None:
        """By endpoint, by outcome, and by what it was about."""
        register(sandbox)
        with sandbox.mock(strict=False) as wechat:
            for call in (
                lambda: wechat.client.query_trace("made up"),
                lambda: wechat.client.request("/no/such", {}),
            ):
                with pytest.raises(wxlogistics.ApiError):
                    call()

        page = browser.read("/console/calls?" + query)

        assert found == rows(page)

    def test_list__waybill(self, sandbox: Sandbox, browser: Browser) -> None:
        """The waybill that a call is about leads to its page; escapes are flagged."""
        with sandbox.mock():
            requests.post(
                "https://api.weixin.qq.com" + pages.REGISTER[False],
                params={"access_token": sandbox.access_token()},
                json=EXAMPLE,
                timeout=10,
            )

        listed = browser.read("/console/calls")
        shown = browser.read("/console/call?number=1")

        link = f'<a href="/console/waybill?id={WAYBILL_ID}"><bdi class="cut">'
        assert link in listed and link in shown
        assert ">\\u</span>" in listed
        assert "escapes non-ASCII characters" in shown

    def test_again__beside(self, sandbox: Sandbox, browser: Browser) -> None:
        """A call beside the plugin's can be made again with a token."""
        with sandbox.mock():
            requests.post(
                "https://api.weixin.qq.com/cgi-bin/openapi/rid/get",
                params={"access_token": sandbox.access_token()},
                json={"rid": "x"},
                timeout=10,
            )

        page = html.unescape(browser.read("/console/call?number=1"))

        assert f"/openapi/rid/get?access_token={sandbox.access_token()}" in page

    def test_list__none(self, browser: Browser) -> None:
        """Before the first call there is a note."""
        assert "No call yet." in browser.read("/console/calls")

    def test_list__faults(self, sandbox: Sandbox, browser: Browser) -> None:
        """A gateway's answer and a dropped connection have no errcode."""
        sandbox.fail("get_delivery_list", status=502)
        sandbox.fail("get_delivery_list", drop=True)
        url = f"{browser.url}{OPEN_MSG}get_delivery_list"
        query = {"access_token": sandbox.access_token()}
        browser.session.post(url, params=query, json={}, timeout=10)
        with pytest.raises(requests.ConnectionError):
            browser.session.post(url, params=query, json={}, timeout=10)

        page = browser.read("/console/calls?failed=1")

        assert "HTTP 502" in page
        assert "dropped" in page
        assert "No JSON was sent back." in browser.read("/console/call?number=1")
        page = browser.read("/console/call?number=2")
        assert "The connection was dropped." in page
        assert "顺丰速运" in shown(page, "reply")

    def test_call(self, sandbox: Sandbox, browser: Browser) -> None:
        """One call's page has request and reply, and its neighbours."""
        for _ in range(3):
            token = register(sandbox)

        page = browser.read("/console/call?number=2")

        assert EXAMPLE == json.loads(shown(page, "request"))
        assert token == json.loads(shown(page, "reply"))["waybill_token"]
        assert "number=1" in page and "number=3" in page
        assert "number=2" not in browser.read("/console/call?number=1").replace(
            "number=2", "", 1
        )

    @pytest.mark.parametrize("number", ["", "0", "2", "x"])
    def test_call__missing(
        self, sandbox: Sandbox, browser: Browser, number: str
    ) -> None:
        """A call that is not kept is a 404."""
        register(sandbox)

        response = browser.get(f"/console/call?number={number}")

        assert 404 == response.status_code
        assert "This call is not remembered" in response.text

    def again(self, browser: Browser, page: str) -> None:
        """Do what both snippets say."""
        words = shlex.split(shown(page, "curl").replace("\\\n", ""))
        if len(words) == 2:
            browser.session.get(words[1], timeout=10)
        else:
            assert ["-H", "Content-Type: application/json", "-d"] == words[2:5]
            browser.session.post(
                words[1],
                data=words[5].encode(),
                headers={"Content-Type": "application/json"},
                timeout=10,
            )
        exec(shown(page, "python"), {"print": lambda reply: None})

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_again(self, sandbox: Sandbox, browser: Browser) -> None:
        """curl and Python make the very same call again."""
        tricky = "it's \"\\ \u202e{} %s 顺丰 \U0001f4e6"
        goods = {"detail_list": [{"goods_name": tricky, "goods_img_url": ""}]}
        register(sandbox, goods_info=goods, extra={"list": [], "none": None, "t": True})

        self.again(browser, browser.read("/console/call?number=1"))

        first, second, third = sandbox.calls
        assert first.payload == second.payload == third.payload
        assert first.reply == second.reply == third.reply

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_again__tokens(self, sandbox: Sandbox, browser: Browser) -> None:
        """
        So for the token endpoints, with the AppSecret only where it was asked for.
        """
        for path in (
            "/cgi-bin/stable_token",
            "/cgi-bin/component/api_authorizer_token",
        ):
            browser.session.post(
                browser.url + path,
                json={
                    "grant_type": "client_credential",
                    "appid": sandbox.appid,
                    "secret": sandbox.secret,
                    "notes": [sandbox.secret, 1],
                },
                timeout=10,
            )
        browser.session.get(
            browser.url + "/cgi-bin/token",
            params={
                "grant_type": "client_credential",
                "appid": sandbox.appid,
                "secret": sandbox.secret,
            },
            timeout=10,
        )

        for number in (1, 2, 3):
            path = f"/console/call?number={number}"
            assert sandbox.secret not in browser.read(path)
            assert "Show the AppSecret" in browser.read(path)
            self.again(browser, browser.read(path + "&secret=1"))

        made = [(call.endpoint, call.payload) for call in sandbox.calls]
        assert made[:3] == made[3::2] == made[4::2]

    def test_again__wrong_secret(self, sandbox: Sandbox, browser: Browser) -> None:
        """
        A secret that is no app's here may be one of the real WeChat's: masked too.
        """
        browser.session.post(
            browser.url + "/cgi-bin/stable_token",
            json={"appid": "wx1", "secret": "real"},
            timeout=10,
        )

        assert "real" not in shown(browser.read("/console/call?number=1"), "request")

    def test_secret__short(self, browser: Browser, sandbox: Sandbox) -> None:
        """A secret of a letter or two is not looked for in other texts."""
        sandbox.add_app("wx1", "测试")
        register(sandbox)

        assert EXAMPLE == json.loads(
            shown(browser.read("/console/call?number=1"), "request")
        )

    def test_again__not_json(self, browser: Browser) -> None:
        """What was no JSON, or no endpoint, cannot be made again."""
        for path in ("/cgi-bin/stable_token", "/no/such"):
            browser.session.post(browser.url + path, data=b"x", timeout=10)
        browser.session.post(browser.url + "/no/such", json={}, timeout=10)

        for number in (1, 2, 3):
            page = browser.read(f"/console/call?number={number}")
            assert "Call it again" not in page
        assert "The request had no JSON object." in browser.read(
            "/console/call?number=1"
        )


class TestFaults:
    """The faults."""

    def test_fail(self, sandbox: Sandbox, browser: Browser) -> None:
        """The form sets what `fail()` sets."""
        response = browser.press(
            "fail",
            {
                "endpoint": "query_trace",
                "errcode": " -1 ",
                "errmsg": "a text",
                "times": "",
                "delay": "0.5",
                "openid": OPENID,
                "waybill_id": "SF1",
                "status": "",
                "drop": "1",
            },
        )

        assert browser.url + "/console/faults" == response.url
        (fault,) = sandbox.faults
        assert ("query_trace", -1, "a text", None, 0.5, OPENID, "SF1", None, True) == (
            fault.endpoint,
            fault.errcode,
            fault.errmsg,
            fault.times,
            fault.delay,
            fault.openid,
            fault.waybill_id,
            fault.status,
            fault.drop,
        )
        for text in ("query_trace", "-1", "WeChat is busy", "a text", "0.5 s late"):
            assert text in response.text
        assert "dropped" in response.text
        assert "until removed" in response.text

    def test_fail__times(self, sandbox: Sandbox, browser: Browser) -> None:
        """How often it is left goes down with the calls."""
        response = browser.press("fail", {"status": "502", "times": "2"})
        assert "Left: 2" in response.text
        assert "HTTP 502" in response.text

        browser.session.post(browser.url + "/cgi-bin/stable_token", timeout=10)
        assert "Left: 1" in browser.read("/console/faults")

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({}, "name what goes wrong"),
            ({"errcode": "0"}, "errcode is a whole number other than 0"),
            ({"errcode": "busy"}, "a number is expected: busy"),
            ({"errcode": "-1", "times": "0"}, "times is a whole number from 1"),
            ({"errcode": "-1", "delay": "9999"}, "delay is from 0 to 3600 seconds"),
            ({"errcode": "-1", "delay": "nan"}, "delay is from 0 to 3600 seconds"),
            ({"status": "99"}, "status is a whole number from 200 to 599"),
            ({"errmsg": "x", "status": "502"}, "errmsg goes with an errcode"),
            ({"endpoint": "nothing", "errcode": "-1"}, "no endpoint"),
        ],
    )
    def test_fail__problem(
        self, sandbox: Sandbox, browser: Browser, fields: dict[str, str], problem: str
    ) -> None:
        """A mistake is shown, and what was typed is kept."""
        typed = {"waybill_id": "SF1", **fields, "back": "/console/faults"}

        response = browser.press("fail", typed)

        assert 400 == response.status_code
        assert problem in html.unescape(response.text)
        assert 'value="SF1"' in response.text
        assert [] == sandbox.faults

    def test_fail__problem_in_chinese(self, browser: Browser) -> None:
        """Mistakes are shown in the visitor's language."""
        response = browser.press("fail", {"errcode": "0"}, **{"Accept-Language": "zh"})

        assert "错误码是 0 以外的整数" in response.text

    def test_form__from_a_waybill(self, browser: Browser) -> None:
        """A waybill's page leads to the form with its id filled in."""
        page = browser.read("/console/faults?waybill_id=SF1")

        assert 'name="waybill_id" autocomplete="off" value="SF1"' in page

    def test_form__meanings(self, browser: Browser) -> None:
        """Beside each errcode stands what it means."""
        page = browser.read("/console/faults", **{"Accept-Language": "zh"})

        assert '<option value="9300507">waybill_token参数错误</option>' in page
        assert '<option value="-1">系统错误</option>' in page

    def test_mend(self, sandbox: Sandbox, browser: Browser) -> None:
        """One is taken back, or all."""
        for number in (1, 2, 3):
            sandbox.fail("*", errcode=-number)
        assert 3 == browser.read("/console/faults").count("</li>")

        browser.press("mend", {"fault": "2"})
        assert [-1, -3] == [fault.errcode for fault in sandbox.faults]

        response = browser.press("mend", {})
        assert [] == sandbox.faults
        assert "No fault is active." in response.text


class TestTokens:
    """Tokens and quotas."""

    def test_tokens(self, sandbox: Sandbox, browser: Browser) -> None:
        """Each with its remaining life, or why it has none."""
        lasting = sandbox.access_token()
        page = browser.read("/console/tokens")
        assert [lasting, sandbox.appid] == rows(page)
        assert "2:00:00" in page
        assert lasting not in re.sub(r'\w+="[^"]*"', "", page)

        sandbox.revoke_tokens()
        assert "revoked" in browser.read("/console/tokens")

        sandbox.access_token()
        sandbox.clock.tick(hours=3)
        assert "expired" in browser.read("/console/tokens")

    def test_tokens__replaced(self, sandbox: Sandbox, browser: Browser) -> None:
        """A classic token that was replaced has five minutes left."""
        for _ in range(2):
            browser.session.get(
                browser.url + "/cgi-bin/token",
                params={
                    "grant_type": "client_credential",
                    "appid": sandbox.appid,
                    "secret": sandbox.secret,
                },
                timeout=10,
            )

        page = browser.read("/console/tokens")

        assert "replaced" in page
        assert "0:05:00" in page
        sandbox.clock.tick(minutes=6)
        assert "replaced" not in browser.read("/console/tokens")

    def test_tokens__none(self, browser: Browser) -> None:
        """Before the first there is a note."""
        page = browser.read("/console/tokens")

        assert "No token was handed out yet." in page
        assert "Nothing was counted today." in page

    def test_revoke(self, sandbox: Sandbox, browser: Browser) -> None:
        """One is revoked, and the client fetches another by itself."""
        other = sandbox.access_token(sandbox.add_app().appid)
        token = StableToken(sandbox.appid, sandbox.secret)
        with Client(token, base_url=browser.url) as client:
            client.get_delivery_list()
            before = sandbox.access_token()

            browser.press("revoke", {"token": before, "back": "/console/tokens"})

            client.get_delivery_list()
        assert [0, 0, 40001, 0, 0] == [call.errcode for call in sandbox.calls]
        assert before != sandbox.access_token()
        assert None is sandbox.world.tokens.issued[other].revoked_at

    def test_revoke__all(self, sandbox: Sandbox, browser: Browser) -> None:
        """Or all at once."""
        sandbox.access_token()
        sandbox.access_token(sandbox.add_app().appid)

        browser.press("revoke", {"back": "/console/tokens"})

        assert 0 == sandbox.revoke_tokens()

    def test_secret(self, sandbox: Sandbox, browser: Browser) -> None:
        """AppSecrets are not on the page until they are asked for."""
        component = sandbox.add_component()
        sandbox.add_app(opened=False)

        page = browser.read("/console/tokens")
        assert sandbox.secret not in page
        assert component.secret not in page
        assert "service provider" in page
        assert "logistics service not opened" in page

        page = browser.read("/console/tokens?secret=1")
        assert sandbox.secret in page
        assert component.secret in page

    @with_settings(user_daily_limit=2)
    def test_quotas(self, sandbox: Sandbox, browser: Browser) -> None:
        """What was spent of each quota, as a bar."""
        for waybill_id in ("SF1", "SF2"):
            register(sandbox, waybill_id=waybill_id)

        page = browser.read("/console/tokens")

        assert '<progress aria-labelledby="user-bar-1" class="full" max="2"' in page
        assert "2 of 2" in page
        assert "2 of 100,000" in page

    def test_quotas__busiest(self, sandbox: Sandbox, browser: Browser) -> None:
        """Of many users those are shown who have the least left."""
        for number in range(30):
            for _ in range(1 + (number == 17)):
                register(sandbox, openid=f"o{number:027}")

        page = browser.read("/console/tokens")

        assert "the 20 busiest of 30" in page
        assert f"o{17:027}" in page


class TestEscaping:
    """What callers send is text and nothing else."""

    EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\u202e{{7*7}}"

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_everywhere(
        self, sandbox: Sandbox, browser: Browser, language: str
    ) -> None:
        """On no page does it become a tag, an attribute or a template."""
        goods = {
            "detail_list": [
                {
                    "goods_name": self.EVIL,
                    "goods_img_url": "https://x.example/?%22onload=%22<script>"[:28],
                    "goods_desc": self.EVIL,
                }
            ]
        }
        register(sandbox, waybill_id=self.EVIL, goods_info=goods)
        sandbox.move(self.EVIL, 5, message=self.EVIL)
        sandbox.fail(
            "query_trace", errcode=45011, errmsg=self.EVIL, waybill_id=self.EVIL
        )
        with sandbox.mock() as wechat:
            with pytest.raises(wxlogistics.ApiError):
                wechat.client.query_trace(
                    next(iter(sandbox.world.registrations)), extra={"x": self.EVIL}
                )
        sandbox.fail(
            "query_trace", errcode=45011, errmsg=self.EVIL, waybill_id=self.EVIL
        )
        browser.session.post(browser.url + "/<script>alert(1)", timeout=10)
        for path in (
            "/",
            "/?" + requests.compat.urlencode({"q": self.EVIL}),
            "/console/waybill?" + requests.compat.urlencode({"id": self.EVIL}),
            "/console/calls",
            "/console/calls?" + requests.compat.urlencode({"q": self.EVIL}),
            "/console/call?number=1",
            "/console/call?number=2",
            "/console/call?number=3",
            "/console/faults",
            "/console/faults?" + requests.compat.urlencode({"waybill_id": self.EVIL}),
            "/console/tokens",
        ):
            page = browser.read(path, **{"Accept-Language": language})

            assert "<script>" not in page, path
            assert "<img src=x" not in page, path
            assert "49" != page, path
            assert 'onerror=alert(1)>"' not in page, path
            assert 1 == page.count("<script ")

    def test_json(self) -> None:
        """
        JSON shown to be read cannot turn its own direction, and stays the same JSON.
        """
        value = {"a": "\u202eabc\u2066\u2028\u200f", "b": "顺丰 \U0001f4e6"}

        text = pages.formatted(value)

        assert value == json.loads(text)
        assert "\u202e" not in text and "\u2028" not in text
        assert "顺丰 \U0001f4e6" in text

    def test_path__half_a_surrogate(self, sandbox: Sandbox) -> None:
        """Not even half a character breaks a page."""
        sandbox.add_waybill("\ud83d")
        headers = {"Host": "localhost"}

        answer = console.answer(sandbox, "GET", "/", "", headers, b"")

        assert 200 == answer.status

    @pytest.mark.parametrize("moment", [1e300, float("inf")])
    def test_china_time__beyond(self, moment: float) -> None:
        """A time that no calendar has is shown as a number."""
        assert f"{moment:.0f}" == pages.china_time(moment)


class TestEvents:
    """The stream of changes."""

    @contextlib.contextmanager
    def listen(self, url: str) -> Iterator[http.client.HTTPResponse]:
        port = int(url.rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", console.EVENTS)
            with connection.getresponse() as response:
                content_type = response.headers["Content-Type"]
                assert "text/event-stream; charset=utf-8" == content_type
                assert "retry: 1000" == self.data(response)
                yield response

    @staticmethod
    def data(response: Any) -> str:
        line = response.readline()
        assert b"\n" == response.readline()
        return line.decode().strip()

    def test_tells(self, sandbox: Sandbox, browser: Browser) -> None:
        """First the version, then each change once, without a user's text."""
        evil = "<script>\n\ndata: x"
        with self.listen(browser.url) as response:
            seen = [self.data(response)]
            for change in (
                lambda: register(sandbox, waybill_id=evil),
                lambda: sandbox.move(evil, 4),
                lambda: sandbox.fail("*", errcode=-1),
                lambda: sandbox.mend(),
                lambda: sandbox.clock.tick(hours=1),
                lambda: sandbox.revoke_tokens(),
                lambda: sandbox.reset(),
            ):
                change()
                seen.append(self.data(response))

        assert len(seen) == len(set(seen))
        assert all(re.fullmatch(r"data: [0-9a-f]{8}-\d+-\d+", text) for text in seen)
        assert f"data: {console.version(sandbox)}" == seen[-1]

    def test_same_as_the_page(self, browser: Browser) -> None:
        """A page knows what it shows, so that nothing in between is missed."""
        with self.listen(browser.url) as response:
            told = self.data(response).removeprefix("data: ")

        assert f'data-version="{told}"' in browser.read("/")

    def test_silence(self, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without changes a comment is sent now and then."""
        monkeypatch.setattr("wxlogistics.sandbox.server._LOOK_EVERY", 0.01)
        monkeypatch.setattr("wxlogistics.sandbox.server._LONGEST_SILENCE", 3)
        with self.listen(browser.url) as response:
            assert self.data(response).startswith("data: ")
            assert ":" == self.data(response)
            assert ":" == self.data(response)

    def test_vanished(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """A browser that has gone leaves nothing behind."""
        ended = threading.Semaphore(0)
        tell = Server._tell

        async def watched(self: Server, *args: Any) -> Any:
            try:
                return await tell(self, *args)
            finally:
                ended.release()

        monkeypatch.setattr(Server, "_tell", watched)
        with sandbox.serve() as server:
            for _ in range(5):
                with self.listen(server.url) as response:
                    self.data(response)

            assert all(ended.acquire(timeout=5) for _ in range(5))

    def test_hung(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that reads no more is given up, and meanwhile delays nothing."""
        monkeypatch.setattr("wxlogistics.sandbox.server._LOOK_EVERY", 0.001)
        monkeypatch.setattr("wxlogistics.sandbox.server._HANGS", 0.3)
        count = iter(range(10**9))
        monkeypatch.setattr(
            console, "version", lambda sandbox: f"{next(count)}" + "x" * 1_000_000
        )
        with sandbox.serve() as server:
            port = int(server.url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                request = f"GET {console.EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                connection.sendall(request.encode())
                time.sleep(0.1)
                with requests.Session() as session:
                    session.trust_env = False
                    # Would time out if the server waited for the one that hangs.
                    session.post(server.url + "/no", timeout=10)
                time.sleep(0.5)
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(1 << 20):
                        pass

    def test_close(self, sandbox: Sandbox) -> None:
        """An open page does not keep the server."""
        server = sandbox.serve()
        with self.listen(server.url) as response:
            self.data(response)
            # Would not return while the page is open.
            server.close()

            assert b"" == response.read()

    def test_sigterm(self) -> None:
        """SIGTERM with open pages: exit code 0 at once."""
        with served_process() as (child, said), contextlib.ExitStack() as stack:
            url = said.readline().removeprefix("url: ").strip()
            for _ in range(3):
                self.data(stack.enter_context(self.listen(url)))
            child.send_signal(signal.SIGTERM)
            code = child.wait(10)

        assert 0 == code

    def test_many(self, sandbox: Sandbox, browser: Browser) -> None:
        """Fifty open pages keep no call from its answer."""
        body = json.dumps(EXAMPLE).encode()
        path = f"{pages.REGISTER[False]}?access_token={sandbox.access_token()}"
        headers = {"Content-Type": "application/json"}
        port = int(browser.url.rpartition(":")[2])
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(caller))
            for _ in range(50):
                self.data(stack.enter_context(self.listen(browser.url)))
            statuses = []
            for _ in range(500):
                caller.request("POST", path, body, headers)
                answer = caller.getresponse()
                answer.read()
                statuses.append(answer.status)

        assert [200] * 500 == statuses


class TestState:
    """What the console needs survives a restart."""

    def test_registered_at(self, sandbox: Sandbox, tmp_path: Path) -> None:
        """When a waybill was registered, and by whom, is in the state file."""
        register(sandbox)
        sandbox.save(tmp_path / "state.json")

        loaded = Sandbox.load(tmp_path / "state.json", clock=Clock(0, speed=0))

        (one,) = loaded.world.registered[WAYBILL_ID]
        assert NOON == one.registered_at
        assert GOODS["detail_list"] == one.goods

    def test_registered_at__unknown(self, sandbox: Sandbox, tmp_path: Path) -> None:
        """A file from before there was a console has no such time."""
        register(sandbox)
        path = tmp_path / "state.json"
        sandbox.save(path)
        data = json.loads(path.read_text())
        del data["registrations"][0]["registered_at"]
        path.write_text(json.dumps(data))

        loaded = Sandbox.load(path)

        answer = console.answer(loaded, "GET", "/", "", {"Host": "localhost"}, b"")
        assert WAYBILL_ID in answer.body.decode()
