"""`wxlogistics bulk`: many rows, a progress bar, and a file that one can go on with."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import stat
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import IO, Any, Callable, Iterator, Sequence

import click

from ..client import Client
from .command import FILE, Choice, Command, Group, Number, option
from .job import Job, check_same_input, check_whole_input
from .ledger import (
    FAILED,
    INVALID,
    MAYBE_APPLIED,
    OK,
    REFUSED,
    Ledger,
    Tally,
    journal_path,
)
from .messages import Problem, Say
from .rows import QUERY, TRACE, Columns, Reader, Row, goods_of, survey
from .terminal import (
    CHINA_TIME,
    GOOD,
    INTERRUPTED,
    NO_ANSWER,
)
from .terminal import REFUSED as CODE_REFUSED
from .terminal import (
    WRONG_USE,
    Terminal,
    complain,
    error_fields,
    explain,
    note,
    stdin,
    trace_fields,
)

_FORMS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

#: Seconds between two lines where no terminal is there.
_A_LINE_EVERY = 10.0


def command(terminal: Terminal) -> click.Command:
    """
    Return the group with its two commands.
    """
    return Group(
        terminal,
        "bulk",
        [
            _command(
                terminal,
                "query",
                QUERY,
                ("query_trace", "query_follow_trace"),
                [
                    "wxlogistics bulk query tokens.csv",
                    "wxlogistics bulk query tokens.csv --out night.jsonl --workers 32",
                    "cut -f2 orders.tsv | wxlogistics bulk query - --out out.jsonl",
                ],
            ),
            _command(
                terminal,
                "trace",
                TRACE,
                ("trace_waybill", "follow_waybill"),
                [
                    "wxlogistics bulk trace orders.csv",
                    "wxlogistics bulk trace orders.csv --again maybe_applied",
                ],
            ),
        ],
    )


def _command(
    terminal: Terminal,
    name: str,
    columns: Columns,
    endpoints: tuple[str, str],
    examples: Sequence[str],
) -> click.Command:
    say = terminal.say

    def run(
        file: str,
        out: str | None,
        workers: int,
        max_calls: int | None,
        again: Sequence[str],
        follow: bool,
        form: str | None,
        encoding: str | None,
    ) -> int:
        source = Source(file, columns, form, encoding)
        with terminal.client() as client:
            call = _caller(client, endpoints[follow], columns)
            ledger = Ledger(_out_path(source, out), journaled=columns is TRACE)
            job = Job(call, ledger, say, again=again, max_calls=max_calls)
            return _Run(terminal, source, ledger, job).run(workers)

    made = Command(
        terminal,
        name,
        run,
        [
            click.Argument(["file"], metavar="FILE", type=FILE),
            option(say, "--out", "help.out", metavar="FILE", type=FILE),
            option(
                say,
                "--workers",
                "help.workers",
                metavar="N",
                type=Number(say, 1),
                default=16,
            ),
            option(
                say, "--max-calls", "help.max_calls", metavar="N", type=Number(say, 0)
            ),
            option(
                say,
                "--again",
                "help.again",
                metavar="OUTCOME",
                type=Choice(say, (REFUSED, FAILED, MAYBE_APPLIED)),
                multiple=True,
            ),
            option(say, "--follow", "help.follow_component", is_flag=True),
            option(
                say,
                "--format form",
                "help.format",
                metavar="FORMAT",
                type=Choice(say, ("csv", "tsv", "jsonl")),
            ),
            option(
                say,
                "--encoding",
                "help.encoding",
                metavar="NAME",
                type=Choice(say, ("utf-8", "gbk")),
            ),
        ],
        help_key=f"help.bulk.{name}",
        examples=examples,
    )
    made.help = f"{made.help}\n{say('help.bulk.more')}"
    return made


def _caller(
    client: Client, endpoint: str, columns: Columns
) -> Callable[[Row], dict[str, Any]]:
    """
    Return what does one row and returns what belongs into its line.
    """
    method = getattr(client, endpoint)
    names = [name for name in (*columns.required, *columns.optional) if name != "id"]

    def query(row: Row) -> dict[str, Any]:
        openid = row.fields.get("openid")
        return trace_fields(method(row.fields["waybill_token"], openid=openid))

    def register(row: Row) -> dict[str, Any]:
        fields = {name: row.fields[name] for name in names if name in row.fields}
        waybill_token = method(goods_info=goods_of(row.fields["goods"]), **fields)
        return {"waybill_id": fields["waybill_id"], "waybill_token": waybill_token}

    return register if columns is TRACE else query


class Source:
    """
    The input: a file, a pipe, or stdin.

    Args:
        name: The file's or the pipe's name; - is stdin.

        columns: What its rows have.

        form: csv, tsv or jsonl; None: by the name and the content.

        encoding: utf-8 or gbk; None: by the content.

    Raises:
        Problem: It cannot be read.
    """

    def __init__(
        self, name: str, columns: Columns, form: str | None, encoding: str | None
    ) -> None:
        self._name = name
        # What can be read only once has no path that anything could be made of.
        self.path = None if name == "-" or _is_stream(name) else Path(name)
        self.registers = columns is TRACE
        self._columns = columns
        self._form = form or _FORMS.get(Path(name).suffix.lower())
        self._encoding = encoding
        self._likely: str | None = None
        if self.path and encoding is None:
            with self._open() as file:
                self._likely = survey(file)
        #: Names in the input that mean nothing here, as far as it was read.
        self.ignored: list[str] = []
        self.rows_read = 0

    def rows(self) -> Iterator[Row]:
        """
        Yield the rows.
        """
        reader = Reader(self._columns, self._form, self._encoding, self._likely)
        self.ignored = reader.ignored
        self.rows_read = 0
        with self._open() as file:
            for row in reader.rows(file):
                self.rows_read = row.number
                yield row

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self._name == "-":
            yield stdin()
            return
        try:
            file = open(self._name, "rb")
        except OSError as error:
            raise Problem("use.file", path=self._name, reason=error.strerror) from None
        with file:
            yield file


def _is_stream(name: str) -> bool:
    """
    Whether *name* is a pipe or a device.
    """
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _out_path(source: Source, out: str | None) -> Path:
    if out is None:
        if source.path is None:
            raise Problem("out.needed")
        return source.path.with_suffix(".results.jsonl")
    if out == "-":
        raise Problem("out.needed")
    path = Path(out)
    for file in (path, journal_path(path)):
        if source.path and os.path.exists(file) and file.samefile(source.path):
            raise Problem("out.is_input", path=file)
    return path


class _Run:
    """
    A job with somebody who looks on.
    """

    def __init__(
        self, terminal: Terminal, source: Source, ledger: Ledger, job: Job
    ) -> None:
        self._terminal = terminal
        self._say = terminal.say
        self._source = source
        self._ledger = ledger
        self._job = job
        self._began = time.monotonic()
        self._counts: Counter[Tally] = Counter()

    def run(self, workers: int) -> int:
        """
        Run it, tell what came of it, and return the exit code.
        """
        try:
            total = self._total()
            self._tell_ignored()
            self._began = time.monotonic()
            with self._progress(total) as progress, _interruptible(
                self._job, progress, self._say
            ):
                for tally in self._job.run(self._source.rows(), workers):
                    self._counts[tally] += 1
                    progress.update(self._counts)
            if total is None and not self._job.stop:
                total = self._source.rows_read
                check_whole_input(self._ledger, total)
        except OSError as error:
            path, reason = self._ledger.path, error.strerror or error
            raise Problem("use.disk", path=path, reason=reason) from None
        finally:
            with contextlib.suppress(OSError):
                self._ledger.close()
        return self._tell(total)

    def _total(self) -> int | None:
        """
        Count the rows of a file, and check that those that are done are the same.
        """
        if self._source.path is None:
            return None
        count = 0
        for row in self._source.rows():
            check_same_input(self._ledger, row)
            count += 1
        check_whole_input(self._ledger, count)
        return count

    def _tell_ignored(self) -> None:
        if self._source.ignored:
            names = self._say("comma").join(map(repr, self._source.ignored))
            note(self._say("bulk.ignored", names=names))

    def _progress(self, total: int | None) -> Any:
        again = self._job.again
        done = sum(
            count
            for tally, count in self._ledger.counts().items()
            if tally.outcome not in again
        )
        if sys.stderr.isatty():
            from .views import Bar

            return Bar(self._say, total, done, self._job.waits)
        return Lines(self._say, total, done)

    def _tell(self, total: int | None) -> int:
        """
        Tell what came of it, and return the exit code.
        """
        say, stop, counts = self._say, self._job.stop, self._ledger.counts()
        done = sum(counts.values())
        summary = {
            "rows": total,
            "done": done,
            "done_now": sum(self._counts.values()),
            "seconds": round(time.monotonic() - self._began, 3),
        }
        outcomes: Counter[str] = Counter()
        for tally, count in counts.items():
            outcomes[tally.outcome] += count
        code = _exit_code(outcomes)
        error, resume_at = None, None
        if stop:
            if stop.reason == "interrupted":
                code = INTERRUPTED
            if stop.reason == "quota":
                resume_at = next_day(datetime.datetime.now(CHINA_TIME))
            if stop.error:
                code, title, rows = explain(stop.error, say)
                error = error_fields(stop.error, title, rows)
                complain(title, rows)
        if self._terminal.as_json:
            self._terminal.answer(
                {
                    "ok": code == GOOD,
                    "out": str(self._ledger.path),
                    "complete": done == total,
                    **summary,
                    "outcomes": {
                        name: outcomes[name]
                        for name in (OK, REFUSED, FAILED, MAYBE_APPLIED, INVALID)
                    },
                    "statuses": _by_key(counts, (OK,)),
                    "errors": _by_key(counts, (REFUSED, FAILED)),
                    "stopped": stop.reason if stop else None,
                    "continue_at": resume_at.isoformat() if resume_at else None,
                    "error": error,
                }
            )
        else:
            from .views import show_summary

            ok = say("bulk.ok" if self._source.registers else "query.no_status")
            show_summary(self._terminal, self._ledger.path, summary, counts, ok)
        for line in self._notes(outcomes, resume_at):
            note(line)
        return code

    def _notes(
        self, outcomes: Counter[str], resume_at: datetime.datetime | None
    ) -> Iterator[str]:
        """
        Yield what to do next.
        """
        say, stop = self._say, self._job.stop
        if resume_at:
            left = resume_at - datetime.datetime.now(CHINA_TIME)
            hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
            yield say(
                "bulk.stopped.quota",
                time=f"{resume_at:%Y-%m-%d %H:%M}",
                hours=hours,
                minutes=minutes,
            )
        elif stop:
            yield say(f"bulk.stopped.{stop.reason}")
        if outcomes[MAYBE_APPLIED]:
            yield say("bulk.maybe", count=outcomes[MAYBE_APPLIED])
        if outcomes[FAILED]:
            yield say("bulk.had_no_answer", count=outcomes[FAILED])


def _exit_code(outcomes: Counter[str]) -> int:
    for outcome, code in (
        (REFUSED, CODE_REFUSED),
        (FAILED, NO_ANSWER),
        (MAYBE_APPLIED, NO_ANSWER),
        (INVALID, WRONG_USE),
    ):
        if outcomes[outcome]:
            return code
    return GOOD


def _by_key(counts: Counter[Tally], outcomes: Sequence[str]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for tally, count in counts.items():
        if tally.outcome in outcomes and tally.key:
            found[tally.key] += count
    return dict(found.most_common())


def next_day(now: datetime.datetime) -> datetime.datetime:
    """
    Return when WeChat's next day begins, with its quota.
    """
    tomorrow = now.astimezone(CHINA_TIME) + datetime.timedelta(days=1)
    return tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)


class Lines:
    """
    Progress where no terminal is: a line now and then.
    """

    def __init__(
        self,
        say: Say,
        total: int | None,
        done: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._total = total
        self._done = done
        self._clock = clock
        self._began = self._told_at = clock()

    def __enter__(self) -> Lines:
        if self._done:
            self.note(self._say("bulk.goes_on", done=self._done))
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def note(self, text: str) -> None:
        """
        Tell something in between.
        """
        note(text)

    def update(self, counts: Counter[Tally]) -> None:
        """
        Tell how far it is, if it is time to.
        """
        now = self._clock()
        if now - self._told_at < _A_LINE_EVERY:
            return
        self._told_at = now
        number = sum(counts.values())
        rate = number / (now - self._began)
        done = self._done + number
        rows = self._say("bulk.rows", done=done)
        if self._total:
            rows = self._say("bulk.rows_of", done=done, total=self._total)
        text = self._say("bulk.line", rows=rows, rate=rate, **totals(counts))
        if self._total and rate:
            left = max(self._total - done, 0) / rate
            text += self._say("bulk.left", time=duration(left))
        self.note(text)


def totals(counts: Counter[Tally]) -> dict[str, int]:
    """
    Return how many rows are good, were refused, and failed otherwise.
    """
    found = {"good": 0, "refused": 0, "failed": 0}
    names = {OK: "good", REFUSED: "refused"}
    for tally, count in counts.items():
        found[names.get(tally.outcome, "failed")] += count
    return found


def duration(seconds: float) -> str:
    """
    Return a span of time as 1:02:03.
    """
    return str(datetime.timedelta(seconds=round(seconds)))


@contextlib.contextmanager
def _interruptible(
    job: Job,
    progress: Any,
    say: Say,
    kill: Callable[[int, int], None] = os.kill,
) -> Iterator[None]:
    """
    Let Ctrl-C and SIGTERM end *job* when what is under way is finished; the second
    time the process ends at once.
    """

    interrupted: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        interrupted.append(number)
        if len(interrupted) > 1:
            progress.__exit__(None, None, None)
            signal.signal(number, signal.SIG_DFL)
            kill(os.getpid(), number)
        else:
            job.end("interrupted")
            # It may have come in the midst of another line.
            with contextlib.suppress(RuntimeError):
                progress.note(say("bulk.interrupted"))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)
