"""Door 2: the HTTP server and its command line."""

import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
from typing import Any, Callable, Iterator

import pytest
import requests
from sandboxtools import (
    EXAMPLE,
    NOON,
    OPEN_MSG,
    QUERY_TRACE,
    WAYBILL_ID,
    ask,
    direct,
    port_of,
    run_python,
    served_process,
)
from test_sandbox_http import certified

import wxlogistics.sandbox
from wxlogistics import Client, GoodsDetail, GoodsInfo, WaybillStatus
from wxlogistics.sandbox import Clock, Sandbox
from wxlogistics.sandbox.command import main
from wxlogistics.sandbox.server import Server

SAYS = ["url", "console", "appid", "secret", "access_token"]


class TestServe:
    def test_serve__client(self):
        """The client works against it as against WeChat."""
        sandbox = Sandbox()
        goods = GoodsInfo([GoodsDetail("测试名字", "www.qq.com")])
        with sandbox.serve() as server:
            assert isinstance(server, Server)
            with Client(sandbox.access_token, base_url=server.url) as client:
                token = client.trace_waybill(**{**EXAMPLE, "goods_info": goods})
                sandbox.move(WAYBILL_ID, WaybillStatus.SIGNED)
                trace = client.query_trace(token)

        assert WaybillStatus.SIGNED is trace.status
        assert "测试名字" == trace.goods[0].goods_name

    def test_serve__no_address(self):
        """A port that is taken raises at once, and an address of another machine."""
        with Sandbox().serve() as server:
            port = port_of(server.url)
            with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken"):
                Sandbox().serve(port=port)
        with pytest.raises(OSError):
            Sandbox().serve(host="203.0.113.7")

    def test_serve__again(self):
        """Closing twice does no harm; then the port can be used again."""
        with Sandbox().serve() as server:
            assert 40066 == ask(server.url, "/").json()["errcode"]
            server.close()
        with pytest.raises(requests.ConnectionError):
            ask(server.url, "/")
        with Sandbox().serve(port=port_of(server.url)) as again:
            assert 40066 == ask(again.url, "/").json()["errcode"]

    @pytest.mark.parametrize(
        ("host", "url"), [("::1", "http://[::1]:"), ("localhost", "http://localhost:")]
    )
    def test_serve__loopback(self, host, url):
        """The loopback can be named in each way."""
        with Sandbox().serve(host=host) as server:
            assert server.url.startswith(url)
            assert 40066 == ask(server.url, "/").json()["errcode"]

    def test_close__with_open_calls(self):
        """A call that is being delayed does not keep the server."""
        sandbox = Sandbox()
        sandbox.fail("query_trace", delay=300)
        server = sandbox.serve()
        failed = threading.Event()

        def call() -> None:
            with direct() as session, pytest.raises(requests.ConnectionError):
                session.post(server.url + QUERY_TRACE, timeout=300)
            failed.set()

        caller = threading.Thread(target=call)
        caller.start()
        while not sandbox.calls:
            time.sleep(0.01)
        server.close()

        # Sooner than the delay.
        assert failed.wait(60)
        caller.join()

    @pytest.mark.parametrize("path", ["/cgi-bin/token", "/", "/console/tick"])
    def test_serve__body_too_large(self, path):
        """A body beyond the limit is refused, whether its length is sent or not."""
        sandbox = Sandbox(largest_body=1000)
        with sandbox.serve() as server:
            told = ask(server.url, path, data=b"x" * 1001)
            chunked = ask(server.url, path, data=iter([b"x" * 999, b"x" * 2]))
            allowed = ask(server.url, path, data=b"x" * 1000)

        assert (413, 413) == (told.status_code, chunked.status_code)
        assert 413 != allowed.status_code
        recorded = [call.status for call in sandbox.calls]
        assert ([] if "console" in path else [413, 413, 200]) == recorded

    def test_serve__large_state(self):
        """A state that is put back may be large, but not one of a foreign page."""
        sandbox = Sandbox(largest_body=1000)
        with sandbox.serve() as server, direct() as session:
            url = server.url + "/_sandbox/state"
            state = session.get(url, timeout=60).content
            mine = session.put(url, data=state, timeout=60)
            headers = {"Origin": "http://evil.example"}
            foreign = session.put(url, data=state, headers=headers, timeout=60)

        assert len(state) > 1000
        assert (200, 413) == (mine.status_code, foreign.status_code)

    def test_serve__hung_up(self, caplog):
        """A caller that hangs up within a body leaves nothing in the output."""
        sandbox = Sandbox()
        with sandbox.serve() as server:
            address = "127.0.0.1", port_of(server.url)
            for _ in range(3):
                with socket.create_connection(address, 5) as connection:
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

    def test_fork(self):
        """A forked child gets a free lock, and may close."""
        code = """
import os, threading
from wxlogistics.sandbox import Sandbox
sandbox = Sandbox()
server = sandbox.serve()
held, done = threading.Event(), threading.Event()
def hold():
    with sandbox.world.lock:
        held.set()
        done.wait(60)
threading.Thread(target=hold, daemon=True).start()
held.wait(60)
child = os.fork()
if child == 0:
    sandbox.add_waybill("W")
    server.close()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
server.close()
"""
        done = run_python("-W", "ignore", "-c", code)

        assert "7\n" == done.stdout, done.stderr


