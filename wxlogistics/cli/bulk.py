"""`wxlogistics bulk`: many rows, their progress, and an output that can be resumed."""

from __future__ import annotations

import contextlib
import datetime
import json
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

import click

from ..client import Client
from ..models import goods_payload
from . import output
from .command import FILE, Command, Group, option
from .headings import QUERY, TRACE, Columns, check_given, examples
from .job import Job
from .language import labelled, listed, plural, say
from .ledger import INVALID, OK, REFUSED, Ledger, Tally
from .output import Problem, Terminal, note
from .progress import progress_of, show_summary, totals
from .rows import Reader, Task
from .source import is_stream, read

#: So many rows are shown by --dry-run, and so many invalid ones are named.
_SHOWN = 3
_NAMED = 10


def command(terminal: Terminal) -> click.Command:
    """
    Return the group with its two commands.
    """
    command = "wxlogistics bulk"
    query = [
        f"{command} query orders.results.csv --out night.csv",
        f"cut -f2 orders.tsv | {command} query - --out out.jsonl",
    ]
    trace = [
        f"{command} trace orders.xlsx --dry-run",
        f"{command} trace orders.xlsx --map '买家电话=receiver_phone' --out out.csv",
    ]
    commands = (_command(terminal, "query", query), _command(terminal, "trace", trace))
    return Group("bulk", commands)


#: Command -> its columns, and the endpoints of both components.
_KINDS: Mapping[str, tuple[Columns, str, str]] = {
    "query": (QUERY, "query_trace", "query_follow_trace"),
    "trace": (TRACE, "trace_waybill", "follow_waybill"),
}


def _command(terminal: Terminal, name: str, lines: Sequence[str]) -> click.Command:
    columns, *endpoints = _KINDS[name]

    def run(**given: Any) -> int:
        endpoint = endpoints[given["follow"]]
        return _Run(terminal, columns, endpoint, SimpleNamespace(**given)).run()

    workers = click.IntRange(1, 100)
    params = [
        click.Argument(["file"], metavar="FILE", type=FILE),
        option("--out", metavar="FILE", type=FILE),
        option("--dry-run", is_flag=True),
        option("--map map_", metavar="HEADING=FIELD", multiple=True),
        option("--workers", metavar="N", type=workers, default=16, show_default=True),
        option("--max-calls", metavar="N", type=click.IntRange(0)),
        option("--again", type=click.Choice([REFUSED]), multiple=True),
        option("--follow", is_flag=True),
        option("--format form", type=click.Choice(["csv", "tsv", "jsonl"])),
        option("--encoding", type=click.Choice(["utf-8", "gbk"])),
    ]
    help_name = f"bulk {name}"
    made = Command(terminal, name, run, params, help_name=help_name, examples=lines)
    fields = (*columns.required, *columns.goods[:2])
    known = [labelled(field, examples(field)) for field in fields]
    made.help = "\n".join([str(made.help), say("[help bulk files]"), *known])
    return made


