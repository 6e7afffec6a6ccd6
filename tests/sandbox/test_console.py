"""The console without a browser: what its pages hold, do and refuse."""

import contextlib
import html
import http.client
import json
import re
import shlex
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
    JSON,
    NOON,
    OPEN_MSG,
    OPENID,
    OTHER_OPENID,
    WAYBILL_ID,
    account_of,
    ask,
    direct,
    goods_of,
    port_of,
    with_settings,
)

import wxlogistics.sandbox
from wxlogistics import ApiError, Client, StableToken
from wxlogistics.errcodes import WORDS
from wxlogistics.sandbox import Call, Sandbox, console
from wxlogistics.sandbox.console import pages, site, texts
from wxlogistics.sandbox.server import Server
from wxlogistics.sandbox.wire import Answer, HttpRequest
from wxlogistics.sandbox.world.errcodes import TEXTS

pytestmark = pytest.mark.once

TEMPLATES = Path(wxlogistics.sandbox.__path__[0]) / "console/templates"

ENGLISH = {"Accept-Language": "en"}
CHINESE = {"Accept-Language": "zh"}

PAGE = f"/console/waybill?id={WAYBILL_ID}"
TOKENS = "/console/tokens"


@attrs.define
class Browser:
    """Asks a served console as a browser would, one without JavaScript."""

    sandbox: Sandbox
    url: str
    session: requests.Session

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.url + path, headers=headers, timeout=60)

    def read(self, path: str, **headers: str) -> str:
        """The text of a page that is there."""
        response = self.get(path, **headers)
        assert 200 == response.status_code
        return response.content.decode()

    def press(
        self, action: str, fields: dict[str, str], **headers: str | None
    ) -> requests.Response:
        """Send a form, and go where it leads."""
        return self.session.post(
            f"{self.url}/console/{action}",
            data=fields,
            headers={"Origin": self.url, **headers},
            timeout=60,
        )

    def call(self, path: str, payload: Any = None, **options: Any) -> Any:
        """Call what is no page, as a program would; a payload is sent as JSON."""
        if payload is not None:
            options["json"] = payload
        return self.session.post(self.url + path, timeout=60, **options)


@pytest.fixture
def browser(sandbox: Sandbox) -> Iterator[Browser]:
    with sandbox.serve() as server, direct() as session:
        yield Browser(sandbox, server.url, session)


def register(sandbox: Sandbox, **changes: Any) -> str:
    """The waybill_token of the document's example, with *changes* to the request."""
    payload = {**EXAMPLE, **changes}
    with sandbox.mock() as wechat:
        return wechat.client.request(pages.REGISTER[False], payload)["waybill_token"]


def misquery(sandbox: Sandbox) -> ApiError:
    """The error of a query with a waybill_token that is none."""
    with sandbox.mock() as wechat, pytest.raises(ApiError) as caught:
        wechat.client.query_trace("made up")
    return caught.value


def answer(
    sandbox: Sandbox, path: str = "/", allowed_hosts: Any = (), **headers: str
) -> Answer:
    """The answer to a GET that no server is needed for."""
    headers.setdefault("Host", "localhost")
    request = HttpRequest("GET", path, headers=headers)
    return console.answer(sandbox, request, allowed_hosts=allowed_hosts)


def shown(page: str, tag_id: str) -> str:
    """The text of the element with this id, which holds no other element."""
    found = re.search(rf'id="{tag_id}"[^>]*>([^<]*)<', page)
    assert found is not None, page
    return html.unescape(found[1])


def rows(page: str) -> list[str]:
    """The keys of a table's rows."""
    return [html.unescape(key) for key in re.findall(r'<tr data-key="([^"]*)"', page)]


