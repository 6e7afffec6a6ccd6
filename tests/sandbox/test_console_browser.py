"""The console in a real browser: Debian's chromium, driven through Playwright.

Screenshots of every page are left under build/screenshots/.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import attrs
import pytest
from sandboxtools import (
    EXAMPLE,
    NOON,
    OPENID,
    WAYBILL_ID,
    ask,
    need,
    port_of,
    with_settings,
)

from wxlogistics import (
    Client,
    GoodsDetail,
    GoodsInfo,
    StableToken,
    WaybillNotFoundError,
    WaybillStatus,
)
from wxlogistics.sandbox import Clock, Sandbox

pytestmark = pytest.mark.once

BUILD = Path(__file__).parents[2] / "build"
SCREENSHOTS = BUILD / "screenshots"

CHROMIUM = "/usr/bin/chromium"

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

EVIL = '<script>document.title = "bad"</script>'
TURNED = "\u202eشحنة عاجلة\u202d gift"

#: What each step of a parcel's way is called.
STEPS = ("Collected", "In transit", "Out for delivery", "Signed")

TOO_WIDE = "document.documentElement.scrollWidth > innerWidth"

#: axe-core need not list what is as it should be.
AXE = "{resultTypes: ['violations']}"

#: Milliseconds until something must have happened.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for all tests here."""
    found = importlib.util.find_spec("playwright")
    need(found, "there is no Playwright; it comes with: pip install playwright")
    need(
        os.path.exists(CHROMIUM),
        "there is no chromium; on Debian it comes with: apt-get install "
        "--no-install-recommends chromium fonts-noto-cjk",
    )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, fetched once."""
    folder = BUILD / "axe"
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        npm = shutil.which("npm")
        need(
            npm,
            "there is no npm to fetch axe-core with; on Debian it comes with: "
            "apt-get install --no-install-recommends npm",
        )
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [str(npm), "install", "--no-audit", "--no-fund"]
            + ["--prefix", str(folder), "axe-core@4"],
            capture_output=True,
            text=True,
        )
        why = f"npm does not fetch axe-core: {done.stderr[-300:]}"
        need(done.returncode == 0, why)
    return source.read_text("utf-8")


@attrs.define(slots=False)
class Desk:
    """A served sandbox, a client of its, and pages that look at it."""

    sandbox: Sandbox
    url: str
    chromium: Any
    client: Client
    contexts: list[Any] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    def open(
        self,
        path: str = "/",
        *,
        language: str = "en-GB",
        theme: str = "light",
        width: int = 1280,
        **options: Any,
    ) -> Any:
        """
        A new page, in a browser of its own as to cookies.

        Whatever it asks from elsewhere, and any error in its console, is a problem.
        """
        context = self.chromium.new_context(
            locale=language,
            color_scheme=theme,
            viewport={"width": width, "height": 800},
            **options,
        )
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = context.new_page()
        page.on("request", self.watch)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        page.on("console", self.collect)
        self.goto(page, path)
        return page

    def goto(self, page: Any, path: str) -> None:
        page.goto(self.url + path)
        self.settle(page)

    def settle(self, page: Any) -> None:
        page.locator("#live.on").wait_for()
        # Lost by a reload.
        page.evaluate("window.stayed = true")

    def press(self, page: Any, name: str) -> None:
        page.get_by_role("button", name=name, exact=True).click()

    def at_parcel(self, **options: Any) -> tuple[str, Any]:
        """A registered waybill's token, and its page."""
        token = self.register()
        return token, self.open(f"/console/waybill?id={WAYBILL_ID}", **options)

    def watch(self, request: Any) -> None:
        if not request.url.startswith(self.url + "/"):
            self.problems.append(f"asks for {request.url}")

    def collect(self, message: Any) -> None:
        # A refused form is answered with 400, which the browser remarks on.
        if message.type == "error" and "400" not in message.text:
            self.problems.append(message.text)

    def register(self, waybill_id: str = WAYBILL_ID, **changes: Any) -> str:
        """Register the document's example, with *changes*, through the client."""
        goods = GoodsInfo([GoodsDetail("测试名字", "www.qq.com")])
        fields = {**EXAMPLE, "goods_info": goods, "waybill_id": waybill_id, **changes}
        return self.client.trace_waybill(**fields)


