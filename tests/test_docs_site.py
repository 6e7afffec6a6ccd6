"""The site that `make docs` builds: whole, bilingual, and sufficient to itself."""

import html.parser
import json
import os
import pathlib
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

import documents
import pytest
from programs import needed, program, run_python

import wxlogistics
import wxlogistics.sandbox

pytestmark = pytest.mark.once

#: Tags whose addresses a browser loads by itself.
_LOADED = {"script", "img", "iframe", "source", "video", "audio", "object", "embed"}


class Page(html.parser.HTMLParser):
    """
    A page of the site.

    Attributes:
        ids: Its anchors.

        links: Where its links lead.

        loaded: What the browser loads with it.
    """

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.add(urllib.parse.unquote(values["href"]))
        if tag == "link" and values.get("rel") not in ("canonical", "alternate"):
            self.loaded.add(values["href"])
        if tag in _LOADED:
            self.loaded.update(values[key] for key in ("src", "data") if key in values)

    def targets(self) -> Iterator[tuple[pathlib.Path, str]]:
        """Yield the file and the anchor of each link within the site."""
        for link in self.links:
            if not re.match("[a-z]+:", link):
                file, _, anchor = link.partition("#")
                yield (self.path.parent / file).resolve() if file else self.path, anchor


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The site, built without a warning."""
    needed("mkdocs", "-e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    # jieba asks for what setuptools is about to drop, and does without.
    ignored = {"PYTHONWARNINGS": "ignore:pkg_resources:UserWarning"}
    printed = run_python(
        # Not --quiet, which silences --strict.
        *("-m", "mkdocs", "build", "--strict", "--site-dir", folder),
        cwd=documents.ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"} | ignored,
    )
    assert [] == [line for line in printed.splitlines() if "INFO" not in line]
    return folder


@pytest.fixture(scope="module")
def pages(site: pathlib.Path) -> dict[pathlib.Path, Page]:
    found = [path for path in site.rglob("*.html") if path != site / "404.html"]
    return {path: Page(path) for path in found}


class TestSite:
    def test_pages__linked_from_the_index(self, site, pages):
        names = {
            page.removeprefix("docs/").replace(".md", ".html")
            for page in documents.pages()
            if not page.endswith(documents.CHINESE)
        }

        assert {site / name for name in names} | {
            site / "zh-CN" / name for name in names
        } == {*pages}
        for folder in (site, site / "zh-CN"):
            linked = {target for target, _ in pages[folder / "index.html"].targets()}
            assert {folder / name for name in names - {"index.html"}} <= linked

    def test_links__page_and_anchor_exist(self, site, pages):
        for path, page in pages.items():
            for target, anchor in page.targets():
                assert target in pages, (path, target)
                assert not anchor or anchor in pages[target].ids, (path, target, anchor)
            name = path.relative_to(site).as_posix()
            other = name.removeprefix("zh-CN/")
            other = other if other != name else f"zh-CN/{name}"
            assert site / other in {target for target, _ in page.targets()}

    def test_loaded__from_the_site_alone(self, site, pages):
        for page in [*pages.values(), Page(site / "404.html")]:
            for address in page.loaded:
                assert not re.match("[a-z]+:|//", address), (page.path, address)
                if not address.startswith("/"):
                    file = address.partition("?")[0]
                    assert (page.path.parent / file).exists(), (page.path, address)
            # The theme would load a script from elsewhere for these.
            assert "mermaid" not in page.path.read_text(encoding="utf-8")
        for path in site.rglob("*.css"):
            style = path.read_text(encoding="utf-8")
            loads = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")]{,40})", style)
            assert [load for load in loads if not load.startswith("data:")] == []

    def test_reference__complete(self, site, pages):
        public = {
            "wxlogistics": wxlogistics.__all__,
            "wxlogistics.bulk": ["QueryResult", "query_many", "run_many"],
            "wxlogistics.sandbox": wxlogistics.sandbox.__all__,
        }
        for module, names in public.items():
            for name in names:
                if not re.search("_URLS?$|^__version__$", name):
                    assert f"{module}.{name}" in pages[site / "reference.html"].ids
                    assert (
                        f"{module}.{name}" in pages[site / "zh-CN/reference.html"].ids
                    )

    @pytest.mark.parametrize("language", ["", "zh-CN"])
    def test_index__of_its_language(self, site, language):
        """The index is there twice, for http: and for file:."""
        folder = site / language / "search"
        text = (folder / "search_index.json").read_text(encoding="utf-8")
        entries = json.loads(text)["docs"]

        script = (folder / "search_index.js").read_text(encoding="utf-8")
        assert f"var __index = {text}" == script
        assert len(entries) > 100
        for entry in entries:
            file = entry["location"].partition("#")[0]
            assert (site / language / file).exists()
            assert not file.startswith("zh-CN")

    def test_index__chinese_words(self, site):
        """Every word of docs/search_words.txt is found."""
        path = site / "zh-CN/search/search_index.json"
        entries = json.loads(path.read_text(encoding="utf-8"))["docs"]
        texts = " ".join(entry["title"] + entry["text"] for entry in entries)
        listed = documents.read("docs/search_words.txt").split()[::2]

        assert {*listed} - {*re.split("\u200b|\\W", texts)} == set()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a view of the network."""
    chromium = program("chromium", "chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        launched = playwright.chromium.launch(executable_path=chromium, args=options)
        yield launched.new_context(permissions=["clipboard-read", "clipboard-write"])
        launched.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page of the browser."""
    page = browser.new_page()
    yield page
    page.close()


class TestBrowser:
    """The site in a browser, from the disk."""

    @pytest.mark.parametrize(
        "language, word",
        [
            *(
                ("", word)
                for word in ("errcode", "maybe_applied", "retries", "console")
            ),
            *(
                ("zh-CN", word)
                for word in ("errcode", "重试", "快递公司", "沙箱", "签收")
            ),
        ],
    )
    def test_search__pages_of_the_language(self, site, tab, language, word):
        home = (site / language / "index.html").as_uri()
        tab.goto(f"{home}?q={urllib.parse.quote(word)}")
        tab.wait_for_selector("a.md-search-result__link")
        links = tab.eval_on_selector_all(
            "a.md-search-result__link", "all => all.map(one => one.href)"
        )

        assert links
        for link in links:
            assert link.startswith((site / language).as_uri())
            assert language or "/zh-CN/" not in link

    @pytest.mark.parametrize("width", [1280, 390])
    @pytest.mark.parametrize("language", ["", "zh-CN"])
    def test_reference__fits(self, site, tab, language, width):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto((site / language / "reference.html").as_uri())
        wide = tab.eval_on_selector_all(
            ".doc-signature, .doc-signature *, html",
            "all => all.filter(one => one.clientWidth && "
            "one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)",
        )

        assert [] == wide
        assert tab.locator(".doc-signature").count() > 40

    def test_copy__command_alone(self, site, tab):
        tab.goto((site / "index.html").as_uri())
        block = tab.locator(".language-console", has_text="access_token: …")
        block.hover()
        block.locator("button").last.click()

        tab.wait_for_function(
            "async () => (await navigator.clipboard.readText()).startsWith('wxl')"
        )
        copied = tab.evaluate("navigator.clipboard.readText()")
        (shown,) = (
            command
            for command in documents.commands("docs/index.md")
            if command.startswith("wxlogistics sandbox")
        )
        assert shown == copied
