"""A parcel's way, for people."""

from __future__ import annotations

import click

from ..models import Trace, WaybillStatus
from .language import labelled, say
from .output import clean, echo, goods_names, status_words, when


def show_trace(trace: Trace) -> None:
    """
    Show where a parcel is, and its way, newest first.
    """
    carrier = trace.delivery_info
    names = [carrier.delivery_name, carrier.delivery_id] if carrier else []
    head = click.style(clean(trace.waybill_id), bold=True)
    echo("".join([head, *(f"  {clean(name)}" for name in names if name)]))
    colour = _colour(trace.status)
    echo(click.style(f"● {status_words(trace.status)}", fg=colour, bold=True))
    echo()
    path = trace.waybill_info.path
    if not path:
        echo(click.style(say("WeChat returned no steps of the route."), dim=True))
    for index, action in enumerate(path):
        dot = click.style("│" if index else "●", fg=colour)
        text = click.style(clean(action.action_msg), bold=not index, dim=bool(index))
        echo(text, head=f"{when(action.action_time):16} {dot} ")
    if trace.goods:
        echo()
        echo(labelled(say("Goods"), goods_names(trace.goods)))


def _colour(status: WaybillStatus) -> str:
    if not status or status is WaybillStatus.EXCEPTION:
        return "red" if status else "yellow"
    return "green" if status.is_final else "cyan"