@pytest.fixture
def desk(sandbox: Sandbox, chromium: Any) -> Iterator[Desk]:
    with sandbox.serve() as server:
        token = StableToken(sandbox.appid, sandbox.secret)
        with Client(token, base_url=server.url) as client:
            desk = Desk(sandbox, server.url, chromium, client)
            yield desk
            for context in desk.contexts:
                context.close()
    assert [] == desk.problems


def stayed(page: Any) -> bool:
    """Whether the page was never loaded anew."""
    return bool(page.evaluate("window.stayed === true"))


class TestParcel:
    def test_whole_way(self, desk):
        """
        A registration appears by itself. By keyboard past the navigation to "next
        step", where the focus stays until it is signed; there Enter does nothing more.
        """
        page = desk.open()
        assert page.get_by_text("Connect a program").is_visible()
        token = desk.register()
        row = page.locator(f'tr[data-key="{WAYBILL_ID}"]')
        row.wait_for()
        assert "Not collected" in row.inner_text()
        assert stayed(page)
        row.get_by_role("link").click()
        desk.settle(page)
        held = "document.activeElement.id"

        page.keyboard.press("Tab")
        skip = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("Enter")
        for _ in range(20):
            page.keyboard.press("Tab")
            if "next" == page.evaluate(held):
                break
        for status in STEPS:
            page.keyboard.press("Enter")
            page.locator("#status", has_text=status).wait_for()
            page.wait_for_timeout(100)
            assert "next" == page.evaluate(held)
        page.keyboard.press("Enter")
        page.get_by_label("The carrier's text").press("Enter")
        page.wait_for_timeout(300)

        assert "Skip to the content" == skip
        assert WaybillStatus.SIGNED is desk.client.query_trace(token).status
        assert page.locator("#next").is_disabled()
        assert 0 == page.get_by_role("alert").count()
        assert 4 == page.locator("#track li").count()
        assert stayed(page)

    def test_other_moves(self, desk):
        """Exception with the carrier's words, signing, another status, and time."""
        token, page = desk.at_parcel()

        desk.press(page, "+6 h")
        page.locator("#status", has_text="In transit").wait_for()
        page.get_by_label("The carrier's text").fill("地址不详")
        desk.press(page, "Raise an exception")
        page.locator("#track li", has_text="地址不详").wait_for()
        assert WaybillStatus.EXCEPTION is desk.client.query_trace(token).status
        assert "" == page.get_by_label("The carrier's text").input_value()

        page.get_by_label("Another status").select_option("6")
        desk.press(page, "Set")
        page.locator("#status", has_text="Signed by proxy").wait_for()
        desk.press(page, "Sign")
        page.get_by_text("已签收", exact=True).wait_for()

        page.get_by_label("Hours").fill("soon")
        desk.press(page, "Go")
        assert "a number is expected: soon" in page.get_by_role("alert").inner_text()
        assert stayed(page)

    def test_others_move_it(self, desk):
        """What a program or the clock does is seen at once, and in the list."""
        _, page = desk.at_parcel(language="zh-CN")
        listed = desk.open()

        # An hour in a second.
        desk.sandbox.clock.set(NOON, 3600)
        listed.locator("tr", has_text="Collected").get_by_text("已揽件").wait_for()
        desk.sandbox.move(WAYBILL_ID, WaybillStatus.SIGNED)

        page.locator("#status", has_text="已签收").wait_for()
        listed.locator("tr", has_text="Signed").wait_for()
        assert stayed(page) and stayed(listed)

    def test_example(self, desk):
        """The button of the first visit leads to the document's example."""
        page = desk.open(language="zh-CN")

        desk.press(page, "传文档示例的运单")
        page.locator("#waybill-id", has_text=WAYBILL_ID).wait_for()
        assert page.url.endswith(f"/console/waybill?id={WAYBILL_ID}")
        assert OPENID in page.inner_text("main")
        page.go_back()
        page.locator(f'tr[data-key="{WAYBILL_ID}"]').wait_for()

    def test_search(self, desk):
        """The list is narrowed as one types, and stays so when something happens."""
        for number in range(3):
            desk.register(f"SF{number}")
        page = desk.open()

        page.get_by_role("searchbox").fill("sf2")
        page.locator("#found", has_text="Waybills: 1 of 3").wait_for()
        desk.register("SF22")

        page.locator("#found", has_text="Waybills: 2 of 4").wait_for()
        assert "sf2" == page.get_by_role("searchbox").input_value()
        assert page.url.endswith("/?q=sf2")
        assert stayed(page)

    def test_pictures(self, desk):
        """Pictures are asked for only after a click, and are not told who asks."""
        _, page = desk.at_parcel()
        asked: list[dict[str, str]] = []

        def picture(route: Any) -> None:
            asked.append(route.request.headers)
            route.fulfill(
                content_type="image/svg+xml",
                body='<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
            )

        page.context.route("http://www.qq.com/**", picture)
        page.wait_for_timeout(300)
        assert [] == asked == desk.problems

        page.get_by_role("link", name="Picture 1").click()

        page.locator(".picture img").wait_for()
        page.locator(".picture img").evaluate("image => image.decode()")
        assert 9 == page.evaluate("document.querySelector('.picture img').naturalWidth")
        assert 1 == len(asked)
        assert "referer" not in asked[0]
        assert ["asks for http://www.qq.com/"] == desk.problems
        desk.problems.clear()