class _Run:
    """
    One run of the command.
    """

    def __init__(
        self, terminal: Terminal, columns: Columns, endpoint: str, options: Any
    ) -> None:
        self._terminal = terminal
        self._columns = columns
        self._endpoint = endpoint
        self._options = options
        self._ended = threading.Event()
        self._path = None if is_stream(options.file) else Path(options.file)
        self._reader = Reader(columns, check_given(options.map_, columns))
        self._began = time.monotonic()

    def run(self) -> int:
        """
        Run it, print what came of it, and return the exit code.
        """
        given = (self._options.form, self._options.encoding)
        found = read(self._options.file, self._columns, *given, self._ended)
        tasks: Iterable[Task] = self._reader.tasks(found)
        if self._options.dry_run:
            return self._show_first([*tasks])
        path = self._out_path()
        with self._terminal.client() as client, interruptible(self._ended):
            total = None
            # Of a pipe of tokens, the first is queried before the last is there.
            if self._path or self._columns is TRACE:
                tasks = [*tasks]
                if self._ended.is_set():
                    raise KeyboardInterrupt
                total = self._rows()
            self._note_ignored()
            ledger = Ledger(path)
            again, most = bool(self._options.again), self._options.max_calls
            caller = _caller(client, self._endpoint)
            job = Job(caller, ledger, self._ended, again=again, max_calls=most)
            total = self._do(job, ledger, tasks, total)
        return self._tell(job, ledger, total)

    def _do(
        self, job: Job, ledger: Ledger, tasks: Iterable[Task], total: int | None
    ) -> int | None:
        """
        Do the tasks, and return how many rows there are, if that is known.
        """
        try:
            if total is not None:
                for task in tasks:
                    job.due(task)
                self._check_length(ledger, total)
            self._began = time.monotonic()
            with progress_of(total, job, ledger):
                job.run(tasks, self._options.workers)
            if total is None and not job.stop:
                total = self._rows()
                self._check_length(ledger, total)
        except OSError as error:
            reason = say(error.strerror or str(error))
            raise Problem("[disk]", path=ledger.path, reason=reason) from None
        finally:
            ledger.close()
        return total

    def _rows(self) -> int:
        if not self._reader.rows_read:
            name = "stdin" if self._options.file == "-" else self._options.file
            raise Problem("{path} has no rows", path=name)
        return self._reader.rows_read

    def _check_length(self, ledger: Ledger, rows: int) -> None:
        last = max(ledger.rows, default=0)
        if last > rows:
            raise Problem("[input is shorter]", path=ledger.path, row=last)

    def _out_path(self) -> Path:
        out, source = self._options.out, self._path
        beside = source and source.parent / f"{source.stem}.results.jsonl"
        if out == "-" or not (out or beside):
            raise Problem("--out FILE is missing")
        path = Path(out or beside or "")
        if source and path.exists() and path.samefile(source):
            raise Problem("{path} is the input", path=path)
        return path

    def _note_ignored(self) -> None:
        if self._reader.ignored:
            names = listed([repr(name[:40]) for name in self._reader.ignored])
            note(say("Ignored columns: {names}", names=names))

    def _show_first(self, tasks: list[Task]) -> int:
        """
        Show the first calls as they would be made, and what is wrong.
        """
        rows = self._rows()
        good = [task for task in tasks if not task.problem]
        first = [_payload(task) for task in good[:_SHOWN]]
        bad = [(task, row) for task in tasks if task.problem for row in task.rows]
        problems: list[dict[str, Any]] = [
            {"row": row.number, "line": row.line, "message": task.why(row)}
            for task, row in bad
        ]
        code = output.WRONG_USE if problems else output.GOOD
        skipped = self._reader.skipped
        if self._terminal.as_json:
            found = {"rows": rows, "calls": len(good), "invalid": len(problems)}
            more = {"first": first, "problems": problems, "skipped": skipped}
            output.answer({"ok": not problems, **found, **more})
            return code
        self._note_ignored()
        for payload in first:
            text = json.dumps(payload, ensure_ascii=False, indent=2)
            click.echo(f"{self._endpoint} {text}")
        numbers = {"rows": rows, "calls": len(good), "endpoint": self._endpoint}
        output.echo(say("[nothing was sent]", **numbers))
        pairs = [(row["line"], row["message"]) for row in problems]
        name_rows(pairs, self._reader)
        return code

    def _tell(self, job: Job, ledger: Ledger, total: int | None) -> int:
        """
        Print what came of it, and return the exit code.
        """
        stop, counts = job.stop, ledger.counts()
        outcomes = totals(counts, job.unanswered)
        code = next((_CODES[each] for each in _CODES if outcomes[each]), output.GOOD)
        error = stop.error if stop else job.last_error if job.unanswered else None
        fields = resume_at = None
        if error:
            code, title, rows = output.explain(error)
            fields = output.error_fields(error, title, rows)
            output.complain(title, rows)
        if stop and stop.reason == "interrupted":
            code = output.INTERRUPTED
        if stop and stop.reason == "quota":
            resume_at = next_day(datetime.datetime.now(output.CHINA_TIME))
        done, now = len(ledger.rows), sum(job.counts.values())
        seconds = round(time.monotonic() - self._began, 3)
        summary = {"rows": total, "done": done, "done_now": now, "seconds": seconds}
        if self._terminal.as_json:
            start = {"ok": code == output.GOOD, "out": str(ledger.path)}
            keys = {"statuses": _by_key(counts, OK), "errors": _by_key(counts, REFUSED)}
            at = resume_at.isoformat() if resume_at else None
            found = {**summary, "skipped": self._reader.skipped, "outcomes": outcomes}
            more = {"complete": done == total, **found, **keys}
            end = {"stopped": stop and stop.reason, "continue_at": at, "error": fields}
            output.answer({**start, **more, **end})
        else:
            show_summary(ledger.path, summary, counts, job.unanswered)
        name_rows(sorted(job.invalid.items()), self._reader)
        if stop:
            day = f"{resume_at:%Y-%m-%d %H:%M}" if resume_at else ""
            note(say(f"[stopped: {stop.reason}]", time=day))
        if job.unanswered:
            note(plural("[row unanswered]", "[rows unanswered]", job.unanswered))
        return code


#: The exit code that an outcome asks for; the first one counts.
_CODES = {REFUSED: output.REFUSED, "failed": output.NO_ANSWER}
_CODES[INVALID] = output.WRONG_USE


def name_rows(problems: Sequence[tuple[int, str]], reader: Reader) -> None:
    """
    Name the first rows that cannot be used, and what was skipped.
    """
    sums = [(line, say("skipped: a sum below the table")) for line in reader.skipped]
    for line, message in [*problems[:_NAMED], *sums]:
        note(output.clean(say("line {line}: {message}", line=line, message=message)))
    more = len(problems) - _NAMED
    if more > 0:
        note(plural("… and {count:,} more row", "… and {count:,} more rows", more))
    if reader.without_token:
        note(plural("[token missing]", "[tokens missing]", reader.without_token))


def _payload(task: Task) -> dict[str, Any]:
    """
    Return the body that the task sends.
    """
    goods = {"goods_info": goods_payload(task.goods)} if task.goods else {}
    return {**task.fields, **goods}


def _caller(client: Client, endpoint: str) -> Callable[[Task], Mapping[str, Any]]:
    """
    Return what does one task and returns the fields of its line.
    """
    method = getattr(client, endpoint)

    def call(task: Task) -> Mapping[str, Any]:
        if task.goods is None:
            return output.trace_fields(method(**task.fields))
        return {"waybill_token": method(goods_info=task.goods, **task.fields)}

    return call


def _by_key(counts: Counter[Tally], outcome: str) -> dict[str, int]:
    found = [pair for pair in counts.most_common() if pair[0].outcome == outcome]
    return {tally.key: count for tally, count in found if tally.key}


def next_day(now: datetime.datetime) -> datetime.datetime:
    """
    Return when WeChat's next day begins, with its quota.
    """
    tomorrow = now.astimezone(output.CHINA_TIME) + datetime.timedelta(days=1)
    return tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)


@contextlib.contextmanager
def interruptible(ended: threading.Event) -> Iterator[None]:
    """
    Set *ended* on Ctrl-C or SIGTERM; the second one ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: object) -> None:
        ended.set()
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)
        # It may interrupt another write to stderr.
        with contextlib.suppress(RuntimeError):
            note(say("[finishing]"))

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)
