"""The site that `make docs` builds: whole, bilingual, and sufficient to itself."""

from __future__ import annotations

import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

import documents
import pytest

pytestmark = pytest.mark.once

#: Tags whose addresses a browser loads by itself.
_LOADED = {"script", "img", "iframe", "source", "video", "audio", "object", "embed"}


class Page(html.parser.HTMLParser):
    """
    What matters of one page.

    Attributes:
        ids: Its anchors.

        links: Where its links lead.

        loaded: What the browser loads with it.

        text: All that stands on it.
    """

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        if tag == "link" and values.get("rel") not in ("canonical", "alternate"):
            self.loaded.add(values["href"])
        if tag in _LOADED:
            self.loaded.update(values[key] for key in ("src", "data") if key in values)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """
    The site, built without a warning.
    """
    if not _has("material"):
        reason = "no mkdocs here: pip install -e '.[docs]'"
        if os.environ.get("WXLOGISTICS_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        # Not --quiet, which silences --strict, too.
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=documents.ROOT,
        env=os.environ
        | {
            "NO_MKDOCS_2_WARNING": "1",
            # jieba asks for what setuptools is about to drop, and does without.
            "PYTHONWARNINGS": "ignore:pkg_resources:UserWarning",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert 0 == done.returncode, done.stdout
    assert [] == [line for line in done.stdout.splitlines() if "INFO" not in line]
    return folder


def _has(module: str) -> bool:
    code = f"import importlib.util as u; raise SystemExit(not u.find_spec('{module}'))"
    return subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture(scope="module")
def pages(site: pathlib.Path) -> dict[pathlib.Path, Page]:
    """
    All pages of the site, but for the one that stands in for those that are not there.
    """
    return {
        path: Page(path) for path in site.rglob("*.html") if path != site / "404.html"
    }


class TestSite:
    """
    The built site.
    """

    def test_pages__all_there(
        self, site: pathlib.Path, pages: dict[pathlib.Path, Page]
    ) -> None:
        """
        Each page of docs/ is there in both languages, under its own name.
        """
        names = {
            page.removeprefix("docs/").replace(".md", ".html")
            for page in documents.pages()
            if not page.endswith(documents.CHINESE)
        }
        found = {path.relative_to(site).as_posix() for path in pages}

        assert names | {f"zh-CN/{name}" for name in names} == found

    def test_pages__in_the_navigation(
        self, site: pathlib.Path, pages: dict[pathlib.Path, Page]
    ) -> None:
        """
        Each page can be reached from the first one of its language.
        """
        for folder in (site, site / "zh-CN"):
            home = folder / "index.html"
            linked = {
                (folder / urllib.parse.unquote(link.partition("#")[0])).resolve()
                for link in pages[home].links
            }
            there = {path for path in pages if folder in path.parents}
            if folder == site:
                there = {path for path in there if site / "zh-CN" not in path.parents}

            assert there - linked - {home} == set()

    def test_links__lead_somewhere(self, pages: dict[pathlib.Path, Page]) -> None:
        """
        Each link within the site leads to a page and an anchor that are there.
        """
        broken = []
        for page in pages.values():
            for link in page.links:
                if re.match("[a-z]+:", link):
                    continue
                file, _, anchor = urllib.parse.unquote(link).partition("#")
                target = (page.path.parent / file).resolve() if file else page.path
                if target not in pages:
                    broken.append((page.path.name, link))
                elif anchor and anchor not in pages[target].ids:
                    broken.append((page.path.name, link))

        assert [] == broken

    def test_links__switch(
        self, site: pathlib.Path, pages: dict[pathlib.Path, Page]
    ) -> None:
        """
        Each page has a link to itself in the other language.
        """
        for page in pages.values():
            name = page.path.relative_to(site).as_posix()
            other = name.removeprefix("zh-CN/")
            if other == name:
                other = f"zh-CN/{name}"
            here = page.path.parent
            targets = {(here / link).resolve() for link in page.links}

            assert site / other in targets

    def test_loaded__from_the_site_alone(
        self, site: pathlib.Path, pages: dict[pathlib.Path, Page]
    ) -> None:
        """
        Scripts, styles, fonts and pictures are the site's own, and are there.
        """
        for page in [*pages.values(), Page(site / "404.html")]:
            for address in page.loaded:
                assert not re.match("[a-z]+:|//", address), (page.path, address)
                if not address.startswith("/"):
                    file = address.partition("?")[0]
                    assert (page.path.parent / file).exists(), (page.path, address)

    def test_loaded__styles_load_nothing(self, site: pathlib.Path) -> None:
        """
        No style sheet loads a font or a picture from elsewhere.
        """
        for path in site.rglob("*.css"):
            style = path.read_text(encoding="utf-8")
            loads = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")]{,40})", style)

            assert [load for load in loads if not load.startswith("data:")] == []

    def test_loaded__no_diagrams(self, pages: dict[pathlib.Path, Page]) -> None:
        """
        There is nothing for which the theme would load a script from elsewhere.
        """
        assert [page.path for page in pages.values() if "mermaid" in page.text] == []

    def test_reference__complete(self, site: pathlib.Path) -> None:
        """
        Each public name is in the API reference.
        """
        import wxlogistics
        import wxlogistics.bulk
        import wxlogistics.sandbox

        for page in (site / "reference.html", site / "zh-CN/reference.html"):
            reference = Page(page)
            for module in (wxlogistics, wxlogistics.bulk, wxlogistics.sandbox):
                for name in module.__all__:
                    if name.endswith("_URL") or name in ("WECHAT_URLS", "__version__"):
                        continue
                    assert f"{module.__name__}.{name}" in reference.ids


class TestSearch:
    """
    The search, which works without a server.
    """

    @pytest.mark.parametrize("language", ["", "zh-CN"])
    def test_index__of_its_language(self, site: pathlib.Path, language: str) -> None:
        """
        Each language has an index of its own pages, twice: for http: and for file:.
        """
        folder = site / language
        text = (folder / "search/search_index.json").read_text(encoding="utf-8")
        script = (folder / "search/search_index.js").read_text(encoding="utf-8")
        entries = json.loads(text)["docs"]

        assert f"var __index = {text}" == script
        assert len(entries) > 100
        for entry in entries:
            file = entry["location"].partition("#")[0]
            assert (folder / file).exists()
            assert not file.startswith("zh-CN")

    def test_index__chinese_words(self, site: pathlib.Path) -> None:
        """
        Chinese is parted into the words that people look for.
        """
        path = site / "zh-CN/search/search_index.json"
        entries = json.loads(path.read_text(encoding="utf-8"))["docs"]
        words = {
            word
            for entry in entries
            for word in re.split("\u200b|\\W", entry["title"] + entry["text"])
        }

        listed = documents.read("docs/search_words.txt").split()[::2]
        assert {"运单", "揽收", "小程序", "服务商", "错误码"} <= {*listed}
        assert {*listed} - words == set()

    def test_base__of_its_language(
        self, site: pathlib.Path, pages: dict[pathlib.Path, Page]
    ) -> None:
        """
        Each page looks for the index of its language.
        """
        for page in pages.values():
            found = re.search(r'<script id="__config"[^>]*>(.*?)</script>', page.text)
            assert found
            base = page.path.parent / json.loads(found[1])["base"]
            chinese = site / "zh-CN" in page.path.parents

            assert (site / "zh-CN" if chinese else site) == base.resolve()

    @pytest.mark.parametrize(
        ("page", "word", "found"),
        [
            ("index.html", "register waybill", "guide/register.html"),
            ("guide/bulk.html", "quota", "guide/bulk.html"),
            ("zh-CN/index.html", "运单状态", "zh-CN/guide/query.html"),
            ("zh-CN/guide/query.html", "重复传运单", "zh-CN/guide/register.html"),
        ],
    )
    def test_browser(
        self,
        site: pathlib.Path,
        tmp_path: pathlib.Path,
        page: str,
        word: str,
        found: str,
    ) -> None:
        """
        A browser that opens the page from the disk finds the words of a heading.
        """
        browser = shutil.which("chromium")
        if browser is None:
            if os.environ.get("WXLOGISTICS_REQUIRE_SERVERS") == "1":
                pytest.fail("no chromium here: install Debian's package chromium")
            pytest.skip("no chromium here")
        shown = subprocess.run(
            [browser, "--headless=new", "--no-sandbox", "--disable-gpu"]
            + [f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000"]
            + ["--dump-dom", f"{(site / page).as_uri()}?q={urllib.parse.quote(word)}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=120,
        ).stdout
        results = re.findall(r'<a href="([^"?]+)[^"]*" class="md-search-result', shown)

        assert (site / found).as_uri() in results
        here = (site / ("zh-CN" if "zh-CN" in page else "")).as_uri()
        assert [result for result in results if not result.startswith(here)] == []
