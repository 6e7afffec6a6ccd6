"""The commands for one waybill: register, query and update, in both components."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import click

from ..models import GoodsInfo
from .command import FILE, Command, option
from .goods import goods_from_json, goods_from_pairs
from .messages import Problem, Say
from .terminal import GOOD, Terminal, goods_names, stdin, trace_fields

_OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
_GOODS = "--goods '龙井茶=https://shop.example/tea.jpg'"


def commands(terminal: Terminal) -> list[click.Command]:
    """
    Return the six commands.
    """
    return [
        _register(terminal, "trace", "trace_waybill"),
        _query(terminal, "query", "query_trace"),
        _update(terminal, "update-goods", "update_waybill_goods"),
        _register(terminal, "follow", "follow_waybill"),
        _query(terminal, "query-follow", "query_follow_trace"),
        _update(terminal, "update-follow-goods", "update_follow_waybill_goods"),
    ]


def _register(terminal: Terminal, name: str, endpoint: str) -> click.Command:
    say = terminal.say

    def run(
        waybill_id: str, goods: Sequence[str], goods_file: str | None, **fields: str
    ) -> int:
        goods_info = _goods(goods, goods_file)
        with terminal.client() as client:
            waybill_token = getattr(client, endpoint)(
                waybill_id=waybill_id, goods_info=goods_info, **fields
            )
        if terminal.as_json:
            terminal.answer(
                {"ok": True, "waybill_id": waybill_id, "waybill_token": waybill_token}
            )
        else:
            terminal.done(say("trace.done", waybill_id=waybill_id))
            click.echo(waybill_token)
        return GOOD

    return Command(
        terminal,
        name,
        run,
        [
            click.Argument(["waybill_id"], metavar="WAYBILL_ID"),
            option(say, "--openid", "help.openid", metavar="OPENID", required=True),
            option(
                say,
                "--receiver-phone",
                "help.receiver_phone",
                metavar="PHONE",
                required=True,
            ),
            *_goods_options(say),
            option(say, "--sender-phone", "help.sender_phone", metavar="PHONE"),
            option(say, "--trans-id", "help.trans_id", metavar="ID"),
            option(say, "--delivery-id", "help.delivery_id", metavar="ID"),
            option(
                say, "--order-detail-path", "help.order_detail_path", metavar="PATH"
            ),
        ],
        examples=[
            f"wxlogistics {name} SF1234567890123 --openid {_OPENID} \\\n"
            f"        --receiver-phone 13800138000 {_GOODS}",
            f"wxlogistics {name} SF1234567890123 --openid {_OPENID} \\\n"
            "        --receiver-phone 13800138000 --goods-file goods.json --json",
        ],
    )


def _query(terminal: Terminal, name: str, endpoint: str) -> click.Command:
    say = terminal.say

    def run(waybill_token: str, openid: str | None) -> int:
        with terminal.client() as client:
            trace = getattr(client, endpoint)(waybill_token, openid=openid)
        if terminal.as_json:
            terminal.answer(
                {
                    "ok": True,
                    "waybill_token": waybill_token,
                    **trace_fields(trace),
                    "raw": trace.raw,
                }
            )
        else:
            from .views import show_trace

            show_trace(terminal, trace)
        return GOOD

    return Command(
        terminal,
        name,
        run,
        [
            click.Argument(["waybill_token"], metavar="WAYBILL_TOKEN"),
            option(say, "--openid", "help.openid", metavar="OPENID"),
        ],
        examples=[
            f"wxlogistics {name} WAYBILL_TOKEN",
            f"wxlogistics {name} WAYBILL_TOKEN --json | jq .status_name",
        ],
    )


def _update(terminal: Terminal, name: str, endpoint: str) -> click.Command:
    say = terminal.say

    def run(
        waybill_token: str,
        openid: str | None,
        goods: Sequence[str],
        goods_file: str | None,
    ) -> int:
        goods_info = _goods(goods, goods_file)
        with terminal.client() as client:
            getattr(client, endpoint)(waybill_token, goods_info, openid=openid)
        if terminal.as_json:
            terminal.answer({"ok": True, "waybill_token": waybill_token})
        else:
            names = goods_names(goods_info.detail_list, say)
            terminal.done(say("update.done", goods=names))
        return GOOD

    return Command(
        terminal,
        name,
        run,
        [
            click.Argument(["waybill_token"], metavar="WAYBILL_TOKEN"),
            *_goods_options(say),
            option(say, "--openid", "help.openid", metavar="OPENID"),
        ],
        examples=[f"wxlogistics {name} WAYBILL_TOKEN \\\n        {_GOODS}"],
    )


def _goods_options(say: Say) -> list[click.Option]:
    return [
        option(say, "--goods", "help.goods", metavar="NAME=URL", multiple=True),
        option(say, "--goods-file", "help.goods_file", metavar="FILE", type=FILE),
    ]


def _goods(pairs: Sequence[str], path: str | None) -> GoodsInfo:
    """
    Return the goods that the two options give.
    """
    if bool(pairs) == bool(path):
        raise Problem("use.goods_or_file")
    if not path:
        return goods_from_pairs(pairs)
    try:
        data = stdin().read() if path == "-" else Path(path).read_bytes()
        return goods_from_json(data.decode("utf-8-sig"))
    except OSError as error:
        raise Problem("use.file", path=path, reason=error.strerror) from None
    except UnicodeDecodeError:
        raise Problem("goods.json") from None
