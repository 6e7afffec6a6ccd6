"""Door 2: the HTTP server and its command line."""

from __future__ import annotations

import http.client
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest
import requests
from sandboxtools import EXAMPLE, NOON, OPEN_MSG, WAYBILL_ID, served_process
from test_sandbox_http import certified

import wxlogistics.sandbox
from wxlogistics import Client, GoodsDetail, GoodsInfo, WaybillStatus
from wxlogistics.sandbox import Clock, Sandbox
from wxlogistics.sandbox.command import main
from wxlogistics.sandbox.server import Server


def ask(url: str, path: str, **options: Any) -> requests.Response:
    """
    POST to a server on this machine, past any proxy of the environment.
    """
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url + path, timeout=10, **options)


class TestServe:
    """
    `Sandbox.serve()`.
    """

    def test_serve__client(self) -> None:
        """
        The client works against it as against WeChat.
        """
        sandbox = Sandbox()
        goods = GoodsInfo([GoodsDetail("测试名字", "www.qq.com")])
        with sandbox.serve() as server:
            with Client(sandbox.access_token, base_url=server.url) as client:
                token = client.trace_waybill(**{**EXAMPLE, "goods_info": goods})
                sandbox.move(WAYBILL_ID, WaybillStatus.SIGNED)
                trace = client.query_trace(token)

        assert WaybillStatus.SIGNED is trace.status
        assert "测试名字" == trace.goods[0].goods_name

    def test_serve__port_taken(self) -> None:
        """
        A port that is taken raises at once.
        """
        with Sandbox().serve() as server:
            port = int(server.url.rpartition(":")[2])

            with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken"):
                Sandbox().serve(port=port)

    def test_serve__no_such_address(self) -> None:
        """
        An address of another machine raises the system's error.
        """
        with pytest.raises(OSError):
            Sandbox().serve(host="203.0.113.7")

    def test_serve__again(self) -> None:
        """
        A port can be used again right after.
        """
        with Sandbox().serve() as server:
            port = int(server.url.rpartition(":")[2])
            ask(server.url, "/")
        with Sandbox().serve(port=port) as again:
            assert 40066 == ask(again.url, "/").json()["errcode"]

    @pytest.mark.parametrize(
        ("host", "url"), [("::1", "http://[::1]:"), ("localhost", "http://localhost:")]
    )
    def test_serve__loopback(self, host: str, url: str) -> None:
        """
        The loopback can be named in each way.
        """
        with Sandbox().serve(host=host) as server:
            assert server.url.startswith(url)
            assert 40066 == ask(server.url, "/").json()["errcode"]

    def test_close__twice(self) -> None:
        """
        Closing twice does no harm.
        """
        server = Sandbox().serve()

        server.close()
        server.close()

        with pytest.raises(requests.ConnectionError):
            ask(server.url, "/")

    def test_close__with_open_calls(self) -> None:
        """
        A call that is being delayed does not keep the server.
        """
        sandbox = Sandbox()
        sandbox.fail("query_trace", delay=60)
        server = sandbox.serve()
        failed = threading.Event()

        def call() -> None:
            try:
                ask(server.url, OPEN_MSG + "query_trace")
            except requests.ConnectionError:
                failed.set()

        caller = threading.Thread(target=call)
        caller.start()
        while not sandbox.calls:
            time.sleep(0.01)
        began = time.monotonic()
        server.close()
        caller.join(10)

        assert time.monotonic() - began < 5
        assert failed.is_set()

    def test_serve__one_world_for_all(self) -> None:
        """
        Several servers and the mock can share one sandbox.
        """
        sandbox = Sandbox()
        with sandbox.serve() as one, sandbox.serve() as two:
            ask(one.url, "/")
            ask(two.url, "/")

        assert 2 == len(sandbox.calls)

    @pytest.mark.parametrize("path", ["/cgi-bin/token", "/", "/console/tick"])
    def test_serve__body_too_large(self, path: str) -> None:
        """
        A body beyond the limit is refused, whether its length is sent or not.
        """
        sandbox = Sandbox(largest_body=1000)
        with sandbox.serve() as server:
            told = ask(server.url, path, data=b"x" * 1001)
            chunked = ask(server.url, path, data=iter([b"x" * 999, b"x" * 2]))
            allowed = ask(server.url, path, data=b"x" * 1000)

        assert (413, 413) == (told.status_code, chunked.status_code)
        assert 413 != allowed.status_code
        recorded = [call.status for call in sandbox.calls]
        assert ([] if "console" in path else [413, 413, 200]) == recorded

    def test_serve__large_state(self) -> None:
        """
        A state that is put back may be large, but not one of a foreign page.
        """
        sandbox = Sandbox(largest_body=1000)
        with sandbox.serve() as server, requests.Session() as session:
            session.trust_env = False
            url = server.url + "/_sandbox/state"
            state = session.get(url, timeout=10).content
            mine = session.put(url, data=state, timeout=10)
            foreign = session.put(
                url, data=state, headers={"Origin": "http://evil.example"}, timeout=10
            )

        assert len(state) > 1000
        assert (200, 413) == (mine.status_code, foreign.status_code)

    def test_serve__no_http(self) -> None:
        """
        Rubbish on the socket is answered with 400 and does no harm.
        """
        with Sandbox().serve() as server:
            port = int(server.url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(b"\x00\xff\r\n\r\n")
                reply = connection.recv(100)
            alive = ask(server.url, "/").status_code

        assert reply.startswith(b"HTTP/1.1 400")
        assert 200 == alive

    def test_serve__hung_up(self, caplog: pytest.LogCaptureFixture) -> None:
        """
        A caller that hangs up within a body leaves nothing in the output.
        """
        sandbox = Sandbox()
        with sandbox.serve() as server:
            port = int(server.url.rpartition(":")[2])
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    connection.sendall(
                        b"POST /cgi-bin/stable_token HTTP/1.1\r\nHost: localhost\r\n"
                        b"Content-Length: 1000\r\n\r\n{"
                    )
                    # Until it is being read.
                    time.sleep(0.1)
            time.sleep(0.1)
            alive = ask(server.url, "/").status_code

        assert 200 == alive
        # Without a handler, what is logged would come out on stderr.
        assert [] == caplog.records
        assert ["/"] == [call.endpoint for call in sandbox.calls]

    def test_serve__keeps_connections(self) -> None:
        """
        A connection serves many calls.
        """
        with Sandbox().serve() as server:
            port = int(server.url.rpartition(":")[2])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            for _ in range(3):
                connection.request("POST", "/cgi-bin/stable_token", b"{}")
                response = connection.getresponse()
                assert b'{"errcode":41002' == response.read()[:16]
                assert not response.will_close
            connection.close()

    def test_fork(self) -> None:
        """
        A forked child gets a free lock, does not keep the port, and may close.
        """
        code = """
import os, threading
from wxlogistics.sandbox import Sandbox
sandbox = Sandbox()
server = sandbox.serve()
port = int(server.url.rpartition(":")[2])
held, done = threading.Event(), threading.Event()
wait, go = os.pipe()
look, tell = os.pipe()
def hold():
    with sandbox.world.lock:
        held.set()
        done.wait(30)
threading.Thread(target=hold, daemon=True).start()
held.wait(30)
child = os.fork()
if child == 0:
    sandbox.add_waybill("W")
    server.close()
    os.write(tell, b".")
    os.read(wait, 1)
    os._exit(7)
done.set()
os.read(look, 1)
server.close()
Sandbox().serve(port=port).close()
print("again")
os.write(go, b".")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            timeout=30,
        )

        assert ["again", "7"] == done.stdout.split(), done.stderr


class TestMain:
    """
    The command line.
    """

    def run(
        self,
        argv: list[str],
        capsys: pytest.CaptureFixture[str],
        during: Callable[[dict[str, str]], None] = lambda told: None,
        signal_number: int = signal.SIGTERM,
    ) -> tuple[int, str]:
        """
        Run `main()` here, do something, stop it; the exit code and the errors told.
        """
        errors: list[str] = []
        problems: list[BaseException] = []

        def watch() -> None:
            output = ""
            try:
                while "console: " not in output:
                    time.sleep(0.01)
                    captured = capsys.readouterr()
                    output += captured.out
                    errors.append(captured.err)
                during(dict(line.split(": ", 1) for line in output.splitlines()))
            except BaseException as problem:
                problems.append(problem)
            finally:
                os.kill(os.getpid(), signal_number)

        before = {
            number: signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            code = main(argv)
        finally:
            watcher.join(10)
            for number, handler in before.items():
                signal.signal(number, handler)
        if problems:
            raise problems[0]
        return code, "".join(errors)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_main__stops(self, capsys: pytest.CaptureFixture[str], number: int) -> None:
        """
        It prints what a program needs, and stops cleanly on Ctrl-C and SIGTERM.
        """
        seen = {}

        def during(told: dict[str, str]) -> None:
            seen.update(told)
            reply = ask(
                told["url"],
                OPEN_MSG + "get_delivery_list",
                params={"access_token": told["access_token"]},
                json={},
            ).json()
            assert 0 == reply["errcode"]
            token = ask(
                told["url"],
                "/cgi-bin/stable_token",
                json={
                    "grant_type": "client_credential",
                    "appid": told["appid"],
                    "secret": told["secret"],
                },
            ).json()
            assert told["access_token"] == token["access_token"]

        code, errors = self.run(["--port", "0"], capsys, during, number)

        assert 0 == code
        assert "" == errors
        assert ["url", "appid", "secret", "access_token", "console"] == list(seen)
        assert seen["url"].startswith("http://127.0.0.1:")
        assert seen["url"] + "/ (open it in a browser)" == seen["console"]

    def test_main__options(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Seed, speed, settings and allowed hosts are options.
        """
        seen: dict[str, Any] = {}

        def during(told: dict[str, str]) -> None:
            seen["appid"] = told["appid"]
            with requests.Session() as session:
                session.trust_env = False
                about = session.get(
                    told["url"] + "/_sandbox/", headers={"Host": "box:1"}, timeout=5
                ).json()
            seen["speed"] = about["speed"]

        code, _ = self.run(
            [
                *("--host", "localhost", "--port", "0"),
                *("--seed", "1", "--speed", "60"),
                *("--set", "edit_limit=1", "--set", "default_delivery_id=SF"),
                *("--allow-host", "Box"),
            ],
            capsys,
            during,
        )

        assert 0 == code
        assert {"appid": Sandbox(seed=1).appid, "speed": 60.0} == seen

    def test_main__state(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """
        What happened is in the state file, and the next run goes on from there.
        """
        path = tmp_path / "state.json"
        seen: dict[str, Any] = {}

        def first(told: dict[str, str]) -> None:
            query = {"access_token": told["access_token"]}
            seen["first"] = ask(
                told["url"], OPEN_MSG + "trace_waybill", params=query, json=EXAMPLE
            ).json()

        def second(told: dict[str, str]) -> None:
            query = {"access_token": told["access_token"]}
            payload = {"waybill_token": seen["first"]["waybill_token"]}
            seen["second"] = ask(
                told["url"], OPEN_MSG + "query_trace", params=query, json=payload
            ).json()

        argv = ["--port", "0", "--state", str(path)]
        codes = [
            self.run(argv, capsys, first)[0],
            self.run([*argv, "--speed", "3600"], capsys, second)[0],
        ]

        assert [0, 0] == codes
        assert 0 == seen["second"]["errcode"]
        assert 3600 == json.loads(path.read_text())["clock"]["speed"]

    def test_main__state_speed_kept(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """
        Without --speed the state file's speed goes on.
        """
        path = tmp_path / "state.json"
        Sandbox(clock=Clock(NOON, speed=0)).save(path)

        self.run(["--port", "0", "--state", str(path)], capsys)

        assert {"now": NOON, "speed": 0} == json.loads(path.read_text())["clock"]

    def test_main__state_kept_written(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        The state file is written now and then, not only at the end.
        """
        monkeypatch.setattr("wxlogistics.sandbox.command._SAVE_EVERY", 0.01)
        monkeypatch.setattr("wxlogistics.sandbox.command._LOOK_EVERY", 0.01)
        path = tmp_path / "state.json"

        def during(told: dict[str, str]) -> None:
            path.unlink()
            for _ in range(500):
                if path.exists():
                    return
                time.sleep(0.01)
            raise AssertionError("never written")

        self.run(["--port", "0", "--state", str(path)], capsys, during)

    def test_main__state_lost_meanwhile(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A state file that can be written no more is reported, and stops nothing; at the
        end the exit code is 1.
        """
        monkeypatch.setattr("wxlogistics.sandbox.command._SAVE_EVERY", 0.3)
        monkeypatch.setattr("wxlogistics.sandbox.command._LOOK_EVERY", 0.1)
        folder = tmp_path / "gone"
        folder.mkdir()
        path = folder / "state.json"
        seen: list[int] = []

        def during(told: dict[str, str]) -> None:
            path.unlink()
            folder.rmdir()
            time.sleep(0.8)
            seen.append(ask(told["url"], "/").status_code)

        code, errors = self.run(["--port", "0", "--state", str(path)], capsys, during)

        lines = (errors + capsys.readouterr().err).splitlines()
        assert 1 == code
        assert [200] == seen
        assert len(lines) > 1
        assert {
            f"wxlogistics sandbox: {path} cannot be written: No such file or directory"
        } == set(lines)

    def test_main__state_and_settings(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """
        With a state file that exists, a notice names what is ignored.
        """
        path = tmp_path / "state.json"
        argv = ["--port", "0", "--state", str(path), "--set", "edit_limit=2"]

        _, first = self.run([*argv, "--seed", "1"], capsys)
        _, both = self.run([*argv, "--seed", "2"], capsys)
        _, settings = self.run(argv, capsys)

        assert "" == first
        assert (
            f"wxlogistics sandbox: --seed and --set ignored: {path} exists already, "
            "and goes on as it was\n"
        ) == both
        assert settings.startswith("wxlogistics sandbox: --set ignored: ")
        assert Sandbox(seed=1).appid == Sandbox.load(path).appid

    @pytest.mark.parametrize("given", [False, True])
    def test_main__tls(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, given: bool
    ) -> None:
        """
        It serves HTTPS, with a certificate of its own making or a given one.
        """
        ca_file = str(tmp_path / "ca.pem")
        options = ["--tls", "--ca-file", ca_file]
        if given:
            certfile, keyfile = certified(tmp_path)
            options = ["--certfile", certfile, "--keyfile", keyfile]
        seen: dict[str, str] = {}

        def during(told: dict[str, str]) -> None:
            seen.update(told)
            with requests.Session() as session:
                session.trust_env = False
                session.get(told["url"], verify=ca_file, timeout=10)

        code, _ = self.run(["--port", "0", *options], capsys, during)

        assert 0 == code
        assert seen["url"].startswith("https://127.0.0.1:")
        assert ("ca_file" in seen) is not given

    def test_main__secret_of_digits(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What is a text stays one, though it may look like a number.
        """
        seen: dict[str, str] = {}

        self.run(
            ["--port", "0", "--set", "secret=12345678901234567890123456789012"]
            + ["--set", 'appid="wx1"'],
            capsys,
            seen.update,
        )

        assert ("wx1", "12345678901234567890123456789012") == (
            seen["appid"],
            seen["secret"],
        )

    def test_main__port_taken(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A port that is taken ends it at once, with a reason.
        """
        with Sandbox().serve() as server:
            port = server.url.rpartition(":")[2]
            code = main(["--port", port])

        assert 2 == code
        assert (
            f"wxlogistics sandbox: port {port} of 127.0.0.1 is taken: choose another, "
            "or 0 for any free one\n"
        ) == capsys.readouterr().err

    @pytest.mark.parametrize(
        ("argv", "problem"),
        [
            (["--set", "no_such=1"], "--set: no setting 'no_such'; there are"),
            (
                ["--set", "refused_image=["],
                "--set: refused_image is not a reg",
            ),
            (["--set", "keep_calls=" + "9" * 23], "--set: keep_calls is from"),
            (["--set", "token_lifetime=-1"], "--set: token_lifetime is from"),
            (["--set", "edit_limit=-5"], "--set: edit_limit is from 0"),
            (["--set", "opened=1"], "--set: opened is of type bool, not 1"),
            (["--speed", "-1"], "argument --speed: give a number from 0"),
            (["--speed", "nan"], "argument --speed: give a number from 0"),
            (["--speed", "inf"], "argument --speed: give a number from 0"),
            (["--speed", "fast"], "argument --speed: give a number from 0"),
            (["--port", "99999"], "argument --port: give a number from 0 to 65535"),
            (["--port", "-1"], "argument --port: give a number from 0 to 65535"),
            (["--port", "http"], "argument --port: give a number from 0 to 65535"),
            (["--ports"], "unrecognized arguments: --ports"),
            (["--keyfile", "k.pem"], "--keyfile: it goes with --certfile"),
            (["--ca-file", "c.pem"], "--ca-file: it goes with --tls"),
        ],
    )
    def test_main__nonsense(
        self, capsys: pytest.CaptureFixture[str], argv: list[str], problem: str
    ) -> None:
        """
        An option that makes no sense ends it, with its name and one line.
        """
        try:
            code: object = main(["--port", "0", *argv])
        except SystemExit as ended:
            code = ended.code

        error = capsys.readouterr().err
        assert 2 == code
        assert error.startswith(f"wxlogistics sandbox: {problem}")
        assert 1 == error.count("\n")

    def test_main__no_such_host(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A host that is none ends it, with a reason.
        """
        code = main(["--port", "0", "--host", "no.such.host.invalid"])

        error = capsys.readouterr().err
        assert 2 == code
        assert error.startswith("wxlogistics sandbox: ")

    def test_main__no_state(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """
        A state file that is none is not overwritten.
        """
        path = tmp_path / "state.json"
        path.write_text("[]")

        code = main(["--port", "0", "--state", str(path)])

        assert 2 == code
        assert "this is not the state of a sandbox" in capsys.readouterr().err
        assert "[]" == path.read_text()

    def test_main__state_not_writable(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """
        A state file that cannot be written ends it at once.
        """
        code = main(["--port", "0", "--state", str(tmp_path / "no" / "state.json")])

        assert 2 == code
        assert "No such file or directory" in capsys.readouterr().err

    @pytest.mark.parametrize("host", ["0.0.0.0", "name.example"])
    def test_main__open_to_others(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        host: str,
    ) -> None:
        """
        Beyond the loopback it warns.
        """
        # The tests listen on the loopback alone.
        create_server = socket.create_server
        monkeypatch.setattr(
            socket,
            "create_server",
            lambda address, **options: create_server(
                ("127.0.0.1", address[1]), **options
            ),
        )
        seen: dict[str, str] = {}

        code, errors = self.run(["--port", "0", "--host", host], capsys, seen.update)

        assert 0 == code
        assert errors.startswith(
            f"wxlogistics sandbox: Listening on {host}: every machine that reaches"
        )
        expected = "127.0.0.1" if host == "0.0.0.0" else host
        assert seen["url"].startswith(f"http://{expected}:")

    def test_main__as_a_module_here(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Its exit code is that of `main()`.
        """
        monkeypatch.setattr(sys, "argv", ["sandbox", "--set", "no_such=1"])

        with pytest.raises(SystemExit) as caught:
            runpy.run_path(
                wxlogistics.sandbox.__path__[0] + "/__main__.py", run_name="__main__"
            )

        assert 2 == caught.value.code
        assert "no_such" in capsys.readouterr().err

    def test_main__library_missing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Without its libraries it names in one line what to install.
        """
        monkeypatch.setitem(sys.modules, "h11", None)
        monkeypatch.delitem(sys.modules, "wxlogistics.sandbox.server", False)
        monkeypatch.setattr(sys, "argv", ["sandbox"])

        with pytest.raises(SystemExit) as caught:
            runpy.run_path(
                wxlogistics.sandbox.__path__[0] + "/__main__.py", run_name="__main__"
            )

        assert 2 == caught.value.code
        assert (
            "wxlogistics sandbox: the sandbox's server needs h11, jinja2 and "
            "jsonschema: pip install 'wxlogistics[sandbox]'\n"
        ) == capsys.readouterr().err

    def test_main__as_a_module(self) -> None:
        """
        ``python -m wxlogistics.sandbox`` is the same; SIGTERM gives exit code 0.
        """
        with served_process() as (child, said):
            lines = [said.readline() for _ in range(5)]
            child.send_signal(signal.SIGTERM)
            code = child.wait(10)

        assert 0 == code
        assert ["url", "appid", "secret", "access_token", "console"] == [
            line.partition(": ")[0] for line in lines
        ]

    def test_main__many_signals(self) -> None:
        """
        A signal that comes while another is dealt with does not hang it.
        """
        with served_process() as (child, said):
            for _ in range(4):
                said.readline()
            for _ in range(100):
                child.send_signal(signal.SIGTERM)
            code = child.wait(10)

        # One that finds Python gone beyond its handlers ends it the hard way.
        assert code in (0, -signal.SIGTERM)


def test_server__is_what_serve_gives() -> None:
    """
    `Sandbox.serve()` and `Server` are the same thing.
    """
    with Sandbox().serve() as server:
        assert isinstance(server, Server)
