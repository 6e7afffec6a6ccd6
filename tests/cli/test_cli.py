"""The command itself, the demo and the sandbox, as functions and as processes."""

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
from unittest.mock import Mock

import pytest
from click.shell_completion import ShellComplete
from clitools import check_snapshot, process, ran

import wxlogistics.__main__
from wxlogistics import Client, GoodsDetail, GoodsInfo, __version__, demo
from wxlogistics.__main__ import main
from wxlogistics.cli.language import say, speak
from wxlogistics.cli.main import commands
from wxlogistics.cli.output import Terminal, echo
from wxlogistics.sandbox import Sandbox

TIMELINE = [
    "  ● 0 运单不存在或者未揽收",
    "  ● 1 已揽件",
    "  ● 2 运输中",
    "  ● 3 派件中",
    "  ● 4 已签收",
]

#: An AppSecret, as it is.
LOST = "5ec4e7" * 5 + "5e"


class TestDemo:
    def test_main__demo(self, run):
        """The demo registers, follows, updates and is refused, and exits with 0."""
        code, out, err = run("demo")
        lines = out.splitlines()

        assert {"ok": True, "failures": []} == run("demo", "--json").json
        assert (0, "") == (code, err)
        assert TIMELINE == [line for line in lines if "●" in line]
        assert "  goods         测试名字, 测试名字2" in lines
        assert "  goods         测试更新商品" in lines
        assert "✓ Every step gave what it should." == lines[-1]
        assert "(errcode 9300507, rid " in " ".join(out.split())

    def test_main__demo_fails(self, run, monkeypatch):
        """A demo that fails exits with 1."""
        monkeypatch.setattr(demo, "Sandbox", lambda **_: failing())

        ran = run("demo", "--json")

        assert (1, {"ok": False, "failures": ["status 0"]}) == (ran.code, ran.json)

    def test_play__colours(self, run, monkeypatch):
        """In a terminal the output is coloured, but not with NO_COLOR."""
        plain = run("demo").out
        monkeypatch.setenv("FORCE_COLOR", "1")
        coloured = run("demo").out
        monkeypatch.setenv("NO_COLOR", "1")

        assert "\x1b" not in plain + run("demo").out
        assert "  \x1b[32m●\x1b[0m 4 \x1b[1m已签收\x1b[0m" in coloured

    def test_play__unexpected_answer(self, capsys):
        """A step that does not give what it should is shown, and is returned."""
        failures = demo.play(say, echo, failing())
        lines = capsys.readouterr().out.splitlines()

        assert ["status 0"] == failures
        assert "  ● 5 异常" in lines
        assert "  ✗ expected status 0" in lines
        assert "✗ Failed: status 0" == lines[-1]

    @pytest.mark.parametrize(
        "fault, failure",
        [
            ({"errcode": 40003}, "WaybillTokenError, not OpenidError("),
            (
                {
                    "status": 200,
                    "body": '{"errcode": 0, "waybill_info": {"status": 0}}',
                },
                "a refusal",
            ),
        ],
    )
    def test_refuse__another_answer(self, fault, failure):
        """Another refusal than the announced one is a failure, or none at all."""
        with Sandbox().mock() as wechat:
            wechat.fail("query_trace", **fault)
            shown = demo.Demo(say, echo, wechat)
            shown.refuse(wechat.client)

        assert 1 == len(shown.failures)
        assert shown.failures[0].startswith(failure)

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
    def test_main__demo_behind_a_proxy(self, name, run, monkeypatch):
        """What stays on this machine does not go to a proxy."""
        monkeypatch.setenv(name, "http://127.0.0.1:9")

        assert 0 == run("demo").code


def failing() -> Sandbox:
    sandbox = Sandbox(token_lifetime=10**7)
    sandbox.fail(
        "query_trace", status=200, body='{"errcode": 0, "waybill_info": {"status": 5}}'
    )
    return sandbox


