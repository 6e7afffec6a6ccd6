"""The probe of the real WeChat, against sandboxes that differ."""

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
import requests
from clitools import Run, check_snapshot
from private import APPID, OPENID, SECRET

from wxlogistics import probe
from wxlogistics.sandbox import Sandbox


def different(run: Run) -> list[int]:
    """Return the numbers of the rows that differ."""
    calls = run("probe", "--yes", "--json").json["calls"]
    return [number for number, each in enumerate(calls) if not each["same"]]


class TestProbe:
    def test_probe__all_the_same(self, run, wechat):
        """Against the sandbox all rows are the same, and at most ten calls are made."""
        code, out, err = run("probe", "--yes")
        asked = {call.endpoint for call in wechat.calls}

        assert (0, "") == (code, err)
        assert len(probe.CALLS) == out.count("✓ same  ") == 9
        assert len(wechat.calls) <= 10
        assert {"get_delivery_list", "query_trace", "update_waybill_goods"} <= asked
        assert {"trace_waybill", "stable_token"} <= asked

    @pytest.mark.parametrize(
        "endpoint, fault, rows",
        [
            ("trace_waybill", {"errcode": 9300534}, [8]),
            ("trace_waybill", {"status": 200, "body": "[3]"}, [8]),
            ("trace_waybill", {"drop": True}, [8]),
            ("update_waybill_goods", {"errcode": 40003}, [7]),
            ("update_waybill_goods", {"status": 500, "body": "x"}, [7]),
            ("query_trace", {"status": 200, "body": "{}", "times": 3}, [4, 5, 6]),
        ],
    )
    def test_probe__other_answers(self, endpoint, fault, rows, run, wechat):
        """Exactly the rows that are answered in another way differ."""
        wechat.fail(endpoint, **fault)

        assert rows == different(run)

    @pytest.mark.parametrize(
        "settings, rows",
        [
            ({"leading_slashes": False}, [2]),
            ({"misshapen_token": 40001}, [3]),
            ({"unicode_escapes": 47001}, [6]),
            ({"opened": False}, [0, 2, 5, 6, 7, 8]),
        ],
    )
    def test_probe__other_settings(self, settings, rows, run, monkeypatch):
        """So they do against a sandbox with other settings."""
        sandbox = Sandbox(appid=APPID, secret=SECRET, **settings)
        with sandbox.serve() as server:
            monkeypatch.setenv("WXLOGISTICS_BASE_URL", server.url)
            monkeypatch.setenv("WXLOGISTICS_ACCESS_TOKEN", sandbox.access_token())
            found = different(run)

        assert rows == found

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_probe__look(self, lang, run, wechat):
        """What differs is shown, in both languages; the report is English."""
        wechat.fail("trace_waybill", errcode=9300534)

        code, out, _ = run("probe", "--yes", "--lang", lang)
        report = Path("wxlogistics-probe.md").read_text(encoding="utf-8")

        assert 1 == code
        check_snapshot(f"probe-{lang}", f"{out}----\n{report}")

    def test_probe__nothing_private(self, run, wechat):
        """Neither output nor report has a token, an appid, an openid or an address."""
        token = wechat.access_token()
        private = [token, APPID, SECRET, OPENID, "203.0.113.7", "::ffff:203.0.113.7"]
        wechat.fail(
            "query_trace",
            errcode=40164,
            errmsg=f"bad {' '.join(private)} 127.0.0.1 hint: [abc] rid: 1-2-3",
            times=2,
        )

        shown = str(run("probe", "--yes")) + str(run("probe", "--yes", "--json"))
        shown += Path("wxlogistics-probe.md").read_text(encoding="utf-8")

        assert "bad *** *** *** *** ADDRESS ADDRESS ADDRESS" in shown
        url = os.environ["WXLOGISTICS_BASE_URL"]
        for value in (*private, "127.0.0.1", url, "1-2-3"):
            assert value not in shown

    @pytest.mark.parametrize("words, code", [("y\n", 0), ("n\n", 2), ("", 130)])
    def test_probe__asks(self, words, code, run, wechat, monkeypatch):
        """It says which calls it makes, and makes them after a yes only."""

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stdin", Terminal(words))

        ran = run("probe", "--report", "r.md")

        assert code == ran.code
        assert "  trace_waybill: an openid that cannot be\n" in ran.err
        assert "  stable_token: an access_token, if none is given\n" in ran.err
        assert (code == 2) == ("no call was made" in ran.err)
        assert "127.0.0.1" in ran.err.splitlines()[0]
        assert (code == 0) == bool(wechat.calls) == Path("r.md").exists()

    def test_probe__nobody_to_ask(self, run, wechat):
        """Without a terminal it needs --yes."""
        code, _, err = run("probe")

        assert (2, []) == (code, wechat.calls)
        assert err.startswith(
            "✗ stdin is not a terminal, so nothing can be asked: give --yes\n"
        )

    def test_report__another_path(self, run, wechat):
        """The report goes where it is wanted, and says of which version it is."""
        ran = run("probe", "--yes", "--json", "--report", "r.md")
        text = Path("r.md").read_text(encoding="utf-8")

        assert "r.md" == ran.json["report"]
        assert re.match(r"## wxlogistics \d[\w.]+ probe of a test server\n\n- ✓", text)
        assert json.dumps(ran.json["calls"][0]["wechat"]["keys"]) == json.dumps(
            [
                "count",
                "delivery_list",
                "delivery_list[].delivery_id",
                "delivery_list[].delivery_name",
                "errcode",
            ]
        )

    @pytest.mark.parametrize("report", ["/dev/full", "/dev/null/r.md"])
    def test_probe__report_cannot_be_written(self, report, run, wechat):
        """The report is named; before the calls if it cannot be opened."""
        ran = run("probe", "--yes", "--report", report)

        assert 2 == ran.code
        assert f"✗ {report}: " in ran.err
        assert ("same" in ran.out) == (report == "/dev/full") == bool(wechat.calls)

    def test_probe__no_answer(self, run, wechat):
        """A probe that fails leaves no report, and keeps one that was there."""
        Path("old.md").write_text("old")
        for report in ("r.md", "old.md"):
            wechat.fail("stable_token", errcode=40125)
            assert 1 == run("probe", "--yes", "--report", report).code

        assert (False, "old") == (Path("r.md").exists(), Path("old.md").read_text())

    def test_make__keys(self, monkeypatch):
        """A reply's keys are masked as its errmsg is."""
        reply = requests.Response()
        reply.status_code = 200
        reply._content = json.dumps({"203.0.113.9": 1, "t" * 40: {APPID: 2}}).encode()
        monkeypatch.setattr(requests.Session, "post", lambda *_, **__: reply)

        found = probe.make(requests.Session(), probe.CALLS[0], "http://x", "t" * 40, [])

        assert ["***", "***.***", "ADDRESS"] == found["keys"]
