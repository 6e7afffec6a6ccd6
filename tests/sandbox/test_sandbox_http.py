"""The server byte by byte, and over HTTPS."""

import asyncio
import contextlib
import errno
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import urlsplit

import pytest
import requests
import trustme
from sandboxtools import OPEN_MSG, direct, need, port_of, served_process

from wxlogistics.sandbox import Sandbox
from wxlogistics.sandbox.command import main
from wxlogistics.sandbox.server import Server
from wxlogistics.sandbox.tls import own_context

LIST = OPEN_MSG + "get_delivery_list"

END = b" HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b" HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n"
LENGTH = b"POST /x HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"


def connected(server: Server) -> socket.socket:
    """Return a connection to a server."""
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), 10)


def answered(server: Server, sent: bytes) -> bytes:
    """Send bytes and no more; return all that comes back."""
    with connected(server) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def once_there_is_room(call: Callable[[], Any]) -> Any:
    """Return what a call gets as soon as another connection has gone."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if reply := call():
                return reply
        time.sleep(0.01)
    pytest.fail("there is no room")


@pytest.fixture
def server(sandbox: Sandbox) -> Iterator[Server]:
    with sandbox.serve() as server:
        yield server


class TestBytes:
    """Requests that an HTTP library does not send, or only one."""

    def test_java(self, server):
        """Java's HttpClient asks for HTTP/2 with its first request."""
        token = server.sandbox.access_token()
        head = (
            f"POST {LIST}?access_token={token} HTTP/1.1\r\n"
            "Connection: Upgrade, HTTP2-Settings\r\n"
            "Content-Length: 2\r\n"
            "Host: 127.0.0.1\r\n"
            "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
            "Upgrade: h2c\r\n"
            "User-Agent: Java-http-client/17.0.9\r\n"
            "Content-Type: application/json\r\n\r\n"
        ).encode()

        with connected(server) as connection:
            connection.sendall(head)
            time.sleep(0.05)
            connection.sendall(b"{}")
            first = connection.recv(65536)
            # The connection can be used again.
            connection.sendall(b"GET /cgi-bin/token HTTP/1.1\r\nHost: x\r\n\r\n")
            second = connection.recv(65536)

        assert first.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'{"errcode":0,"delivery_list":' in first
        assert b'{"errcode":41002' in second

    @pytest.mark.parametrize(
        ("sent", "status", "seen"),
        [
            (
                b"POST /cgi-bin/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                412,
                ("token", None),
            ),
            (b"get /cgi-bin/token" + END, 200, ("token", 43002)),
            (b"GET /cgi-bin/token" + LONG % (b"x" * 32000), 200, ("token", 41002)),
            (b"GET /cgi-bin/token" + LONG % (b"x" * 70000), 431, ("token", None)),
            (b"GET /cgi-bin/token" + LONG % (b"x" * 200000), 431, ("token", None)),
            (b"GET /" + b"x" * 20000 + END, 200, ("/" + "x" * 1023, 40066)),
            (b"GET /" + b"x" * 70000 + END, 431, ("/" + "x" * 1023, None)),
            (b"CONNECT api.weixin.qq.com:443" + END, 405, ("443", None)),
            (b"GET /cgi-bin/token HTTP/1.1\r\n\r\n", 400, ("token", None)),
            (b"GET /cgi-bin/token HTTP/1.0\r\n\r\n", 200, ("token", 41002)),
            (LENGTH % b"Content-Length: x", 400, ("/x", None)),
            (LENGTH % b"Transfer-Encoding: gzip", 501, ("/x", None)),
            (LENGTH % b"Transfer-Encoding: chunked" + b"z\r\n", 400, ("/x", None)),
            (b"\x16\x03\x01\x02\x00\r\n\r\n", 400, ("", None)),
            (b"\x00\xff\r\n\r\n", 400, ("", None)),
            (b"GET http://x/cgi-bin/token?a=1" + END, 200, ("token", 41002)),
            (b"GET http://[" + END, 200, ("http://[", 40066)),
        ],
    )
    def test_request__unusual(self, server, sent, status, seen):
        """Whatever is refused on the way is in the list of calls as well."""
        reply = answered(server, sent)

        assert f"HTTP/1.1 {status} ".encode() == reply[:13]
        [call] = server.sandbox.calls
        assert (status, seen) == (call.status, (call.endpoint, call.errcode))

    def test_request__unreadable_console(self, server):
        """For a page of the console that is all: it is not a call."""
        reply = answered(server, b"POST /console/tick HTTP/1.1\r\n\r\n")

        assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert [] == server.sandbox.calls

    def test_request__bug(self, server, monkeypatch, caplog):
        """An unforeseen exception is logged and answered; the connection goes on."""
        monkeypatch.setattr("wxlogistics.sandbox.wire.answer", lambda *a, **k: 1 / 0)

        reply = answered(server, (b"GET /x" + END) * 2)

        assert 2 == reply.count(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert ["GET /x"] * 2 == [record.getMessage() for record in caplog.records]
        assert "ZeroDivisionError" in caplog.text

    def test_request__expects(self, server):
        """A caller that waits for a 100 gets one."""
        with connected(server) as connection:
            connection.sendall(
                b"POST /cgi-bin/stable_token HTTP/1.1\r\nHost: x\r\n"
                b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            )
            go_on = connection.recv(100)
            connection.sendall(b"{}")
            reply = connection.recv(65536)

        assert go_on.startswith(b"HTTP/1.1 100 ")
        assert b'{"errcode":41002' in reply

    @pytest.mark.parametrize("status", [204, 304])
    def test_fault__without_a_body(self, server, status):
        """Some statuses have no body; the connection goes on."""
        server.sandbox.fail("token", status=status)
        ask = b"GET /cgi-bin/token" + END

        reply = answered(server, ask + ask)

        assert f"HTTP/1.1 {status} ".encode() == reply[:13]
        assert b'{"errcode":41002' in reply

    @pytest.mark.parametrize(
        "sent", [b"", b"POST /x HT", LENGTH % b"Content-Length: 9" + b"{"]
    )
    def test_request__unfinished(self, server, monkeypatch, caplog, sent):
        """What does not arrive in time is hung up on."""
        monkeypatch.setattr("wxlogistics.sandbox.server._LONGEST_WAIT", 0.05)

        with connected(server) as connection:
            connection.sendall(sent)
            rest = connection.recv(100)

        assert b"" == rest
        assert [] == caplog.records
        assert [] == server.sandbox.calls

    def test_connections__too_many(self, server, monkeypatch):
        """More connections than files allow are closed at once; then it goes on."""
        monkeypatch.setattr("wxlogistics.sandbox.server._MOST_CONNECTIONS", 3)

        with contextlib.ExitStack() as stack:
            kept = [stack.enter_context(connected(server)) for _ in range(3)]
            for connection in kept:
                connection.sendall(b"GET /x" + END)
                assert connection.recv(65536)
            one_more = stack.enter_context(connected(server))
            with pytest.raises(OSError):
                one_more.sendall(b"GET /x" + END)
                if not one_more.recv(100):
                    raise ConnectionResetError

        assert b"40066" in once_there_is_room(lambda: answered(server, b"GET /x" + END))

    def test_connections__no_handshake(self, sandbox, monkeypatch, caplog, tmp_path):
        """One that has not finished its TLS handshake is counted."""
        monkeypatch.setattr("wxlogistics.sandbox.server._MOST_CONNECTIONS", 1)
        tls = own_context(str(tmp_path / "ca.pem"))

        with Server(sandbox, "127.0.0.1", 0, tls=tls) as server:
            with connected(server) as silent, connected(server) as one_more:
                assert b"" == one_more.recv(100)
                silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
                with contextlib.suppress(ConnectionResetError):
                    assert b"" == silent.recv(100)
            options = {"verify": str(tmp_path / "ca.pem"), "timeout": 60}
            page = once_there_is_room(lambda: requests.get(server.url, **options))

        assert 200 == page.status_code
        assert [] == caplog.records

    def test_connections__no_file(self, sandbox, monkeypatch, caplog):
        """When the process has no file left for a connection, it is tried again."""
        accept = asyncio.SelectorEventLoop.sock_accept
        problems = [OSError(errno.EMFILE, "Too many open files")]

        async def sock_accept(*args: Any) -> Any:
            if problems:
                raise problems.pop()
            return await accept(*args)

        monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_accept", sock_accept)
        with sandbox.serve() as server:
            assert b"40066" in answered(server, b"GET /x" + END)

        assert [] == caplog.records

    def test_connections__gone_in_a_delay(self, server, monkeypatch):
        """A caller that hangs up during a delay keeps no connection."""
        monkeypatch.setattr("wxlogistics.sandbox.server._MOST_CONNECTIONS", 1)
        server.sandbox.fail("token", delay=300)

        assert b"" == answered(server, b"GET /cgi-bin/token" + END)
        assert b"40066" in once_there_is_room(lambda: answered(server, b"GET /x" + END))


class TestTLS:
    """``--tls`` and ``--certfile``: WeChat's own name, which leads to this machine."""

    @pytest.fixture
    def served(self, tmp_path: Path) -> Iterator[tuple[dict[str, str], str]]:
        """The output of a sandbox with --tls, and its authority's certificate."""
        ca_file = str(tmp_path / "ca.pem")
        with served_process("--tls", "--ca-file", ca_file) as (_, said):
            assert ca_file == said["ca_file"]
            assert said["url"].startswith("https://127.0.0.1:")
            yield said, ca_file

    def test_curl(self, served):
        """curl trusts it with --cacert."""
        need(shutil.which("curl"), "there is no curl; on Debian: curl")
        said, ca_file = served
        port = port_of(said["url"])

        done = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "--cacert", ca_file]
            + ["--resolve", f"api.weixin.qq.com:{port}:127.0.0.1"]
            + ["-H", "Content-Type: application/json", "-d", "{}"]
            + [url_of(said, "api.weixin.qq.com")],
            capture_output=True,
            timeout=60,
        )

        assert done.stdout.startswith(b'{"errcode":0,"delivery_list":'), done.stderr

    def test_node(self, served):
        """Node trusts it with NODE_EXTRA_CA_CERTS."""
        need(shutil.which("node"), "there is no node; on Debian: nodejs")
        said, ca_file = served
        code = """
        const lookup = (name, options, done) => done(null, options.all
          ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4);
        const options = { lookup, method: 'POST',
          headers: { 'Content-Type': 'application/json' } };
        require('https').request(process.argv[1], options,
          reply => reply.pipe(process.stdout)).end('{}');
        """

        done = subprocess.run(
            ["node", "-e", code, url_of(said, "sh.api.weixin.qq.com")],
            env={"NODE_EXTRA_CA_CERTS": ca_file, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            timeout=60,
        )

        assert done.stdout.startswith(b'{"errcode":0,"delivery_list":'), done.stderr

    def test_requests(self, served, monkeypatch):
        """requests trusts it with verify=, and without does not."""
        said, ca_file = served
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *args: real("127.0.0.1", *args)
        )
        url = url_of(said, "api.weixin.qq.com")
        with direct() as session:
            with pytest.raises(requests.exceptions.SSLError):
                session.post(url, json={}, timeout=60)
            session.verify = ca_file
            reply = session.post(url, json={}, timeout=60).json()
            about = url.partition("/cgi-bin")[0] + "/_sandbox/"
            appid = session.get(about, timeout=60).json()["appid"]
            page = session.get(said["url"] + "/", timeout=60).text
            answer = session.post(
                said["url"] + "/console/tick",
                data={"hours": "1"},
                headers={"Origin": said["url"]},
                allow_redirects=False,
                timeout=60,
            )

        assert 0 == reply["errcode"]
        # WeChat's names are welcome: they lead here alone.
        assert said["appid"] == appid
        # The console's own forms are welcome over HTTPS.
        assert said["url"] in page
        assert 303 == answer.status_code

    def test_main__library_missing(self, monkeypatch, capsys):
        """Without trustme it names what to install."""
        monkeypatch.setitem(sys.modules, "trustme", None)

        code = main(["--port", "0", "--tls"])

        assert 2 == code
        assert "pip install 'wxlogistics[sandbox]'" in capsys.readouterr().err


def certified(folder: Path) -> tuple[str, str]:
    """Write a certificate, its key and its authority's certificate, ca.pem."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    return str(folder / "cert.pem"), str(folder / "key.pem")


def url_of(said: dict[str, str], host: str) -> str:
    """Return where get_delivery_list is under a name of WeChat."""
    token = said["access_token"]
    return f"https://{host}:{port_of(said['url'])}{LIST}?access_token={token}"