class TestSandboxCommand:
    @pytest.mark.once
    @pytest.mark.parametrize("lang, note", [("en", "open it"), ("zh", "用浏览器打开")])
    def test_main__serves(self, lang, note):
        """It prints where it is and what to call it with, and stops on SIGTERM."""
        with process("sandbox", "--port", "0", "--lang", lang) as sandbox:
            lines = [sandbox.stdout.readline().rstrip() for _ in range(5)]
            found = dict(line.split(": ", 1) for line in lines)
            client = Client(found["access_token"], base_url=found["url"])
            with client:
                waybill_token = client.trace_waybill(
                    openid="ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
                    waybill_id="WXTESTEXPRESS0000014",
                    receiver_phone="123456566",
                    goods_info=GoodsInfo([GoodsDetail("测试名字", "www.qq.com")]),
                )
                status = client.query_trace(waybill_token).status
            sandbox.send_signal(signal.SIGTERM)
            code = sandbox.wait(60)

        assert ["url", "console", "appid", "secret", "access_token"] == [*found]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", found["url"])
        assert note in found["console"]
        assert (0, 0) == (status, code)

    def test_main__ready_and_notices(self, run, monkeypatch):
        """What the sandbox reports is printed, in the chosen language."""
        ready = {"url": "http://a:1", "console_url": "http://a:1/", "ca_file": "ca.pem"}
        ready |= {"appid": "wx1", "secret": "s1", "access_token": "t1"}

        def serve(on_ready: Any, on_notice: Any, **_: Any) -> int:
            on_ready(ready)
            on_notice("{} cannot be written: {}", "f", "full")
            return 1

        monkeypatch.setattr("wxlogistics.cli.server.run", serve)
        chinese, as_json = run("sandbox", "--lang", "zh"), run("sandbox", "--json")

        assert (1, "wxlogistics sandbox: 无法写入 f\uff1afull\n") == (
            chinese.code,
            chinese.err,
        )
        assert [
            "url: http://a:1",
            "console: http://a:1/ \uff08用浏览器打开\uff09",
            "ca_file: ca.pem",
            "appid: wx1",
            "secret: s1",
            "access_token: t1",
        ] == chinese.out.splitlines()
        assert {"ok": True, **ready} == as_json.json

    @pytest.mark.once
    def test_main__serves_as_json(self):
        """A program gets the same as one object."""
        with process("sandbox", "--port", "0", "--seed", "1", "--json") as sandbox:
            text = "".join(iter(sandbox.stdout.readline, "}\n")) + "}"
            sandbox.send_signal(signal.SIGTERM)
            rest = sandbox.stdout.read()

        keys = ["ok", "url", "console_url", "appid", "secret", "access_token"]
        assert keys == [*json.loads(text)]
        assert ("", 0) == (rest, sandbox.returncode)

    @pytest.mark.parametrize(
        "option, value, message",
        [
            ("--bogus", "5", "No such option '--bogus'"),
            (
                "--port",
                "99999",
                "Invalid value for '--port': give a number from 0 to 65535, not "
                "'99999'",
            ),
            ("--set", "bogus=1", "--set: no setting 'bogus'; there are: "),
            ("--state", "/dev/null/x", "/dev/null/x cannot be written: "),
            ("--tls", "--ca-file=/dev/null/x/ca.pem", "/dev/null/x"),
        ],
    )
    def test_main__fails_as_json(self, run, option, value, message):
        """What is wrong is reported to a program too, and once."""
        ran = run("sandbox", "--json", option, value)
        shown = " ".join(ran.err.split())

        assert 0 != ran.code
        assert message in shown
        if ran.out:
            assert [False, "Use"] == [ran.json["ok"], ran.json["error"]["type"]]
            assert ran.json["error"]["message"].startswith(message)

    def test_main__port_taken(self, run):
        """A port that is taken is an error at once."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

            code, _, err = run("sandbox", "--port", str(port))

        assert 2 == code
        assert err.startswith(f"✗ port {port} of 127.0.0.1 is taken: choose another,")

    @pytest.mark.parametrize(
        "argv", [["--lang", "zh", "sandbox", "-h"], ["sandbox", "--help", "--lang=zh"]]
    )
    def test_main__help(self, argv, run):
        """Its help is in the chosen language."""
        code, out, _ = run(*argv)

        assert (0, "用法\uff1awxlogistics sandbox [选项]") == (
            code,
            out.splitlines()[0],
        )
        assert "--allow-host NAME" in out

    @pytest.mark.parametrize("command", ["sandbox", "demo", "probe"])
    @pytest.mark.parametrize(
        "lang, words", [("en", "this needs"), ("zh", "请运行 pip")]
    )
    def test_main__without_the_extra(
        self, command, lang, words, run, wechat, monkeypatch
    ):
        """Without its extra the command names it, in the chosen language."""
        # What the server needs.
        for name in ("aiohttp", "h11"):
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, "wxlogistics.sandbox.server", raising=False)
        argv = ["--yes"] if command == "probe" else []

        code, _, err = run(command, "--lang", lang, *argv)

        assert 2 == code
        assert words in err and "pip install 'wxlogistics[sandbox]'" in err


class TestMain:
    def test_main__version(self, run):
        """The version is the package's."""
        assert (0, f"wxlogistics, version {__version__}\n", "") == run("--version")

    @pytest.mark.parametrize(
        "argv, problem, see",
        [
            (["frobnicate"], "No such command 'frobnicate'", "wxlogistics"),
            (["bulk", "trase"], "No such command 'trase'", "wxlogistics bulk"),
            (["query"], "Missing argument 'WAYBILL_TOKEN'", "wxlogistics query"),
            (["trace", "SF1"], "Missing option '--openid'", "wxlogistics trace"),
            (
                ["bulk", "query", "f", "--workers", "20000"],
                "Invalid value for '--workers': 20000 is not in the range",
                "wxlogistics bulk query",
            ),
            (["query", "t", "--lang", "fr"], "Invalid value for '--lang'", "query"),
        ],
    )
    def test_main__wrong_use(self, argv, problem, see, run):
        """Wrong use exits with 2, and says what is wrong and where to read on."""
        code, out, err = run(*argv)
        lines = err.splitlines()

        assert (2, "") == (code, out)
        assert lines[0].startswith(f"✗ {problem}")
        assert re.fullmatch(f"  Try '.*{see} --help' for help.", lines[-1])

    @pytest.mark.parametrize(
        "argv, problem",
        [
            (["querry"], "没有 querry 这个命令（是不是：「query」？）"),
            (["query"], "缺少参数「WAYBILL_TOKEN」"),
            (["trace", "SF1"], "缺少选项「--openid」"),
            (["query", "t", "--opnid"], "没有 --opnid 这个选项"),
            (["query", "t", "u"], "参数太多\uff1au"),
            (["--lang", "zh", "query", "t", "--openid"], "--openid 后面要有值"),
            (["query", "t", "--json=1"], "--json 后面不能有值"),
            (
                ["bulk", "query", "f", "--workers", "0"],
                "「--workers」的值不对\uff1a0 超出范围 1<=x<=100",
            ),
            (["errors", "x"], "「[CODE]」的值不对\uff1ax 不是整数"),
            (
                ["bulk", "query", "f", "--format", "x"],
                "「--format」的值不对\uff1ax 不对\uff0c只能是「csv」、「tsv」、「jsonl」",
            ),
        ],
    )
    def test_main__wrong_use_in_chinese(self, argv, problem, run):
        """So it does in Chinese: click's messages are translated."""
        code, _, err = run(*(argv if "zh" in argv else ["--lang", "zh", *argv]))

        assert 2 == code
        assert err.startswith(f"✗ {problem}")
        assert "请看 wxlogistics" in err.splitlines()[-1]

    def test_main__wrong_use_as_json(self, run):
        """A program gets wrong use on stdout, with the keys of every error."""
        ran = run("query", "--json")

        assert (2, ["ok", "error"]) == (ran.code, [*ran.json])
        assert {
            "type": "Use",
            "message": "Missing argument 'WAYBILL_TOKEN'",
            "advice": "Try 'wxlogistics query --help' for help.",
        } == {name: value for name, value in ran.json["error"].items() if value}

    @pytest.mark.parametrize(
        "lang, words", [("en", "click is missing"), ("zh", "缺少 click")]
    )
    def test_main__without_extra(self, lang, words, capsys, monkeypatch):
        """Without the extra the command names it, in the chosen language."""
        name = "click"
        for module in [*sys.modules]:
            if module.partition(".")[0] == name or module.startswith("wxlogistics.cli"):
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, "wxlogistics.demo", raising=False)

        code = main(["demo", "--lang", lang])

        assert 2 == code
        assert (
            f"wxlogistics: {words}\n  pip install 'wxlogistics[cli]'\n"
            == capsys.readouterr().err
        )

    def test_main__broken_installation(self, monkeypatch):
        """Another module that is missing is not mistaken for the extra."""
        for module in [*sys.modules]:
            if module.startswith("wxlogistics.cli"):
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "wxlogistics._version", None)

        with pytest.raises(ModuleNotFoundError, match="_version"):
            main(["demo"])

    def test_main__another_import_error(self, run, monkeypatch):
        """Nor is an import that fails within a command."""

        def play(*_: Any) -> None:
            raise ImportError("something else")

        monkeypatch.setattr(demo, "play", play)

        with pytest.raises(ImportError, match="something else"):
            run("demo")

    def test_main__interrupted_import(self, monkeypatch, capsys):
        """Ctrl-C while the modules are imported ends it without a traceback."""

        def find_spec(name: str, *_: Any) -> None:
            if name == "wxlogistics.cli.main":
                raise KeyboardInterrupt

        monkeypatch.delitem(sys.modules, "wxlogistics.cli.main")
        monkeypatch.setattr(sys, "meta_path", [Mock(find_spec=find_spec)])

        assert 130 == main(["--lang", "en", "carriers"])
        assert "Interrupted.\n" == capsys.readouterr().err

    @pytest.mark.parametrize("command", ["query abc", "carriers", "probe --yes"])
    @pytest.mark.parametrize(
        "name, value",
        [
            ("BASE_URL", f"http://{LOST}"),
            ("BASE_URL", LOST),
            ("APPID", LOST),
            ("ACCESS_TOKEN", f" {LOST}"),
        ],
    )
    def test_main__secret_in_another_variable(
        self, command, name, value, run, monkeypatch
    ):
        """An AppSecret is not shown, wherever it was put by mistake."""
        values = {"APPID": "wx0123456789abcdef", "SECRET": LOST[::-1]}
        for each, text in {**values, name: value}.items():
            monkeypatch.setenv(f"WXLOGISTICS_{each}", text)
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

        for done in (run(*command.split()), run(*command.split(), "--json")):
            assert 0 != done.code
            assert LOST not in (done.out + done.err).lower()

    @pytest.mark.parametrize(
        "argv", ["{}", "query a {}", "bulk query {}", "errors {}", "sandbox --port {}"]
    )
    def test_main__secret_as_an_argument(self, argv, run, monkeypatch):
        monkeypatch.setenv("WXLOGISTICS_SECRET", LOST)
        done = run(*argv.format(LOST).split())

        assert 0 != done.code
        assert LOST not in done.out + done.err

    @pytest.mark.parametrize(
        "argv, words",
        [
            (["--port", "99999"], "「--port」的值不对\uff1a请给出 0 到 65535"),
            (["--speed", "x"], "「--speed」的值不对\uff1a请给出"),
            (["--set", "a=1"], "--set\uff1a没有 'a' 这项设置"),
            (["--set", "edit_limit=abc"], "--set 不对\uff1aedit_limit 的类型是 int"),
            (["--set", "edit_limit=-1"], "--set 不对\uff1aedit_limit 应为 0 到"),
            (["--set", "quota_reset_hour=25"], "quota_reset_hour 应为 0 到 23"),
            (["--set", "token_lifetime=0"], "token_lifetime 应为 1 到"),
            (["--set", "route=[[5,1],[1,2]]"], "route 应为"),
            (["--set", "refused_image=("], "refused_image 不是正则表达式"),
            (["--set", "default_delivery_id=X"], "default_delivery_id\uff1a没有 'X'"),
            (["--keyfile", "k.pem"], "--keyfile 要和"),
            (["--ca-file", "c.pem"], "--ca-file 要和"),
            (["--seed"], "--seed 后面要有值\n  请看 wxlogistics sandbox"),
            (["--state", "none.json"], "none.json\uff1a不是 JSON"),
            (["--state", "deep.json"], "deep.json\uff1aJSON 嵌套太深"),
            (["--state", "other.json"], "other.json\uff1a不是沙箱的状态文件"),
            (["--state", "old.json"], "old.json\uff1a状态文件的版本是 0"),
            (["--state", "damaged.json"], "damaged.json\uff1a状态文件已损坏"),
        ],
    )
    def test_sandbox__wrong_use_in_chinese(self, argv, words, run):
        """The sandbox's refusals are reported in Chinese, without Python's names."""
        Sandbox().save("state.json")
        state = json.loads(Path("state.json").read_bytes())
        files = {"none": "{", "deep": "[" * 100_000, "other": "{}"}
        files["old"] = json.dumps({**state, "version": 0})
        files["damaged"] = json.dumps({**state, "calls": [{"payload": 1}]})
        for name, text in files.items():
            Path(f"{name}.json").write_text(text)

        code, _, err = run("--lang", "zh", "sandbox", *argv)

        assert 2 == code
        assert words in err
        assert not re.search("Error|__init__|Call", err)

    def test_main__appid_in_chinese(self, run, monkeypatch):
        """What the client refuses has Chinese words."""
        monkeypatch.setenv("WXLOGISTICS_APPID", "5" * 32)
        monkeypatch.setenv("WXLOGISTICS_SECRET", "wx")

        assert "✗ appid：像是 AppSecret" in run("--lang", "zh", "query", "abc").err

    def test_module__exits(self, run, monkeypatch):
        """As a module it ends the process with the exit code."""
        monkeypatch.setattr(sys, "argv", ["wxlogistics", "query"])
        path = wxlogistics.__main__.__file__
        code = compile(Path(path).read_text(), path, "exec")

        with pytest.raises(SystemExit) as raised:
            exec(code, {"__name__": "__main__", "__package__": "wxlogistics"})

        assert 2 == raised.value.code

    @pytest.mark.parametrize("command", ["errors", "demo"])
    def test_main__reader_goes(self, run, monkeypatch, command):
        """A reader that has seen enough, as `head` has, is no error."""
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w", encoding="utf-8") as closed:
            monkeypatch.setattr(sys, "stdout", closed)

            code = main([command])

        assert 0 == code

    def test_main__interrupted(self, run, monkeypatch):
        """Ctrl-C exits with 130, without a traceback."""

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
    def test_main__stdout_is_full(self, argv, capsys, monkeypatch):
        """A stdout that takes nothing more is something on this machine."""
        with open("/dev/full", "w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stdout", full)

            code = main(argv)

        assert 2 == code
        assert capsys.readouterr().err.splitlines()[0] in (
            "✗ stdout: No space left on device",
            "✗ Missing argument 'WAYBILL_TOKEN'",
        )

    def test_main__file_is_broken(self, run, monkeypatch):
        """Another file is called by its name, to a program too."""

        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EIO, "Input/output error", "/some/where")

        monkeypatch.setenv("WXLOGISTICS_ACCESS_TOKEN", "T")
        monkeypatch.setattr(Client, "query_trace", fail)

        ran = run("query", "t", "--json")

        assert 2 == ran.code
        assert "/some/where: Input/output error" == (ran.json["error"]["message"])

    def test_main__stdout_is_no_file(self, run, monkeypatch):
        """A stdout that is no file of the system's can fail as well."""

        class Full(io.StringIO):
            def flush(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(sys, "stdout", Full())

        assert 2 == main(["errors"])

    def test_main__closed_streams(self, capsys, monkeypatch):
        """Without a stdout nothing is begun; without a stderr all is done."""
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

    def test_main__closed_by_the_shell(self):
        """So it is in a process, without a word of Python's own."""
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

    def test_main__gbk(self):
        """Where only GBK can be written there are question marks, and no traceback."""
        environ = {**os.environ, "PYTHONIOENCODING": "gbk", "LC_ALL": "zh_CN"}

        refused = ran("query", env=environ, encoding="gbk")
        table = ran("errors", "40013", env=environ, encoding="gbk")
        json_ = ran("errors", "40013", "--json", env=environ, encoding="ascii")

        assert "× 缺少参数「WAYBILL_TOKEN」" == refused.err.splitlines()[0]
        assert "appid 错误" in table.out
        assert "appid 错误" == json.loads(json_.out)["errors"][0]["meaning"]


class TestHelp:
    COMMANDS: list[list[str]] = [
        line.split()
        for line in ("", "trace", "query", "update-goods", "follow", "query-follow")
        + ("update-follow-goods", "carriers", "bulk", "bulk query", "bulk trace")
        + ("doctor", "errors", "demo")
    ]

    @pytest.mark.parametrize("lang", ["en", "zh"])
    @pytest.mark.parametrize("argv", COMMANDS, ids="-".join)
    def test_help__look(self, argv, lang, run):
        """Each command's help looks as it was last seen."""
        code, out, err = run(*argv, "--help", "--lang", lang)

        assert (0, "") == (code, err)
        check_snapshot("-".join(["help", *argv, lang]), out)

    def test_help__without_arguments(self, run):
        """Alone the command shows its help."""
        assert run("--help") == run()

    def test_completion__bash(self, surroundings):
        """The shell can complete commands and options."""
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
    def test_completion__files(self, argv):
        """And files where one is meant."""
        with speak("en"):
            command = commands(Terminal(False))
        found = ShellComplete(command, {}, "wxlogistics", "_X").get_completions(
            argv, ""
        )

        assert ["file"] == [item.type for item in found]
