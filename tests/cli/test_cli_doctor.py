"""`doctor`: each thing that a newcomer trips over, and what it says to do."""

import contextlib
import http.server
import json
import os
import re
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
import trustme
from clitools import Ran, check_snapshot
from private import APPID, SECRET

from wxlogistics.cli import doctor


def step(ran: Ran, name: str) -> dict[str, Any]:
    (found,) = [step for step in ran.json["steps"] if step["step"] == name]
    return found


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers everything alike."""

    status = 200
    headers_: dict[str, str] = {}
    body = b'{"errcode": 41001, "errmsg": "access_token missing"}'

    seen: list[str | None] = []

    def do_POST(self) -> None:
        Answers.seen.append(self.headers["Authorization"])
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(self.status)
        for name, value in self.headers_.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None, **fields: Any) -> Iterator[str]:
    handler = type("Handler", (Answers,), fields)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestDoctor:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_doctor__look(self, lang, run, wechat, monkeypatch):
        """All well, and all that can be wrong, in both languages."""
        monkeypatch.setattr(doctor, "_clock_off", lambda *_: 0.3)
        looks = []
        for fault in (
            {},
            {"stable_token": 40164},
            {"stable_token": 40125},
            {"get_delivery_list": 48001},
            {"get_delivery_list": 61007},
            {"get_delivery_list": 45009},
        ):
            wechat.mend()
            for endpoint, errcode in fault.items():
                wechat.fail(endpoint, errcode=errcode, times=None)
            wechat.revoke_tokens()
            looks.append(run("doctor", "--lang", lang))
        monkeypatch.delenv("WXLOGISTICS_SECRET")
        looks.append(run("doctor", "--lang", lang, "--base-url", "http://127.0.0.1:9"))
        texts = [f"exit code {look.code}\n{look.out}" for look in looks]
        look = "----\n".join(texts).replace(wechat_port(), "8790")
        look = re.sub(r"\d+ (ms|毫秒)", r"12 \1", look)

        check_snapshot(f"doctor-{lang}", re.sub(r"(\(|共 )\d+", r"\g<1>1500", look))

    def test_doctor__all_good(self, run, wechat):
        """When all is well it exits with 0."""
        wechat.clock.set(time.time(), 1)
        ran = run("doctor", "--json")

        assert (0, True, "") == (ran.code, ran.json["ok"], ran.err)
        assert [True, True, None, True, True, True] == [
            each["ok"] for each in ran.json["steps"]
        ]
        assert {
            "step": "variables",
            "ok": True,
            "found": f"WXLOGISTICS_APPID {APPID}, WXLOGISTICS_SECRET (not shown)",
            "advice": None,
            "errcode": None,
            "rid": None,
            "ip": None,
        } == ran.json["steps"][0]

    @pytest.mark.parametrize(
        "variables, code, found",
        [
            ({}, 2, "not set: *APPID, *SECRET"),
            ({"SECRET": SECRET}, 2, "not set: *APPID"),
            ({"APPID": "gh_1", "SECRET": SECRET}, 2, "*APPID is not wx and 16 hex"),
            ({"APPID": APPID, "SECRET": f"'{SECRET}'"}, 2, "*SECRET is not 32 hex"),
            ({"ACCESS_TOKEN": "T"}, 3, "*ACCESS_TOKEN (not shown)"),
            ({"ACCESS_TOKEN": "T", "APPID": APPID}, 3, "*ACCESS_TOKEN (not shown), *A"),
        ],
    )
    def test_variables__each(self, variables, code, found, run, monkeypatch):
        """What is set, what is missing and what looks wrong."""
        for name, value in variables.items():
            monkeypatch.setenv(f"WXLOGISTICS_{name}", value)

        ran = run("doctor", "--json", "--base-url", "http://127.0.0.1:9")

        assert (code, code == 3) == (ran.code, step(ran, "variables")["ok"])
        text = step(ran, "variables")["found"].replace("WXLOGISTICS_", "*")
        assert text.startswith(found)
        assert not re.search(r"gh_1|'", text)

    def test_token__without_variables(self, run, wechat, monkeypatch):
        """Without variables there is nothing to fetch a token with."""
        monkeypatch.delenv("WXLOGISTICS_APPID")

        ran = run("doctor", "--json")

        assert 2 == ran.code
        assert (True, None, None) == (
            step(ran, "host")["ok"],
            step(ran, "token")["ok"],
            step(ran, "permission")["ok"],
        )

    @pytest.mark.parametrize(
        "endpoint, errcode, token, permission",
        [
            ("stable_token", 40164, False, None),
            ("get_delivery_list", 48001, True, False),
            ("get_delivery_list", 40001, False, None),
        ],
    )
    def test_calls__refused(self, endpoint, errcode, token, permission, run, wechat):
        """The step that failed is the one whose fault it is."""
        wechat.fail(endpoint, errcode=errcode, times=None)

        # The probe for the host calls get_delivery_list too, and finds WeChat there.
        ran = run("doctor", "--json")
        failed = step(ran, "token" if permission is None else "permission")

        assert 1 == ran.code
        assert (token, permission) == (
            step(ran, "token")["ok"],
            step(ran, "permission")["ok"],
        )
        assert errcode == failed["errcode"]
        assert failed["advice"]
        assert failed["rid"]

    def test_calls__given_token(self, run, wechat, monkeypatch):
        """A token that was given is not fetched, but tried."""
        monkeypatch.setenv("WXLOGISTICS_ACCESS_TOKEN", wechat.access_token())
        good = run("doctor", "--json")
        monkeypatch.setenv("WXLOGISTICS_ACCESS_TOKEN", "stale")
        bad = run("doctor", "--json")

        assert "WeChat accepts the access_token" == step(good, "token")["found"]
        assert (1, 40001) == (bad.code, step(bad, "token")["errcode"])

    def test_calls__no_answer(self, run, wechat):
        """A host that answers the probe, but not the call."""
        wechat.fail("get_delivery_list", errcode=41001)
        wechat.fail("get_delivery_list", status=502, times=None)

        ran = run("doctor", "--json")

        assert 3 == ran.code
        assert (None, False) == (
            step(ran, "token")["ok"],
            step(ran, "permission")["ok"],
        )


TOKEN = "85_" + "aB3-" * 30


class TestSecrets:
    @pytest.mark.parametrize(
        "variables",
        [
            {"APPID": SECRET, "SECRET": APPID},
            {"APPID": SECRET.upper()},
            {"SECRET": TOKEN},
            {"APPID": f"{APPID}:{SECRET}"},
            {"APPID": TOKEN},
            {"ACCESS_TOKEN": SECRET, "APPID": TOKEN},
            {"BASE_URL": SECRET},
            {"BASE_URL": f"https://{SECRET}/"},
            {"BASE_URL": f"http://127.0.0.1:9?access_token={TOKEN}"},
            {"BASE_URL": f"http://{APPID}:{SECRET}@127.0.0.1:9"},
            {"BASE_URL": f"http://127.0.0.1:9/{TOKEN}"},
            {"BASE_URL": TOKEN},
            {"SECRET": "hunter2-secret", "BASE_URL": "http://hunter2-secret:9"},
        ],
    )
    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_doctor__no_secret(self, variables, lang, run, monkeypatch):
        """A secret is not shown, wherever it was put by mistake."""
        monkeypatch.setenv("WXLOGISTICS_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("WXLOGISTICS_SECRET", SECRET)
        for name, value in variables.items():
            monkeypatch.setenv(f"WXLOGISTICS_{name}", value)

        shown = str(run("doctor", "--lang", lang)) + str(run("doctor", "--json"))
        shown += str(run("doctor", "--base-url", variables.get("BASE_URL", "x")))

        assert "WXLOGISTICS_" in shown
        assert SECRET not in shown.lower()
        assert TOKEN[:60] not in shown
        assert "hunter2" not in shown


class TestProxies:
    @pytest.mark.parametrize(
        "name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"]
    )
    @pytest.mark.parametrize("value", ["http://u:hunter2@127.0.0.1:9", "127.0.0.1:9"])
    def test_proxy__by_all_its_names(self, name, value, run, wechat, monkeypatch):
        """The variable that names the proxy is shown, its password is not."""
        monkeypatch.setenv(name, value)

        ran = run("doctor", "--json", "--base-url", "http://api.weixin.example")

        found = f": connection refused, through the proxy 127.0.0.1:9 ({name})"
        assert step(ran, "host")["found"].endswith(found)
        assert "hunter2" not in str(ran)

    @pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
    def test_proxy__none_for_this_host(self, name, run, wechat, monkeypatch):
        """So is the one that says to use none."""
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv(name, "127.0.0.1")

        found = step(run("doctor", "--json"), "host")["found"]

        assert found.endswith(f" ms, without a proxy ({name})")

    def test_proxy__socks(self, run, wechat, monkeypatch):
        """A SOCKS proxy without PySocks, or one that is down, is named."""
        monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")

        found = step(
            run("doctor", "--json", "--base-url", "http://weixin.example"), "host"
        )["found"]

        assert found.endswith(", through the proxy 127.0.0.1:9 (all_proxy)")
        assert 1 == found.count("127.0.0.1") and ".," not in found


def wechat_port() -> str:
    return os.environ["WXLOGISTICS_BASE_URL"].rpartition(":")[2]


class TestNetwork:

    def test_host__second_of_two(self, run, wechat, monkeypatch):
        """Of several hosts the first that answers is used; the others are named."""
        wechat.clock.set(time.time(), 1)
        url = f"http://127.0.0.1:{wechat_port()}"
        monkeypatch.setenv("WXLOGISTICS_BASE_URL", f"http://127.0.0.1:9, {url}")

        ran = run("doctor", "--json")
        found = step(ran, "host")["found"]

        assert 0 == ran.code
        assert found.startswith("127.0.0.1:9: connection refused\n127.0.0.1:")
        assert " answered in " in found

    def test_host__no_such_name(self, run, wechat, monkeypatch):
        """An unknown name."""

        def getaddrinfo(*_: object, **__: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

        ran = run("doctor", "--json", "--base-url", "https://api.weixin.example")

        assert (
            "api.weixin.example: the host name cannot be resolved (DNS)"
            == step(ran, "host")["found"]
        )

    def test_host__silent(self, run, wechat, monkeypatch):
        """A host that takes the call and never answers."""
        monkeypatch.setattr(doctor, "_TIMEOUT", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"

            ran = run("doctor", "--json", "--base-url", url)

        assert step(ran, "host")["found"].endswith(": no answer in time")

    @pytest.mark.parametrize(
        "url", ["", "ftp://127.0.0.1", "nonsense", "http://[::", "http://a b"]
    )
    def test_host__no_url(self, url, run, wechat):
        """What is no URL of a host."""
        ran = run("doctor", "--json", "--base-url", url)

        assert 3 == ran.code
        assert step(ran, "host")["found"].endswith("not a base URL (not shown)")
        assert step(ran, "host")["advice"].startswith("Give a scheme and a host")

    def test_host__broken_answer(self, run, wechat):
        """So is one whose answer breaks off in the middle."""
        headers = {"Transfer-Encoding": "chunked"}
        with serving(headers_=headers, body=b"5\r\nabc") as url:
            ran = run("doctor", "--json", "--base-url", url)

        assert step(ran, "host")["found"].endswith(": the connection broke")

    @pytest.mark.parametrize(
        "status, body",
        [(403, b"<html>"), (200, b"[]"), (200, b"{}"), (302, b""), (200, b"\xff")],
    )
    def test_host__not_wechat(self, status, body, run, wechat):
        """A host that answers, but not as WeChat."""
        with serving(status=status, body=body) as url:
            ran = run("doctor", "--json", "--base-url", url)
        found = step(ran, "host")["found"]

        assert 3 == ran.code
        assert found.endswith(f" answers, but not as WeChat does (HTTP {status})")
        assert step(ran, "host")["advice"].startswith("Another program answers")

    def test_host__no_password(self, run, wechat, monkeypatch, tmp_path):
        """A URL's password is not shown, and that of ~/.netrc is not sent."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login user password hunter2\n")
        monkeypatch.setenv("NETRC", str(netrc))
        Answers.seen.clear()
        with serving() as url:
            ran = run("doctor", "--json", "--base-url", url)
            answered = run(
                "doctor", "--json", "--base-url", url.replace("//", "//user:hunter2@")
            )

        assert step(ran, "host")["ok"] is True
        assert step(answered, "host")["found"] == "not a base URL (not shown)"
        assert "hunter2" not in answered.out + answered.err
        assert {None} == set(Answers.seen)

    def test_tls__good(self, run, wechat, monkeypatch, tmp_path):
        """A certificate is trusted that REQUESTS_CA_BUNDLE names."""
        with serving(certificate(monkeypatch, tmp_path, "127.0.0.1")) as url:
            ran = run("doctor", "--json", "--base-url", url)

        assert step(ran, "tls")["ok"] is True
        assert step(ran, "tls")["found"] == f"the certificate of {url[8:]} is trusted"

    @pytest.mark.parametrize(
        "name, trusted, reason",
        [
            ("127.0.0.1", False, "unable to get local issuer certificate"),
            (
                "other.example",
                True,
                "IP address mismatch, certificate is not valid for",
            ),
        ],
    )
    def test_tls__bad(self, name, trusted, reason, run, wechat, monkeypatch, tmp_path):
        """A certificate of an unknown authority, or of another host."""
        with serving(certificate(monkeypatch, tmp_path, name)) as url:
            if not trusted:
                monkeypatch.delenv("REQUESTS_CA_BUNDLE")
            ran = run("doctor", "--json", "--base-url", url)
        found = step(ran, "tls")["found"]

        assert 3 == ran.code
        assert step(ran, "host")["ok"] is True
        assert found.startswith(f"the certificate of {url[8:]} is not trusted: ")
        assert reason in found
        assert "REQUESTS_CA_BUNDLE" in step(ran, "tls")["advice"]

    def test_tls__none_there(self, run, wechat):
        """A host that speaks no TLS at all."""
        with serving() as url:
            ran = run("doctor", "--json", "--base-url", url.replace("http", "https"))

        assert step(ran, "tls")["found"].startswith("the certificate of 127.0.0.1")


