"""The command itself, the demo and the sandbox, as functions and as processes."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from clitools import Run, check_snapshot, process, ran
from rich.console import Console

import wxlogistics.__main__
from wxlogistics import Client, GoodsDetail, GoodsInfo, demo
from wxlogistics.__main__ import main
from wxlogistics.cli import commands
from wxlogistics.cli.command import usage_problem
from wxlogistics.sandbox import Sandbox

TIMELINE = [
    "  ● 0 运单不存在或者未揽收",
    "  ● 1 已揽件",
    "  ● 2 运输中",
    "  ● 3 派件中",
    "  ● 4 已签收",
]


class TestDemo:
    def test_main__demo(self, run: Run) -> None:
        """
        The demo registers, follows, updates and is refused, and exits with 0.
        """
        code, out, err = run("demo")
        lines = out.splitlines()

        assert (0, "") == (code, err)
        assert TIMELINE == [line for line in lines if "●" in line]
        assert "  goods         测试名字, 测试名字2" in lines
        assert "  goods         测试更新商品" in lines
        assert "✓ every step gave what it should" == lines[-1]
        assert any("(errcode 9300507, rid " in line for line in lines)

    def test_main__demo_in_chinese(self, run: Run) -> None:
        """
        Its own words are Chinese too.
        """
        code, out, _ = run("demo", "--lang", "zh")
        lines = out.splitlines()

        assert 0 == code
        assert "1  传运单\uff1aclient.trace_waybill(…)" in lines
        assert "  商品          测试更新商品" in lines
        assert "✓ 每一步的结果都正确" == lines[-1]

    def test_main__demo_as_json(self, run: Run) -> None:
        """
        To a program it tells what failed: nothing.
        """
        ran = run("demo", "--json")

        assert (0, {"ok": True, "failures": []}) == (ran.code, ran.json)

    def test_main__demo_fails(self, run: Run, monkeypatch: Any) -> None:
        """
        A demo that fails exits with 1.
        """
        monkeypatch.setattr(demo, "Sandbox", lambda: failing())

        ran = run("demo", "--json")

        assert (1, {"ok": False, "failures": ["status 0"]}) == (ran.code, ran.json)

    def test_play__piped(self) -> None:
        """
        Without a terminal the output holds no escape sequences.
        """
        output = io.StringIO()

        failures = demo.play(Say("en"), Console(file=output))

        assert [] == failures
        assert "\x1b" not in output.getvalue()

    def test_play__terminal(self) -> None:
        """
        In a terminal the output is coloured.
        """
        output = io.StringIO()
        console = Console(file=output, force_terminal=True, color_system="standard")

        demo.play(Say("en"), console)

        assert "\x1b[32m●\x1b[0m 4 \x1b[1m已签收\x1b[0m" in output.getvalue()

    def test_play__strange_answer(self) -> None:
        """
        A step that does not give what it should is shown, and is returned.
        """
        output = io.StringIO()

        failures = demo.play(Say("en"), Console(file=output), failing())

        assert ["status 0"] == failures
        assert "  ● None ?" in output.getvalue().splitlines()
        assert "  ✗ expected status 0" in output.getvalue().splitlines()
        assert output.getvalue().endswith("✗ 1 steps failed\n")

    def test_refuse__another_error(self) -> None:
        """
        Another refusal than the announced one counts as a failure.
        """
        with Sandbox().mock() as wechat:
            wechat.fail("query_trace", errcode=40003)
            shown = demo.Demo(Say("en"), Console(file=io.StringIO()), wechat)
            shown.refuse(wechat.client)

        assert 1 == len(shown.failures)
        assert shown.failures[0].startswith("WaybillTokenError, not OpenidError(")

    def test_refuse__no_error(self) -> None:
        """
        No refusal at all counts as a failure.
        """
        with Sandbox().mock() as wechat:
            wechat.fail("query_trace", status=200, body='{"errcode": 0}')
            shown = demo.Demo(Say("en"), Console(file=io.StringIO()), wechat)
            shown.refuse(wechat.client)

        assert ["a refusal"] == shown.failures

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
    def test_main__demo_behind_a_proxy(
        self, name: str, run: Run, monkeypatch: Any
    ) -> None:
        """
        What stays on this machine does not go to a proxy.
        """
        monkeypatch.setenv(name, "http://127.0.0.1:9")

        assert 0 == run("demo").code

    def test_module__as_process(self) -> None:
        """
        It runs as `python -m wxlogistics demo`, too.
        """
        code, out, err = ran("demo")

        assert 0 == code, err
        assert TIMELINE == [line for line in out.splitlines() if "●" in line]


def failing() -> Sandbox:
    sandbox = Sandbox()
    sandbox.fail("query_trace", status=200, body='{"errcode": 0, "waybill_info": {}}')
    return sandbox


class TestSandboxCommand:
    def test_main__serves(self) -> None:
        """
        It prints where it is and what to call it with, and stops on SIGTERM.
        """
        with process("sandbox", "--port", "0") as sandbox:
            told = dict(sandbox.stdout.readline().split() for _ in range(4))
            client = Client(told["access_token:"], base_url=told["url:"])
            with client:
                waybill_token = client.trace_waybill(
                    openid="ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
                    waybill_id="WXTESTEXPRESS0000014",
                    receiver_phone="123456566",
                    goods_info=GoodsInfo([GoodsDetail("测试名字", "www.qq.com")]),
                )
                status = client.query_trace(waybill_token).status
            sandbox.send_signal(signal.SIGTERM)
            code = sandbox.wait(10)

        assert ["url:", "appid:", "secret:", "access_token:"] == list(told)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", told["url:"])
        assert 0 == status
        assert 0 == code

    def test_main__serves_as_json(self) -> None:
        """
        To a program it tells the same as one object.
        """
        with process("sandbox", "--port", "0", "--seed", "1", "--json") as sandbox:
            told = "".join(iter(sandbox.stdout.readline, "}\n")) + "}"
            sandbox.send_signal(signal.SIGTERM)
            rest = sandbox.stdout.read()

        assert ["ok", "url", "appid", "secret", "access_token"] == list(
            json.loads(told)
        )
        assert "" == rest
        assert 0 == sandbox.returncode

    def test_main__told_as_json(self, run: Run, monkeypatch: Any) -> None:
        """
        Nothing told is nothing printed.
        """

        def serve(args: list[str]) -> int:
            print("url: http://127.0.0.1:8790", flush=True)
            print(end="", flush=True)
            return len(args)

        monkeypatch.setattr("wxlogistics.sandbox.server.main", serve)

        ran = run("sandbox", "--json", "--port", "0")

        assert (2, {"ok": True, "url": "http://127.0.0.1:8790"}) == (ran.code, ran.json)

    @pytest.mark.parametrize(
        "option, value, message",
        [
            ("--bogus", "5", "unrecognized arguments: --bogus 5"),
            (
                "--port",
                "99999",
                "argument --port: give a number from 0 to 65535, not '99999'",
            ),
            (
                "--state",
                "/dev/null/x",
                "/dev/null/x cannot be written: Not a directory",
            ),
        ],
    )
    def test_main__fails_as_json(
        self, run: Run, option: str, value: str, message: str
    ) -> None:
        """
        What is wrong is told to a program too, and once.
        """
        ran = run("sandbox", "--json", option, value)

        assert 2 == ran.code
        assert [False, "Use", message] == [
            ran.json["ok"],
            ran.json["error"]["type"],
            ran.json["error"]["message"],
        ]
        assert f"wxlogistics sandbox: {message}\n" == ran.err

    def test_main__port_taken(self, run: Run) -> None:
        """
        A port that is taken is an error at once.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

            code, _, err = run("sandbox", "--port", str(port))

        assert 2 == code
        assert (
            f"wxlogistics sandbox: port {port} of 127.0.0.1 is taken: "
            "choose another, or 0 for any free one\n"
        ) == err

    def test_main__help(self, capsys: Any) -> None:
        """
        Its help is its own.
        """
        with pytest.raises(SystemExit) as raised:
            main(["sandbox", "--help"])

        assert 0 == raised.value.code
        assert capsys.readouterr().out.startswith("usage: wxlogistics sandbox ")

    def test_main__without_aiohttp(self, run: Run, monkeypatch: Any) -> None:
        """
        Without its extra the command says what to install.
        """
        monkeypatch.setitem(sys.modules, "aiohttp", None)
        monkeypatch.delitem(sys.modules, "wxlogistics.sandbox.server", raising=False)

        code, _, err = run("sandbox")

        assert 2 == code
        assert "pip install 'wxlogistics[sandbox]'" in err


