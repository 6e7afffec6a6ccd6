"""`bulk query` and `bulk trace` from the file to the summary."""

import csv
import datetime
import errno
import fcntl
import io
import json
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clitools import Run, check_snapshot, process
from private import OPENID

from wxlogistics.__main__ import main
from wxlogistics.cli import bulk, job, progress
from wxlogistics.cli.language import speak
from wxlogistics.cli.ledger import Tally
from wxlogistics.cli.output import CHINA_TIME, note
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
    """Register so many waybills, and return their tokens."""
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
    def test_query__file(self, run, wechat):
        """Each row becomes one line with the parcel's status."""
        tokens = register(wechat, run, 3)
        wechat.move("SF1", 4, message="已签收")
        Path("tokens.csv").write_text(
            "id,waybill_token\n"
            + "".join(f"A{n},{t}\n" for n, t in enumerate(tokens, 1))
        )

        code, out, err = run("bulk", "query", "tokens.csv")
        first = lines("tokens.results.jsonl")[0]
        trace = run("query", tokens[0], "--json").json
        names = [*trace][2:-1]

        assert (0, "") == (code, err)
        assert {
            "row": 1,
            "id": "A1",
            "outcome": "ok",
            "waybill_token": tokens[0],
            **{name: trace[name] for name in names},
            "digest": first["digest"],
        } == first
        assert ("status", "goods", "已签收") == (names[0], names[-1], first["label"])
        assert out.startswith("3 / 3 rows done: tokens.results.jsonl\n")

    def test_query__stdin(self, run, wechat, monkeypatch):
        """- is stdin, which needs an --out; run again, it goes on as well."""
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
        assert "3 / 3 rows done: out.jsonl" == third.out.splitlines()[0]
        assert tokens == [line["id"] for line in lines("out.jsonl")]

    @pytest.mark.once
    def test_query__pipe(self, run, wechat):
        """A pipe by name is read once, from its beginning to its end, as stdin is."""
        tokens = register(wechat, run, 3)
        os.mkfifo("pipe")
        argv = ("bulk", "query", "pipe", "--out", "out.jsonl", "--json")
        found = []
        for _ in range(2):
            with process(*argv) as query:
                Path("pipe").write_text("\n".join(tokens))
                out, _ = query.communicate(timeout=60)
            found.append((query.returncode, json.loads(out)["done_now"]))

        assert [(0, 3), (0, 0)] == found
        assert tokens == [line["id"] for line in lines("out.jsonl")]

    def test_source__pipe(self, run, monkeypatch):
        """A pipe is read to its end, as UTF-16 and workbooks are."""
        book = pytest.importorskip("openpyxl").Workbook()
        book.active.append(["waybill_token"])
        book.active.append(["A"])
        file = io.BytesIO()
        book.save(file)
        Path("16.csv").write_bytes("token\tid\nA\t订单\n".encode("utf-16"))
        Path("mac.csv").write_bytes(b"token,id\rA,1\r")
        Path("comma.tsv").write_bytes(b"token,\tid\nA,\t1\n")
        found = []
        for data in (b"A\nB", b"A\n", file.getvalue()):
            reading, writing = os.pipe()
            os.write(writing, data)
            os.close(writing)
            with open(
                reading, encoding="utf-8"
            ) as stdin, monkeypatch.context() as patch:
                patch.setattr(sys, "stdin", stdin)
                found.append(run("bulk", "query", "-", "--dry-run", "--json").json)
        for name in ("16.csv", "mac.csv", "comma.tsv"):
            found.append(run("bulk", "query", name, "--dry-run", "--json").json)

        assert [2, 1, 1, 1, 1, 1] == [each["calls"] for each in found]
        firsts = [each["first"][0]["waybill_token"] for each in found]
        assert ["A"] * 5 + ["A,"] == firsts

    def test_query__stdin_is_closed(self, run, wechat, monkeypatch):
        """Without a stdin there is nothing to read."""
        monkeypatch.setattr(sys, "stdin", None)

        code, _, err = run("bulk", "query", "-", "--out", "out.jsonl")

        assert (2, "✗ stdin: Bad file descriptor") == (code, err.splitlines()[0])

    def test_query__stdin_is_shorter(self, run, wechat, monkeypatch):
        """Another stdin than the first time is noticed at its end."""
        tokens = register(wechat, run, 3)
        for count in (3, 2):
            text = "\n".join(tokens[:count]).encode()
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
            code, _, err = run("bulk", "query", "-", "--out", "out.jsonl")

        assert 2 == code
        assert "out.jsonl has results up to row 3, but the input ends before" in err

    def test_query__message_component(self, run, wechat):
        """--follow uses the message component for both."""
        Path("orders.csv").write_text(orders(2), encoding="utf-8")
        run("bulk", "trace", "orders.csv", "--follow")
        tokens = [line["waybill_token"] for line in lines("orders.results.jsonl")]
        Path("t.csv").write_text("\n".join(tokens))

        code = run("bulk", "query", "t.csv", "--follow").code

        assert 0 == code
        assert ["SF1", "SF2"] == sorted(calls(wechat, "follow_waybill"))
        assert sorted(tokens) == sorted(calls(wechat, "query_follow_trace"))

    def test_query__openid(self, run, wechat):
        """An openid in the input is sent along."""
        (token,) = register(wechat, run, 1)
        Path("t.csv").write_text(f"openid,waybill_token\n'{openid(1)},{token}\n")

        run("bulk", "query", "t.csv")

        assert {"waybill_token": token, "openid": openid(1)} == wechat.calls[-1].payload