class TestCalls:
    def test_live(self, desk):
        """A call appears without a reload, and its page has all of it."""
        page = desk.open("/console/calls")
        assert "No call yet." in page.inner_text("main")

        with pytest.raises(Exception) as caught:
            desk.client.query_trace("made up")

        row = page.locator("tr", has_text="9300507")
        row.wait_for()
        assert caught.value.rid in row.inner_text()  # type: ignore[attr-defined]
        assert stayed(page)
        row.get_by_role("link").click()
        page.locator("#request").wait_for()
        assert '"waybill_token": "made up"' in page.inner_text("#request")
        assert "9300507" in page.inner_text("#reply")

    def test_copy(self, desk):
        """curl and Python go to the clipboard, with the hidden AppSecret."""
        desk.register()
        page = desk.open(
            "/console/call?number=1", permissions=["clipboard-read", "clipboard-write"]
        )
        secret = desk.sandbox.secret
        assert secret not in page.content()

        copied = []
        for name in ("Copy curl", "Copy Python"):
            page.get_by_role("button", name=name).click()
            page.locator("#toast.on", has_text="Copied.").wait_for()
            copied.append(page.evaluate("navigator.clipboard.readText()"))
            page.evaluate("document.getElementById('toast').classList.remove('on')")

        assert copied[0].startswith(f"curl {desk.url}/cgi-bin/stable_token")
        assert secret in copied[0]
        assert copied[1].startswith("import requests")
        assert secret in copied[1]
        assert secret not in page.content()
        page.get_by_role("link", name="Show the AppSecret").click()
        page.locator("#request", has_text=secret).wait_for()

    def test_copy__without_clipboard(self, desk):
        """Where the browser lends no clipboard the old way is gone."""
        page = desk.open(permissions=["clipboard-read"])
        page.evaluate(
            "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
        )

        page.locator("button[data-copy=start-curl]").click()

        page.locator("#toast.on", has_text="Copied.").wait_for()


class TestFaults:
    def test_fault(self, desk):
        """
        The errcode's meaning stands beside it; the next call raises its exception,
        and the fault is gone from the page by itself.
        """
        token = desk.register()
        page = desk.open("/console/faults")
        errcode = page.get_by_label("errcode", exact=True)

        page.get_by_label("Endpoint").select_option("query_trace")
        errcode.fill("931023")
        page.locator("#meaning", has_text="no such waybill, or no route yet").wait_for()
        desk.press(page, "Add fault")
        page.locator("#faults li", has_text="931023").wait_for()
        assert "" == errcode.input_value()

        with pytest.raises(WaybillNotFoundError):
            desk.client.query_trace(token)

        page.get_by_text("No fault is active.").wait_for()
        assert WAYBILL_ID == desk.client.query_trace(token).waybill_id
        assert stayed(page)

    def test_problem(self, desk):
        """A mistake is shown, nothing typed is lost, and it can be corrected."""
        page = desk.open("/console/faults", language="zh-CN")
        page.get_by_label("错误码", exact=True).fill("0")
        page.get_by_label("次数").fill("3")

        desk.press(page, "启用故障")

        assert "错误码是 0 以外的整数" in page.get_by_role("alert").inner_text()
        assert "3" == page.get_by_label("次数").input_value()
        page.get_by_label("错误码", exact=True).fill("-1")
        desk.press(page, "启用故障")
        page.locator("#faults li", has_text="系统错误").wait_for()
        assert 0 == page.get_by_role("alert").count()
        assert stayed(page)

    def test_typing_is_kept(self, desk):
        """What happens meanwhile takes nothing out of a half-filled form."""
        page = desk.open("/console/faults")
        page.get_by_text("More", exact=True).click()
        waybill = page.get_by_label("Only for this waybill")
        errcode = page.get_by_label("errcode", exact=True)
        waybill.fill("SF1")
        errcode.fill("9300")

        desk.sandbox.fail("query_trace", errcode=-1)

        page.locator("#faults li", has_text="WeChat is busy").wait_for()
        assert ("SF1", "9300") == (waybill.input_value(), errcode.input_value())
        assert errcode.evaluate("element => element === document.activeElement")