class TestMain:
    def test_main__version(self, run: Run) -> None:
        """
        The version is the package's.
        """
        assert (0, "wxlogistics, version 0.1.0\n", "") == run("--version")

    @pytest.mark.parametrize(
        "argv, problem, see",
        [
            (["frobnicate"], "there is no command frobnicate", "wxlogistics"),
            (["querry"], "there is no command querry; perhaps query?", "wxlogistics"),
            (
                ["bulk", "trase"],
                "there is no command trase; perhaps trace?",
                "wxlogistics bulk",
            ),
            (
                ["query", "t", "--opnid", "o"],
                "there is no option --opnid; perhaps --openid?",
                "wxlogistics query",
            ),
            (["query"], "WAYBILL_TOKEN is missing", "wxlogistics query"),
            (["trace", "SF1"], "--openid is missing", "wxlogistics trace"),
            (["query", "t", "--openid"], "--openid needs a value", "wxlogistics"),
            (["query", "t", "u", "v"], "too many arguments: u v", "wxlogistics query"),
            (
                ["bulk", "query", "f", "--workers", "0"],
                "--workers: 0 is below 1",
                "wxlogistics bulk query",
            ),
            (
                ["bulk", "query", "f", "--workers", "x"],
                "--workers: x is no number",
                "wxlogistics bulk query",
            ),
            (
                ["bulk", "query", "f", "--again", "all"],
                "--again: all is none of refused, failed, maybe_applied",
                "wxlogistics bulk query",
            ),
            (["query", "t", "--lang", "fr"], None, "wxlogistics query"),
            (["errors", "x"], "CODE: x is no number", "wxlogistics errors"),
            (["query", "t", "--json=1"], "--json takes no value", "wxlogistics"),
        ],
    )
    def test_main__wrong_use(
        self, argv: list[str], problem: str | None, see: str, run: Run
    ) -> None:
        """
        Wrong use exits with 2, and says what is wrong and where to read on.
        """
        code, out, err = run(*argv)
        lines = err.splitlines()

        assert (2, "") == (code, out)
        assert f"  See: {see} --help" == lines[-1]
        if problem:
            assert [f"✗ {problem}"] == lines[:-1]

    @pytest.mark.parametrize(
        "argv, problem",
        [
            (["querry"], "没有 querry 这个命令\uff1b是不是 query\uff1f"),
            (["query"], "缺少 WAYBILL_TOKEN"),
            (["bulk", "query", "f", "--workers", "0"], "--workers\uff1a0 太小"),
        ],
    )
    def test_main__wrong_use_in_chinese(
        self, argv: list[str], problem: str, run: Run
    ) -> None:
        """
        So it does in Chinese.
        """
        code, _, err = run(*argv, "--lang", "zh")

        assert 2 == code
        assert err.startswith(f"✗ {problem}")

    def test_usage_problem__unknown(self) -> None:
        """
        What click says beyond that stays in its own words.
        """
        error = click.ClickException("The stars are wrong.")

        assert "The stars are wrong" == usage_problem(error, Say("zh"))

    def test_main__wrong_use_as_json(self, run: Run) -> None:
        """
        A program is told of wrong use on stdout, with the keys of every error.
        """
        ran = run("query", "--json")

        assert 2 == ran.code
        assert {
            "ok": False,
            "error": {
                "type": "Use",
                "message": "Wrong use: WAYBILL_TOKEN is missing",
                "errcode": None,
                "errmsg": None,
                "rid": None,
                "endpoint": None,
                "field": None,
                "ip": None,
                "retryable": False,
                "maybe_applied": False,
                "advice": "Try 'wxlogistics query --help' for help.",
            },
        } == ran.json

    @pytest.mark.parametrize("name", ["click", "rich"])
    def test_main__without_extra(
        self, name: str, capsys: Any, monkeypatch: Any
    ) -> None:
        """
        Without the extra the command says what to install.
        """
        for module in [*sys.modules]:
            if module.partition(".")[0] == name or module.startswith("wxlogistics.cli"):
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, "wxlogistics.demo", raising=False)

        code = main(["demo"])

        assert 2 == code
        assert (
            f"wxlogistics: the command line needs {name}: "
            "pip install 'wxlogistics[cli]'\n"
        ) == capsys.readouterr().err

    def test_main__broken_installation(self, monkeypatch: Any) -> None:
        """
        Another module that is missing is not mistaken for the extra.
        """
        for module in [*sys.modules]:
            if module.startswith("wxlogistics.cli"):
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "wxlogistics._version", None)

        with pytest.raises(ModuleNotFoundError, match="_version"):
            main(["demo"])

    def test_module__exits(self, run: Run, monkeypatch: Any) -> None:
        """
        As a module it ends the process with the exit code.
        """
        monkeypatch.setattr(sys, "argv", ["wxlogistics", "query"])
        path = wxlogistics.__main__.__file__
        code = compile(Path(path).read_text(), path, "exec")

        with pytest.raises(SystemExit) as raised:
            exec(code, {"__name__": "__main__", "__package__": "wxlogistics"})

        assert 2 == raised.value.code

    def test_main__loads_rich_late(self) -> None:
        """
        rich is loaded only by what it shows.
        """
        code, out, err = ran("query", env={**os.environ, "PYTHONVERBOSE": "1"})

        assert 2 == code
        assert "import 'click'" in err
        assert "import 'rich" not in err

    @pytest.mark.parametrize("command", ["errors", "demo"])
    def test_main__reader_goes(self, run: Run, monkeypatch: Any, command: str) -> None:
        """
        A reader that has seen enough, as `head` has, is no error.
        """
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w", encoding="utf-8") as closed:
            monkeypatch.setattr(sys, "stdout", closed)

            code = main([command])

        assert 0 == code

    def test_main__interrupted(self, run: Run, monkeypatch: Any) -> None:
        """
        Ctrl-C exits with 130, without a traceback.
        """

        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setenv("WXLOGISTICS_ACCESS_TOKEN", "T")
        monkeypatch.setattr(Client, "query_trace", interrupt)

        assert (130, "", "\nInterrupted.\n") == run("query", "t")

        ran = run("query", "t", "--json")
        error = ran.json["error"]

        assert (130, False) == (ran.code, ran.json["ok"])
        assert ("Interrupted", "Interrupted.") == (error["type"], error["message"])

    @pytest.mark.parametrize(
        "argv", [["errors"], ["errors", "--json"], ["--help"], ["query", "--json"]]
    )
    def test_main__stdout_is_full(
        self, argv: list[str], capsys: Any, monkeypatch: Any
    ) -> None:
        """
        A stdout that takes nothing more is something on this machine.
        """
        with open("/dev/full", "w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stdout", full)

            code = main(argv)

        assert 2 == code
        assert capsys.readouterr().err.splitlines()[0] in (
            "✗ stdout: No space left on device",
            "✗ WAYBILL_TOKEN is missing",
        )

    def test_main__file_is_broken(self, run: Run, monkeypatch: Any) -> None:
        """
        Another file is called by its name, to a program too.
        """

        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EIO, "Input/output error", "/some/where")

        monkeypatch.setenv("WXLOGISTICS_ACCESS_TOKEN", "T")
        monkeypatch.setattr(Client, "query_trace", fail)

        ran = run("query", "t", "--json")

        assert 2 == ran.code
        assert "Wrong use: /some/where: Input/output error" == (
            ran.json["error"]["message"]
        )

    def test_main__stdout_is_no_file(self, run: Run, monkeypatch: Any) -> None:
        """
        A stdout that is no file of the system's can fail as well.
        """

        class Full(io.StringIO):
            def flush(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(sys, "stdout", Full())

        assert 2 == main(["errors"])

    def test_main__closed_streams(self, capsys: Any, monkeypatch: Any) -> None:
        """
        Without a stdout nothing is begun; without a stderr all is done.
        """
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", None)
            without_stdout = main(["errors"])
        err = capsys.readouterr().err
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", None)
            without_stderr = main(["errors", "40013"]), main(["query"])
        out = capsys.readouterr().out

        assert (2, (0, 2)) == (without_stdout, without_stderr)
        assert "✗ stdout: Bad file descriptor" == err.splitlines()[0]
        assert "40013    CredentialError" in out

    def test_main__closed_by_the_shell(self) -> None:
        """
        So it is in a process, without a word of Python's own.
        """
        start = f'"{sys.executable}" -m wxlogistics "$@"'
        found = [
            subprocess.run(
                ["sh", "-c", f"{start} {how}", "sh", *argv],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
            for how, argv in (
                (">&-", ["errors"]),
                ("2>&-", ["errors", "40013"]),
                (">/dev/full", ["errors"]),
                (">/dev/full", ["--version"]),
                ("2>/dev/full", ["query"]),
            )
        ]

        assert [2, 0, 2, 2, 2] == [each.returncode for each in found]
        assert [2, 0, 2, 2, 0] == [len(each.stderr.splitlines()) for each in found]

    def test_main__gbk(self) -> None:
        """
        Where only GBK can be written there are question marks, and no traceback.
        """
        environ = {**os.environ, "PYTHONIOENCODING": "gbk", "LC_ALL": "zh_CN"}

        refused = ran("query", env=environ, encoding="gbk")
        table = ran("errors", "40013", env=environ, encoding="gbk")
        json_ = ran("errors", "40013", "--json", env=environ, encoding="ascii")

        assert "? 用法不对\uff1a缺少 WAYBILL_TOKEN" == refused.err.splitlines()[0]
        assert "appid 错误" in table.out
        assert "appid 错误" == json.loads(json_.out)["errors"][0]["meaning"]


class TestHelp:
    COMMANDS = [
        [],
        ["trace"],
        ["query"],
        ["update-goods"],
        ["follow"],
        ["query-follow"],
        ["update-follow-goods"],
        ["carriers"],
        ["bulk"],
        ["bulk", "query"],
        ["bulk", "trace"],
        ["doctor"],
        ["errors"],
        ["demo"],
    ]

    @pytest.mark.parametrize("lang", ["en", "zh"])
    @pytest.mark.parametrize("argv", COMMANDS, ids="-".join)
    def test_help__look(self, argv: list[str], lang: str, run: Run) -> None:
        """
        Each command's help looks as it was last seen.
        """
        code, out, err = run(*argv, "--help", "--lang", lang)

        assert (0, "") == (code, err)
        check_snapshot("-".join(["help", *argv, lang]), out)

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_help__narrow(self, lang: str, run: Run, monkeypatch: Any) -> None:
        """
        In a narrow terminal a long option stands above its text.
        """
        monkeypatch.setenv("COLUMNS", "45")

        _, out, _ = run("trace", "--help", "--lang", lang)

        check_snapshot(f"help-trace-narrow-{lang}", out)

    def test_help__without_arguments(self, run: Run) -> None:
        """
        Alone the command shows its help.
        """
        assert run("--help") == run()

    @pytest.mark.parametrize("argv", COMMANDS[1:], ids="-".join)
    def test_help__json_everywhere(self, argv: list[str], run: Run) -> None:
        """
        Every command that does something takes --json and --lang.
        """
        _, out, _ = run(*argv, "--help")

        assert "--lang zh|en" in out
        assert ("--json" in out) == (argv != ["bulk"])

    def test_completion__bash(self, surroundings: Path) -> None:
        """
        The shell can complete commands and options.
        """
        environ = {
            **os.environ,
            "_WXLOGISTICS_COMPLETE": "bash_complete",
            "COMP_WORDS": "wxlogistics bulk query --fo",
            "COMP_CWORD": "3",
        }

        assert "plain,--follow\nplain,--format\n" == ran(env=environ).out

    @pytest.mark.parametrize(
        "argv",
        [
            ["bulk", "query"],
            ["bulk", "trace"],
            ["bulk", "query", "in.csv", "--out"],
            ["trace", "--goods-file"],
            ["update-goods", "--goods-file"],
            ["sandbox", "--state"],
        ],
    )
    def test_completion__files(self, argv: list[str]) -> None:
        """
        And files where one is meant.
        """
        command = commands(Terminal(Say("en"), False))
        found = ShellComplete(command, {}, "wxlogistics", "_X").get_completions(
            argv, ""
        )

        assert ["file"] == [item.type for item in found]
