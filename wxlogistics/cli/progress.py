"""The progress of a bulk run, and its summary."""

from __future__ import annotations

import contextlib
import datetime
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import click

from ..models import WaybillStatus
from . import output
from .job import Job
from .language import labelled, plural, say
from .ledger import INVALID, OK, REFUSED, Ledger, Tally

#: Seconds between two lines if stderr is not a terminal.
_A_LINE_EVERY = 10.0

_SIGNS = {OK: ("✓", "green"), REFUSED: ("✗", "red")}
_SIGNS |= dict.fromkeys((INVALID, "failed"), ("!", "yellow"))


@contextlib.contextmanager
def progress_of(total: int | None, job: Job, ledger: Ledger) -> Iterator[None]:
    """
    Show the progress of *job* on stderr: a bar in a terminal, else a line now and then.

    Args:
        total: The rows of the input, if that is known.
    """
    done = totals(ledger.counts())
    before = sum(done.values()) - (done[REFUSED] if job.again else 0)
    if before:
        output.note(plural("[resuming at row]", "[resuming at rows]", before))
    if not sys.stderr.isatty():
        job.progress = lines(total, before)
        yield
        return
    bar: Any = click.progressbar(
        length=total or 0,
        width=0 if output.width() < 60 else 30,
        show_pos=True,
        show_eta=bool(total),
        bar_template="%(bar)s  %(info)s",
        item_show_func=lambda _: _short(job.counts),
        file=sys.stderr,
    )
    with bar:
        bar.update(before)
        job.progress = lambda counts: bar.update(1)
        yield


def _short(counts: Counter[Tally]) -> str:
    """
    Return the counts for the end of the bar.
    """
    found, names = totals(counts), (OK, REFUSED, INVALID)
    return "  ".join(f"{_SIGNS[name][0]} {found[name]:,}" for name in names)


def lines(
    total: int | None, before: int, clock: Callable[[], float] = time.monotonic
) -> Callable[[Counter[Tally]], None]:
    """
    Return what prints a line every ten seconds.
    """
    began = last = clock()

    def progress(counts: Counter[Tally]) -> None:
        nonlocal last
        now, number = clock(), sum(counts.values())
        if now - last < _A_LINE_EVERY:
            return
        last, rate = now, number / (now - began)
        done = f"{before + number:,}" + (f" / {total:,}" if total else "")
        text = say("[progress]", done=done, rate=rate, **totals(counts))
        if total and rate:
            left = max(total - before - number, 0) / rate
            text += say(", {time} left", time=duration(left))
        output.note(text)

    return progress


def totals(counts: Counter[Tally], unanswered: int = 0) -> dict[str, int]:
    """
    Return how many rows there are of each outcome.
    """
    found = {OK: 0, REFUSED: 0, "failed": unanswered, INVALID: 0}
    for tally, count in counts.items():
        found[tally.outcome] += count
    return found


def duration(seconds: float) -> str:
    """
    Return a span of time as 1:02:03.
    """
    return str(datetime.timedelta(seconds=round(seconds)))


def show_summary(
    path: Path, summary: Mapping[str, Any], counts: Counter[Tally], unanswered: int
) -> None:
    """
    Show how many rows there are of each kind.
    """
    done, total, now = summary["done"], summary["rows"], summary["done_now"]
    rows = f"{done:,}" if total is None else f"{done:,} / {total:,}"
    head = say("{rows} rows done", rows=rows)
    # Without a row, the output may have been removed.
    head = labelled(head, str(path)) if done else head
    output.echo(click.style(head, bold=True))
    if now:
        seconds = summary["seconds"]
        rate = now / max(seconds, 0.001)
        text = say("[in this run]", now=now, time=duration(seconds), rate=rate)
        output.echo(click.style(text, dim=True))
    found = [(tally.outcome, _label(tally), count) for tally, count in counts.items()]
    if unanswered:
        found.append(("failed", say("no answer"), unanswered))
    found.sort(key=lambda each: ([*_SIGNS].index(each[0]), -each[2], each[1]))
    for outcome, label, count in found:
        sign, colour = _SIGNS[outcome]
        share = count / (done + unanswered)
        numbers = f" {count:>7,} {share:>6.1%}  "
        output.echo(label, head=click.style(sign, fg=colour) + numbers)


def _label(tally: Tally) -> str:
    if tally.outcome == INVALID:
        return say("invalid row")
    if tally.outcome == REFUSED:
        is_number = re.fullmatch("-?[0-9]{1,9}", tally.key)
        errcode = int(tally.key) if is_number else 0
        return f"{tally.key} {output.meaning(errcode)}".strip()
    if not tally.key:
        return say("registered")
    unknown = re.fullmatch("UNKNOWN_(-?[0-9]{1,9})", tally.key)
    if unknown:
        return output.status_words(WaybillStatus(int(unknown[1])))
    is_known = tally.key in WaybillStatus.__members__
    return output.status_words(WaybillStatus[tally.key]) if is_known else tally.key
