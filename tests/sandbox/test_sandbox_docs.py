"""What docs/sandbox.md shows works as it stands there, and what it claims is tested."""

import inspect
import re
import shlex
import unittest
from pathlib import Path
from typing import Any

import attrs
import pytest
import test_sandbox_beside
import test_sandbox_contract
import test_sandbox_faults
import test_sandbox_tokens
from sandboxtools import direct

from wxlogistics.sandbox import Sandbox, Settings
from wxlogistics.sandbox.control import _COMMANDS

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent.parent
MODULES = [
    test_sandbox_beside,
    test_sandbox_contract,
    test_sandbox_faults,
    test_sandbox_tokens,
]
PAGES = ["sandbox.md", "sandbox.zh-CN.md"]


def read(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of *language* on *page*."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, read(page), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
class TestPython:
    def test_blocks__run(self, page, capsys):
        """Each block runs by itself."""
        assert 9 == len(blocks(page, "python"))
        for block in blocks(page, "python"):
            exec(block, {"__name__": "block"})

        assert "运单不存在或者未揽收\n已签收\n" in capsys.readouterr().out

    def test_block__pytest(self, page, pytester):
        """The tests for pytest pass."""
        pytester.makepyfile(blocks(page, "python")[2])

        pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)

    def test_block__unittest(self, page):
        """The test case passes."""
        names: dict[str, Any] = {"__name__": "block"}
        exec(blocks(page, "python")[3], names)
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(names["ShippingTest"])

        result = unittest.TestResult()
        suite.run(result)

        assert (1, True) == (result.testsRun, result.wasSuccessful())


@pytest.mark.parametrize("page", PAGES)
class TestCurl:
    def test_lines__work(self, page):
        """Each does what it is for, in this order."""
        lines = [
            line
            for block in blocks(page, "console")
            for line in block.splitlines()
            if line.startswith("$ curl ")
        ]
        assert 20 == len(lines)
        seen = set()
        with Sandbox().serve() as server, direct() as session:
            for line in lines:
                method, url, body = self.parse(shlex.split(line[2:]))
                if body == "@state.json":
                    body = session.get(server.url + "/_sandbox/state").text
                url = url.replace("http://127.0.0.1:8790", server.url)
                response = session.request(method, url, data=body, timeout=60)
                assert 200 == response.status_code, (line, response.text)
                name = url.partition("/_sandbox/")[2].partition("?")[0]
                seen.add((method, name or "about"))

        assert set(_COMMANDS) - seen == {("GET", "openapi.json")}

    def parse(self, words: list[str]) -> tuple[str, str, str | None]:
        """What curl would send: method, URL and body."""
        method, body = "GET", None
        words = words[1:]
        while len(words) > 1:
            option, value, *words = words
            if option == "-d":
                method, body = "POST", value
            elif option == "-T":
                method, body = "PUT", "@" + value
            elif option == "-X":
                method = value
            else:
                assert "-o" == option
        return method, words[0], body


@pytest.mark.parametrize("page", PAGES)
class TestTables:
    def test_settings__complete(self, page):
        """Every setting is in the table, with its default if that is plain."""
        told = dict(re.findall(r"^\| `([a-z_]+)` \| `([^`]+)` \|", read(page), re.M))
        plain = {
            field.name: str(field.default).replace("ZTO", '"ZTO"')
            for field in attrs.fields(Settings)
            if field.name not in ("appid", "secret", "route", "refused_image")
        }

        assert plain == told
        for name in ("appid", "secret", "route", "refused_image"):
            assert f"`{name}`" in read(page)

    def test_behaviours__are_tested(self, page):
        """Every behaviour names a test, and that goes through both doors."""
        rows = re.findall(
            r"^\| .+ \| .+ \| `(Test\w+)\.(test_\w+)` \|$", read(page), re.M
        )

        assert 69 == len(rows)
        for name, test in rows:
            [found] = [getattr(each, name) for each in MODULES if hasattr(each, name)]
            assert "door" in inspect.signature(getattr(found, test)).parameters

    def test_behaviours__guesses_are_settings(self, page):
        """A guess names the setting that changes it."""
        sources = re.findall(
            r"^\| .+ \| (.+) \| `Test\w+\.test_\w+` \|$", read(page), re.M
        )
        guesses = [each for each in sources if re.search("guess|推测", each)]

        assert 15 == len(guesses)
        names = attrs.fields_dict(Settings)
        for each in guesses:
            assert re.findall("`([a-z_]+)`", each)[0] in names, each

    def test_behaviours__alike(self, page):
        """Both languages tell the same tests in the same order."""
        names = re.compile(r"`(Test\w+\.test_\w+)`").findall

        assert names(read("sandbox.md")) == names(read(page))