@pytest.mark.parametrize(
    ("prepare", "path", "present"),
    [
        (lambda s: 0, "/console/calls", ["No call yet."]),
        (lambda s: 0, TOKENS, ["No token was handed out yet."]),
        (lambda s: 0, TOKENS, ["Nothing was counted today."]),
        (lambda s: 0, "/console/new", ['action="/console/register"']),
        (
            lambda s: 0,
            "/console/faults?waybill_id=SF1",
            ['name="waybill_id" autocomplete="off" value="SF1"'],
        ),
        (lambda s: s.add_waybill("SF1"), "/", ['data-key="SF1"', "not registered"]),
        (
            lambda s: s.add_waybill("SF1"),
            "/console/waybill?id=SF1",
            ["Waiting for the carrier", "This waybill is not registered yet."],
        ),
        (
            lambda s: [register(s), register(s, openid=OTHER_OPENID)],
            "/",
            [OTHER_OPENID, "and 1 more"],
        ),
        (
            lambda s: [register(s), s.clock.tick(hours=6)],
            PAGE,
            ["测试名字2", "快件已到达中通快递深圳转运中心", "电话13800138000"],
        ),
        (
            lambda s: [register(s), s.clock.tick(hours=6)],
            PAGE,
            ["The clock moves it next: 05-21 08:00"],
        ),
        (
            lambda s: [register(s, delivery_id="SF"), s.clock.tick(hours=6)],
            "/",
            ["顺丰速运", "In transit", OPENID, "测试名字", "2 in all"]
            + ["05-20 12:00:00", "05-20 17:00:00"],
        ),
        (lambda s: [s.access_token(), s.revoke_tokens()], TOKENS, ["revoked"]),
        (lambda s: [s.access_token(), s.clock.tick(hours=3)], TOKENS, ["expired"]),
        (lambda s: s.add_component(), TOKENS, ["service provider"]),
        (lambda s: s.add_app(opened=False), TOKENS, ["logistics service not opened"]),
        (
            # Of many users those are shown who have the least left.
            lambda s: [register(s, openid=f"o{n:027}") for n in (*range(30), 17)],
            TOKENS,
            ["the 20 busiest of 30", f"o{17:027}"],
        ),
    ],
)
def test_page__shows(browser, prepare, path, present):
    """After some deeds a page has these texts."""
    prepare(browser.sandbox)

    page = browser.read(path)

    assert present == [text for text in present if text in page]


@pytest.mark.parametrize(
    ("action", "fields", "problem"),
    [
        ("move", {"status": "四"}, "a number is expected: 四"),
        ("move", {"status": "4"}, "no waybill 'SF1'"),
        ("move", {}, "The parcel is at its end."),
        ("tick", {"hours": "-1"}, "time only moves forward"),
        ("tick", {"hours": "nan"}, "time only moves forward"),
        ("tick", {"hours": "9000"}, "at most a year at once"),
        ("tick", {"hours": "soon"}, "a number is expected: soon"),
        ("register", {"openid": "x"}, "refused: 40003 openid wrong"),
        ("fail", {}, "name what goes wrong"),
        ("fail", {"errcode": "0"}, "errcode is a whole number other than 0"),
        ("fail", {"errcode": "busy"}, "a number is expected: busy"),
        ("fail", {"errcode": "-1", "times": "0"}, "times is a whole number from 1"),
        ("fail", {"errcode": "-1", "delay": "nan"}, "delay is from 0 to 3600 seconds"),
        ("fail", {"status": "99"}, "status is a whole number from 200 to 599"),
        ("fail", {"errmsg": "x", "status": "502"}, "errmsg goes with an errcode"),
        ("fail", {"endpoint": "nothing", "errcode": "-1"}, "no endpoint"),
    ],
)
def test_form__problem(browser, action, fields, problem):
    """A mistake is shown on the page of its form, with what was typed."""
    back = "/console/new" if action == "register" else "/console/faults"

    response = browser.press(action, {"waybill_id": "SF1", **fields, "back": back})

    assert 400 == response.status_code
    assert problem in html.unescape(response.text)
    assert 'value="SF1"' in response.text
    assert ([], NOON) == (browser.sandbox.faults, browser.sandbox.clock.now())