class TestTokens:
    def test_life(self, desk):
        """
        The remaining life runs down with the sandbox's clock; the AppSecret is shown
        after a click.
        """
        desk.sandbox.access_token()
        page = desk.open("/console/tokens")
        assert "2:00:00" == page.locator("span[data-ends]").inner_text()
        assert desk.sandbox.secret not in page.content()

        desk.sandbox.clock.set(NOON + 3660, 60)

        page.locator("span[data-ends]", has_text=re.compile("^0:5[0-7]")).wait_for()
        page.get_by_role("link", name="Show the AppSecret").click()
        page.locator("#apps-table", has_text=desk.sandbox.secret).wait_for()


class TestFrame:
    def test_hostile_texts(self, desk):
        """A script stays text, and text from right to left stays in its place."""
        goods = GoodsInfo([GoodsDetail(EVIL, "www.qq.com"), GoodsDetail(TURNED, "")])
        page = desk.open()
        desk.register("SF<b>1", goods_info=goods)
        desk.register("SF2", goods_info=GoodsInfo([GoodsDetail(TURNED, "")]))

        page.locator("tr", has_text=EVIL).wait_for()
        cells = page.locator("#waybills tbody tr:first-child > *").all()
        lefts = [cell.bounding_box()["x"] for cell in cells]
        assert lefts == sorted(lefts)
        assert 1 == page.locator("script").count()
        assert "bad" != page.title()

    def test_without_javascript(self, desk):
        """Without JavaScript the forms still work."""
        token = desk.register()
        context = desk.chromium.new_context(java_script_enabled=False, locale="en")
        desk.contexts.append(context)
        page = context.new_page()
        page.goto(f"{desk.url}/console/waybill?id={WAYBILL_ID}")

        page.get_by_role("button", name="Next step").click()

        page.locator("#status", has_text="Collected").wait_for()
        assert WaybillStatus.COLLECTED is desk.client.query_trace(token).status

    def test_server_goes_and_comes(self, desk):
        """The page shows that the server has gone, and resumes when it is back."""
        other = Sandbox(clock=Clock(NOON, speed=0))
        server = other.serve()
        visitor = Desk(other, server.url, desk.chromium, desk.client, desk.contexts)
        page = visitor.open()

        server.close()
        page.locator("#live", has_text="Not connected").wait_for()
        other.add_waybill("SF1")
        with other.serve(port=port_of(server.url)):
            page.locator('tr[data-key="SF1"]').wait_for(timeout=60_000)
            page.locator("#live.on").wait_for()
            assert stayed(page)
            page.close()

    @with_settings(user_daily_limit=10**6)
    def test_under_load(self, desk):
        """After a thousand calls the open page shows the last; it asked seldom."""
        token = desk.register()
        page = desk.open("/console/calls")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))

        for _ in range(1000):
            desk.client.query_trace(token)

        page.locator('tr[data-key="1002"]').wait_for()
        assert stayed(page)
        assert len(asked) < 40


