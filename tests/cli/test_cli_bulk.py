"""`bulk query` and `bulk trace` from the file to the summary."""

from __future__ import annotations

import datetime
import errno
import io
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clitools import OPENID, Run, check_snapshot, process, ran

from wxlogistics.__main__ import main
from wxlogistics.cli import bulk, job
from wxlogistics.cli.ledger import Ledger, Tally
from wxlogistics.cli.terminal import CHINA_TIME
from wxlogistics.cli.views import Bar
from wxlogistics.sandbox import Sandbox

HEAD = "id,openid,waybill_id,receiver_phone,goods_name,goods_img_url"


def openid(number: int) -> str:
    return f"o{number:027d}"


def orders(count: int, first: int = 1) -> str:
    rows = "".join(
        f"A{n},{openid(n)},SF{n},13800138000,龙井茶,www.qq.com\n"
        for n in range(first, first + count)
    )
    return f"{HEAD}\n{rows}"


def lines(path: str) -> list[dict[str, Any]]:
    text = Path(path).read_text(encoding="utf-8")
    return sorted(
        (json.loads(line) for line in text.splitlines()), key=lambda line: line["row"]
    )


def register(wechat: Sandbox, run: Run, count: int) -> list[str]:
    """
    Register so many waybills, and return their tokens.
    """
    Path("register.csv").write_text(orders(count), encoding="utf-8")
    assert 0 == run("bulk", "trace", "register.csv").code
    return [line["waybill_token"] for line in lines("register.results.jsonl")]


def calls(wechat: Sandbox, endpoint: str) -> list[str]:
    return [
        call.payload.get("waybill_id") or call.payload["waybill_token"]
        for call in wechat.calls
        if call.endpoint == endpoint
    ]


