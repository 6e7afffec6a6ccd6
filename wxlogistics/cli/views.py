"""What needs rich: tables, a timeline, bars. Loaded only when it is printed."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Sequence

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column, Table
from rich.text import Text

from ..models import DeliveryInfo, Trace, WaybillStatus
from .bulk import duration, totals
from .ledger import FAILED, INVALID, MAYBE_APPLIED, OK, OUTCOMES, REFUSED, Tally
from .messages import Say
from .terminal import Terminal, cells, clean, fold, goods_names, when

# Where nobody looks at it, a line is as long as it is: grep wants it whole.
_NO_TERMINAL = 10_000

# The errcode table fits into so many columns.
_WIDE = 160


class PipedConsole(Console):
    """
    A console that may be read by a program that has seen enough.
    """

    def on_broken_pipe(self) -> None:
        # rich itself would end the process.
        raise BrokenPipeError


def console(stream: Any = None) -> Console:
    """
    Return a console on *stream*, by default on stdout.
    """
    stream = stream or sys.stdout
    is_seen = stream.isatty() or os.environ.get("COLUMNS")
    return PipedConsole(
        file=stream,
        width=None if is_seen else _NO_TERMINAL,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _print(renderable: RenderableType) -> None:
    """
    Print without the blanks that fill up a table's last column.
    """
    out = console()
    with out.capture() as captured:
        out.print(renderable)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def show_trace(terminal: Terminal, trace: Trace) -> None:
    """
    Show where a parcel is, and its way, newest first.
    """
    say, out = terminal.say, console()
    carrier = trace.delivery_info
    names = [carrier.delivery_name, carrier.delivery_id] if carrier else []
    head = Text(clean(trace.waybill_id or ""), style="bold")
    for name in filter(None, names):
        head.append(f"  {clean(name)}", style="not bold")
    if head:
        out.print(head)
    colour = _colour(trace.status)
    if trace.status is None:
        out.print(Text(f"? {say('query.no_status')}", style=colour))
    else:
        out.print(Text(f"● {say.status(trace.status)}", style=f"bold {colour}"))
    out.print()
    path = trace.waybill_info.path if trace.waybill_info else ()
    if path:
        for line in _timeline(trace, colour, out.width):
            out.print(line, soft_wrap=True)
    else:
        out.print(Text(say("query.no_path"), style="dim"))
    if trace.goods:
        goods = Text(say("query.goods") + say("colon"), style="dim")
        goods.append(goods_names(trace.goods, say), style="not dim")
        out.print()
        out.print(goods)


def _timeline(trace: Trace, colour: str, width: int) -> Iterator[Text]:
    assert trace.waybill_info is not None
    dot, style = "●", "bold"
    for action in trace.waybill_info.path:
        head = f"{when(action.action_time):16}"
        for line in fold(clean(action.action_msg or ""), max(width - 19, 16)):
            yield Text.assemble((head, style), " ", (dot, colour), " ", (line, style))
            head, dot = " " * 16, "│"
        style = "dim"


def _colour(status: WaybillStatus | None) -> str:
    if not status:
        return "yellow"
    if status is WaybillStatus.EXCEPTION:
        return "red"
    return "green" if status.is_final else "cyan"


def show_carriers(terminal: Terminal, carriers: Sequence[DeliveryInfo]) -> None:
    """
    Show carriers, one a line.
    """
    say = terminal.say
    rows = [
        [clean(carrier.delivery_id or ""), clean(carrier.delivery_name or "")]
        for carrier in carriers
    ]
    _print(_table([say("carriers.id"), say("carriers.name")], rows))


def show_errcodes(terminal: Terminal, rows: Iterable[Sequence[str]]) -> None:
    """
    Show rows of the errcode table; one below the other where a table is too wide.
    """
    say, out = terminal.say, console()
    if out.width >= _WIDE:
        heads = ["errors.code", "errors.error", "errors.meaning", "errors.advice"]
        _print(_table([say(head) for head in heads], rows))
        return
    width = max(out.width - 9, 16)
    for code, error, meaning, advice in rows:
        head = Text(f"{code:9}", style="bold cyan")
        for line in fold(meaning, width):
            head.append(line, style="bold not cyan")
            if cells(line) + len(error) + 2 <= width and line == meaning:
                head.append(f"  {error}", style="not bold not cyan dim")
            out.print(head, soft_wrap=True)
            head = Text(" " * 9)
        for line in fold(advice, width):
            out.print(Text(" " * 9 + line), soft_wrap=True)


def _table(heads: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, head in enumerate(heads):
        last = index == len(heads) - 1
        table.add_column(
            head, overflow="fold", no_wrap=not last, style="" if index else "cyan"
        )
    for row in rows:
        table.add_row(*row)
    return table


class _Column(ProgressColumn):
    """
    A column that speaks.
    """

    # Each knows only its task, so it may be drawn as often as anybody likes.
    max_refresh = None

    def __init__(self, say: Say) -> None:
        self._say = say
        super().__init__(Column(no_wrap=True))


class _Count(_Column):
    def render(self, task: Task) -> Text:
        text = f"{task.completed:,.0f}"
        if task.total is not None:
            text += f"/{task.total:,.0f}"
        return Text(text, style="bold")


class _Pace(_Column):
    def render(self, task: Task) -> Text:
        if task.fields["waits"]():
            return Text(self._say("bulk.waits"), style="yellow")
        text = ""
        if task.speed:
            text = self._say("bulk.rate", rate=task.speed)
        if task.time_remaining is not None:
            text += "  " + self._say("bulk.eta", time=duration(task.time_remaining))
        return Text(text + " ", style="cyan")


class _Counts(_Column):
    def __init__(self, say: Say, *, in_words: bool) -> None:
        self._in_words = in_words
        super().__init__(say)

    def render(self, task: Task) -> Text:
        text = Text()
        for name, count in totals(task.fields["counts"]).items():
            sign, colour = _SIGNS[name]
            label = self._say(f"bulk.{name}") if self._in_words else sign
            if text:
                text.append("  ")
            text.append(f"{label} {count:,}", style=colour if count else "dim")
        return text


_SIGNS = {"good": ("✓", "green"), "refused": ("✗", "red"), "failed": ("!", "yellow")}


class Bar:
    """
    Progress in a terminal: a bar with rate, time left and counts, on stderr.
    """

    def __init__(
        self, say: Say, total: int | None, done: int, waits: Callable[[], bool]
    ) -> None:
        self._say = say
        self._done = done
        out = console(sys.stderr)
        columns: list[ProgressColumn] = [_Count(say), BarColumn(bar_width=None)]
        if out.width >= 60:
            columns.append(_Pace(say))
        columns.append(_Counts(say, in_words=out.width >= 90))
        self._progress = Progress(*columns, console=out, expand=True, transient=True)
        self._task = self._progress.add_task(
            "", total=total, completed=done, counts=Counter(), waits=waits
        )

    def __enter__(self) -> Bar:
        self._progress.start()
        if self._done:
            self.note(self._say("bulk.goes_on", done=self._done))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """
        Tell something above the bar.
        """
        self._progress.console.print(text)

    def update(self, counts: Counter[Tally]) -> None:
        """
        Show how far it is.
        """
        self._progress.update(
            self._task,
            completed=self._done + sum(counts.values()),
            counts=counts.copy(),
        )


#: The longest bar of the summary.
_BAR = 24


def show_summary(
    terminal: Terminal,
    path: Path,
    summary: dict[str, Any],
    counts: Counter[Tally],
    ok: str,
) -> None:
    """
    Show how many rows there are of each kind, as a table with bars.

    Args:
        ok: What good rows without a status are called.
    """
    say, out = terminal.say, console()
    done, total, now = summary["done"], summary["rows"], summary["done_now"]
    seconds = summary["seconds"]
    head = say("bulk.done", done=done)
    if total is not None:
        head = say("bulk.done_of", done=done, total=total)
    head += say("colon") + str(path)
    out.print(Text(head, style="bold"), soft_wrap=True)
    if now:
        taken, rate = duration(seconds), now / max(seconds, 0.001)
        text = say("bulk.now", now=now, time=taken, rate=rate)
        out.print(Text(text, style="dim"), soft_wrap=True)
    if not counts:
        return
    most = max(counts.values())
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(overflow="fold")
    if out.width >= 60:
        table.add_column(no_wrap=True, width=_BAR)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    order = {outcome: index for index, outcome in enumerate(OUTCOMES)}
    for tally, count in sorted(
        counts.items(), key=lambda pair: (order[pair[0].outcome], -pair[1], pair[0].key)
    ):
        sign, colour = _SIGNS[_KINDS[tally.outcome]]
        bar = Text("█" * max(1, round(_BAR * count / most)), style=colour)
        row = [
            Text(sign, style=colour),
            Text(_label(tally, say, ok)),
            *([bar] if out.width >= 60 else []),
            Text(f"{count:,}", style="bold"),
            Text(f"{count / done:.1%}", style="dim"),
        ]
        table.add_row(*row)
    out.print()
    _print(table)


_KINDS = {OK: "good", REFUSED: "refused"} | dict.fromkeys(
    (FAILED, MAYBE_APPLIED, INVALID), "failed"
)


def _label(tally: Tally, say: Say, ok: str) -> str:
    outcome, key = tally
    if outcome == OK:
        if not key:
            return ok
        status = getattr(WaybillStatus, key, None)
        if status is None and key.startswith("UNKNOWN_"):
            status = WaybillStatus(int(key.removeprefix("UNKNOWN_")))
        return key if status is None else say.status(status)
    if outcome == REFUSED:
        code = int(key)
        return f"{key} {say.meaning(code) or say('errors.unknown')}"
    return say(f"bulk.is_{outcome}")