Run = Callable[..., "tuple[int, str, dict[str, str]]"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """
    Runs `main()` here on any port, does something, and stops it.

    Returns the exit code, the errors told, and what else was said, by name.
    """

    def run(
        *argv: str,
        during: Callable[[dict[str, str]], None] = lambda said: None,
        number: int = signal.SIGTERM,
    ) -> tuple[int, str, dict[str, str]]:
        errors: list[str] = []
        problems: list[BaseException] = []
        said: dict[str, str] = {}

        def watch() -> None:
            output = ""
            try:
                while "access_token: " not in output:
                    time.sleep(0.01)
                    captured = capsys.readouterr()
                    output += captured.out
                    errors.append(captured.err)
                said.update(line.split(": ", 1) for line in output.splitlines())
                during(said)
            except BaseException as problem:
                problems.append(problem)
            finally:
                os.kill(os.getpid(), number)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            code = main(["--port", "0", *argv])
        finally:
            watcher.join(60)
        if problems:
            raise problems[0]
        return code, "".join(errors) + capsys.readouterr().err, said

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


class TestMain:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_main__stops(self, run, number):
        """It prints what a program needs, and stops cleanly on Ctrl-C and SIGTERM."""

        def during(said: dict[str, str]) -> None:
            query = {"access_token": said["access_token"]}
            path = OPEN_MSG + "get_delivery_list"
            reply = ask(said["url"], path, params=query, json={}).json()
            assert 0 == reply["errcode"]
            account = {"appid": said["appid"], "secret": said["secret"]}
            account["grant_type"] = "client_credential"
            token = ask(said["url"], "/cgi-bin/stable_token", json=account).json()
            assert said["access_token"] == token["access_token"]

        code, errors, said = run(during=during, number=number)

        assert (0, "") == (code, errors)
        assert SAYS == list(said)
        assert said["url"].startswith("http://127.0.0.1:")
        assert said["url"] + "/ (open it in a browser)" == said["console"]

    def test_main__options(self, run):
        """Seed, speed, settings and allowed hosts are options."""
        speeds: list[float] = []

        def during(said: dict[str, str]) -> None:
            with direct() as session:
                about = said["url"] + "/_sandbox/"
                reply = session.get(about, headers={"Host": "box:1"}, timeout=60)
            speeds.append(reply.json()["speed"])

        code, _, said = run(
            *("--host", "localhost", "--seed", "1", "--speed", "60"),
            *("--set", "edit_limit=1", "--set", f"secret={'1' * 32}"),
            *("--allow-host", "Box"),
            during=during,
        )

        assert (0, [60.0]) == (code, speeds)
        # What is a text stays one, though it may look like a number.
        assert (Sandbox(seed=1).appid, "1" * 32) == (said["appid"], said["secret"])

    def test_main__state(self, run, tmp_path):
        """What happened is in the state file, and the next run goes on from there."""
        path = tmp_path / "state.json"
        replies: list[dict[str, Any]] = []

        def call(said: dict[str, str]) -> None:
            query = {"access_token": said["access_token"]}
            path, payload = OPEN_MSG + "trace_waybill", EXAMPLE
            if replies:
                path, payload = QUERY_TRACE, {
                    "waybill_token": replies[0]["waybill_token"]
                }
            replies.append(ask(said["url"], path, params=query, json=payload).json())

        first, *_ = run("--state", str(path), during=call)
        second, *_ = run("--state", str(path), "--speed", "3600", during=call)

        assert (0, 0) == (first, second)
        assert 0 == replies[1]["errcode"]
        assert 3600 == json.loads(path.read_text())["clock"]["speed"]

    def test_main__state_speed_kept(self, run, tmp_path):
        """Without --speed the state file's speed goes on."""
        path = tmp_path / "state.json"
        Sandbox(clock=Clock(NOON, speed=0)).save(path)

        run("--state", str(path))

        assert {"now": NOON, "speed": 0} == json.loads(path.read_text())["clock"]

    @pytest.fixture
    def hasty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The state file is written each tenth of a second."""
        monkeypatch.setattr("wxlogistics.sandbox.command._SAVE_EVERY", 0.1)
        monkeypatch.setattr("wxlogistics.sandbox.command._LOOK_EVERY", 0.05)

    def test_main__state_kept_written(self, run, tmp_path, hasty):
        """The state file is written now and then, not only at the end."""
        path = tmp_path / "state.json"

        def during(said: dict[str, str]) -> None:
            path.unlink()
            end = time.monotonic() + 60
            while not path.exists():
                assert time.monotonic() < end, "never written"
                time.sleep(0.01)

        run("--state", str(path), during=during)

    def test_main__state_lost_meanwhile(self, run, tmp_path, hasty):
        """
        A state file that can be written no more is reported, and stops nothing; at the
        end the exit code is 1.
        """
        folder = tmp_path / "gone"
        folder.mkdir()
        path = folder / "state.json"
        seen: list[int] = []

        def during(said: dict[str, str]) -> None:
            path.unlink()
            folder.rmdir()
            time.sleep(0.8)
            seen.append(ask(said["url"], "/").status_code)

        code, errors, _ = run("--state", str(path), during=during)

        assert (1, [200]) == (code, seen)
        assert len(errors.splitlines()) > 1
        assert {
            f"wxlogistics sandbox: {path} cannot be written: No such file or directory"
        } == set(errors.splitlines())

    def test_main__state_and_settings(self, run, tmp_path):
        """With a state file that exists, a notice names what is ignored."""
        path = tmp_path / "state.json"
        argv = ["--state", str(path), "--set", "edit_limit=2"]

        _, first, _ = run(*argv, "--seed", "1")
        _, both, _ = run(*argv, "--seed", "2")
        _, settings, _ = run(*argv)

        assert "" == first
        assert (
            f"wxlogistics sandbox: --seed and --set ignored: {path} exists already, "
            "and goes on as it was\n"
        ) == both
        assert settings.startswith("wxlogistics sandbox: --set ignored: ")
        assert Sandbox(seed=1).appid == Sandbox.load(path).appid

    @pytest.mark.parametrize("given", [False, True])
    def test_main__tls(self, run, tmp_path, given):
        """It serves HTTPS, with a certificate of its own making or a given one."""
        ca_file = str(tmp_path / "ca.pem")
        options = ["--tls", "--ca-file", ca_file]
        if given:
            certfile, keyfile = certified(tmp_path)
            options = ["--certfile", certfile, "--keyfile", keyfile]
        statuses: list[int] = []

        def during(said: dict[str, str]) -> None:
            with direct() as session:
                # A caller that still sends reads why it is refused.
                for body in (b"{}", b"x" * 11):
                    url = said["url"] + "/cgi-bin/stable_token"
                    reply = session.post(url, data=body, verify=ca_file, timeout=60)
                    statuses.append(reply.status_code)

        code, _, said = run("--set", "largest_body=10", *options, during=during)

        assert (0, [200, 413]) == (code, statuses)
        assert said["url"].startswith("https://127.0.0.1:")
        assert ("ca_file" in said) is not given

    @pytest.mark.parametrize(
        ("argv", "problem"),
        [
            (["--set", "no_such=1"], "--set: no setting 'no_such'; there are"),
            (["--set", "refused_image=["], "--set: refused_image is not a re"),
            (["--set", "keep_calls=" + "9" * 23], "--set: keep_calls is from"),
            (["--set", "token_lifetime=-1"], "--set: token_lifetime is from"),
            (["--set", "edit_limit=-5"], "--set: edit_limit is from 0"),
            (["--set", "opened=1"], "--set: opened is of type bool, not 1"),
            (
                ["--set", "ip_whitelist=10.0.0.1"],
                "--set: ip_whitelist is a list of texts, not '10.0.0.1'",
            ),
            (["--speed", "-1"], "argument --speed: give a number from 0"),
            (["--speed", "nan"], "argument --speed: give a number from 0"),
            (["--speed", "fast"], "argument --speed: give a number from 0"),
            (["--port", "99999"], "argument --port: give a number from 0 to 65535"),
            (["--port", "-1"], "argument --port: give a number from 0 to 65535"),
            (["--ports"], "unrecognized arguments: --ports"),
            (["--keyfile", "k.pem"], "--keyfile: it goes with --certfile"),
            (["--ca-file", "c.pem"], "--ca-file: it goes with --tls"),
            (["--host", "no.such.host.invalid"], ""),
            (["--state", "setup.cfg"], "setup.cfg: not JSON: Expecting value"),
            (["--state", "/no/such/folder/s.json"], "/no/such/folder/s.json"),
            (["--tls", "--allow-host", "*"], "--allow-host: Codepoint U+002A"),
            (["--tls", "--allow-host", ""], "--allow-host: Empty"),
            (["--tls", "--ca-file", "/no/ca.pem"], "/no/ca.pem: No such file or dir"),
            (["--certfile", "/no.pem"], "/no.pem: No such file or directory"),
            (["--certfile", __file__, "--keyfile", __file__], __file__),
        ],
    )
    def test_main__nonsense(self, capsys, argv, problem):
        """An option that makes no sense ends it, with its name and one line."""
        try:
            code: object = main(["--port", "0", *argv])
        except SystemExit as ended:
            code = ended.code

        error = capsys.readouterr().err
        assert 2 == code
        assert error.startswith(f"wxlogistics sandbox: {problem}")
        assert 1 == error.count("\n")

    @pytest.mark.parametrize(
        ("host", "named"), [("0.0.0.0", "127.0.0.1"), ("name.example", "name.example")]
    )
    def test_main__open_to_others(self, run, monkeypatch, host, named):
        """Beyond the loopback it warns."""
        # The tests listen on the loopback alone.
        create = socket.create_server
        monkeypatch.setattr(
            socket,
            "create_server",
            lambda address, **options: create(("127.0.0.1", address[1]), **options),
        )

        code, errors, said = run("--host", host)

        assert 0 == code
        assert errors.startswith(
            f"wxlogistics sandbox: Listening on {host}: every machine that reaches"
        )
        assert said["url"].startswith(f"http://{named}:")

    def test_main__library_missing(self, monkeypatch, capsys):
        """Without its libraries it names what to install; the exit code is 2."""
        monkeypatch.setitem(sys.modules, "h11", None)
        monkeypatch.delitem(sys.modules, "wxlogistics.sandbox.server", False)
        monkeypatch.setattr(sys, "argv", ["sandbox"])
        path = wxlogistics.sandbox.__path__[0] + "/__main__.py"

        with pytest.raises(SystemExit) as caught:
            runpy.run_path(path, run_name="__main__")

        assert 2 == caught.value.code
        assert (
            "wxlogistics sandbox: the sandbox's server needs h11, jinja2 and "
            "jsonschema: pip install 'wxlogistics[sandbox]'\n"
        ) == capsys.readouterr().err

    def test_main__many_signals(self):
        """A signal that comes while another is dealt with does not hang it."""
        with served_process() as (child, said):
            for _ in range(100):
                child.send_signal(signal.SIGTERM)
            code = child.wait(60)

        assert SAYS == list(said)
        # One that finds Python gone beyond its handlers ends it the hard way.
        assert code in (0, -signal.SIGTERM)
