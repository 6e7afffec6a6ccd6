"""What the READMEs show works as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import Any

import documents
import pytest
from documents import READMES, ROOT, codes

from wxlogistics.sandbox import Sandbox

pytestmark = pytest.mark.once


@pytest.mark.parametrize("readme", READMES)
class TestPython:
    def test_blocks__count(self, readme):
        """No block is missed: these are the ones that the other tests run."""
        assert len(codes(readme, "python")) == 6

    def test_block__register_and_query(self, readme, capsys):
        """The ten lines register and query."""
        run(codes(readme, "python")[0])

        assert capsys.readouterr().out == "0 运单不存在或者未揽收 False\n"

    def test_block__cache(self, readme, tmp_path, monkeypatch):
        """A token is shared through a cache."""
        block = codes(readme, "python")[1]
        monkeypatch.chdir(tmp_path)

        names = run(block + "carriers = client.get_delivery_list()")
        lasting = [path for path in (tmp_path / "tokens").iterdir() if path.is_file()]

        assert len(names["carriers"]) > 100
        assert lasting

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
        run(codes(readme, "python")[2], fault)

        said = capsys.readouterr().out
        if readme == "README.zh-CN.md" and fault == {"errcode": 931023}:
            assert said == "暂时没有物流轨迹，过几个小时再查\n"
        else:
            assert said.startswith(printed["README.md"])

    def test_block__responses(self, readme):
        """The test written with responses passes."""
        names: dict = {}
        exec(codes(readme, "python")[3], names)

        names["test_signed"]()

    def test_block__fixture(self, readme, pytester):
        """The test written with the fixture passes."""
        pytester.makepyfile(codes(readme, "python")[4])

        pytester.runpytest_subprocess().assert_outcomes(passed=1)

    def test_block__context_manager(self, readme, capsys):
        """The sandbox works outside pytest."""
        exec(codes(readme, "python")[5], {})

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
        first = codes(readme, "console")[0]

        assert first == "$ make demo\n$ make test\n"

    def test_links__lead_somewhere(self, readme):
        """Each link into the project leads to a file that exists."""
        text = (ROOT / readme).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)

        assert [link for link in links if not (ROOT / link).exists()] == []

    def test_commands__all(self, readme):
        """These are the commands that the other tests run."""
        assert [*documents.commands(readme)] == [
            "make demo",
            "make test",
            "pip install wxlogistics",
            "pip install 'wxlogistics[cli,sandbox]'",
            "wxlogistics sandbox",
        ]

    def test_commands__extras(self, readme):
        """Each extra that the text names is one that there is."""
        setup = documents.read("setup.cfg")
        extras = re.findall(r"`wxlogistics\[(\w+)\]`", documents.read(readme))

        assert {"testing", "sandbox", "cli"} == {*extras}
        assert all(f"\n{extra} =\n" in setup for extra in extras)

    def test_commands__sandbox(self, readme):
        """The server prints what is shown, and the client finds it as the text says."""
        (shown,) = (
            code for code in codes(readme, "console") if "wxlogistics sandbox" in code
        )
        command = [sys.executable, "-m", "wxlogistics", "sandbox", "--port", "0"]

        printed = answers_of(command, readme)

        names = [line.partition(":")[0] for line in printed]
        assert [line.partition(":")[0] for line in shown.splitlines()[2:]] == names


def answers_of(command: list[str], readme: str, **places: Any) -> list[str]:
    """
    Start a sandbox with *command*, call it as *readme* says, and end it.

    Returns:
        What it printed.
    """
    (call,) = re.findall(r"`(Client\(access_token, .+?\))`", documents.read(readme))
    server = subprocess.Popen(
        command,
        env=surroundings() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        **places,
    )
    with server:
        try:
            assert server.stdout
            printed = [server.stdout.readline() for _ in range(4)]
            said = dict(line.strip().split(": ", 1) for line in printed)
            from wxlogistics import Client

            client = eval(
                call.replace("http://127.0.0.1:8790", said["url"]),
                {"Client": Client, "access_token": said["access_token"]},
            )
            with client:
                assert client.get_delivery_list()
        finally:
            server.terminate()
    return printed


def surroundings() -> dict[str, str]:
    """
    Return an environment in which nothing of this test run is known.
    """
    private = ("WXLOGISTICS_", "VIRTUAL_ENV", "PYTEST", "COV", "TOX", "PYTHON", "MAKE")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(private)
    }


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone, with what is not committed yet."""
    folder = tmp_path_factory.mktemp("newcomer") / "wxlogistics"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.mark.skipif(
    os.environ.get("WXLOGISTICS_REQUIRE_SERVERS") != "1",
    reason="takes long: WXLOGISTICS_REQUIRE_SERVERS=1 runs it",
)
class TestNewcomer:
    """
    Somebody who has the project and an empty folder, and follows the README.
    """

    def test_make_demo(self, clone):
        """The first command does all the set-up and shows the library at work."""
        done = subprocess.run(
            ["make", "demo"],
            cwd=clone,
            env=surroundings(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=600,
        )

        assert done.returncode == 0, done.stdout
        assert "已签收" in done.stdout

    def test_make_test(self, clone):
        """The second would run these very tests: there is such a target."""
        done = subprocess.run(
            ["make", "--dry-run", "test"],
            cwd=clone,
            env=surroundings(),
            stdout=subprocess.PIPE,
            text=True,
        )

        assert done.returncode == 0
        assert "tox run" in done.stdout

    @pytest.mark.parametrize("readme", READMES[::-1])
    def test_install_and_go_on(self, clone, readme, tmp_path):
        """What is to be installed installs, and then all that is shown works."""
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
        bin = tmp_path / "venv/bin"

        def run(*command: Any) -> str:
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env=surroundings() | {"PATH": f"{bin}:{os.environ['PATH']}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=300,
            )
            assert done.returncode == 0, done.stdout
            return done.stdout

        in_text = re.findall(r"`(pip install .+?)`", documents.read(readme))
        assert in_text
        for command in [*documents.commands(readme), *in_text]:
            program, *words = shlex.split(command)
            if program == "pip":
                # Not from PyPI, but this very one.
                words = [word.replace("wxlogistics", str(clone)) for word in words]
                run(bin / "python", "-m", "pip", "-q", *words)
                run(bin / "python", "-c", "import wxlogistics")
            elif program == "wxlogistics":
                answers_of([bin / program, *words, "--port", "0"], readme, cwd=tmp_path)
        first, _, _, with_responses, with_fixture, context = codes(readme, "python")
        (tmp_path / "test_responses.py").write_text(with_responses, encoding="utf-8")
        (tmp_path / "test_fixture.py").write_text(with_fixture, encoding="utf-8")
        (tmp_path / "context.py").write_text(context, encoding="utf-8")
        # WeChat itself is out of reach.
        (tmp_path / "first.py").write_text(
            "from wxlogistics.sandbox import Sandbox\n"
            "sandbox = Sandbox(appid='wx0123456789abcdef', secret='your AppSecret')\n"
            "sandbox.mock().__enter__()\n" + first,
            encoding="utf-8",
        )

        assert "2 passed" in run(bin / "pytest", "-q", "-p", "no:cacheprovider")
        assert re.search(r"\d\d\d", run(bin / "python", "context.py"))
        assert "运单不存在或者未揽收" in run(bin / "python", "-X", "utf8", "first.py")
