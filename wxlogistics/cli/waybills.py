"""The commands for one waybill: register, query and update, in both components."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import click

from ..models import GoodsInfo
from . import output
from .command import FILE, Command, option
from .goods import goods_from_json, goods_from_pairs
from .language import say
from .views import show_trace

_GOODS = "--goods '龙井茶=https://shop.example/tea.jpg'"


def commands(terminal: output.Terminal) -> list[click.Command]:
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


def _register(terminal: output.Terminal, name: str, endpoint: str) -> click.Command:
    def run(waybill_id: str, **fields: Any) -> int:
        goods_info = _goods(fields.pop("goods"), fields.pop("goods_file"))
        with terminal.client() as client:
            register = getattr(client, endpoint)
            token = register(waybill_id=waybill_id, goods_info=goods_info, **fields)
        if terminal.as_json:
            found = {"waybill_id": waybill_id, "waybill_token": token}
            output.answer({"ok": True, **found})
        else:
            output.done(say("[registered]", waybill_id=output.clean(waybill_id)))
            output.echo(output.clean(token))
        return output.GOOD

    command = (
        f"wxlogistics {name} SF1234567890123 --openid ovtZW4yB7DIj3CxOb6ii-nk4HhFo \\\n"
        "        --receiver-phone 13800138000 "
    )
    params = [
        click.Argument(["waybill_id"], metavar="WAYBILL_ID"),
        option("--openid", metavar="OPENID", required=True),
        option("--receiver-phone", metavar="PHONE", required=True),
        *_goods_options(),
        option("--sender-phone", metavar="PHONE"),
        option("--trans-id", metavar="ID"),
        option("--delivery-id", metavar="ID"),
        option("--order-detail-path", metavar="PATH"),
    ]
    examples = [f"{command}{_GOODS}", f"{command}--goods-file goods.json --json"]
    return Command(terminal, name, run, params, examples=examples)


def _query(terminal: output.Terminal, name: str, endpoint: str) -> click.Command:
    def run(waybill_token: str, openid: str | None) -> int:
        with terminal.client() as client:
            trace = getattr(client, endpoint)(waybill_token, openid=openid)
        if terminal.as_json:
            found = {"waybill_token": waybill_token, **output.trace_fields(trace)}
            output.answer({"ok": True, **found, "raw": trace.raw})
        else:
            show_trace(trace)
        return output.GOOD

    command = f"wxlogistics {name} WAYBILL_TOKEN"
    examples = [command, f"{command} --json | jq .status_name"]
    return Command(terminal, name, run, _token(), examples=examples)


def _update(terminal: output.Terminal, name: str, endpoint: str) -> click.Command:
    def run(waybill_token: str, openid: str | None, **given: Any) -> int:
        goods_info = _goods(**given)
        with terminal.client() as client:
            getattr(client, endpoint)(waybill_token, goods_info, openid=openid)
        if terminal.as_json:
            output.answer({"ok": True, "waybill_token": waybill_token})
        else:
            names = output.goods_names(goods_info.detail_list)
            output.done(say("The goods are replaced: {goods}", goods=names))
        return output.GOOD

    examples = [f"wxlogistics {name} WAYBILL_TOKEN \\\n        {_GOODS}"]
    params = [*_token(), *_goods_options()]
    return Command(terminal, name, run, params, examples=examples)


def _token() -> list[click.Parameter]:
    token = click.Argument(["waybill_token"], metavar="WAYBILL_TOKEN")
    return [token, option("--openid", metavar="OPENID")]


def _goods_options() -> list[click.Parameter]:
    one = option("--goods", metavar="NAME=URL", multiple=True)
    return [one, option("--goods-file", metavar="FILE", type=FILE)]


def _goods(goods: Sequence[str], goods_file: str | None) -> GoodsInfo:
    """
    Return the goods that the two options give.
    """
    if bool(goods) == bool(goods_file):
        raise output.Problem("give either --goods or --goods-file")
    if not goods_file:
        return goods_from_pairs(goods)
    path = Path(goods_file)
    try:
        data = output.stdin().read() if goods_file == "-" else path.read_bytes()
        return goods_from_json(data)
    except OSError as error:
        raise output.unusable(goods_file, error.errno) from None