class TestTrace:
    def test_trace__file(self, run, wechat):
        """Each row is registered with all that it has."""
        Path("orders.csv").write_text(
            "id,openid,waybill_id,receiver_phone,sender_phone,trans_id,delivery_id,"
            "order_detail_path,goods_name,goods_img_url,goods_desc,goods_name_2,图片2\n"
            f"A1,{OPENID},SF1,138,139,42,SF,pages/o,茶,a,绿茶,杯,\n",
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
        assert out.endswith("100.0%  registered\n")

    def test_trace__lost_answer(self, run, wechat):
        """A registration whose answer was lost is made again, for the same token."""
        Path("orders.csv").write_text(orders(3), encoding="utf-8")
        wechat.fail("trace_waybill", status=502, waybill_id="SF2", times=3)

        first = run("bulk", "trace", "orders.csv")
        second = run("bulk", "trace", "orders.csv", "--json")

        assert (3, 0) == (first.code, second.code)
        assert "1 row got no answer and is not done" in first.err
        assert "!       1  33.3%  no answer" in first.out
        assert (1, 0) == (second.json["done_now"], second.json["outcomes"]["failed"])
        assert [1, 2, 3] == [line["row"] for line in lines("orders.results.jsonl")]

    def test_trace__parcel_in_several_rows(self, run, wechat):
        """One row per article: one registration, and a line per row."""
        Path("orders.csv").write_text(
            f"{HEAD}\nA1,{OPENID},SF1,138,茶,a\nA2,{OPENID},SF2,138,碗,c\n"
            f"A3,{OPENID},SF1,138,杯,b\n",
            encoding="utf-8",
        )
        run("bulk", "trace", "orders.csv", "--out", "out.csv")
        goods = {
            call.payload["waybill_id"]: [
                each["goods_name"] for each in call.payload["goods_info"]["detail_list"]
            ]
            for call in wechat.calls
            if call.endpoint == "trace_waybill"
        }
        again = run("bulk", "trace", "orders.csv", "--out", "out.csv", "--json")
        text = Path("orders.csv").read_text(encoding="utf-8")
        Path("orders.csv").write_text(f"{text}A4,{OPENID},SF1,138,盘,d\n", "utf-8")
        grown = run("bulk", "trace", "orders.csv", "--out", "out.csv")

        assert {"SF1": ["茶", "杯"], "SF2": ["碗"]} == goods
        assert (3, 0, 3) == tuple(
            again.json[key] for key in ("done", "done_now", "rows")
        )
        # A further article would be lost: WeChat keeps the first ones.
        assert 2 == grown.code
        assert "line 5: its parcel SF1 (line 2) was registered without" in grown.told
        assert "row 1 and the goods of all the parcel's rows" in grown.told
        assert 2 == len(calls(wechat, "trace_waybill"))

    @pytest.mark.parametrize(
        "second, fixed, refused, outcomes",
        [
            # Held back until its order's other row can be used.
            ("A1,{o},SFF1:,138,杯,b", "A1,{o},SFF1,138,杯,b", 0, ["ok", "ok"]),
            ("A1,{o},,138,杯,b", "A1,{o},SFF1,138,杯,b", 0, ["ok", "ok"]),
            # Another order's row turns out to be of the parcel.
            ("A2,{o},无,138,杯,b", "A2,{o},SFF1,138,杯,b", 0, ["ok", "invalid"]),
            # The first try was refused: nothing is registered yet.
            ("A2,{o},无,138,杯,b", "A2,{o},SFF1,138,杯,b", 1, ["ok", "ok"]),
        ],
    )
    def test_trace__row_joins_a_parcel(
        self, second, fixed, refused, outcomes, run, wechat
    ):
        """A row that was fixed is registered with its parcel, or named as too late."""
        if refused:
            wechat.fail("trace_waybill", errcode=9300534, times=1)
        head = f"{HEAD}\nA1,{OPENID},SFF1,138,茶,a\n"
        for row in (second, fixed, fixed):
            Path("orders.csv").write_text(
                f"{head}{row.format(o=OPENID)}\n", encoding="utf-8"
            )
            ran_ = run("bulk", "trace", "orders.csv", "--json")
        last = {line["row"]: line["outcome"] for line in lines("orders.results.jsonl")}

        assert outcomes == [last[1], last[2]]
        assert 0 == ran_.json["done_now"]
        goods = wechat.calls[-1].payload["goods_info"]["detail_list"]
        assert outcomes.count("ok") == len(goods)

    def test_trace__rows_of_one_parcel_name_each_other(self, run, wechat):
        """Each row's message names the other row, or the row's own problem."""
        rows = f"A1,{OPENID},SF1,138,茶,a\nA2,{OPENID},SF1,139,杯,b\n"
        Path("orders.csv").write_text(f"{HEAD}\n{rows}", encoding="utf-8")

        assert [
            "line 2: receiver_phone is not that of line 3, of the same parcel",
            "line 3: receiver_phone is not that of line 2, of the same parcel",
        ] == run("bulk", "trace", "orders.csv").err.splitlines()

    def test_trace__part_of_a_parcel_is_invalid(self, run, wechat):
        """No row of a parcel is sent until all can be, and each names its line."""
        bad = f"{HEAD}\nA1,{OPENID},SF1,138,茶,a\nA2,{OPENID},SF1,138****8000,杯,b\n"
        Path("orders.csv").write_text(bad, encoding="utf-8")
        first = run("bulk", "trace", "orders.csv")
        calls_made = calls(wechat, "trace_waybill")
        Path("orders.csv").write_text(bad.replace("138****8000", "138"), "utf-8")
        second = run("bulk", "trace", "orders.csv", "--json")
        last = {line["row"]: line["outcome"] for line in lines("orders.results.jsonl")}

        problem = "receiver_phone '138****8000' is not one phone number"
        assert (2, []) == (first.code, calls_made)
        assert [
            f"line 2: line 3, of the same parcel: {problem}",
            f"line 3: {problem}",
        ] == [
            line.replace("\n", " ") for line in re.split("\n(?=line)", first.err[:-1])
        ]
        assert (0, 2) == (second.code, second.json["done_now"])
        assert {1: "ok", 2: "ok"} == last


class TestMessages:
    def test_query__empty_stdin(self, run, wechat, monkeypatch):
        """An empty pipe is named, and leaves no output."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))

        ran_ = run("bulk", "query", "-", "--out", "o.jsonl")

        assert (2, "✗ stdin has no rows") == (ran_.code, ran_.err.splitlines()[0])
        assert not Path("o.jsonl").exists()

    def test_summary__no_rows(self, capsys):
        """An output that was removed again is not named."""
        summary = {"rows": None, "done": 0, "done_now": 0, "seconds": 0.1}
        progress.show_summary(Path("o.jsonl"), summary, Counter(), 0)

        assert "0 rows done\n" == capsys.readouterr().out

    @pytest.mark.parametrize("head", ["id\x1b[31m\x07,openid", "\x1b[2Jid"])
    def test_headings__control_characters(self, head, run, wechat):
        """Headings with characters that act on a terminal are listed without them."""
        Path("orders.csv").write_text(f"{head}\nA,b\n")

        ran_ = run("bulk", "trace", "orders.csv", "--dry-run")

        assert "Found: " in ran_.err
        assert not re.search("[\x07\x1b]", ran_.err)


class TestDryRun:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_dry_run__look(self, lang, run, wechat):
        """It shows the first calls and what is wrong, and sends nothing."""
        bad = "".join(f"B{n},{OPENID},无,138,茶,a\n" for n in range(12))
        Path("orders.csv").write_text(f"备注,{orders(1)[:-1]}\n", encoding="utf-8")
        text = f"备注,{HEAD}\n" + "".join(
            f"x,{line}\n" for line in (orders(4) + bad).splitlines()[1:]
        )
        Path("orders.csv").write_text(text, encoding="utf-8")

        look = run("bulk", "trace", "orders.csv", "--dry-run", "--lang", lang)

        check_snapshot(f"dry-run-{lang}", f"{look.code}\n{look.out}--\n{look.err}")
        assert [] == wechat.calls
        assert ["orders.csv"] == os.listdir()

    @pytest.mark.parametrize("argv", [[], ["--dry-run"]])
    def test_rows__sum(self, argv, run, wechat):
        """A sum below the table is named with its line."""
        Path("orders.csv").write_text(f"{orders(1)}合计,,,,1,\n", encoding="utf-8")

        text = run("bulk", "trace", "orders.csv", *argv)
        found = run("bulk", "trace", "orders.csv", *argv, "--json")

        assert (0, "line 3: skipped: a sum below the table\n") == (text.code, text.err)
        assert (1, [3]) == (found.json["rows"], found.json["skipped"])

    def test_dry_run__json(self, run, monkeypatch):
        """A program gets the same; neither variables nor an output are needed."""
        data = io.BytesIO(b"A\n\xe8\xbf\x90\n")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))

        ran = run("bulk", "query", "-", "--dry-run", "--json")

        assert (2, "") == (ran.code, ran.err)
        assert {
            "ok": False,
            "rows": 2,
            "calls": 1,
            "invalid": 1,
            "first": [{"waybill_token": "A"}],
            "problems": [
                {
                    "row": 2,
                    "line": 2,
                    "message": "waybill_token '运' is not a waybill_token",
                }
            ],
            "skipped": [],
        } == ran.json


class TestCsv:
    def test_csv__round(self, run, wechat):
        """CSV for Excel: with BOM, resumed, and an input of `bulk query`."""
        Path("orders.csv").write_text(
            orders(3).replace("SF2,", "NULL,"), encoding="utf-8"
        )
        argv = ("bulk", "trace", "orders.csv", "--out", "out.csv")
        first = run(*argv, "--max-calls", "1")
        second = run(*argv, "--json")
        wechat.move("SF1", 4, message="=cmd|' /C calc'!A0")
        wechat.fail("query_trace", errcode=931023, waybill_id="SF3", times=1)
        query = run("bulk", "query", "out.csv", "--out", "q.csv")
        again = run("bulk", "query", "out.csv", "--out", "q.csv", "--json")
        jsonl = run("bulk", "query", "q.csv", "--out", "q2.jsonl", "--json")
        with open("q.csv", encoding="utf-8-sig", newline="") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: int(row["row"]))

        assert b"\xef\xbb\xbfrow,id,outcome," == Path("out.csv").read_bytes()[:18]
        skipped = "skipped 1 row of an earlier output, which has no waybill_token\n"
        assert ((2, 2), (1, skipped), 0) == (
            (first.code, second.code),
            (query.code, query.err),
            again.json["done_now"],
        )
        assert 1 == second.json["done_now"]
        assert ["1", "2"] == [row["row"] for row in rows]
        assert ("A1", "ok", "SIGNED", "已签收", "龙井茶") == tuple(
            rows[0][key] for key in ("id", "outcome", "status_name", "label", "goods")
        )
        assert "'=cmd|' /C calc'!A0" == rows[0]["message"]
        # A refused row can be queried again.
        assert [64, 64] == [len(row["waybill_token"]) for row in rows]
        assert (0, 2) == (jsonl.code, jsonl.json["done"])


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
            "备注,token\n,\n" + "".join(f"x,{t}\n" for t in tokens) + "x,\n",
            encoding="utf-8",
        )

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_summary__look(self, lang, run, wechat):
        """Counts by status and by error, in both languages."""
        self.prepare(wechat, run)
        first = run("bulk", "query", "t.csv", "--lang", lang, "--max-calls", "6")
        second = run("bulk", "query", "t.csv", "--lang", lang)

        texts = [
            f"exit code {look.code}\n{look.out}--\n{look.err}"
            for look in (first, second)
        ]
        look = re.sub(r"[\d,]+/(s|秒)", ".../s", "----\n".join(texts))
        look = re.sub(r"\d:\d\d:\d\d", "0:00:00", look)

        check_snapshot(f"bulk-{lang}", look)

    def test_summary__json(self, run, wechat):
        """A program gets the same as one object."""
        self.prepare(wechat, run)

        ran = run("bulk", "query", "t.csv", "--json")
        found = ran.json

        assert 1 == ran.code
        assert 0 < found.pop("seconds")
        assert {
            "ok": False,
            "out": "t.results.jsonl",
            "complete": True,
            "rows": 13,
            "done": 13,
            "done_now": 13,
            "skipped": [],
            "outcomes": {"ok": 9, "refused": 3, "failed": 0, "invalid": 1},
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

    def test_summary__odd_lines(self, run, wechat):
        """Statuses and errcodes from elsewhere are shown as they are."""
        Path("t.csv").write_text("A\nB\nC\nD\n")
        run("bulk", "query", "t.csv")
        results = Path("t.results.jsonl")
        found = [json.loads(line) for line in results.read_text().splitlines()]
        for line, more in zip(
            found,
            (
                {"outcome": "ok", "status_name": "LATER"},
                {"outcome": "ok", "status_name": None},
                {"outcome": "ok", "status_name": "UNKNOWN_" + "9" * 5000},
                {"outcome": "refused", "error": {"errcode": "x"}},
            ),
        ):
            line.update(more)
        results.write_text("".join(json.dumps(line) + "\n" for line in found))

        code, out, _ = run("bulk", "query", "t.csv")

        assert 1 == code
        for text in ("  LATER\n", "  registered\n", "  UNKNOWN_999", "  x\n"):
            assert text in out

    @pytest.mark.parametrize("text", ["", "\n", "waybill_token\n"])
    def test_summary__empty_input(self, text, run, wechat):
        """An input without rows is refused, and leaves no output."""
        Path("t.csv").write_text(text)

        found = [run("bulk", "query", "t.csv"), run("bulk", "query", "t.csv", "--json")]

        assert [2, 2] == [each.code for each in found]
        assert found[0].err.startswith("✗ t.csv has no rows\n")
        assert ["t.csv"] == os.listdir()


class TestStopping:
    def test_quota__says_when(self, run, wechat, monkeypatch):
        """The day's quota ends the run, and the message says until when."""
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
        assert first.told.endswith(
            "Stopped: the quota is used up. Run the same command again after "
            "2026-11-25 00:00 China time, when WeChat's next day begins."
        )
        assert ("quota", "2026-11-25T00:00:00+08:00", False) == tuple(
            again.json[key] for key in ("stopped", "continue_at", "complete")
        )
        assert 45009 == again.json["error"]["errcode"]

    @pytest.mark.parametrize(
        "now, hours",
        [
            ("2026-11-24T15:59:59+00:00", "2026-11-25T00:00:00+08:00"),
            ("2026-11-24T16:00:00+00:00", "2026-11-26T00:00:00+08:00"),
            ("2026-12-31T23:00:00+08:00", "2027-01-01T00:00:00+08:00"),
        ],
    )
    def test_next_day__in_china(self, now, hours):
        """WeChat's day begins at midnight in China, wherever this machine stands."""
        assert hours == bulk.next_day(datetime.datetime.fromisoformat(now)).isoformat()

    def test_refused__all_the_same(self, run, wechat):
        """A wrong secret spoils no row."""
        Path("t.csv").write_text("A\nB\n")
        wechat.fail("stable_token", errcode=40125, times=None)

        found = run("bulk", "query", "t.csv")

        assert 1 == found.code
        assert "invalid appsecret" in found.err
        assert found.told.endswith(
            "Stopped: every row would be refused for this. Fix it, then run the same "
            "command again."
        )
        assert ["t.csv"] == os.listdir()

    def test_no_answer__nothing_there(self, run, wechat, monkeypatch):
        """Without an answer it gives up soon."""
        monkeypatch.setattr(job, "STREAK", 2)
        Path("t.csv").write_text("A\nB\n")

        argv = ("bulk", "query", "t.csv", "--base-url", "http://127.0.0.1:9")
        found = run(*argv)

        assert 3 == found.code
        assert found.err.startswith("✗ No answer from WeChat to stable_token")
        assert "Run the same command again when the network is back." in found.told

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupt__finishes(self, number, run, wechat):
        """Ctrl-C and SIGTERM finish what is under way and write it."""
        Path("orders.csv").write_text(orders(300), encoding="utf-8")
        wechat.fail("trace_waybill", delay=0.02, times=None)

        def kill() -> None:
            while not calls(wechat, "trace_waybill"):
                time.sleep(0.01)
            os.kill(os.getpid(), number)

        threading.Thread(target=kill, daemon=True).start()
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
        assert "Finishing the calls under way; Ctrl-C again ends at once." in ran.err
        assert before == signal.getsignal(number)

    def test_interrupt__in_a_thread(self, run, wechat):
        """In a thread, where no signal comes, it runs as well."""
        Path("t.csv").write_text("A\n")
        codes: list[int] = []
        thread = threading.Thread(
            target=lambda: codes.append(main(["bulk", "query", "t.csv"]))
        )
        thread.start()
        thread.join()

        assert [1] == codes


class TestFiles:
    @pytest.mark.parametrize(
        "argv, problem",
        [
            (["none.csv"], "none.csv: No such file or directory"),
            (["."], ".: Is a directory"),
            (["-"], "--out FILE is missing"),
            (["t.csv", "--out", "-"], "--out FILE is missing"),
            (["t.csv", "--out", "t.csv"], "t.csv is the input"),
            (["t.csv", "--out", "x/../t.csv"], "x/../t.csv is the input"),
            (["/dev/null"], "--out FILE is missing"),
            (["t.csv", "--out", "other.txt"], "other.txt holds something else than"),
            (["t.csv", "--out", "no/out"], "no/out: No such file or directory"),
            (["t.csv", "--out", "x" * 300], "xxxx"),
            (["bad.csv"], "no column waybill_token"),
        ],
    )
    def test_files__wrong_use(self, argv, problem, run, wechat):
        """What cannot be read or written is an error before anything is sent."""
        Path("x").mkdir()
        Path("t.csv").write_text("A\n")
        Path("bad.csv").write_text("a,b\n")
        Path("other.txt").write_text("mine\n")

        code, out, err = run("bulk", "query", *argv)

        assert (2, "") == (code, out)
        assert err.startswith(f"✗ {problem}")
        assert "mine\n" == Path("other.txt").read_text()
        assert [] == wechat.calls

    def test_files__no_variables(self, run):
        """Without variables no output is made."""
        Path("t.csv").write_text("A\n")

        assert 2 == run("bulk", "query", "t.csv").code
        assert not Path("t.results.jsonl").exists()

    def test_files__changed(self, run, wechat):
        """An input that changed is an error before anything is sent."""
        Path("orders.csv").write_text(orders(5), encoding="utf-8")
        run("bulk", "trace", "orders.csv", "--max-calls", "3")
        sent = len(wechat.calls)
        text = Path("orders.csv").read_text(encoding="utf-8")
        Path("orders.csv").write_text(text.replace("SF2", "SF7"), encoding="utf-8")
        changed = run("bulk", "trace", "orders.csv")
        Path("orders.csv").write_text(orders(2), encoding="utf-8")
        shorter = run("bulk", "trace", "orders.csv")

        assert (2, 2) == (changed.code, shorter.code)
        assert "row 2 (line 3, SF7) of the input is not what it was" in changed.told
        assert "results up to row 3, but the input ends before" in shorter.told
        assert sent == len(wechat.calls)

    def test_files__changed_further_on(self, run, wechat):
        """So is one that changed behind a row that is still to be done."""
        Path("orders.csv").write_text(orders(3), encoding="utf-8")
        run("bulk", "trace", "orders.csv", "--workers", "1")
        results = Path("orders.results.jsonl")
        results.write_text("".join(results.read_text().splitlines(True)[1:]))
        Path("orders.csv").write_text(orders(3).replace("SF3", "SF7"))
        sent = len(wechat.calls)

        code, _, err = run("bulk", "trace", "orders.csv")

        assert 2 == code
        assert "row 3 (line 4, SF7) of the input is not what it was" in err
        assert sent == len(wechat.calls)

    def test_files__disk_full(self, run, wechat, monkeypatch):
        """A disk that is full ends the run, and says how to go on."""
        Path("t.csv").write_text("A\n")

        def write(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            full = run("bulk", "query", "t.csv")

        assert 2 == full.code
        assert "cannot write t.results.jsonl: No space left on device" in full.told


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_bar__in_a_terminal(self, run, wechat, monkeypatch):
        """In a terminal stderr has a bar and notes above it; stdout stays clean."""
        tokens = register(wechat, run, 3)
        Path("t.csv").write_text("\n".join(tokens))
        seen = Terminal()
        monkeypatch.setattr(sys, "stderr", seen)

        run("bulk", "query", "t.csv", "--max-calls", "1")
        assert "Resuming" not in seen.getvalue()
        ran = run("bulk", "query", "t.csv", "--json")

        assert 3 == ran.json["done"]
        assert re.search(r"#+-* +1/3", seen.getvalue())
        assert re.search(r"#+ +3/3 .*✓ 2  ✗ 0", seen.getvalue())
        assert "Resuming: 1 row is done already." in seen.getvalue()

    def test_bar__of_a_pipe(self, wechat, run, monkeypatch):
        """As long as the end is not known the bar shows how many rows are done."""
        monkeypatch.setattr(sys, "stderr", Terminal())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A\nB\n")))
        monkeypatch.setenv("COLUMNS", "40")

        assert 1 == run("bulk", "query", "-", "--out", "o.jsonl").code

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_lines__now_and_then(self, lang, capsys, monkeypatch):
        """Without a terminal there is a line every ten seconds."""
        monkeypatch.delenv("COLUMNS", raising=False)
        now = 100.0
        with speak(lang):
            for total in (40_000, None):
                line = progress.lines(total, 8_000, clock=lambda: now)
                for number in range(1, 26):
                    now += 1
                    line(Counter({Tally("ok", ""): 780 * number}))

        check_snapshot(f"lines-{lang}", capsys.readouterr().err)

    def test_lines__nothing_done(self, capsys):
        """Before the first row is done no time is left to be named."""
        now = 100.0
        line = progress.lines(40, 0, clock=lambda: now)
        now += 20
        with speak("en"):
            line(Counter())

        assert (
            "0 / 40 rows: 0 succeeded, 0 refused, 0 invalid; 0/s\n"
            == capsys.readouterr().err
        )

    def test_lines__nobody_reads_them(self, monkeypatch):
        """A stderr that is gone ends nothing."""
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w", encoding="utf-8") as closed:
            monkeypatch.setattr(sys, "stderr", closed)
            for _ in range(2):
                note("x" * 100_000)

    def test_progress__rows_done_again(self, run, wechat, monkeypatch):
        """Rows that are done once more do not count as done before."""
        Path("t.csv").write_text("A\nB\n")
        run("bulk", "query", "t.csv")

        err = run("bulk", "query", "t.csv", "--again", "refused").err

        assert "" == err
        assert 4 == len(lines("t.results.jsonl"))


class TestNothingLost:
    @pytest.mark.once
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("command", ["query", "trace"])
    def test_interrupt__idle_pipe(self, command, number, wechat):
        """A signal ends a run that waits for its pipe, after the rows it has read."""
        out = Path("out.jsonl")
        argv = ("bulk", command, "-", "--out", str(out))
        with process(*argv, stdin=subprocess.PIPE) as waiting:
            waiting.stdin.write("A\nB\n" if command == "query" else f"{HEAD}\n")
            waiting.stdin.flush()
            deadline = time.monotonic() + 60
            if command == "query":
                while not out.exists() or out.read_bytes().count(b"\n") < 2:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            else:
                # Unread bytes: once there are none, the run waits for more.
                while fcntl.ioctl(waiting.stdin, termios.FIONREAD, b"    ") != bytes(4):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            waiting.send_signal(number)
            _, err = waiting.communicate(timeout=60)

        assert 130 == waiting.returncode, err
        assert (command == "query") == out.exists()

    @pytest.mark.parametrize(
        "harm", [lambda path: path.unlink(), lambda path: os.truncate(path, 999)]
    )
    def test_output__disappears(self, harm, run, wechat):
        """An output that disappears or shrinks during a run ends it with an error."""
        out = "out.csv"
        Path("orders.csv").write_text(orders(300), encoding="utf-8")
        wechat.fail("trace_waybill", delay=0.01, times=None)

        def watch() -> None:
            while not Path(out).exists() or Path(out).stat().st_size < 2000:
                time.sleep(0.005)
            harm(Path(out))

        thread = threading.Thread(target=watch)
        thread.start()
        argv = ("bulk", "trace", "orders.csv", "--out", out, "--workers", "4")
        code, shown, err = run(*argv)
        thread.join()

        assert (2, "") == (code, shown)
        assert f"{out} was removed, renamed or changed by" not in err
        assert f"✗ {out} was removed, renamed or changed during the run" in err
        assert len(calls(wechat, "trace_waybill")) < 300

    def test_output__disappears_at_the_end(self, run, wechat, monkeypatch):
        """So does one that is gone after its last line."""
        Path("t.csv").write_text("A\n")
        real = job.Job.run

        def run_and_remove(*args: Any) -> None:
            real(*args)
            Path("t.results.jsonl").unlink()

        monkeypatch.setattr(job.Job, "run", run_and_remove)

        assert 2 == run("bulk", "query", "t.csv").code

    def test_interrupt__while_the_pipe_is_read(self, run, wechat, monkeypatch):
        """Nothing is sent of a registrations' pipe that was not read to its end."""
        reading, writing = os.pipe()
        os.write(writing, orders(3).encode())
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
        with open(reading, encoding="utf-8") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            code, _, err = run("bulk", "trace", "-", "--out", "out.jsonl")
        os.close(writing)

        assert (130, []) == (code, wechat.calls)
        assert err.endswith("Interrupted.\n")

    @pytest.mark.once
    def test_interrupt__pipe_without_a_writer(self, wechat):
        """A signal ends a run that waits for a writer of its pipe."""
        os.mkfifo("pipe")
        with process("bulk", "trace", "pipe", "--out", "o.csv") as waiting:
            status = Path(f"/proc/{waiting.pid}/status")
            # Once SIGTERM is caught, the run waits.
            while (
                not int(re.findall("SigCgt:\t(.*)", status.read_text())[0], 16) >> 14
                & 1
            ):
                time.sleep(0.01)
            waiting.send_signal(signal.SIGTERM)
            assert "Interrupted.\n" == waiting.communicate(timeout=60)[1][-13:]

        assert (130, False) == (waiting.returncode, Path("o.csv").exists())

    @pytest.mark.once
    def test_pipe__stops_while_idle(self, wechat):
        """A run that has to stop does not wait for its pipe."""
        wechat.fail("query_trace", errcode=45009, times=None)
        argv = ("bulk", "query", "-", "--out", "out.jsonl", "--json")
        with process(*argv, stdin=subprocess.PIPE) as stopped:
            stopped.stdin.write("A\n")
            stopped.stdin.flush()
            code = stopped.wait(60)
            found = json.loads(stopped.stdout.read())

        assert (1, "quota") == (code, found["stopped"])
        assert not Path("out.jsonl").exists()


class TestProcess:

    @pytest.mark.once
    def test_process__second_interrupt(self, wechat):
        """The second Ctrl-C ends a run that hangs."""
        Path("t.csv").write_text("A\n")
        wechat.fail("query_trace", delay=600, times=None)
        with process("bulk", "query", "t.csv") as query:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not any(
                fault.times is None and calls_begun(wechat) for fault in wechat.faults
            ):
                time.sleep(0.02)
            query.send_signal(signal.SIGINT)
            assert "Finishing the calls under way" in query.stderr.readline()
            query.send_signal(signal.SIGINT)
            code = query.wait(60)

        assert -signal.SIGINT == code


def calls_begun(wechat: Sandbox) -> bool:
    return any(call.endpoint == "query_trace" for call in wechat.calls)
