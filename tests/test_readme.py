"""What the READMEs show works as it stands there."""

from __future__ import annotations

import pathlib
import re

import pytest

from wxlogistics.sandbox import Sandbox

ROOT = pathlib.Path(__file__).resolve().parent.parent
READMES = ["README.md", "README.zh-CN.md"]


def blocks(readme: str, language: str) -> list[str]:
    """Return the code blocks of *language* in *readme*."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("readme", READMES)
class TestPython:
    def test_blocks__count(self, readme):
        """No block is missed: these are the ones that the other tests run."""
        assert len(blocks(readme, "python")) == 6

    def test_block__register_and_query(self, readme, capsys):
        """The ten lines register and query."""
        run(blocks(readme, "python")[0])

        assert capsys.readouterr().out == "0 运单不存在或者未揽收 False\n"

    def test_block__cache(self, readme):
        """A token is shared through a cache."""
        block = blocks(readme, "python")[1]

        names = run(block + "carriers = client.get_delivery_list()")

        assert len(names["carriers"]) > 100

    @pytest.mark.parametrize(
        ("fault", "printed"),
        [
            ({"errcode": 931023}, {"README.md": "no route yet: ask again in some"}),
            ({"errcode": 9300507}, {"README.md": "9300507 invalid token, "}),
            ({"drop": True, "times": 3}, {"README.md": "the connection broke"}),
            ({"status": 404, "body": "x"}, {"README.md": "query_trace: not WeChat's"}),
        ],
    )
    def test_block__errors(self, readme, fault, printed, capsys):
        """Each error is caught where the block says so."""
        run(blocks(readme, "python")[2], fault)

        said = capsys.readouterr().out
        if readme == "README.zh-CN.md" and fault == {"errcode": 931023}:
            assert said == "暂时没有物流轨迹,过几个小时再查\n"
        else:
            assert said.startswith(printed["README.md"])

    def test_block__responses(self, readme):
        """The test written with responses passes."""
        names: dict = {}
        exec(blocks(readme, "python")[3], names)

        names["test_signed"]()

    def test_block__fixture(self, readme, pytester):
        """The test written with the fixture passes."""
        pytester.makepyfile(blocks(readme, "python")[4])

        pytester.runpytest_subprocess().assert_outcomes(passed=1)

    def test_block__context_manager(self, readme, capsys):
        """The sandbox works outside pytest."""
        exec(blocks(readme, "python")[5], {})

        assert re.search(r"\d\d\d", capsys.readouterr().out)


def run(block: str, fault: dict | None = None) -> dict:
    """Run *block* with WeChat's hosts answered by a sandbox that knows its app."""
    sandbox = Sandbox()
    sandbox.add_app("wx0123456789abcdef", "your AppSecret")
    names: dict = {}
    with sandbox.mock():
        if fault:
            sandbox.fail("query_trace", **fault)
        exec(block, names)
    return names


@pytest.mark.parametrize("readme", READMES)
class TestCommands:
    def test_commands__first_two(self, readme):
        """The first thing to see is the two commands, and the Makefile has them."""
        first = blocks(readme, "console")[0]
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

        assert first == "$ make demo\n$ make test\n"
        assert "\ndemo: " in makefile
        assert "\ntest: " in makefile

    def test_links__lead_somewhere(self, readme):
        """Each link into the project leads to a file that exists."""
        text = (ROOT / readme).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)

        assert [link for link in links if not (ROOT / link).exists()] == []
