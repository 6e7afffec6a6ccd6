"""`wxlogistics bulk`: many rows, a progress line, and an output that can be resumed."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import select
import signal
import stat
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any, Callable, Iterable, Iterator, Mapping, Sequence

import attrs
import click

from ..client import Client
from .command import FILE, Command, Group, option
from .headings import QUERY, TRACE, Columns, check_given, examples
from .job import Job
from .language import listed, plural, say
from .ledger import INVALID, OK, REFUSED, Ledger, Tally
from .output import (
    CHINA_TIME,
    GOOD,
    INTERRUPTED,
    NO_ANSWER,
)
from .output import REFUSED as CODE_REFUSED
from .output import (
    WRONG_USE,
    Problem,
    Terminal,
    answer,
    complain,
    echo,
    error_fields,
    explain,
    note,
    stdin,
    trace_fields,
    unusable,
)
from .progress import progress_of, show_summary
from .rows import (
    WORKBOOKS,
    Reader,
    Record,
    Task,
    likely_encoding,
    records,
    with_headings,
    workbook,
)

_FORMS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

#: So many rows are shown by --dry-run, and so many invalid ones are named.
_SHOWN = 3
_NAMED = 10


def command(terminal: Terminal) -> click.Command:
    """
    Return the group with its two commands.
    """
    query = (
        "Query many waybills.\nFILE has a column waybill_token, and perhaps id and "
        "openid; or one token in each line. The output of 'bulk trace' will do."
    )
    trace = (
        "Register many waybills.\nFILE has the columns openid, waybill_id, "
        "receiver_phone, goods_name and goods_img_url; further articles as "
        "goods_name_2 and so on, or in further rows of the same parcel. Headings of "
        "shops' exports are known, --map names others."
    )
    return Group(
        "bulk",
        "Query or register the rows of a file, many at the same time.",
        [
            _command(
                terminal,
                "query",
                query,
                QUERY,
                ("query_trace", "query_follow_trace"),
                [
                    "wxlogistics bulk query tokens.csv",
                    "wxlogistics bulk query orders.results.csv --out night.csv",
                    "cut -f2 orders.tsv | wxlogistics bulk query - --out out.jsonl",
                ],
            ),
            _command(
                terminal,
                "trace",
                trace,
                TRACE,
                ("trace_waybill", "follow_waybill"),
                [
                    "wxlogistics bulk trace orders.xlsx --dry-run",
                    "wxlogistics bulk trace orders.xlsx --out orders.results.csv",
                    "wxlogistics bulk trace orders.csv --map '买家电话=receiver_phone'",
                ],
            ),
        ],
    )


@attrs.define
class _Options:
    """
    What was asked for.
    """

    file: str
    out: str | None
    dry_run: bool
    workers: int
    max_calls: int | None
    again: tuple[str, ...]
    follow: bool
    map_: tuple[str, ...]
    form: str | None
    encoding: str | None


def _command(
    terminal: Terminal,
    name: str,
    text: str,
    columns: Columns,
    endpoints: tuple[str, str],
    example_lines: Sequence[str],
) -> click.Command:
    def run(**given: Any) -> int:
        options = _Options(**given)
        endpoint = endpoints[options.follow]
        return _Run(terminal, options, columns, endpoint).run()

    made = Command(
        terminal,
        name,
        text,
        run,
        [
            click.Argument(["file"], metavar="FILE", type=FILE),
            option(
                "--out",
                "The output: JSON Lines, or CSV as NAME.csv; by default "
                "NAME.results.jsonl beside FILE.",
                metavar="FILE",
                type=FILE,
            ),
            option("--dry-run", "Check FILE, send nothing.", is_flag=True),
            option(
                "--map map_",
                "A column's heading and its field; may be repeated.",
                metavar="HEADING=FIELD",
                multiple=True,
            ),
            option(
                "--workers",
                "Calls at the same time.",
                type=click.IntRange(1, 100),
                metavar="N",
                default=16,
                show_default=True,
            ),
            option(
                "--max-calls",
                "Stop after so many calls.",
                metavar="N",
                type=click.IntRange(0),
            ),
            option(
                "--again",
                "Do the rows that WeChat refused once more.",
                type=click.Choice([REFUSED]),
                multiple=True,
            ),
            option("--follow", "Use the message component.", is_flag=True),
            option(
                "--format form",
                "By default as FILE's name and content tell.",
                type=click.Choice(["csv", "tsv", "jsonl"]),
            ),
            option(
                "--encoding",
                "By default as the content tells.",
                type=click.Choice(["utf-8", "gbk"]),
            ),
        ],
        examples=example_lines,
    )
    known = [
        f"  {field}: {examples(field)}"
        for field in (
            *columns.required,
            *(("goods_name", "goods_img_url") if columns.goods else ()),
        )
    ]
    made.help = "\n".join(
        [
            f"{made.help}",
            say(
                "FILE is CSV, TSV, JSON Lines or an Excel workbook, in UTF-8 or GBK; - "
                "is stdin. Each result is appended to the output at once. Run the same "
                "command again to resume, even after a crash."
            ),
            "",
            say("Some of the headings that are known:"),
            *known,
        ]
    )
    return made


class Source:
    """
    The input: a file, a pipe, or stdin.

    Args:
        name: The file's or the pipe's name; - is stdin.

        columns: What its rows have.

        form: csv, tsv or jsonl; None: as the name and the content tell.

        encoding: utf-8 or gbk; None: as the content tells.

        ended: Reading a pipe stops once this is set.
    """

    def __init__(
        self,
        name: str,
        columns: Columns,
        form: str | None,
        encoding: str | None,
        ended: threading.Event,
    ) -> None:
        self._name = name
        # A stream has no path beside which an output could be.
        self.path = None if name == "-" or _is_stream(name) else Path(name)
        self._columns = columns
        self._form = form or _FORMS.get(Path(name).suffix.lower())
        self._encoding = encoding
        self._ended = ended

    def records(self) -> Iterator[Record]:
        """
        Yield what is in it.

        Raises:
            Problem: It cannot be read.
        """
        if self.path is None:
            with self._open() as stream:
                lines = _lines(stream, self._ended)
                first = next(lines, b"")
                if first.startswith(WORKBOOKS):
                    cells = workbook(first + b"".join(lines))
                    yield from with_headings(cells, self._columns)
                    return
                lines = itertools.chain([first], lines)
                yield from records(lines, self._form, self._encoding, self._columns)
            return
        with self._open() as file:
            data = file.read()
        if data.startswith(WORKBOOKS):
            yield from with_headings(workbook(data), self._columns)
            return
        encoding = self._encoding
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data, encoding = data.decode("utf-16", "replace").encode(), "utf-8"
        # Only an old Mac's file has no line feed.
        whole = data if b"\n" in data else data.replace(b"\r", b"\n")
        lines = iter(whole.splitlines(keepends=True))

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self._name == "-":
            yield stdin()
            return
        try:
            with open(self._name, "rb") as file:
                yield file
        except OSError as error:
            raise unusable(self._name, error.errno) from None


def _is_stream(name: str) -> bool:
    """
    Return whether *name* is a pipe or a device.
    """
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _lines(stream: IO[bytes], ended: threading.Event) -> Iterator[bytes]:
    """
    Yield the lines of a stream until it or the run ends, also while it is idle.
    """
    try:
        file = stream.fileno()
    except OSError:
        yield from stream
        return
    if sys.platform == "win32":  # pragma: no cover - select takes sockets alone
        yield from stream
        return
    rest = b""
    while not ended.is_set():
        if not select.select([file], [], [], 0.1)[0]:
            continue
        data = os.read(file, 65536)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if not data:
            if rest:
                yield rest
            return


class _Run:
    """
    One run of the command.
    """

    def __init__(
        self, terminal: Terminal, options: _Options, columns: Columns, endpoint: str
    ) -> None:
        self._terminal = terminal
        self._options = options
        self._columns = columns
        self._endpoint = endpoint
        self._ended = threading.Event()
        self._source = Source(
            options.file, columns, options.form, options.encoding, self._ended
        )
        self._reader = Reader(columns, check_given(options.map_, columns))
        self._began = time.monotonic()

    def run(self) -> int:
        """
        Run it, print what came of it, and return the exit code.
        """
        found = self._reader.tasks(self._source.records())
        if self._options.dry_run:
            return self._show_first([*found])
        path = self._out_path()
        with self._terminal.client() as client:
            # Of a pipe of tokens, the first may be queried before the last is there.
            tasks: Iterable[Task] = found
            total = None
            if self._source.path or self._columns is TRACE:
                with _interruptible(self._ended.set):
                    tasks = [*found]
                if self._ended.is_set():
                    raise KeyboardInterrupt
                total = self._rows()
            self._note_ignored()
            ledger = Ledger(path)
            job = Job(
                _caller(client, self._endpoint),
                ledger,
                again=bool(self._options.again),
                max_calls=self._options.max_calls,
            )
            job.ended, job.wait = self._ended, self._ended.wait
            total = self._do(job, ledger, tasks, total)
        return self._tell(job, ledger, total)

    def _do(
        self, job: Job, ledger: Ledger, tasks: Iterable[Task], total: int | None
    ) -> int | None:
        try:
            if isinstance(tasks, list):
                for task in tasks:
                    job.is_due(task)
                self._check_length(ledger, total or 0)
            before = sum(
                count
                for tally, count in ledger.counts().items()
                if not (job.again and tally.outcome == REFUSED)
            )
            self._began = time.monotonic()

            def interrupt() -> None:
                job.end("interrupted")
                note(say("Finishing the calls under way; Ctrl-C again ends at once."))

            with progress_of(total, before, job), _interruptible(interrupt):
                job.run(tasks, self._options.workers)
            if total is None and not job.stop:
                total = self._rows()
                self._check_length(ledger, total)
        except OSError as error:
            raise Problem(
                "cannot write {path}: {reason}. What it holds is whole; run the same "
                "command again to resume.",
                path=ledger.path,
                reason=error.strerror or error,
            ) from None
        finally:
            ledger.close()
        return total

    def _rows(self) -> int:
        if not self._reader.rows_read:
            raise Problem("{path} has no rows", path=self._options.file)
        return self._reader.rows_read

    def _check_length(self, ledger: Ledger, rows: int) -> None:
        last = max(ledger.rows, default=0)
        if last > rows:
            raise Problem(
                "{path} has results up to row {row}, but the input ends before: put the "
                "old input back, or choose another --out",
                path=ledger.path,
                row=last,
            )

    def _out_path(self) -> Path:
        out, source = self._options.out, self._source.path
        if out in (None, "-"):
            if source is None or out:
                raise Problem(
                    "--out FILE is missing: results need a file to resume from"
                )
            return source.with_suffix(".results.jsonl")
        path = Path(str(out))
        if source and path.exists() and path.samefile(source):
            raise Problem("{path} is the input", path=path)
        return path

    def _note_ignored(self) -> None:
        if self._reader.ignored:
            names = listed([repr(name) for name in self._reader.ignored])
            note(say("Ignored columns: {names}", names=names))

    # --dry-run

    def _show_first(self, tasks: list[Task]) -> int:
        """
        Show the first calls as they would be made, and what is wrong.
        """
        rows = self._rows()
        good = [task for task in tasks if not task.problem]
        first = [_payload(task) for task in good[:_SHOWN]]
        problems = [
            {
                "row": row.number,
                "line": row.line,
                "message": task.problem.format_message(),
            }
            for task in tasks
            if task.problem
            for row in task.rows
        ]
        code = WRONG_USE if problems else GOOD
        if self._terminal.as_json:
            found = {"rows": rows, "calls": len(good), "invalid": len(problems)}
            answer({"ok": code == GOOD, **found, "first": first, "problems": problems})
            return code
        self._note_ignored()
        for payload in first:
            echo(
                f"{self._endpoint} {json.dumps(payload, ensure_ascii=False, indent=2)}"
            )
        text = plural("{count:,} row", "{count:,} rows", rows)
        calls = plural("{count:,} call", "{count:,} calls", len(good))
        echo(
            say(
                "{rows}, {calls} of {endpoint}; nothing was sent.",
                rows=text,
                calls=calls,
                endpoint=self._endpoint,
            )
        )
        _name_invalid(problems)
        return code

    # The end

    def _tell(self, job: Job, ledger: Ledger, total: int | None) -> int:
        """
        Print what came of it, and return the exit code.
        """
        stop, counts = job.stop, ledger.counts()
        outcomes = {OK: 0, REFUSED: 0, "failed": job.unanswered, INVALID: 0}
        for tally, count in counts.items():
            outcomes[tally.outcome] += count
        code = _exit_code(outcomes)
        error = stop.error if stop else job.last_error if job.unanswered else None
        fields, resume_at = None, None
        if stop and stop.reason == "interrupted":
            code = INTERRUPTED
        if stop and stop.reason == "quota":
            resume_at = next_day(datetime.datetime.now(CHINA_TIME))
        if error:
            code, title, rows = explain(error)
            fields = error_fields(error, title, rows)
            complain(title, rows)
        done = len(ledger.rows)
        summary = {
            "rows": total,
            "done": done,
            "done_now": sum(job.counts.values()),
            "seconds": round(time.monotonic() - self._began, 3),
        }
        if self._terminal.as_json:
            answer(
                {
                    "ok": code == GOOD,
                    "out": str(ledger.path),
                    "complete": done == total,
                    **summary,
                    "outcomes": outcomes,
                    "statuses": _by_key(counts, OK),
                    "errors": _by_key(counts, REFUSED),
                    "stopped": stop.reason if stop else None,
                    "continue_at": resume_at.isoformat() if resume_at else None,
                    "error": fields,
                }
            )
        else:
            show_summary(ledger.path, summary, counts, job.unanswered)
        for line in _notes(job, resume_at):
            note(line)
        return code


def _notes(job: Job, resume_at: datetime.datetime | None) -> Iterator[str]:
    """
    Yield what to do next.
    """
    if resume_at:
        left = resume_at - datetime.datetime.now(CHINA_TIME)
        hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
        yield say(
            "Stopped: the quota is used up. Run the same command again after {time} "
            "China time (in {hours} h {minutes} min), when a new day begins at WeChat.",
            time=f"{resume_at:%Y-%m-%d %H:%M}",
            hours=hours,
            minutes=minutes,
        )
    elif job.stop:
        yield say(_STOPPED[job.stop.reason])
    if job.unanswered:
        yield plural(
            "{count:,} row got no answer and is not done: run the same command again.",
            "{count:,} rows got no answer and are not done: run the same command again.",
            job.unanswered,
        )


_STOPPED = {
    "refused": (
        "Stopped: every row would be refused for this. Fix it, then run the same command "
        "again."
    ),
    "no_answer": (
        "Stopped: WeChat no longer answers. Run the same command again when the network "
        "is back."
    ),
    "max_calls": "Stopped after --max-calls. Run the same command again to resume.",
    "interrupted": "Interrupted. Run the same command again to resume.",
}


def _name_invalid(problems: Sequence[Mapping[str, Any]]) -> None:
    for problem in problems[:_NAMED]:
        note(say("line {line}: {message}", **problem))
    if len(problems) > _NAMED:
        more = len(problems) - _NAMED
        note(plural("… and {count:,} more row", "… and {count:,} more rows", more))


def _payload(task: Task) -> dict[str, Any]:
    """
    Return the body that the task sends.
    """
    names = (name for name in task.fields if name != "id")
    payload: dict[str, Any] = {name: task.fields[name] for name in names}
    if task.goods:
        details = [
            {
                name: value
                for name, value in attrs.asdict(each).items()
                if value is not None
            }
            for each in task.goods.detail_list
        ]
        payload["goods_info"] = {"detail_list": details}
    return payload


def _caller(client: Client, endpoint: str) -> Callable[[Task], Mapping[str, Any]]:
    """
    Return what does one task and returns the fields of its line.
    """
    method = getattr(client, endpoint)

    def call(task: Task) -> Mapping[str, Any]:
        fields = {name: value for name, value in task.fields.items() if name != "id"}
        if task.goods is None:
            waybill_token = fields.pop("waybill_token")
            trace = trace_fields(method(waybill_token, **fields))
            return {"waybill_token": waybill_token, **trace}
        waybill_token = method(goods_info=task.goods, **fields)
        return {"waybill_id": fields["waybill_id"], "waybill_token": waybill_token}

    return call


def _exit_code(outcomes: Mapping[str, int]) -> int:
    for outcome, code in (
        (REFUSED, CODE_REFUSED),
        ("failed", NO_ANSWER),
        (INVALID, WRONG_USE),
    ):
        if outcomes[outcome]:
            return code
    return GOOD


def _by_key(counts: Counter[Tally], outcome: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for tally, count in counts.items():
        if tally.outcome == outcome and tally.key:
            found[tally.key] += count
    return dict(found.most_common())


def next_day(now: datetime.datetime) -> datetime.datetime:
    """
    Return when WeChat's next day begins, with its quota.
    """
    tomorrow = now.astimezone(CHINA_TIME) + datetime.timedelta(days=1)
    return tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)


@contextlib.contextmanager
def _interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """
    Call *interrupt* on Ctrl-C or SIGTERM; the second one ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)
        # It may interrupt another write to stderr.
        with contextlib.suppress(RuntimeError):
            interrupt()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)