def furnish(sandbox: Sandbox, url: str) -> None:
    """Fill a sandbox with what the pages can show."""
    goods = [
        ("手工陶瓷咖啡杯 米白色 350ml 礼盒装", "https://img.example/cup.png"),
        ("夏季纯棉短袖 T 恤", "www.qq.com"),
        (EVIL, ""),
        (TURNED, "www.qq.com"),
    ]
    carriers = ["SF", "YTO", "JD", "ZTO"]
    token = StableToken(sandbox.appid, sandbox.secret)
    with Client(token, base_url=url) as client:
        tokens = []
        for number in range(30):
            name, picture = goods[number % 4]
            details = [GoodsDetail(name, picture), GoodsDetail("赠品:贺卡", "")]
            tokens.append(
                client.trace_waybill(
                    openid=sandbox.add_user() if number % 3 == 0 else OPENID,
                    waybill_id=f"{carriers[number % 4]}{7_318_245_500 + number * 37}",
                    receiver_phone="13800138000",
                    goods_info=GoodsInfo(details[: 1 + number % 2]),
                )
            )
        parcels = list(sandbox.world.parcels)
        for number, status in enumerate((1, 2, 3, 4, 5, 6), start=22):
            sandbox.move(parcels[number], status)
        client.follow_waybill(
            openid=OPENID,
            waybill_id=parcels[29],
            receiver_phone="13800138000",
            goods_info=GoodsInfo([GoodsDetail("消息组件里的商品", "www.qq.com")]),
        )
        sandbox.clock.tick(minutes=90)
        client.update_waybill_goods(
            tokens[29], GoodsInfo([GoodsDetail(*each) for each in goods[:3]])
        )
        for waybill_token in tokens[:4]:
            client.query_trace(waybill_token)
        ask(url, f"/cgi-bin/{'x' * 111}")
        with pytest.raises(Exception):
            client.query_trace("made up")
    sandbox.fail("query_trace", errcode=931023, times=3)
    sandbox.fail("*", status=502, delay=2.5, times=None, waybill_id=parcels[0])
    sandbox.add_app(opened=False)
    component = sandbox.add_component()
    sandbox.component_access_token(component.appid)
    sandbox.revoke_tokens(sandbox.appid)
    sandbox.access_token()
    sandbox.clock.tick(minutes=30)


#: What each page is called in build/screenshots, and where it is.
PAGES: dict[str, Callable[[Sandbox], str]] = {
    "waybills": lambda sandbox: "/",
    "new": lambda sandbox: "/console/new",
    "waybill": lambda sandbox: f"/console/waybill?id={list(sandbox.world.parcels)[-1]}",
    "calls": lambda sandbox: "/console/calls",
    "call": lambda sandbox: f"/console/call?number={sandbox.world.call_count}",
    "call-secret": lambda sandbox: "/console/call?number=1",
    "faults": lambda sandbox: "/console/faults",
    "tokens": lambda sandbox: "/console/tokens",
    "missing": lambda sandbox: "/console/waybill?id=SF1",
}


class TestLooks:
    """What every page must be, in each language, theme and width."""

    def check(self, page: Any, axe: str, name: str) -> list[str]:
        """Take a picture, and tell what is wrong with the page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = true }")
        problems = [
            f"{name}: {violation['id']}: {node['html'][:200]} {node['failureSummary']}"
            for violation in page.evaluate(
                f"async () => {{ {axe}; return (await axe.run({AXE})).violations }}"
            )
            for node in violation["nodes"]
        ]
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = false }")
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
        size = page.viewport_size
        # The narrowest phones scroll no page sideways either.
        for width in (320, 360, 390, 1280, size["width"]):
            page.set_viewport_size({**size, "width": width})
            if page.evaluate(TOO_WIDE):
                problems.append(f"{name}: is wider than {width} pixels")
        return problems

    @pytest.mark.parametrize(
        ("language", "theme", "width"),
        [("zh-CN", "light", 1280), ("en-GB", "dark", 390)],
    )
    def test_pages(self, desk, axe, language, theme, width, monkeypatch):
        """axe-core finds nothing, and nothing is wider than the window."""
        monkeypatch.setattr("wxlogistics.sandbox.console.pages._ROWS", 12)
        page = desk.open(language=language, theme=theme, width=width)
        suffix = f"{language[:2]}-{theme}" + ("-phone" if width < 500 else "")
        problems = self.check(page, axe, f"first-visit-{suffix}")
        furnish(desk.sandbox, desk.url)
        for name, path in PAGES.items():
            desk.goto(page, path(desk.sandbox))
            problems += self.check(page, axe, f"{name}-{suffix}")
        desk.problems[:] = [each for each in desk.problems if "404" not in each]

        assert "" == "\n".join(problems)