class TestClock:
    @pytest.mark.parametrize(
        "headers, body, is_good, found",
        [
            ({"Date": 0}, "", True, "within 1 s of the server's"),
            ({"Date": -60}, "", True, "within 61 s of the server's"),
            ({"Date": -3600}, "", False, "3600 s off the server's"),
            ({"Date": 3600}, "", False, "3600 s off the server's"),
            ({}, "rid: %08x-735e87a4-648726cc", True, "within 1 s of the server's"),
            ({"Date": "nonsense"}, "rid: %08x-735e87a4-648726cc", True, "within 1 s"),
            ({}, "no rid", None, "not checked"),
        ],
    )
    def test_clock__each(self, headers, body, is_good, found, run, wechat, monkeypatch):
        """The clock is compared with the answer's date, or with its rid."""
        now = 1795485600
        monkeypatch.setattr(time, "time", lambda: float(now))
        date = headers.get("Date")
        if isinstance(date, int):
            moment = time.gmtime(now + date)
            headers = {"Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", moment)}
        errmsg = body % now if "%" in body else body
        reply = json.dumps({"errcode": 41001, "errmsg": errmsg}).encode()

        with serving(headers_=headers, body=reply) as url:
            clock = step(run("doctor", "--json", "--base-url", url), "clock")

        assert is_good == clock["ok"]
        assert clock["found"].startswith(found)

    def test_clock__off(self, run, wechat, monkeypatch):
        """A clock that is off alone is this machine's fault: 2."""
        monkeypatch.setattr(doctor, "_clock_off", lambda *_: 200.0)

        ran = run("doctor", "--json")

        assert 2 == ran.code
        assert step(ran, "clock")["advice"].startswith(
            "Set this machine's clock by NTP;"
        )


def certificate(monkeypatch: Any, folder: Path, name: str) -> ssl.SSLContext:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))
    return context
