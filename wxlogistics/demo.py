"""`wxlogistics demo`: the document's own example through a real client and socket."""

from __future__ import annotations

import datetime
from typing import Any, Callable

import requests
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape

from . import (
    ApiError,
    Client,
    GoodsDetail,
    GoodsInfo,
    StableToken,
    Trace,
    WaybillStatus,
    WaybillTokenError,
)
from .sandbox import Sandbox

OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
WAYBILL_ID = "WXTESTEXPRESS0000014"
TWO_GOODS = GoodsInfo(
    [
        GoodsDetail("测试名字", "www.qq.com"),
        GoodsDetail("测试名字2", "www.qq.com"),
    ]
)
NEW_GOODS = GoodsInfo([GoodsDetail("测试更新商品", "www.qq.com")])

ROUTE = (
    WaybillStatus.NOT_COLLECTED,
    WaybillStatus.COLLECTED,
    WaybillStatus.IN_TRANSIT,
    WaybillStatus.OUT_FOR_DELIVERY,
    WaybillStatus.SIGNED,
)

_CHINA_TIME = datetime.timezone(datetime.timedelta(hours=8))


class Demo:
    """
    Runs the example step by step, shows each, and remembers whether all went well.

    Attributes:
        failures: What did not come out as it should.
    """

    def __init__(
        self, words: Callable[..., str], console: Console, sandbox: Sandbox
    ) -> None:
        self._words = words
        self._console = console
        self._sandbox = sandbox
        self.failures: list[str] = []

    def run(self) -> None:
        """
        Run the whole example.
        """
        sandbox = self._sandbox
        with sandbox.serve() as server, requests.Session() as session:
            # A proxy of the environment's does not lead to this machine.
            session.trust_env = False
            options: Any = {"base_url": server.url, "session": session}
            tokens = StableToken(sandbox.appid, sandbox.secret, **options)
            with Client(tokens, **options) as client:
                where = escape(self._words("demo.title", url=server.url))
                self._say(f"[bold]wxlogistics demo[/]  {where}")
                waybill_token = self.register(client)
                self.follow(client, waybill_token)
                self.update(client, waybill_token)
                self.refuse(client)

    def register(self, client: Client) -> str:
        """
        Register a waybill with its two goods.
        """
        self._head(1, "demo.register", "client.trace_waybill(…)")
        waybill_token = client.trace_waybill(
            openid=OPENID,
            waybill_id=WAYBILL_ID,
            sender_phone="12345678901",
            receiver_phone="123456566",
            goods_info=TWO_GOODS,
        )
        self._row("waybill_id", WAYBILL_ID)
        self._row(self._words("demo.goods"), self._names(TWO_GOODS.detail_list))
        self._row("waybill_token", waybill_token)
        self._check("a waybill_token of 64 characters", len(waybill_token) == 64)
        return waybill_token

    def follow(self, client: Client, waybill_token: str) -> None:
        """
        Query after each step of the parcel.
        """
        self._head(2, "demo.follow", "client.query_trace(waybill_token)")
        for status in ROUTE:
            if status:
                self._sandbox.clock.tick(hours=9)
                self._sandbox.move(WAYBILL_ID, status)
            trace = client.query_trace(waybill_token)
            self._show(trace)
            self._check(f"status {status}", trace.status == status)
        self._check("the goods as registered", trace.goods == TWO_GOODS.detail_list)

    def update(self, client: Client, waybill_token: str) -> None:
        """
        Replace the goods.
        """
        self._head(3, "demo.update", "client.update_waybill_goods(…)")
        client.update_waybill_goods(waybill_token, NEW_GOODS)
        goods = client.query_trace(waybill_token).goods
        self._row(self._words("demo.goods"), self._names(goods))
        self._check("the goods as updated", goods == NEW_GOODS.detail_list)

    def refuse(self, client: Client) -> None:
        """
        Catch a refusal as a user's code would.
        """
        self._head(4, "demo.refuse")
        self._say("  [cyan]try[/]:")
        self._say('      client.query_trace("not a waybill_token")')
        self._say("  [cyan]except[/] WaybillTokenError [cyan]as[/] error:")
        try:
            client.query_trace("not a waybill_token")
        except WaybillTokenError as error:
            self._say("      print(error, error.advice)")
            self._say(f"  [red]{escape(str(error))}[/]")
            self._say(f"  [yellow]{escape(error.advice)}[/]")
            self._check("errcode 9300507", error.errcode == 9300507)
        except ApiError as error:
            self._check(f"WaybillTokenError, not {error!r}", False)
        else:
            self._check("a refusal", False)

    def _show(self, trace: Trace) -> None:
        newest = trace.waybill_info.path[:1] if trace.waybill_info else ()
        label = trace.status.label if trace.status is not None else "?"
        self._say(f"  [green]●[/] {trace.status} [bold]{label}[/]")
        for action in newest:
            when = datetime.datetime.fromtimestamp(action.action_time or 0, _CHINA_TIME)
            what = escape(action.action_msg or "")
            self._say(f"  [dim]│   {when:%m-%d %H:%M}  {what}[/]")

    def _head(self, number: int, key: str, call: str = "") -> None:
        title = self._words(key) + (self._words("colon") + call if call else "")
        self._say(f"\n[bold cyan]{number}  {escape(title)}[/]")

    def _row(self, name: str, value: str) -> None:
        self._say(f"  [dim]{name}{' ' * (13 - cell_len(name))}[/] {escape(value)}")

    def _names(self, goods: tuple[GoodsDetail, ...]) -> str:
        return self._words("comma").join(detail.goods_name or "?" for detail in goods)

    def _check(self, expected: str, met: bool) -> None:
        if not met:
            self.failures.append(expected)
            said = self._words("demo.expected", expected=expected)
            self._say(f"  [bold red]✗ {escape(said)}[/]")

    def _say(self, markup: str) -> None:
        self._console.print(markup, highlight=False, soft_wrap=True)


def play(
    words: Callable[..., str], console: Console, sandbox: Sandbox | None = None
) -> list[str]:
    """
    Show the demo, and return what did not come out as it should.

    Args:
        words: Returns a message by its key, in one of the command line's languages.

        console: Where it is shown.

        sandbox: Who answers.
    """
    demo = Demo(words, console, sandbox or Sandbox())
    demo.run()
    if demo.failures:
        failed = words("demo.failed", count=len(demo.failures))
        console.print(f"\n[bold red]✗ {failed}[/]")
    else:
        console.print(f"\n[bold green]✓ {words('demo.passed')}[/]")
    return demo.failures