class TestDoor:
    """Who may come in, and what every answer forbids."""

    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/", {"Host": "evil.example"}),
            ("/", {"Host": "evil.example:8790"}),
            ("/", {"Host": "127.0.0.1.evil.example"}),
            ("/", {"Host": "[::1"}),
            ("/", {"Host": "127.0.0.1:'; reboot"}),
            ("/", {"Host": "x@localhost"}),
            ("/", {"Origin": "http://evil.example"}),
            ("/", {"Origin": "null"}),
            ("/console/calls", {"Host": "evil.example"}),
            ("/console/static/x", {"Origin": "http://evil.example"}),
            (console.EVENTS, {"Origin": "http://evil.example"}),
        ],
    )
    def test_get__foreign(self, browser, path, headers):
        """A foreign Host or Origin sees nothing."""
        response = browser.get(path, **headers)

        assert 403 == response.status_code
        assert "wx" not in response.text

    @pytest.mark.parametrize(
        ("action", "headers"),
        [
            *((action, {"Origin": "http://evil.example"}) for action in site._ACTIONS),
            ("tick", {"Origin": "null"}),
            ("tick", {"Origin": "https://127.0.0.1"}),
            ("tick", {"Host": "evil.example", "Origin": "http://evil.example"}),
            # Every browser sends an Origin with a POST.
            ("tick", {"Origin": None}),
        ],
    )
    def test_post__foreign(self, browser, action, headers):
        """No other page can press a button, and no link or picture either."""
        browser.sandbox.fail("*", delay=1)
        before = console.version(browser.sandbox)

        pressed = browser.press(action, {"hours": "1", "to": "zh"}, **headers)
        linked = browser.get(f"/console/{action}?hours=1&to=zh")

        assert (403, 404) == (pressed.status_code, linked.status_code)
        assert before == console.version(browser.sandbox)

    def test_headers(self, browser):
        """No page runs, shows or sends to anything but its own."""
        register(browser.sandbox)
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

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("localhost", "http://localhost"),
            ("[::1]:8790", "http://[::1]:8790"),
            ("box:80", "http://box:80"),
        ],
    )
    def test_base_url(self, sandbox, host, url):
        """The snippets hold the host and the port that the browser came by."""
        page = answer(sandbox, Host=host, allowed_hosts=["box"]).body.decode()

        assert f"base_url='{url}'" in html.unescape(page)

    def test_root__others_are_wechat(self, browser):
        """The path / is a page for GET and HEAD alone."""
        head, post, put = (
            browser.session.request(method, browser.url + "/", timeout=60)
            for method in ("HEAD", "POST", "PUT")
        )

        assert 200 == head.status_code
        assert [40066, 40066] == [post.json()["errcode"], put.json()["errcode"]]

    @pytest.mark.parametrize("name", ["console.css", "console.js", "icon.svg"])
    def test_static(self, browser, name):
        """What a page needs is here, and asks for nothing elsewhere."""
        text = browser.read(f"/console/static/{name}")

        elsewhere = r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)"
        assert [] == re.findall(elsewhere, text)

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("/console/", "To the waybills"),
            ("/console/no", "To the waybills"),
            ("/console/static/no", "To the waybills"),
            ("/console/static/../pages.py", "To the waybills"),
            ("/console/waybill", "There is no such waybill."),
            ("/console/waybill?id=SF1", "There is no such waybill."),
            ("/console/call?number=", "This call is not remembered"),
            ("/console/call?number=0", "This call is not remembered"),
            ("/console/call?number=2", "This call is not remembered"),
            ("/console/call?number=x", "This call is not remembered"),
        ],
    )
    def test_missing(self, browser, path, text):
        """What is not there is a 404; neither is there any other action."""
        register(browser.sandbox)

        response = browser.get(path)

        assert 404 == response.status_code
        assert text in response.text
        assert 404 == browser.press("reboot", {}).status_code


