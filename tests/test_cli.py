"""The command line, called as a function and as a process."""

from __future__ import annotations

import io
import re
import signal
import socket
import subprocess
import sys

import pytest
from rich.console import Console

from wxlogistics import Client, GoodsDetail, GoodsInfo, demo
from wxlogistics.__main__ import main
from wxlogistics.sandbox import Sandbox

TIMELINE = [
    "  ● 0 运单不存在或者未揽收",
    "  ● 1 已揽件",
    "  ● 2 运输中",
    "  ● 3 派件中",
    "  ● 4 已签收",
]


class TestDemo:
    def test_main__demo(self, capsys):
        """The demo registers, follows, updates and is refused, and exits with 0."""
        code = main(["demo"])

        lines = capsys.readouterr().out.splitlines()

        assert code == 0
        assert TIMELINE == [line for line in lines if "●" in line]
        assert "  goods          测试名字, 测试名字2" in lines
        assert "  goods          测试更新商品" in lines
        assert lines[-1] == "✓ every step gave what it should"
        assert any("(errcode 9300507, rid " in line for line in lines)

    def test_run__piped(self):
        """Without a terminal the output holds no escape sequences."""
        output = io.StringIO()

        code = demo.run(Console(file=output))

        assert code == 0
        assert "\x1b" not in output.getvalue()

    def test_run__terminal(self):
        """In a terminal the output is coloured."""
        output = io.StringIO()

        demo.run(Console(file=output, force_terminal=True, color_system="standard"))

        assert "\x1b[32m●\x1b[0m 4 \x1b[1m已签收\x1b[0m" in output.getvalue()

    def test_run__strange_answer(self):
        """A step that does not give what it should is shown, and exits with 1."""
        output = io.StringIO()
        sandbox = Sandbox()
        sandbox.fail(
            "query_trace", status=200, body='{"errcode": 0, "waybill_info": {}}'
        )

        code = demo.run(Console(file=output), sandbox)

        assert code == 1
        assert "  ● None ?" in output.getvalue().splitlines()
        assert "  ✗ expected status 0" in output.getvalue().splitlines()
        assert output.getvalue().endswith("✗ 1 steps failed\n")

    def test_refuse__another_error(self):
        """Another refusal than the announced one counts as a failure."""
        with Sandbox().mock() as wechat:
            wechat.fail("query_trace", errcode=40003)
            shown = demo.Demo(Console(file=io.StringIO()), wechat)
            shown.refuse(wechat.client)

        assert len(shown.failures) == 1
        assert shown.failures[0].startswith("WaybillTokenError, not OpenidError(")

    def test_refuse__no_error(self):
        """No refusal at all counts as a failure."""
        with Sandbox().mock() as wechat:
            wechat.fail("query_trace", status=200, body='{"errcode": 0}')
            shown = demo.Demo(Console(file=io.StringIO()), wechat)
            shown.refuse(wechat.client)

        assert shown.failures == ["a refusal"]

    def test_module__as_process(self):
        """It runs as `python -m wxlogistics demo`, too."""
        run = subprocess.run(
            [sys.executable, "-m", "wxlogistics", "demo"],
            capture_output=True,
            encoding="utf-8",
        )

        assert run.returncode == 0, run.stderr
        assert TIMELINE == [line for line in run.stdout.splitlines() if "●" in line]


class TestSandboxCommand:
    def test_main__serves(self):
        """It prints where it is and what to call it with, and stops on SIGTERM."""
        process = subprocess.Popen(
            [sys.executable, "-m", "wxlogistics", "sandbox", "--port", "0"],
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        with process:
            told = dict(process.stdout.readline().split() for _ in range(4))
            client = Client(told["access_token:"], base_url=told["url:"])
            with client:
                waybill_token = client.trace_waybill(
                    openid="ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
                    waybill_id="WXTESTEXPRESS0000014",
                    receiver_phone="123456566",
                    goods_info=GoodsInfo([GoodsDetail("测试名字", "www.qq.com")]),
                )
                status = client.query_trace(waybill_token).status
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)

        assert list(told) == ["url:", "appid:", "secret:", "access_token:"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", told["url:"])
        assert status == 0
        assert code == 0

    def test_main__port_taken(self, capsys):
        """A port that is taken is an error at once."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

            code = main(["sandbox", "--port", str(port)])

        assert code == 1
        assert capsys.readouterr().err == (
            f"wxlogistics sandbox: port {port} of 127.0.0.1 is taken: "
            "choose another, or 0 for any free one\n"
        )

    def test_main__help(self, capsys):
        """Its help is its own."""
        with pytest.raises(SystemExit) as raised:
            main(["sandbox", "--help"])

        assert raised.value.code == 0
        assert capsys.readouterr().out.startswith("usage: wxlogistics sandbox ")

    def test_main__without_aiohttp(self, capsys, monkeypatch):
        """Without its extra the command says what to install."""
        monkeypatch.setitem(sys.modules, "aiohttp", None)
        monkeypatch.delitem(sys.modules, "wxlogistics.sandbox.server", raising=False)

        code = main(["sandbox"])

        assert code == 2
        assert "pip install 'wxlogistics[sandbox]'" in capsys.readouterr().err


class TestMain:
    def test_main__version(self, capsys):
        """The version is the package's."""
        code = main(["--version"])

        assert code == 0
        assert capsys.readouterr().out == "wxlogistics, version 0.1.0\n"

    def test_main__unknown_command(self, capsys):
        """A command that does not exist is wrong use, and exits with 2."""
        code = main(["frobnicate"])

        assert code == 2
        assert "No such command 'frobnicate'" in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["click", "rich"])
    def test_main__without_extra(self, name, capsys, monkeypatch):
        """Without the extra the command says what to install."""
        for module in [*sys.modules]:
            if module.partition(".")[0] == name:
                monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.setitem(sys.modules, name, None)
        for module in ("wxlogistics.cli", "wxlogistics.demo"):
            monkeypatch.delitem(sys.modules, module, raising=False)

        code = main(["demo"])

        assert code == 2
        assert capsys.readouterr().err == (
            f"wxlogistics: the command line needs {name}: "
            "pip install 'wxlogistics[cli]'\n"
        )

    def test_main__broken_installation(self, monkeypatch):
        """Another module that is missing is not mistaken for the extra."""
        monkeypatch.setitem(sys.modules, "wxlogistics._version", None)
        monkeypatch.delitem(sys.modules, "wxlogistics.cli", raising=False)

        with pytest.raises(ModuleNotFoundError, match="_version"):
            main(["demo"])
