"""The commands for one waybill: register, query and update, in both components."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import click

from ..models import GoodsInfo
from .command import FILE, Command, option
from .goods import goods_from_json, goods_from_pairs
from .language import say
from .output import (
    GOOD,
    Problem,
    Terminal,
    answer,
    clean,
    done,
    echo,
    goods_names,
    stdin,
    trace_fields,
    unusable,
)
from .views import show_trace

_OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
_GOODS = "--goods '龙井茶=https://shop.example/tea.jpg'"


def commands(terminal: Terminal) -> list[click.Command]:
    """
    Return the six commands.
    """
    register = (
        "Register a waybill and print its waybill_token (trace_waybill).\nIf it is "
        "registered already, WeChat returns its token and keeps its first goods."
    )
    update = (
        "Replace all goods of a waybill (update_waybill_goods).\nWeChat allows few "
        "changes for each."
    )
    follow = "Register a waybill with the message component (follow_waybill)."
    query_follow = "Show where a followed parcel is (query_follow_trace)."
    update_follow = (
        "Replace all goods of a followed waybill (update_follow_waybill_goods)."
    )
    return [
        _register(terminal, "trace", register, "trace_waybill"),
        _query(
            terminal, "query", "Show where a parcel is (query_trace).", "query_trace"
        ),
        _update(terminal, "update-goods", update, "update_waybill_goods"),
        _register(terminal, "follow", follow, "follow_waybill"),
        _query(terminal, "query-follow", query_follow, "query_follow_trace"),
        _update(
            terminal,
            "update-follow-goods",
            update_follow,
            "update_follow_waybill_goods",
        ),
    ]


def _register(terminal: Terminal, name: str, text: str, endpoint: str) -> click.Command:
    def run(
        waybill_id: str, goods: Sequence[str], goods_file: str | None, **fields: str
    ) -> int:
        goods_info = _goods(goods, goods_file)
        with terminal.client() as client:
            waybill_token = getattr(client, endpoint)(
                waybill_id=waybill_id, goods_info=goods_info, **fields
            )
        if terminal.as_json:
            answer(
                {"ok": True, "waybill_id": waybill_id, "waybill_token": waybill_token}
            )
        else:
            text = "{waybill_id} is registered. Keep its waybill_token with the order:"
            done(say(text, waybill_id=clean(waybill_id)))
            echo(clean(waybill_token))
        return GOOD

    command = f"wxlogistics {name} SF1234567890123 --openid {_OPENID} \\\n"
    return Command(
        terminal,
        name,
        text,
        run,
        [
            click.Argument(["waybill_id"], metavar="WAYBILL_ID"),
            option(
                "--openid",
                "The customer's openid in this mini-program.",
                metavar="OPENID",
                required=True,
            ),
            option(
                "--receiver-phone",
                "The receiver's phone number.",
                metavar="PHONE",
                required=True,
            ),
            *_goods_options(),
            option("--sender-phone", "The sender's phone number.", metavar="PHONE"),
            option(
                "--trans-id",
                "The number of the WeChat Pay transaction; give it if you have it.",
                metavar="ID",
            ),
            option(
                "--delivery-id",
                "The carrier, see 'carriers'; helps with small ones.",
                metavar="ID",
            ),
            option(
                "--order-detail-path",
                "The mini-program's page that shows the order.",
                metavar="PATH",
            ),
        ],
        examples=[
            f"{command}        --receiver-phone 13800138000 {_GOODS}",
            f"{command}        --receiver-phone 13800138000 --goods-file goods.json",
        ],
    )


def _query(terminal: Terminal, name: str, text: str, endpoint: str) -> click.Command:
    def run(waybill_token: str, openid: str | None) -> int:
        with terminal.client() as client:
            trace = getattr(client, endpoint)(waybill_token, openid=openid)
        if terminal.as_json:
            found = {"waybill_token": waybill_token, **trace_fields(trace)}
            answer({"ok": True, **found, "raw": trace.raw})
        else:
            show_trace(trace)
        return GOOD

    return Command(
        terminal,
        name,
        text,
        run,
        [_token(), _openid()],
        examples=[
            f"wxlogistics {name} WAYBILL_TOKEN",
            f"wxlogistics {name} WAYBILL_TOKEN --json | jq .status_name",
        ],
    )


def _update(terminal: Terminal, name: str, text: str, endpoint: str) -> click.Command:
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
            answer({"ok": True, "waybill_token": waybill_token})
        else:
            names = goods_names(goods_info.detail_list)
            done(say("The goods are replaced: {goods}", goods=names))
        return GOOD

    return Command(
        terminal,
        name,
        text,
        run,
        [_token(), *_goods_options(), _openid()],
        examples=[f"wxlogistics {name} WAYBILL_TOKEN \\\n        {_GOODS}"],
    )


def _token() -> click.Argument:
    return click.Argument(["waybill_token"], metavar="WAYBILL_TOKEN")


def _openid() -> click.Option:
    text = "The customer's openid in this mini-program."
    return option("--openid", text, metavar="OPENID")


def _goods_options() -> list[click.Option]:
    text = "One article and its image; repeat it for up to 10."
    return [
        option("--goods", text, metavar="NAME=URL", multiple=True),
        option(
            "--goods-file",
            "The goods as a JSON file; - is stdin.",
            metavar="FILE",
            type=FILE,
        ),
    ]


def _goods(pairs: Sequence[str], path: str | None) -> GoodsInfo:
    """
    Return the goods that the two options give.
    """
    if bool(pairs) == bool(path):
        raise Problem("give either --goods or --goods-file")
    if not path:
        return goods_from_pairs(pairs)
    try:
        data = stdin().read() if path == "-" else Path(path).read_bytes()
        return goods_from_json(data.decode("utf-8-sig"))
    except OSError as error:
        raise unusable(path, error.errno) from None
    except UnicodeDecodeError:
        raise Problem("the goods are not JSON") from None