class TestLanguage:
    @pytest.mark.parametrize(
        ("accepted", "language"),
        [
            ("", "en"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
            ("en-GB,en;q=0.9,zh;q=0.8", "en"),
            ("x-zh, enm", "en"),
            ("fr,zh;q=0.1", "zh-CN"),
        ],
    )
    def test_accept_language(self, sandbox, accepted, language):
        """The browser's wish decides."""
        page = answer(sandbox, **{"Accept-Language": accepted}).body.decode()

        assert f'<html lang="{language}">' in page

    @pytest.mark.parametrize(
        ("back", "leads_to"),
        [
            ("/console/calls?q=a b&failed=1", "/console/calls?q=a+b&failed=1"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("/console/static/icon.svg", "/"),
            ("javascript:alert(1)", "/"),
            ("http://[", "/"),
            ("/nowhere", "/"),
            ("", "/"),
        ],
    )
    def test_switch(self, browser, back, leads_to):
        """
        The switch decides over the browser, for good, stays on the page, and cannot
        lead out of the console.
        """
        response = browser.press("language", {"to": "zh", "back": back})

        assert browser.url + leads_to == response.url
        assert 'lang="zh-CN"' in response.text
        assert 'lang="zh-CN"' in browser.read("/", **ENGLISH)

    def test_switch__unknown(self, browser):
        """There is no third."""
        response = browser.press("language", {"to": "x; Domain=evil.example"})

        assert 404 == response.status_code
        assert "Set-Cookie" not in response.headers

    @pytest.mark.parametrize("cookie", ["\x01=1", f"{site._COOKIE}=fr"])
    def test_cookie__strange(self, sandbox, cookie):
        """An unknown cookie is ignored."""
        assert b'lang="zh-CN"' in answer(sandbox, Cookie=cookie, **CHINESE).body

    def test_texts__all_are_translated(self):
        """Every text of the templates has a Chinese one, with as many braces."""
        said = set()
        for path in TEMPLATES.glob("*.html"):
            said |= set(re.findall(r'say\("([^"]+)"', path.read_text("utf-8")))
        assert len(said) > 100

        assert set() == said - set(texts._CHINESE)
        for english, chinese in texts._CHINESE.items():
            assert english.count("{") == chinese.count("{"), english

    def test_meanings__of_what_the_sandbox_answers(self):
        """Every errcode that the sandbox answers is explained, in both languages."""
        assert set() == set(TEXTS) - set(WORDS)
        for errcode in TEXTS:
            words = WORDS[errcode]
            assert words.meaning and words.meaning_zh, errcode
            assert words.advice and words.advice_zh, errcode


class TestWaybills:
    def test_first_visit(self, browser):
        """
        Before anything is registered it shows how: in Python with the real port, and
        a curl call that registers the document's example.
        """
        page = browser.read("/?secret=1")

        python = shown(page, "start-python")
        assert 3 == len(python.splitlines())
        names: dict[str, Any] = {}
        exec(python, names)
        with names["client"] as client:
            assert client.get_delivery_list()
        assert [] == rows(page)

        words = shlex.split(shown(browser.read("/"), "start-curl").replace("\\\n", ""))
        assert ["curl", "-H", "-d"] == [words[0], words[2], words[4]]
        headers = dict([words[3].split(": ")])
        reply = browser.session.post(
            words[1], data=words[5].encode(), headers=headers, timeout=60
        )
        assert 0 == reply.json()["errcode"]
        assert [WAYBILL_ID] == rows(browser.read("/"))

    def test_example(self, browser):
        """A button registers the document's example, as a call like any other."""
        response = browser.press("example", {})

        [call] = browser.sandbox.calls
        assert browser.url + PAGE == response.url
        assert EXAMPLE == call.payload == pages.EXAMPLE
        assert 0 == call.errcode

    @pytest.mark.parametrize(
        ("component", "endpoint"),
        [("query", "trace_waybill"), ("message", "follow_waybill")],
    )
    def test_register(self, browser, component, endpoint):
        """A form registers any waybill, as a program would."""
        fields = {
            "waybill_id": " SF123 ",
            "goods_name": "茶",
            "component": component,
            "delivery_id": "YTO",
            "receiver_phone": "",
            "openid": OPENID,
        }

        response = browser.press("register", fields)

        [call] = browser.sandbox.calls
        assert browser.url + "/console/waybill?id=SF123" == response.url
        assert endpoint == call.endpoint
        assert {
            "openid": OPENID,
            "waybill_id": "SF123",
            "delivery_id": "YTO",
            "goods_info": goods_of("茶"),
        } == call.payload
        listed = browser.read("/")
        assert ["SF123"] == rows(listed)
        assert f">{component}</span>" in listed

    def test_register__refused(self, browser):
        """A gateway's page in place of an answer is shown above the form."""
        browser.sandbox.fail("trace_waybill", status=502)

        refused = browser.press("register", {"waybill_id": "V", "goods_name": "tea"})

        assert 400 == refused.status_code
        assert "refused: HTTP 502" in refused.text

    @with_settings(keep_calls=0)
    def test_register__nothing_kept(self, browser):
        """A refusal is shown though no call is remembered; no other user is made."""
        refused = browser.press("register", {"openid": "x", "waybill_id": "V"})

        assert "refused: 40003 openid wrong" in refused.text
        assert {} == browser.sandbox.world.users

    def test_order(self, browser):
        """What was registered last stands first; registering again changes nothing."""
        browser.sandbox.add_waybill("SF1")
        for waybill_id in ("SF2", "SF3", "SF1", "SF2"):
            register(browser.sandbox, waybill_id=waybill_id)

        assert ["SF1", "SF3", "SF2"] == rows(browser.read("/"))

    def test_search(self, browser):
        """It looks in id, carrier, user and goods, and narrows to a status."""
        register(browser.sandbox, waybill_id="SF1")
        other = {"openid": OTHER_OPENID, "goods_info": goods_of("陶瓷杯")}
        register(browser.sandbox, waybill_id="YTO2", **other)
        browser.sandbox.add_waybill("ZTO3")
        browser.sandbox.move("YTO2", 4)

        for query, found in (
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
        ):
            page = browser.read("/?" + query)
            assert found == rows(page), query
            assert (not found) == ("No matches." in page), query

    def test_pages(self, browser):
        """Fifty on a page; what is no page's number is the first or the last."""
        for number in range(120):
            browser.sandbox.add_waybill(f"SF{number}")

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

    def test_wait(self, browser):
        """The page knows when the clock moves the next parcel that it shows."""
        register(browser.sandbox)
        assert 'data-wait=""' in browser.read("/")

        browser.sandbox.clock.set(NOON, 3600)
        wait = int(re.findall('data-wait="([0-9]+)"', browser.read("/"))[0])
        assert 0 < wait <= 1000
        browser.sandbox.clock.set(NOON, 5e-324)
        assert 'data-wait="2147483647"' in browser.read("/")

        browser.sandbox.move(WAYBILL_ID, 4)
        assert 'data-wait=""' in browser.read("/")


class TestWaybill:
    @with_settings(missing_goods=0)
    def test_page__without_goods(self, browser):
        """Goods can be missing, and so can their names."""
        register(browser.sandbox, waybill_id="SF1", goods_info=None)
        nameless = {"detail_list": [{"goods_desc": "描述"}]}
        register(browser.sandbox, waybill_id="SF2", goods_info=nameless)

        assert "<ul" in browser.read("/console/waybill?id=SF1")
        assert "描述" in browser.read("/console/waybill?id=SF2")
        assert ["SF2", "SF1"] == rows(browser.read("/"))

    def test_page__two_users(self, browser):
        """Each registration's goods can be seen."""
        first = register(browser.sandbox)
        other = {"openid": OTHER_OPENID, "goods_info": goods_of("陶瓷杯")}
        register(browser.sandbox, **other)

        latest = browser.read(PAGE)
        other = browser.read(f"{PAGE}&token={first}")

        assert "陶瓷杯" in latest and "测试名字" not in latest
        assert "测试名字" in other and "陶瓷杯" not in other
        assert first == shown(other, "token-1")

    def test_next(self, browser):
        """Next step after next step, until it is signed; then there is none."""
        register(browser.sandbox)
        fields = {"waybill_id": WAYBILL_ID, "back": PAGE}
        seen = []
        page = browser.read(PAGE)
        while found := re.search('id="next" name="status" value="(.)"', page):
            response = browser.press("move", {**fields, "status": found[1]})
            assert browser.url + PAGE == response.url
            page = response.text
            seen.append(found[1])

        response = browser.press("move", fields)

        assert ["1", "2", "3", "4"] == seen
        assert 400 == response.status_code
        assert "The parcel is at its end." in response.text
        assert WAYBILL_ID == shown(response.text, "number")

    def test_move(self, browser):
        """Any status, with the carrier's words; after an exception it goes on."""
        register(browser.sandbox)
        fields = {"waybill_id": WAYBILL_ID, "status": "5", "message": " 地址不详 "}
        browser.press("move", fields)
        page = browser.read(PAGE)
        assert "地址不详" in page
        assert "Next step: Out for delivery" in page

        browser.press("move", {"waybill_id": WAYBILL_ID, "status": "77"})
        assert "Unknown 77" in browser.read(PAGE)

        browser.press("move", {"waybill_id": WAYBILL_ID, "status": "0"})
        assert 0 == browser.sandbox.world.parcels[WAYBILL_ID].status(NOON)

    def test_tick(self, browser):
        """Time passes."""
        response = browser.press("tick", {"hours": "1.5", "back": "/console/tokens"})

        assert NOON + 5400 == browser.sandbox.clock.now()
        assert browser.url + "/console/tokens" == response.url

    def test_pictures(self, browser):
        """Goods pictures are not fetched, and may not be, unless one asks."""
        urls = ["https://img.example/a.png", "www.qq.com", ""]
        goods = [{"goods_name": "n", "goods_img_url": url} for url in urls]
        register(browser.sandbox, goods_info={"detail_list": goods})
        icon = "/console/static/icon.svg"

        without, asked = browser.get(PAGE), browser.get(PAGE + "&pictures=1")

        assert [icon] == re.findall(r'<img src="(.*?)"', without.text)
        assert "img-src 'self';" in without.headers["Content-Security-Policy"]
        found = re.findall(r'<img src="(.*?)"', asked.text)
        assert [icon, "https://img.example/a.png", "http://www.qq.com"] == found
        assert 2 == asked.text.count('referrerpolicy="no-referrer"')
        policy = asked.headers["Content-Security-Policy"]
        assert "img-src 'self' http: https:;" in policy
        assert "Load the pictures" in without.text
        register(browser.sandbox, waybill_id="SF1", goods_info=goods_of("x"))
        assert "Load the pictures" not in browser.read("/console/waybill?id=SF1")

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
    def test_picture_url(self, url, expected):
        """Only what leads to another server's picture."""
        assert expected == pages.picture_url(url)


class TestCalls:
    def test_list(self, browser):
        """
        Newest first, with errcode, its meaning and the rid; they are found by
        endpoint, by outcome, and by what they are about.
        """
        register(browser.sandbox)
        rid = misquery(browser.sandbox).rid
        browser.call("/no/such", {})

        page = browser.read("/console/calls")

        assert "waybill_token wrong" in page
        assert rid and rid in page
        for query, found in (
            ("", ["3", "2", "1"]),
            ("endpoint=trace_waybill", ["1"]),
            ("failed=1", ["3", "2"]),
            (f"q={WAYBILL_ID}", ["1"]),
            ("q=9300507", ["2"]),
            ("q=MADE+UP", ["2"]),
            ("q=/no/such", ["3"]),
            ("q=nothing", []),
        ):
            assert found == rows(browser.read("/console/calls?" + query)), query

    def test_list__waybill(self, browser):
        """The waybill that a call is about leads to its page; escapes are flagged."""
        query = {"access_token": browser.sandbox.access_token()}
        browser.call(pages.REGISTER[False], EXAMPLE, params=query)

        listed = browser.read("/console/calls")
        page = browser.read("/console/call?number=1")

        link = f'<a href="{PAGE}"><bdi class="cut">'
        assert link in listed and link in page
        assert ">\\u</span>" in listed
        assert "escapes non-ASCII characters" in page

    def test_list__faults(self, browser):
        """A gateway's answer and a dropped connection have no errcode."""
        browser.sandbox.fail("get_delivery_list", status=502)
        browser.sandbox.fail("get_delivery_list", drop=True)
        query = {"access_token": browser.sandbox.access_token()}
        browser.call(OPEN_MSG + "get_delivery_list", {}, params=query)
        with pytest.raises(requests.ConnectionError):
            browser.call(OPEN_MSG + "get_delivery_list", {}, params=query)

        page = browser.read("/console/calls?failed=1")

        assert "HTTP 502" in page
        assert "dropped" in page
        assert "No JSON was sent back." in browser.read("/console/call?number=1")
        page = browser.read("/console/call?number=2")
        assert "The connection was dropped." in page
        assert "顺丰速运" in shown(page, "reply")

    def test_call(self, browser):
        """One call's page has request and reply, and its neighbours."""
        # A secret of a letter or two is not looked for in other texts.
        browser.sandbox.add_app("wx1", "测试")
        for _ in range(3):
            token = register(browser.sandbox)

        page = browser.read("/console/call?number=2")

        assert EXAMPLE == json.loads(shown(page, "request"))
        assert token == json.loads(shown(page, "reply"))["waybill_token"]
        assert "number=1" in page and "number=3" in page
        first = browser.read("/console/call?number=1")
        assert "number=2" not in first.replace("number=2", "", 1)

    def again(self, browser: Browser, page: str) -> None:
        """Do what both snippets say."""
        words = shlex.split(shown(page, "curl").replace("\\\n", ""))
        if len(words) == 2:
            browser.session.get(words[1], timeout=60)
        else:
            assert ["-H", "Content-Type: application/json", "-d"] == words[2:5]
            browser.session.post(
                words[1], data=words[5].encode(), headers=JSON, timeout=60
            )
        exec(shown(page, "python"), {"print": lambda reply: None})

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_again(self, browser):
        """curl and Python make the very same call again."""
        tricky = "it's \"\\ \u202e{} %s 顺丰 \U0001f4e6"
        extra = {"list": [], "none": None, "t": True}
        register(browser.sandbox, goods_info=goods_of(tricky), extra=extra)

        self.again(browser, browser.read("/console/call?number=1"))

        first, second, third = browser.sandbox.calls
        assert first.payload == second.payload == third.payload
        assert first.reply == second.reply == third.reply

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_again__tokens(self, browser):
        """So for the token endpoints; the AppSecret is masked until asked for."""
        sandbox, account = browser.sandbox, account_of(browser.sandbox)
        payload = {**account, "notes": [sandbox.secret, 1]}
        browser.call("/cgi-bin/stable_token", payload)
        browser.call("/cgi-bin/component/api_authorizer_token", payload)
        browser.session.get(browser.url + "/cgi-bin/token", params=account, timeout=60)

        for number in (1, 2, 3):
            path = f"/console/call?number={number}"
            assert sandbox.secret not in browser.read(path)
            assert "Show the AppSecret" in browser.read(path)
            self.again(browser, browser.read(path + "&secret=1"))

        made = [(call.endpoint, call.payload) for call in sandbox.calls]
        assert made[:3] == made[3::2] == made[4::2]

    def test_again__beside(self, browser):
        """A call beside the plugin's can be made again with a token."""
        token = browser.sandbox.access_token()
        path = f"/cgi-bin/openapi/rid/get?access_token={token}"
        browser.call(path, {"rid": "x"})

        page = html.unescape(browser.read("/console/call?number=1"))

        assert path.removeprefix("/cgi-bin") in page

    def test_again__wrong_secret(self, browser):
        """A secret that is no app's here may be a real one: it is masked."""
        browser.call("/cgi-bin/stable_token", {"appid": "wx1", "secret": "real"})

        assert "real" not in shown(browser.read("/console/call?number=1"), "request")

    def test_again__not_json(self, browser):
        """What was no JSON, or no endpoint, cannot be made again."""
        browser.call("/cgi-bin/stable_token", data=b"x")
        browser.call("/no/such", data=b"x")
        browser.call("/no/such", {})

        read = [browser.read(f"/console/call?number={number}") for number in (1, 2, 3)]

        assert [] == [page for page in read if "Call it again" in page]
        assert "The request had no JSON object." in read[0]


class TestFaults:
    def test_fail(self, browser):
        """The form sets what `fail()` sets."""
        fields = {
            "endpoint": "query_trace",
            "errcode": " -1 ",
            "errmsg": "a text",
            "times": "",
            "delay": "0.5",
            "openid": OPENID,
            "waybill_id": "SF1",
            "status": "",
            "drop": "1",
        }

        response = browser.press("fail", fields)

        assert browser.url + "/console/faults" == response.url
        [fault] = browser.sandbox.faults
        assert {
            "endpoint": "query_trace",
            "errcode": -1,
            "errmsg": "a text",
            "times": None,
            "delay": 0.5,
            "openid": OPENID,
            "waybill_id": "SF1",
            "status": None,
            "drop": True,
        } == {name: getattr(fault, name) for name in fields}
        for text in ("query_trace", "-1", "WeChat is busy", "a text", "0.5 s late"):
            assert text in response.text
        assert "dropped" in response.text
        assert "until removed" in response.text

    def test_fail__times(self, browser):
        """How often it is left goes down with the calls."""
        response = browser.press("fail", {"status": "502", "times": "2"})
        assert "Left: 2" in response.text
        assert "HTTP 502" in response.text

        browser.call("/cgi-bin/stable_token")
        assert "Left: 1" in browser.read("/console/faults")

    def test_form__chinese(self, browser):
        """Mistakes, and what each errcode means, are in the visitor's language."""
        response = browser.press("fail", {"errcode": "0"}, **CHINESE)
        page = browser.read("/console/faults", **CHINESE)

        assert "错误码是 0 以外的整数" in response.text
        assert '<option value="9300507">waybill_token参数错误</option>' in page
        assert '<option value="-1">系统错误</option>' in page

    def test_mend(self, browser):
        """One is taken back, or all."""
        for number in (1, 2, 3):
            browser.sandbox.fail("*", errcode=-number)
        assert 3 == browser.read("/console/faults").count("</li>")

        browser.press("mend", {"fault": "2"})
        assert [-1, -3] == [fault.errcode for fault in browser.sandbox.faults]

        response = browser.press("mend", {})
        assert [] == browser.sandbox.faults
        assert "No fault is active." in response.text


class TestTokens:
    def test_tokens(self, browser):
        """Each with its remaining life."""
        lasting = browser.sandbox.access_token()

        page = browser.read("/console/tokens")

        assert [lasting, browser.sandbox.appid] == rows(page)
        assert "2:00:00" in page
        assert lasting not in re.sub(r'\w+="[^"]*"', "", page)

    def test_tokens__replaced(self, browser):
        """A classic token that was replaced has five minutes left."""
        for _ in range(2):
            account = account_of(browser.sandbox)
            browser.call("/cgi-bin/token", params=account)

        page = browser.read("/console/tokens")

        assert "replaced" in page
        assert "0:05:00" in page
        browser.sandbox.clock.tick(minutes=6)
        assert "replaced" not in browser.read("/console/tokens")

    def test_revoke(self, browser):
        """One is revoked, and the client fetches another by itself."""
        sandbox = browser.sandbox
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
        # Or all at once.
        browser.press("revoke", {"back": "/console/tokens"})
        assert 0 == sandbox.revoke_tokens()

    def test_secret(self, browser):
        """AppSecrets are not on a page until they are asked for."""
        component = browser.sandbox.add_component()
        secrets = [browser.sandbox.secret, component.secret]

        hidden, page = browser.read("/console/tokens"), browser.read("/")

        assert [] == [secret for secret in secrets if secret in hidden + page]
        asked = browser.read("/console/tokens?secret=1")
        assert secrets == [secret for secret in secrets if secret in asked]
        assert browser.sandbox.secret in browser.read("/?secret=1")

    @with_settings(user_daily_limit=2)
    def test_quotas(self, browser):
        """What was spent of each quota, as a bar."""
        for waybill_id in ("SF1", "SF2"):
            register(browser.sandbox, waybill_id=waybill_id)

        page = browser.read("/console/tokens")

        assert '<progress aria-labelledby="user-bar-1" class="full" max="2"' in page
        assert "2 of 2" in page
        assert "2 of 100,000" in page


class TestEscaping:
    EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\u202e{{7*7}}"

    def test_everywhere(self, browser):
        """On no page does it become a tag, an attribute or a template."""
        evil, sandbox = self.EVIL, browser.sandbox
        fault = {"errcode": 45011, "errmsg": evil, "waybill_id": evil}
        [detail] = goods_of(evil, url='https://x.example/?%22onload="')["detail_list"]
        detail["goods_desc"] = evil
        token = register(sandbox, waybill_id=evil, goods_info={"detail_list": [detail]})
        sandbox.move(evil, 5, message=evil)
        sandbox.fail("query_trace", **fault)
        with sandbox.mock() as wechat, pytest.raises(ApiError):
            wechat.client.query_trace(token, extra={"x": evil})
        sandbox.fail("query_trace", **fault)
        browser.call("/<script>alert(1)")
        for path in (
            "/",
            "/?" + requests.compat.urlencode({"q": evil}),
            "/console/waybill?" + requests.compat.urlencode({"id": evil}),
            "/console/calls",
            "/console/calls?" + requests.compat.urlencode({"q": evil}),
            "/console/call?number=1",
            "/console/call?number=2",
            "/console/call?number=3",
            "/console/faults",
            "/console/faults?" + requests.compat.urlencode({"waybill_id": evil}),
            "/console/tokens",
        ):
            for language in (ENGLISH, CHINESE):
                page = browser.read(path, **language)

                assert "<script>" not in page, path
                assert "<img src=x" not in page, path
                assert "\u202e49" not in page, path
                assert 'onerror=alert(1)>"' not in page, path
                assert 'onload="' not in page, path
                assert 1 == page.count("<script ")

    def test_json(self):
        """Shown JSON cannot turn its own direction, and stays the same JSON."""
        value = {"a": "\u202eabc\u2066\u2028\u200f", "b": "顺丰 \U0001f4e6"}

        text = pages.formatted(value)

        assert value == json.loads(text)
        assert "\u202e" not in text and "\u2028" not in text
        assert "顺丰 \U0001f4e6" in text

    def test_path__half_a_surrogate(self, sandbox):
        """Not even half a character breaks a page."""
        sandbox.add_waybill("\ud83d")

        assert 200 == answer(sandbox).status

    def test_call__half_a_surrogate(self, browser):
        """Nor one in a call from a state file."""
        request = '{"appid":"\\ud800"}'
        fields = {"number": 1, "time": NOON, "status": 200, "milliseconds": 1.0}
        call = Call(endpoint="token", request=request, **fields)
        browser.sandbox.world.calls.append(call)

        assert "?appid=%3F" in browser.read("/console/call?number=1")

    @pytest.mark.parametrize("moment", [1e300, float("inf")])
    def test_china_time__beyond(self, moment):
        """A time that no calendar has is shown as a number."""
        assert f"{moment:.0f}" == pages.china_time(moment)


class TestEvents:
    @contextlib.contextmanager
    def listen(self, url: str) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(url), timeout=60)
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

    def test_tells(self, browser):
        """First the version, then each change once, without a user's text."""
        evil, sandbox = "<script>\n\ndata: x", browser.sandbox
        with self.listen(browser.url) as response:
            seen = [self.data(response)]
            # A page knows what it shows, so that nothing in between is missed.
            told = seen[0].removeprefix("data: ")
            assert f'data-version="{told}"' in browser.read("/")
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

    def test_silence(self, browser, monkeypatch):
        """Without changes a comment is sent now and then."""
        monkeypatch.setattr("wxlogistics.sandbox.server._LOOK_EVERY", 0.01)
        monkeypatch.setattr("wxlogistics.sandbox.server._LONGEST_SILENCE", 3)
        with self.listen(browser.url) as response:
            assert self.data(response).startswith("data: ")
            assert ":" == self.data(response)
            assert ":" == self.data(response)

    def test_vanished(self, sandbox, monkeypatch):
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

            assert all(ended.acquire(timeout=60) for _ in range(5))

    def test_hung(self, sandbox, monkeypatch):
        """One that reads no more is given up, and meanwhile delays nothing."""
        monkeypatch.setattr("wxlogistics.sandbox.server._LOOK_EVERY", 0.001)
        monkeypatch.setattr("wxlogistics.sandbox.server._HANGS", 0.3)
        count = iter(range(10**9))
        monkeypatch.setattr(
            console, "version", lambda sandbox: f"{next(count)}" + "x" * 1_000_000
        )
        with sandbox.serve() as server:
            address = "127.0.0.1", port_of(server.url)
            with socket.create_connection(address, 10) as connection:
                request = f"GET {console.EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                connection.sendall(request.encode())
                time.sleep(0.1)
                # Would time out if the server waited for the one that hangs.
                ask(server.url, "/no")
                time.sleep(0.5)
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(1 << 20):
                        pass

    def test_close(self, sandbox):
        """An open page does not keep the server."""
        server = sandbox.serve()
        with self.listen(server.url) as response:
            self.data(response)
            # Would not return while the page is open.
            server.close()
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                response.read()

    def test_many(self, browser):
        """Fifty open pages keep no call from its answer."""
        body = json.dumps(EXAMPLE).encode()
        path = f"{pages.REGISTER[False]}?access_token={browser.sandbox.access_token()}"
        caller = http.client.HTTPConnection(
            "127.0.0.1", port_of(browser.url), timeout=60
        )
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(caller))
            for _ in range(50):
                self.data(stack.enter_context(self.listen(browser.url)))
            statuses = []
            for _ in range(500):
                caller.request("POST", path, body, JSON)
                response = caller.getresponse()
                response.read()
                statuses.append(response.status)

        assert [200] * 500 == statuses
