"""What every command prints fits the terminal, in both languages."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from clitools import Run
from private import OPENID

from wxlogistics.cli.language import LANGUAGES
from wxlogistics.cli.output import cells
from wxlogistics.sandbox import Sandbox

REGISTER = f"--openid {OPENID} --receiver-phone 138 --goods 茶="

#: Command lines, and what WeChat answers instead.
COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("--help", {}),
    ("--version", {}),
    *((f"{name} --help", {}) for name in "trace carriers bulk doctor probe".split()),
    ("bulk query --help", {}),
    ("bulk trace --help", {}),
    ("sandbox --help", {}),
    ("demo", {}),
    ("doctor", {}),
    ("doctor", {"endpoint": "stable_token", "errcode": 40164}),
    ("doctor --base-url http://127.0.0.1:9", {}),
    ("doctor --base-url http://127.0.0.1:9?token", {}),
    ("carriers 顺丰", {}),
    ("carriers 顺丰", {}),
    ("carriers a-name-that-no-carrier-has in-any-language", {}),
    ("carriers none-of-them", {}),
    ("errors", {}),
    (f"trace SF1234567890123456789012345 {REGISTER}", {}),
    (f"trace SF1 {REGISTER}", {"endpoint": "trace_waybill", "status": 502}),
    ("trace SF1", {}),
    (f"trace SF1 {REGISTER} --goods-file {'x' * 9}.json", {}),
    (f"trace SF1 {REGISTER} --openid x", {"endpoint": "stable_token", "status": 403}),
    ("query {token}", {}),
    ("query {token} --openid", {}),
    ("query none", {}),
    ("query none", {"endpoint": "query_trace", "errcode": -1, "errmsg": "a " * 90}),
    ("query none", {"endpoint": "query_trace", "status": 200, "body": "no " * 50}),
    ("query none --base-url x", {}),
    ("query none --base-url http://127.0.0.1:9", {}),
    ("qery", {}),
    ("query a b c", {}),
    ("update-goods {token} --goods 龙井茶=", {}),
    ("update-goods {token} --goods none", {}),
    ("probe --yes", {"endpoint": "query_trace", "status": 200, "body": "{}"}),
    ("probe", {}),
    ("sandbox --port x", {}),
    ("sandbox --set none=1", {}),
    ("bulk trace orders.csv --dry-run", {}),
    ("bulk trace orders.csv --workers 0", {}),
    ("bulk trace orders.csv --max-calls 1", {}),
    ("bulk trace orders.csv", {"endpoint": "trace_waybill", "errcode": 9300534}),
    ("bulk trace orders.csv --again refused", {}),
    ("bulk trace more.csv --out orders.results.jsonl", {}),
    ("bulk trace other.csv --out orders.results.jsonl", {}),
    ("bulk trace short.csv --out orders.results.jsonl", {}),
    ("bulk trace orders.csv --out orders.csv", {}),
    ("bulk trace orders.csv --out none/out", {}),
    ("bulk trace orders.csv --out q1", {"endpoint": "trace_waybill", "errcode": 45009}),
    ("bulk trace orders.csv --out q2", {"endpoint": "stable_token", "errcode": 40125}),
    ("bulk trace orders.csv --out q3", {"endpoint": "trace_waybill", "status": 502}),
    ("bulk trace heads.csv --dry-run", {}),
    ("bulk trace heads.csv --map a=b", {}),
    ("bulk query heads.csv", {}),
    ("bulk query orders.results.jsonl --out n.csv", {}),
]


def prepare(wechat: Sandbox, run: Run) -> str:
    head = "id,openid,waybill_id,receiver_phone,goods_name,goods_img_url,备注,a note"
    row = f"{OPENID},SF{{}},138,茶叶,www.qq.com,,"
    rows = [f"A{number},{row.format(number)}" for number in range(1, 5)]
    bad = [f"A{n},{OPENID},SF{n}/SF{n}9,138****8000,茶,," for n in range(5, 20)]
    texts = {"orders": rows + bad, "short": rows[:1]}
    texts["other"] = [f"A1,{row.format(9)}", *rows[1:], *bad]
    texts["more"] = [*rows, *bad, f"A1,{row.format(1)}".replace("茶叶", "杯")]
    for name, lines in texts.items():
        Path(f"{name}.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
    Path("heads.csv").write_text("订单编号,买家昵称,实付金额,收件地址\n1,2,3,4\n")
    token: str = run("trace", "SF100", *REGISTER.split(), "--json").json[
        "waybill_token"
    ]
    wechat.move("SF100", 3, message="【杭州市】派送中，电话：13900139000，请保持畅通")
    return token


def too_wide(line: str, columns: int) -> bool:
    """Return whether *line* could have been folded, and is to be."""
    # A word of its own, a call's JSON, and a command line that is to be copied.
    is_whole = not line.strip().count(" ") or re.match(r' *("|\$ |--|[{}\[])', line)
    return not is_whole and cells(line) > columns


@pytest.mark.parametrize("columns", [40, 60])
@pytest.mark.parametrize("language", LANGUAGES)
def test_lines__fit(columns, language, run, wechat, monkeypatch):
    """No line is too wide but for what cannot be broken or is to be copied."""
    token = prepare(wechat, run)
    shutil.rmtree(Path("../cache"), ignore_errors=True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    wrong = []
    for command, fault in COMMANDS:
        wechat.mend()
        if fault:
            wechat.revoke_tokens()
            wechat.fail(times=None, **fault)
        argv = [token if word == "{token}" else word for word in command.split()]
        _, out, err = run("--lang", language, *argv)
        for line in (out + err).splitlines():
            closing = line.strip()[:1] in {*"，。、：；？！）」"} - {""}
            if too_wide(line, columns) or closing or "\x1b" in line:
                wrong.append(f"{command}: {line}")
        assert out + err

    assert [] == wrong
