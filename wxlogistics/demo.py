"""`wxlogistics demo`: the document's own example through a real client and socket."""

from __future__ import annotations

import datetime
from typing import Callable

import click
import requests

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
    Runs the example step by step, and shows each.

    Args:
        say: Returns a message in the chosen language.

        show: Prints a line.

        sandbox: What answers.

    Attributes:
        failures: What did not come out as it should.
    """

    def __init__(
        self, say: Callable[..., str], show: Callable[[str], None], sandbox: Sandbox
    ) -> None:
        self._say = say
        self._show = show
        self._sandbox = sandbox
        self.failures: list[str] = []

    def run(self) -> None:
        """
        Run the whole example.
        """
        sandbox = self._sandbox
        with sandbox.serve() as server, requests.Session() as session:
            # A proxy of the environment does not lead to this machine.
            session.trust_env = False
            token = StableToken(sandbox.appid, sandbox.secret)
            with Client(token, base_url=server.url, session=session) as client:
                title = click.style("wxlogistics demo", bold=True)
                self._show(
                    f"{title}  {self._say('a sandbox at {url}', url=server.url)}"
                )
                waybill_token = self.register(client)
                self.follow(client, waybill_token)
                self.update(client, waybill_token)
                self.refuse(client)

    def register(self, client: Client) -> str:
        """
        Register a waybill with its two goods.
        """
        self._head(1, self._say("Register a waybill"), "client.trace_waybill(…)")
        waybill_token = client.trace_waybill(
            openid=OPENID,
            waybill_id=WAYBILL_ID,
            sender_phone="12345678901",
            receiver_phone="123456566",
            goods_info=TWO_GOODS,
        )
        self._row("waybill_id", WAYBILL_ID)
        self._row(self._say("goods"), self._names(TWO_GOODS.detail_list))
        self._row("waybill_token", waybill_token)
        self._check("a waybill_token of 64 characters", len(waybill_token) == 64)
        return waybill_token

    def follow(self, client: Client, waybill_token: str) -> None:
        """
        Query after each step of the parcel.
        """
        self._head(
            2, self._say("Watch the parcel move"), "client.query_trace(waybill_token)"
        )
        for status in ROUTE:
            if status:
                self._sandbox.clock.tick(hours=9)
                self._sandbox.move(WAYBILL_ID, status)
            trace = client.query_trace(waybill_token)
            self._trace(trace)
            self._check(f"status {status}", trace.status == status)
        self._check("the goods as registered", trace.goods == TWO_GOODS.detail_list)

    def update(self, client: Client, waybill_token: str) -> None:
        """
        Replace the goods.
        """
        self._head(3, self._say("Correct the goods"), "client.update_waybill_goods(…)")
        client.update_waybill_goods(waybill_token, NEW_GOODS)
        goods = client.query_trace(waybill_token).goods
        self._row(self._say("goods"), self._names(goods))
        self._check("the goods as updated", goods == NEW_GOODS.detail_list)

    def refuse(self, client: Client) -> None:
        """
        Catch a refusal as a user's code would.
        """
        self._head(4, self._say("Catch a refusal"))
        code = click.style
        self._show(f"  {code('try', fg='cyan')}:")
        self._show('      client.query_trace("not a waybill_token")')
        words = [code(word, fg="cyan") for word in ("except", "as")]
        self._show(f"  {words[0]} WaybillTokenError {words[1]} error:")
        try:
            client.query_trace("not a waybill_token")
        except WaybillTokenError as error:
            self._show("      print(error, error.advice)")
            self._show(f"  {code(str(error), fg='red')}")
            self._show(f"  {code(error.advice, fg='yellow')}")
            self._check("errcode 9300507", error.errcode == 9300507)
        except ApiError as error:
            self._check(f"WaybillTokenError, not {error!r}", False)
        else:
            self._check("a refusal", False)

    def _trace(self, trace: Trace) -> None:
        label = click.style(trace.status.label, bold=True)
        self._show(f"  {click.style('●', fg='green')} {trace.status} {label}")
        for action in trace.waybill_info.path[:1]:
            when = datetime.datetime.fromtimestamp(action.action_time or 0, _CHINA_TIME)
            what = f"│   {when:%m-%d %H:%M}  {action.action_msg or ''}"
            self._show(f"  {click.style(what, dim=True)}")

    def _head(self, number: int, title: str, call: str = "") -> None:
        text = self._say("{title}: {call}", title=title, call=call) if call else title
        self._show("\n" + click.style(f"{number}  {text}", fg="cyan", bold=True))

    def _row(self, name: str, value: str) -> None:
        # GBK has as many bytes as a terminal columns.
        padded = name + " " * (13 - len(name.encode("gbk")))
        self._show(f"  {click.style(padded, dim=True)} {value}")

    def _names(self, goods: tuple[GoodsDetail, ...]) -> str:
        return self._say(", ").join(detail.goods_name for detail in goods)

    def _check(self, expected: str, met: bool) -> None:
        if not met:
            self.failures.append(expected)
            text = "✗ " + self._say("expected {expected}", expected=expected)
            self._show(f"  {click.style(text, fg='red', bold=True)}")

    def verdict(self) -> None:
        """
        Show whether all went well.
        """
        text, colour = self._say("Every step gave what it should."), "green"
        if self.failures:
            colour = "red"
            text = self._say(
                "Failed: {steps}", steps=self._say(", ").join(self.failures)
            )
        sign = "✗" if self.failures else "✓"
        self._show(f"\n{click.style(f'{sign} {text}', fg=colour, bold=True)}")


def play(
    say: Callable[..., str],
    show: Callable[[str], None],
    sandbox: Sandbox | None = None,
) -> list[str]:
    """
    Show the demo, and return what did not come out as it should.

    Args:
        say: Returns a message in the chosen language.

        show: Prints a line.

        sandbox: What answers; None: a new one.
    """
    # One token serves for the days that pass within seconds.
    demo = Demo(say, show, sandbox or Sandbox(token_lifetime=30 * 86_400))
    demo.run()
    demo.verdict()
    return demo.failures
