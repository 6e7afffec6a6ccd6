"""The progress of a bulk run, and its summary."""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import click

from ..models import WaybillStatus
from .job import Job
from .language import labelled, plural, say
from .ledger import INVALID, OK, REFUSED, Tally
from .output import cells, echo, meaning, note, pad, status_words, width

#: Seconds between two lines if stderr is not a terminal.
_A_LINE_EVERY = 10.0

#: The longest bar of the summary.
_BAR = 24

_SIGNS = {
    OK: ("✓", "green"),
    REFUSED: ("✗", "red"),
    INVALID: ("!", "yellow"),
    "failed": ("!", "yellow"),
}


@contextlib.contextmanager
def progress_of(total: int | None, before: int, job: Job) -> Iterator[None]:
    """
    Show the progress of *job* on stderr: a bar in a terminal, else a line now and then.

    Args:
        total: The rows of the input, if that is known.

        before: The rows that are done already.
    """
    if before:
        note(
            plural(
                "Resuming: {count:,} row is done.",
                "Resuming: {count:,} rows are done.",
                before,
            )
        )
    if not sys.stderr.isatty():
        job.progress = Lines(total, before)
        yield
        return
    with click.progressbar(
        length=total or 0,
        show_eta=bool(total),
        show_pos=True,
        width=0 if width() < 60 else 30,
        bar_template="%(bar)s  %(info)s",
        item_show_func=lambda _: _short(job),
        file=sys.stderr,
    ) as bar:
        bar.update(before)
        job.progress = lambda counts: bar.update(
            before + sum(counts.values()) - bar.pos
        )
        yield


def _short(job: Job) -> str:
    """
    Return the counts for the end of the bar.
    """
    if job.waits():
        return say("waiting: WeChat wants a slower pace")
    counts = totals(job.counts)
    parts = [f"{_SIGNS[name][0]} {count:,}" for name, count in counts.items()]
    return "  ".join(parts)


class Lines:
    """
    Prints a line every ten seconds.
    """

    def __init__(
        self,
        total: int | None,
        before: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._before = before
        self._clock = clock
        self._began = self._last = clock()

    def __call__(self, counts: Counter[Tally]) -> None:
        now = self._clock()
        if now - self._last < _A_LINE_EVERY:
            return
        self._last = now
        number = sum(counts.values())
        rate = number / (now - self._began)
        done = f"{self._before + number:,}"
        if self._total:
            done += f" / {self._total:,}"
        text = say(
            "{done}: {ok:,} done, {refused:,} refused, {invalid:,} invalid; {rate:,.0f}/s",
            done=done,
            rate=rate,
            **totals(counts),
        )
        if self._total:
            left = duration(max(self._total - self._before - number, 0) / rate)
            text += say(", {time} left", time=left)
        note(text)


def totals(counts: Counter[Tally]) -> dict[str, int]:
    """
    Return how many rows there are of each outcome.
    """
    found = {OK: 0, REFUSED: 0, INVALID: 0}
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
    Show how many rows there are of each kind, as a table with bars.
    """
    done, total, now = summary["done"], summary["rows"], summary["done_now"]
    rows = f"{done:,}" if total is None else f"{done:,} / {total:,}"
    echo(
        click.style(labelled(say("{rows} rows done", rows=rows), str(path)), bold=True)
    )
    if now:
        text = say(
            "{now:,} of them in this run: {time}, {rate:,.0f}/s",
            now=now,
            time=duration(summary["seconds"]),
            rate=now / max(summary["seconds"], 0.001),
        )
        echo(click.style(text, dim=True))
    lines = [
        (_SIGNS[tally.outcome], _label(tally), count)
        for tally, count in sorted(
            counts.items(),
            key=lambda pair: ((OK, REFUSED, INVALID).index(pair[0].outcome), -pair[1]),
        )
    ]
    if unanswered:
        lines.append((_SIGNS["failed"], say("no answer"), unanswered))
    if not lines:
        return
    echo()
    most = max(count for _, _, count in lines)
    bar_width = _BAR if width() >= 60 else 0
    left = min(max(cells(label) for _, label, _ in lines), width() - bar_width - 18)
    for (sign, colour), label, count in lines:
        bar = "█" * max(1, round(bar_width * count / most)) if bar_width else ""
        head = click.style(sign, fg=colour) + " " + pad(_cut(label, left), left)
        middle = " " + click.style(bar.ljust(bar_width), fg=colour) if bar_width else ""
        share = click.style(f"{count / (done + unanswered):>6.1%}", dim=True)
        echo(f"{head}{middle} {count:>8,} {share}")


def _cut(text: str, columns: int) -> str:
    while cells(text) > columns:
        text = text[:-2] + "…"
    return text


def _label(tally: Tally) -> str:
    if tally.outcome == INVALID:
        return say("invalid row")
    if tally.outcome == REFUSED:
        errcode = int(tally.key) if tally.key.lstrip("-").isdigit() else 0
        return f"{tally.key} {meaning(errcode)}".strip()
    if not tally.key:
        return say("registered")
    status = getattr(WaybillStatus, tally.key, None)
    number = tally.key.removeprefix("UNKNOWN_")
    if status is None and number.isdigit() and len(number) < 10:
        status = WaybillStatus(int(number))
    return tally.key if status is None else status_words(status)