class TestQuery:
    def test_query__file(self, run: Run, wechat: Sandbox) -> None:
        """
        Each row becomes one line with the parcel's status.
        """
        tokens = register(wechat, run, 3)
        wechat.move("SF1", 4, message="已签收")
        Path("tokens.csv").write_text(
            "id,waybill_token\n"
            + "".join(f"A{n},{t}\n" for n, t in enumerate(tokens, 1))
        )

        code, out, err = run("bulk", "query", "tokens.csv")
        first = lines("tokens.results.jsonl")[0]

        assert (0, "") == (code, err)
        assert {
            "row": 1,
            "id": "A1",
            "outcome": "ok",
            "status": 4,
            "status_name": "SIGNED",
            "label": "已签收",
            "final": True,
            "waybill_id": "SF1",
            "delivery_id": "SF",
            "delivery_name": "顺丰速运",
            "path": first["path"],
            "goods": [
                {
                    "goods_name": "龙井茶",
                    "goods_img_url": "www.qq.com",
                    "goods_desc": None,
                }
            ],
            "digest": first["digest"],
        } == first
        assert "已签收" == first["path"][0]["message"]
        assert out.startswith("3 of 3 rows are done: tokens.results.jsonl\n")

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
    @pytest.mark.parametrize(
        "name, template",
        [
            ("in.csv", "订单号,token\n单{0},{1}\n单{2},{3}\n"),
            ("in.tsv", "订单号\ttoken\n单{0}\t{1}\n单{2}\t{3}\n"),
            (
                "in.jsonl",
                '{{"order_id": "单{0}", "token": "{1}"}}\n'
                '{{"order_id": "单{2}", "token": "{3}"}}\n',
            ),
            ("in.txt", "订单号,token\n单{0},{1}\n单{2},{3}\n"),
        ],
    )
    def test_query__forms(
        self, name: str, template: str, encoding: str, run: Run, wechat: Sandbox
    ) -> None:
        """
        The same rows in every form and encoding.
        """
        a, b = register(wechat, run, 2)
        Path(name).write_text(template.format(1, a, 2, b), encoding=encoding)

        ran = run("bulk", "query", name, "--out", "out.jsonl", "--json")

        assert (0, "") == (ran.code, ran.err)
        assert [("单1", "SF1"), ("单2", "SF2")] == [
            (line["id"], line["waybill_id"]) for line in lines("out.jsonl")
        ]

    def test_query__stdin(self, run: Run, wechat: Sandbox, monkeypatch: Any) -> None:
        """
        - is stdin, which needs an --out; run again, it goes on as well.
        """
        tokens = register(wechat, run, 3)
        text = "\n".join(tokens).encode()

        def go(*argv: str) -> Any:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
            return run("bulk", "query", "-", "--out", "out.jsonl", *argv)

        first, second = go("--json", "--max-calls", "2"), go("--json")
        third = go("--max-calls", "0")

        assert (2, None, False) == tuple(
            first.json[key] for key in ("done", "rows", "complete")
        )
        assert (3, 3, True, 1) == tuple(
            second.json[key] for key in ("done", "rows", "complete", "done_now")
        )
        assert "3 of 3 rows are done: out.jsonl" == third.out.splitlines()[0]
        assert tokens == [line["id"] for line in lines("out.jsonl")]

    def test_query__stdin_in_part(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        As long as stdin was not read to its end, nobody knows how many rows it has.
        """
        stdin = io.TextIOWrapper(io.BytesIO(b"A\nB\nC\n"))
        monkeypatch.setattr(sys, "stdin", stdin)

        out = run("bulk", "query", "-", "--out", "o", "--max-calls", "2").out

        assert "2 rows are done: o" == out.splitlines()[0]

    def test_query__pipe(self, run: Run, wechat: Sandbox) -> None:
        """
        A pipe by name is read once, from its beginning to its end, as stdin is.
        """
        tokens = register(wechat, run, 3)
        os.mkfifo("pipe")
        argv = ("bulk", "query", "pipe", "--out", "out.jsonl", "--json")
        found = []
        for _ in range(2):
            with process(*argv) as query:
                Path("pipe").write_text("\n".join(tokens))
                out, _ = query.communicate(timeout=30)
            found.append((query.returncode, json.loads(out)["done_now"]))

        assert [(0, 3), (0, 0)] == found
        assert tokens == [line["id"] for line in lines("out.jsonl")]

    def test_query__stdin_is_closed(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        Without a stdin there is nothing to read.
        """
        monkeypatch.setattr(sys, "stdin", None)

        code, _, err = run("bulk", "query", "-", "--out", "out.jsonl")

        assert (2, "✗ stdin: Bad file descriptor") == (
            code,
            err.splitlines()[0],
        )

    def test_query__stdin_is_shorter(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        Another stdin than the first time is noticed at its end.
        """
        tokens = register(wechat, run, 3)
        for count in (3, 2):
            text = "\n".join(tokens[:count]).encode()
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
            code, _, err = run("bulk", "query", "-", "--out", "out.jsonl")

        assert 2 == code
        assert "out.jsonl has results up to row 3, but the input ends before" in err

    def test_query__message_component(self, run: Run, wechat: Sandbox) -> None:
        """
        --follow uses the message component for both.
        """
        Path("orders.csv").write_text(orders(2), encoding="utf-8")
        run("bulk", "trace", "orders.csv", "--follow")
        tokens = [line["waybill_token"] for line in lines("orders.results.jsonl")]
        Path("t.csv").write_text("\n".join(tokens))

        code = run("bulk", "query", "t.csv", "--follow").code

        assert 0 == code
        assert ["SF1", "SF2"] == sorted(calls(wechat, "follow_waybill"))
        assert sorted(tokens) == sorted(calls(wechat, "query_follow_trace"))

    def test_query__openid(self, run: Run, wechat: Sandbox) -> None:
        """
        An openid in the input is sent along.
        """
        (token,) = register(wechat, run, 1)
        Path("t.csv").write_text(f"openid,waybill_token\n{openid(1)},{token}\n")

        run("bulk", "query", "t.csv")

        assert {"waybill_token": token, "openid": openid(1)} == wechat.calls[-1].payload


class TestTrace:
    def test_trace__file(self, run: Run, wechat: Sandbox) -> None:
        """
        Each row is registered with all that it has.
        """
        Path("orders.csv").write_text(
            "id,openid,waybill_id,receiver_phone,sender_phone,trans_id,delivery_id,"
            "order_detail_path,goods_name,goods_img_url,goods_desc,goods_name_2\n"
            f"A1,{OPENID},SF1,138,139,42,SF,pages/o,茶,a,绿茶,杯\n",
            encoding="utf-8",
        )

        code, out, err = run("bulk", "trace", "orders.csv")
        (call,) = [call for call in wechat.calls if call.endpoint == "trace_waybill"]
        (line,) = lines("orders.results.jsonl")

        assert (0, "") == (code, err)
        assert {
            "openid": OPENID,
            "waybill_id": "SF1",
            "receiver_phone": "138",
            "sender_phone": "139",
            "trans_id": "42",
            "delivery_id": "SF",
            "order_detail_path": "pages/o",
            "goods_info": {
                "detail_list": [
                    {"goods_name": "茶", "goods_img_url": "a", "goods_desc": "绿茶"},
                    {"goods_name": "杯", "goods_img_url": ""},
                ]
            },
        } == call.payload
        assert {
            "row": 1,
            "id": "A1",
            "outcome": "ok",
            "waybill_id": "SF1",
            "waybill_token": call.reply["waybill_token"],
            "digest": line["digest"],
        } == line
        assert not Path("orders.results.jsonl.journal").exists()
        assert "✓ registered " in out

    def test_trace__lost_answer(self, run: Run, wechat: Sandbox) -> None:
        """
        A registration whose answer was lost is marked; again it is done on request.
        """
        Path("orders.csv").write_text(orders(3), encoding="utf-8")
        wechat.fail("trace_waybill", drop=True, waybill_id="SF2", times=3)

        first = run("bulk", "trace", "orders.csv")
        second = run("bulk", "trace", "orders.csv", "--json")
        third = run("bulk", "trace", "orders.csv", "--json", "--again", "maybe_applied")

        assert (3, 3, 0) == (first.code, second.code, third.code)
        assert (
            "1 rows may be registered, or not. Registering again is harmless"
            in first.err
        )
        assert (0, 1) == (second.json["done_now"], third.json["done_now"])
        assert ["ok", "maybe_applied", "ok", "ok"] == [
            line["outcome"] for line in lines("orders.results.jsonl")
        ]

    def test_trace__json_lines(self, run: Run, wechat: Sandbox) -> None:
        """
        The API's own bodies, one a line, are an input.
        """
        Path("orders.jsonl").write_text(
            json.dumps(
                {
                    "openid": OPENID,
                    "waybill_id": "SF1",
                    "receiver_phone": "138",
                    "goods_info": {"detail_list": [{"goods_name": "茶"}]},
                }
            )
        )

        assert 0 == run("bulk", "trace", "orders.jsonl").code


class TestSummary:
    def prepare(self, wechat: Sandbox, run: Run) -> None:
        tokens = register(wechat, run, 12)
        for number, status in enumerate((4, 4, 4, 4, 2, 2, 3, 6, 9), 1):
            wechat.move(f"SF{number}", status)
        for token, fault in (
            (tokens[9], {"errcode": 931023}),
            (tokens[10], {"errcode": 931023}),
            (tokens[11], {"errcode": 123456}),
        ):
            number = tokens.index(token) + 1
            wechat.fail("query_trace", waybill_id=f"SF{number}", times=None, **fault)
        Path("t.csv").write_text(
            "备注,token\n,\n" + "".join(f"x,{t}\n" for t in tokens) + "x,\n"
        )

    @pytest.mark.parametrize("lang", ["en", "zh"])
    @pytest.mark.parametrize("columns", [80, 45])
    def test_summary__look(
        self, columns: int, lang: str, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        Counts by status and by error with bars, in both languages, wide and narrow.
        """
        self.prepare(wechat, run)
        monkeypatch.setenv("COLUMNS", str(columns))
        first = run("bulk", "query", "t.csv", "--lang", lang, "--max-calls", "6")
        second = run("bulk", "query", "t.csv", "--lang", lang)

        texts = [
            f"exit code {look.code}\n{look.out}--\n{look.err}"
            for look in (first, second)
        ]
        look = re.sub(r"[\d,]+ a second|每秒 [\d,]+ 行", "...", "----\n".join(texts))
        look = re.sub(r"\d:\d\d:\d\d", "0:00:00", look)

        check_snapshot(f"bulk-{columns}-{lang}", look)

    def test_summary__json(self, run: Run, wechat: Sandbox) -> None:
        """
        A program gets the same as one object.
        """
        self.prepare(wechat, run)

        ran = run("bulk", "query", "t.csv", "--json")
        found = ran.json

        assert 1 == ran.code
        assert 0 < found.pop("seconds") < 10
        assert {
            "ok": False,
            "out": "t.results.jsonl",
            "complete": True,
            "rows": 13,
            "done": 13,
            "done_now": 13,
            "outcomes": {
                "ok": 9,
                "refused": 3,
                "failed": 0,
                "maybe_applied": 0,
                "invalid": 1,
            },
            "statuses": {
                "SIGNED": 4,
                "IN_TRANSIT": 2,
                "OUT_FOR_DELIVERY": 1,
                "SIGNED_BY_PROXY": 1,
                "UNKNOWN_9": 1,
            },
            "errors": {"931023": 2, "123456": 1},
            "stopped": None,
            "continue_at": None,
            "error": None,
        } == found

    def test_summary__odd_lines(self, run: Run, wechat: Sandbox) -> None:
        """
        Statuses from elsewhere, and no answer, are told as they are.
        """
        Path("t.csv").write_text("A\nB\nC\nD\n")
        run("bulk", "query", "t.csv")
        results = Path("t.results.jsonl")
        told = [json.loads(line) for line in results.read_text().splitlines()]
        for line, more in zip(
            told,
            (
                {"outcome": "ok", "status_name": "LATER"},
                {"outcome": "ok", "status_name": None},
                {"outcome": "failed", "error": {"errcode": None, "type": "X"}},
                {"outcome": "maybe_applied"},
            ),
        ):
            line.update(more)
        results.write_text("".join(json.dumps(line) + "\n" for line in told))

        code, out, err = run("bulk", "query", "t.csv")

        assert 3 == code
        for text in (
            "✓ LATER ",
            "✓ WeChat tells no status ",
            "! no answer ",
            "! perhaps registered ",
        ):
            assert text in out
        assert "1 rows got no answer: run the command with --again failed" in err

    def test_summary__empty_input(self, run: Run, wechat: Sandbox) -> None:
        """
        An empty input is done at once.
        """
        Path("t.csv").write_text("")

        assert (0, "0 of 0 rows are done: t.results.jsonl\n", "") == run(
            "bulk", "query", "t.csv"
        )

    @pytest.mark.parametrize(
        "outcomes, code",
        [
            ({}, 0),
            ({"ok": 9}, 0),
            ({"ok": 1, "invalid": 1}, 2),
            ({"invalid": 1, "failed": 1}, 3),
            ({"maybe_applied": 1}, 3),
            ({"failed": 1, "refused": 1}, 1),
        ],
    )
    def test_exit_code__each(self, outcomes: dict[str, int], code: int) -> None:
        """
        1 if WeChat refused any, 3 if any got no answer, 2 if any was malformed.
        """
        assert code == bulk._exit_code(Counter(outcomes))


class TestStopping:
    def test_quota__says_when(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        The day's quota ends the run, and it says when to go on; the next day it does.
        """
        wechat.world.settings = type(wechat.settings)(
            appid=wechat.appid, secret=wechat.secret, appid_daily_limit=30
        )
        Path("orders.csv").write_text(orders(50), encoding="utf-8")

        class Noon(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return cls(2026, 11, 24, 12, 30, tzinfo=CHINA_TIME)

        with monkeypatch.context() as patch:
            patch.setattr(bulk.datetime, "datetime", Noon)
            first = run("bulk", "trace", "orders.csv", "--workers", "4")
            again = run("bulk", "trace", "orders.csv", "--json")

        assert 1 == first.code
        assert 30 == len(lines("orders.results.jsonl"))
        assert [
            "✗ WeChat refused trace_waybill: reach max api daily quota limit",
            "  errcode  45009 DailyQuotaError the day's calls are used up",
        ] == first.err.splitlines()[:2]
        assert (
            "Run the same command again after 2026-11-25 00:00 China time (in 11 h 30 "
            "min), when WeChat counts a new day." == first.err.splitlines()[-1]
        )
        assert ("quota", "2026-11-25T00:00:00+08:00", False) == tuple(
            again.json[key] for key in ("stopped", "continue_at", "complete")
        )
        assert 45009 == again.json["error"]["errcode"]
        assert not Path("orders.results.jsonl.journal").exists()

    def test_quota__next_day(self, run: Run, wechat: Sandbox) -> None:
        """
        After midnight in China the rest is done; no row is registered twice.
        """
        wechat.world.settings = type(wechat.settings)(
            appid=wechat.appid, secret=wechat.secret, appid_daily_limit=30
        )
        Path("orders.csv").write_text(orders(50), encoding="utf-8")
        run("bulk", "trace", "orders.csv")
        wechat.clock.tick(hours=24)

        ran = run("bulk", "trace", "orders.csv", "--json")

        assert (0, True, 20) == (ran.code, ran.json["complete"], ran.json["done_now"])
        assert [openid(n) for n in range(1, 51)] == sorted(
            call.payload["openid"]
            for call in wechat.calls
            if call.endpoint == "trace_waybill" and call.reply["errcode"] == 0
        )

    @pytest.mark.parametrize(
        "now, hours",
        [
            ("2026-11-24T15:59:59+00:00", "2026-11-25T00:00:00+08:00"),
            ("2026-11-24T16:00:00+00:00", "2026-11-26T00:00:00+08:00"),
            ("2026-12-31T23:00:00+08:00", "2027-01-01T00:00:00+08:00"),
        ],
    )
    def test_next_day__in_china(self, now: str, hours: str) -> None:
        """
        WeChat's day begins at midnight in China, wherever this machine stands.
        """
        assert hours == bulk.next_day(datetime.datetime.fromisoformat(now)).isoformat()

    def test_refused__all_the_same(self, run: Run, wechat: Sandbox) -> None:
        """
        A wrong secret spoils no row.
        """
        Path("t.csv").write_text("A\nB\n")
        wechat.fail("stable_token", errcode=40125, times=None)

        code, _, err = run("bulk", "query", "t.csv")

        assert 1 == code
        assert "invalid appsecret" in err
        assert err.endswith(
            "Stopped, since every row would be refused for this. Mend it, then run the "
            "same command again.\n"
        )
        assert [] == lines("t.results.jsonl")

    def test_no_answer__nothing_there(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        Where nobody answers it gives up soon.
        """
        monkeypatch.setattr(job, "PATIENCE_AT_FIRST", 0.0)
        Path("t.csv").write_text("A\nB\n")

        code, _, err = run("bulk", "query", "t.csv", "--base-url", "http://127.0.0.1:9")

        assert 3 == code
        assert err.startswith("✗ No answer from WeChat to stable_token")
        assert "Run the same command again when the network is back." in err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupt__finishes(self, number: int, run: Run, wechat: Sandbox) -> None:
        """
        Ctrl-C and SIGTERM finish what is under way and write it.
        """
        Path("orders.csv").write_text(orders(300), encoding="utf-8")
        wechat.fail("trace_waybill", delay=0.02, times=None)
        threading.Timer(0.4, os.kill, [os.getpid(), number]).start()
        before = signal.getsignal(number)

        ran = run("bulk", "trace", "orders.csv", "--workers", "4", "--json")
        done = lines("orders.results.jsonl")

        assert 130 == ran.code
        assert "interrupted" == ran.json["stopped"]
        assert 0 < len(done) < 300
        assert {"ok"} == {line["outcome"] for line in done}
        assert sorted(line["waybill_id"] for line in done) == sorted(
            calls(wechat, "trace_waybill")
        )
        assert not Path("orders.results.jsonl.journal").exists()
        assert "Finishing what is under way; once more ends at once." in ran.err
        assert before == signal.getsignal(number)

    def test_interrupt__twice(self, surroundings: Path) -> None:
        """
        The second time the process ends at once, with the terminal as it was.
        """
        killed: list[tuple[int, int]] = []
        notes: list[str] = []
        ended: list[str] = []

        class Progress:
            def note(self, text: str) -> None:
                notes.append(text)

            def __exit__(self, *_: object) -> None:
                notes.append("closed")

        class Job:
            def end(self, reason: str) -> None:
                ended.append(reason)

        any_job: Any = Job()
        # Where the tests run in the background, SIGINT is ignored to begin with.
        before = signal.getsignal(signal.SIGINT)
        with bulk._interruptible(
            any_job, Progress(), Say("en"), kill=lambda *args: killed.append(args)
        ):
            handler: Any = signal.getsignal(signal.SIGINT)
            handler(signal.SIGINT, None)
            handler(signal.SIGINT, None)
            assert signal.SIG_DFL == signal.getsignal(signal.SIGINT)

        assert ["interrupted"] == ended
        assert [
            "Finishing what is under way; once more ends at once.",
            "closed",
        ] == notes
        assert [(os.getpid(), signal.SIGINT)] == killed
        assert before == signal.getsignal(signal.SIGINT)

    def test_interrupt__in_a_thread(self, run: Run, wechat: Sandbox) -> None:
        """
        In a thread, where no signal comes, it runs as well.
        """
        Path("t.csv").write_text("A\n")
        codes: list[int] = []
        thread = threading.Thread(
            target=lambda: codes.append(main(["bulk", "query", "t.csv"]))
        )
        thread.start()
        thread.join()

        assert [1] == codes

    def test_max_calls__says_so(self, run: Run, wechat: Sandbox) -> None:
        """
        --max-calls ends the run; without other trouble that is no failure.
        """
        register(wechat, run, 5)
        Path("orders.csv").write_text(orders(5), encoding="utf-8")

        code, _, err = run("bulk", "trace", "orders.csv", "--max-calls", "2")

        assert 0 == code
        assert (
            "Stopped after --max-calls. Run the same command again to go on.\n" == err
        )
        assert 2 == len(lines("orders.results.jsonl"))


class TestFiles:
    @pytest.mark.parametrize(
        "argv, problem",
        [
            (["none.csv"], "none.csv: No such file or directory"),
            (["."], ".: Is a directory"),
            (["-"], "--out FILE is missing: the results need a file, to go on from"),
            (["t.csv", "--out", "-"], "--out FILE is missing: the results need a file"),
            (["t.csv", "--out", "t.csv"], "t.csv is the input"),
            (["t.csv", "--out", "x/../t.csv"], "x/../t.csv is the input"),
            (["/dev/null"], "--out FILE is missing: the results need a file, to go on"),
            (["t.csv.journal", "--out", "t.csv"], "t.csv.journal is the input"),
            (["t.csv", "--out", "other.txt"], "other.txt holds something else than"),
            (["t.csv", "--out", "no/out"], "no/out: No such file or directory"),
            (["bad.csv"], "the first row names no column waybill_token"),
        ],
    )
    def test_files__wrong_use(
        self, argv: list[str], problem: str, run: Run, wechat: Sandbox
    ) -> None:
        """
        What cannot be read or written is told before anything is sent.
        """
        Path("x").mkdir()
        Path("t.csv").write_text("A\n")
        Path("t.csv.journal").write_text("A\n")
        Path("bad.csv").write_text("a,b\n")
        Path("other.txt").write_text("mine\n")

        code, out, err = run("bulk", "query", *argv)

        assert (2, "") == (code, out)
        assert err.startswith(f"✗ {problem}")
        assert "mine\n" == Path("other.txt").read_text()
        assert "A\n" == Path("t.csv.journal").read_text()
        assert [] == wechat.calls

    def test_files__long_name(self, run: Run, wechat: Sandbox) -> None:
        """
        A name that the system does not take is told in its words.
        """
        Path("t.csv").write_text("A\n")

        code, _, err = run("bulk", "query", "t.csv", "--out", "x" * 300)

        assert 2 == code
        assert ": File name too long" in " ".join(err.split())

    def test_files__journal_is_a_folder(self, run: Run, wechat: Sandbox) -> None:
        """
        So is a folder in the journal's place.
        """
        Path("orders.csv").write_text(orders(1), encoding="utf-8")
        Path("out.jsonl.journal").mkdir()

        code, _, err = run("bulk", "trace", "orders.csv", "--out", "out.jsonl")

        assert (2, "✗ out.jsonl.journal: Is a directory") == (
            code,
            err.splitlines()[0],
        )

    def test_files__no_variables(self, run: Run) -> None:
        """
        Without variables no output is made.
        """
        Path("t.csv").write_text("A\n")

        assert 2 == run("bulk", "query", "t.csv").code
        assert not Path("t.results.jsonl").exists()

    def test_files__held(self, run: Run, wechat: Sandbox) -> None:
        """
        Two runs do not write one output.
        """
        Path("t.csv").write_text("A\n")
        other = Ledger(Path("t.results.jsonl"), journaled=False)

        code, _, err = run("bulk", "query", "t.csv")
        other.close()

        assert 2 == code
        assert "another run is writing t.results.jsonl" in err

    def test_files__changed(self, run: Run, wechat: Sandbox) -> None:
        """
        An input that changed is told before anything is sent.
        """
        Path("orders.csv").write_text(orders(5), encoding="utf-8")
        run("bulk", "trace", "orders.csv", "--max-calls", "3")
        sent = len(wechat.calls)
        text = Path("orders.csv").read_text(encoding="utf-8")
        Path("orders.csv").write_text(text.replace("SF2", "SF7"), encoding="utf-8")
        changed = run("bulk", "trace", "orders.csv")
        Path("orders.csv").write_text(orders(2), encoding="utf-8")
        shorter = run("bulk", "trace", "orders.csv")

        assert (2, 2) == (changed.code, shorter.code)
        assert "row 2 (line 3) of the input is not what it was" in changed.err
        assert "has results up to row 3, but the input ends before" in " ".join(
            shorter.err.split()
        )
        assert sent == len(wechat.calls)

    def test_files__changed_further_on(self, run: Run, wechat: Sandbox) -> None:
        """
        So is one that changed behind a row that is still to be done.
        """
        Path("orders.csv").write_text(orders(3), encoding="utf-8")
        run("bulk", "trace", "orders.csv", "--workers", "1")
        results = Path("orders.results.jsonl")
        results.write_text("".join(results.read_text().splitlines(True)[1:]))
        Path("orders.csv").write_text(orders(3).replace("SF3", "SF7"))
        sent = len(wechat.calls)

        code, _, err = run("bulk", "trace", "orders.csv")

        assert 2 == code
        assert "row 3 (line 4) of the input is not what it was" in err
        assert sent == len(wechat.calls)

    def test_files__grown(self, run: Run, wechat: Sandbox) -> None:
        """
        Rows added at the end are done.
        """
        Path("orders.csv").write_text(orders(2), encoding="utf-8")
        run("bulk", "trace", "orders.csv")
        Path("orders.csv").write_text(orders(5), encoding="utf-8")

        assert 3 == run("bulk", "trace", "orders.csv", "--json").json["done_now"]

    def test_files__mended(self, run: Run, wechat: Sandbox) -> None:
        """
        A malformed row that was mended is done; the others are not done again.
        """
        broken = orders(3).replace(f"A2,{openid(2)}", "A2,")
        Path("orders.csv").write_text(broken, encoding="utf-8")
        first = run("bulk", "trace", "orders.csv", "--json")
        Path("orders.csv").write_text(orders(3), encoding="utf-8")
        second = run("bulk", "trace", "orders.csv", "--json")

        assert (2, 0) == (first.code, second.code)
        assert 1 == first.json["outcomes"]["invalid"]
        assert 1 == second.json["done_now"]
        assert 3 == second.json["outcomes"]["ok"]

    def test_files__mended_before_a_second_article(
        self, run: Run, wechat: Sandbox
    ) -> None:
        """
        A row that names a malformed one's parcel waits for it, and the mended one is
        done: WeChat gets the goods of the first.
        """
        good = orders(1) + f"A2,{openid(1)},SF1,13800138000,咖啡,www.qq.com\n"
        broken = good.replace("13800138000,龙井茶", "1.38E+10,龙井茶")
        Path("orders.csv").write_text(broken, encoding="utf-8")
        first = run("bulk", "trace", "orders.csv", "--json")
        Path("orders.csv").write_text(good, encoding="utf-8")
        second = run("bulk", "trace", "orders.csv", "--json")

        assert (2, 2) == (first.code, first.json["outcomes"]["invalid"])
        assert (2, 1, 1, 1) == (
            second.code,
            second.json["done_now"],
            second.json["outcomes"]["ok"],
            second.json["outcomes"]["invalid"],
        )
        assert (
            "龙井茶"
            == wechat.calls[-1].payload["goods_info"]["detail_list"][0]["goods_name"]
        )

    def test_files__other_command(self, run: Run, wechat: Sandbox) -> None:
        """
        The output of one command is not gone on with by the other.
        """
        Path("orders.csv").write_text(orders(2), encoding="utf-8")
        run("bulk", "trace", "orders.csv", "--out", "out.jsonl")
        Path("t.csv").write_text("A\nB\n")

        assert 2 == run("bulk", "query", "t.csv", "--out", "out.jsonl").code

    def test_files__disk_full(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        A disk that is full ends the run, and says how to go on.
        """
        Path("t.csv").write_text("A\n")

        def write(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            code, _, err = run("bulk", "query", "t.csv")

        assert 2 == code
        assert "cannot write t.results.jsonl: No space left on device" in err.replace(
            "\n  ", " "
        )

    def test_files__ignored_columns(self, run: Run, wechat: Sandbox) -> None:
        """
        Columns that mean nothing are named once.
        """
        Path("t.csv").write_text("备注,token,goods_name\nx,A,b\n", encoding="utf-8")

        err = run("bulk", "query", "t.csv").err

        assert "Columns that mean nothing here: '备注', 'goods_name'\n" == err


class Terminal(io.StringIO):
    """
    A stderr that somebody looks at.
    """

    def isatty(self) -> bool:
        return True


def counts(**numbers: int) -> Counter[Tally]:
    return Counter({Tally(name, ""): number for name, number in numbers.items()})


class TestProgress:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    @pytest.mark.parametrize("columns", [110, 75, 50])
    def test_bar__look(
        self, columns: int, lang: str, surroundings: Path, monkeypatch: Any
    ) -> None:
        """
        The bar in both languages at three widths: under way, waiting, without an end.
        """
        monkeypatch.setenv("COLUMNS", str(columns))
        looks = []
        for total, waits in ((40_000, False), (40_000, True), (None, False)):
            monkeypatch.setattr(sys, "stderr", Terminal())
            bar = Bar(Say(lang), total, 8_000, lambda waits=waits: waits)
            now = 1000.0
            bar._progress.get_time = lambda: now
            for number in range(5):
                now += 1
                bar.update(counts(ok=800 * number, refused=3 * number, invalid=number))
            out = bar._progress.console
            with out.capture() as captured:
                out.print(bar._progress.get_renderable())
            plain = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
            # Without an end the bar pulses.
            looks.append(plain if total else re.sub("━[━ ]+", "~~~ ", plain))

        check_snapshot(f"bar-{columns}-{lang}", "----\n".join(looks))

    def test_bar__in_a_terminal(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        In a terminal there is a bar on stderr, and notes above it; stdout stays clean.
        """
        tokens = register(wechat, run, 3)
        Path("t.csv").write_text("\n".join(tokens))
        seen = Terminal()
        monkeypatch.setattr(sys, "stderr", seen)

        run("bulk", "query", "t.csv", "--max-calls", "1")
        assert "Going on" not in seen.getvalue()
        ran = run("bulk", "query", "t.csv", "--json")

        assert 3 == ran.json["done"]
        assert "━" in seen.getvalue()
        assert "Going on: 1 rows are done already." in seen.getvalue()

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_lines__now_and_then(self, lang: str, capsys: Any) -> None:
        """
        Without a terminal there is a line every ten seconds.
        """
        now = 100.0
        for total in (40_000, None):
            with bulk.Lines(Say(lang), total, 8_000, clock=lambda: now) as lines_:
                for number in range(1, 26):
                    now += 1
                    lines_.update(counts(ok=780 * number, failed=number))

        check_snapshot(f"lines-{lang}", capsys.readouterr().err)

    def test_lines__nothing_done(self, capsys: Any) -> None:
        """
        Before the first row is done no time is left to be told.
        """
        now = 100.0
        with bulk.Lines(Say("en"), 40, 0, clock=lambda: now) as lines_:
            now += 20
            lines_.update(Counter())

        assert (
            "0 of 40 rows: 0 good, 0 refused, 0 failed; 0/s\n"
            == capsys.readouterr().err
        )

    def test_lines__nobody_reads_them(self, monkeypatch: Any) -> None:
        """
        A stderr that is gone ends nothing.
        """
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w", encoding="utf-8") as closed:
            monkeypatch.setattr(sys, "stderr", closed)
            lines_ = bulk.Lines(Say("en"), 40, 0)
            for _ in range(2):
                lines_.note("x" * 100_000)

    def test_progress__rows_done_again(
        self, run: Run, wechat: Sandbox, monkeypatch: Any
    ) -> None:
        """
        Rows that are done once more do not count as done before.
        """
        Path("t.csv").write_text("A\nB\n")
        run("bulk", "query", "t.csv")

        err = run("bulk", "query", "t.csv", "--again", "refused").err

        assert "" == err
        assert 4 == len(lines("t.results.jsonl"))


class TestProcess:
    def test_process__whole_life(self, wechat: Sandbox) -> None:
        """
        Register and query in bulk as processes, over HTTP; from stdin, too.
        """
        Path("orders.csv").write_text(orders(200), encoding="gbk")

        traced = ran("bulk", "trace", "orders.csv", "--lang", "zh")
        tokens = [line["waybill_token"] for line in lines("orders.results.jsonl")]
        with process(
            "bulk", "query", "-", "--out", "q.jsonl", "--json", stdin=-1
        ) as query:
            out, err = query.communicate("\n".join(tokens), timeout=30)

        assert (0, "") == (traced.code, traced.err)
        assert traced.out.startswith("已完成 200 / 200 行\uff1aorders.results.jsonl\n")
        assert (0, "") == (query.returncode, err)
        assert {"NOT_COLLECTED": 200} == json.loads(out)["statuses"]

    def test_process__second_interrupt(self, wechat: Sandbox) -> None:
        """
        The second Ctrl-C ends a run that hangs.
        """
        Path("t.csv").write_text("A\n")
        wechat.fail("query_trace", delay=20, times=None)
        with process("bulk", "query", "t.csv") as query:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not any(
                fault.times is None and calls_begun(wechat) for fault in wechat.faults
            ):
                time.sleep(0.02)
            query.send_signal(signal.SIGINT)
            assert "Finishing what is under way" in query.stderr.readline()
            query.send_signal(signal.SIGINT)
            code = query.wait(5)

        assert -signal.SIGINT == code


def calls_begun(wechat: Sandbox) -> bool:
    return any(call.endpoint == "query_trace" for call in wechat.calls)
