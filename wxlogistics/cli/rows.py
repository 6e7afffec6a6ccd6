"""The rows of a file as shops have it: CSV, TSV, JSON Lines or Excel; UTF-8 or GBK."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
from typing import Any, Iterable, Iterator, Mapping, Sequence

import attrs

from ..models import MAX_GOODS, GoodsInfo
from .goods import FIELDS, goods_from_json, goods_from_pairs, goods_from_value, loads
from .headings import QUERY, TRACE, Columns, check_complete, field_of, known
from .language import say
from .output import Problem

#: A line, its headings and its values (None: the line of headings itself): what every
#: kind of file comes to.
Record = tuple[int, Sequence[str], Sequence[Any] | None]

# How Excel's own files begin: .xlsx and .xls.
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")

# Excel's hint at what separates the values.
_SEPARATOR = re.compile(r'\s*"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)

# Characters of no text: controls, and the mark for what cannot be decoded.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")

# A number as a spreadsheet rounds it: 7.77123E+14, in some countries 7,77123E+14.
_ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)

# What protects a number from a spreadsheet: ="771", '771.
_PROTECTED = re.compile('="(.*)"|[\'\u2018\u2019](.*)', re.DOTALL)

# How the row of a sum begins.
_SUM = re.compile(r"(?i)\s*(合\s*计|总\s*计|小\s*计|共计|汇总|(grand )?total\b)")

# JD's have a hyphen, behind it a piece's number.
_WAYBILL = re.compile(
    r"(?=.*[1-9])(?!\d{4}-\d\d?-\d\d?$)[0-9A-Za-z]{2,40}(-[0-9A-Za-z]{0,6}){0,3}"
)

# A customer's number may be hidden behind another one and an extension.
_PHONE = re.compile(
    r"(?=.*[1-9])(?=(\D*\d){3,17}\D*$)\+?[0-9(][0-9() -]*((转|分机|ext\.?|#)[0-9 -]+)?"
)

# Without blanks, and nothing but ASCII.
_TOKEN = re.compile(r"[\x21-\x7e]+")


@attrs.frozen
class Row:
    """
    One row of the input.

    Attributes:
        number: Counts the rows from 1, without the headings and blank lines.

        line: The line of the file on which it begins.

        fields: Its values by field.

        problem: Why it cannot be used.

        filled: How many of its cells are about goods.
    """

    number: int
    line: int
    fields: Mapping[str, Any]
    problem: Problem | None = None
    filled: int = 0

    def of(self, name: str) -> tuple[str | None, str | None]:
        """
        Its customer with its parcel or its order, as far as they can be used.
        """
        return self.fields.get("openid"), self.fields.get(name)

    def continues(self, above: Row) -> bool:
        """
        Return whether it may be a further article of the parcel *above*, for its cells
        of a parcel are empty; the sum below a table is not one.
        """
        openid, id_ = self.of("id")
        is_other = id_ not in (None, above.of("id")[1])
        if not openid:
            return self.filled > is_other
        is_empty = self.problem and self.problem.message == "{name} is empty"
        return bool(openid == above.of("id")[0] and is_empty and not is_other)

    @property
    def id(self) -> str | None:
        """
        Its name: the input's, or else WeChat's.
        """
        names = ("id", "waybill_id", "waybill_token")
        return next((self.fields[name] for name in names if name in self.fields), None)


@attrs.frozen
class Task:
    """
    What one call does: one row, or the rows of one parcel.

    Attributes:
        rows: The rows, which share the result.

        fields: The arguments of the call.

        goods: Its goods, if it registers.

        problem: Why it cannot be done.
    """

    rows: tuple[Row, ...]
    fields: Mapping[str, str]
    goods: GoodsInfo | None = None
    problem: Problem | None = None

    def why(self, row: Row) -> str:
        """
        Return what the problem is for one of the rows.
        """
        problem = row.problem or self.problem
        fields = {**problem.fields} if problem else {}
        if row.line == fields.get("line"):
            fields["line"] = fields.get("other")
        return say(problem.message, **fields) if problem else ""

    @property
    def digest(self) -> str:
        """
        A text that changes with what is sent; not one that a spreadsheet can round.
        """
        goods = self.goods.detail_list if self.goods else ()
        problem = self.problem.message if self.problem else ""
        found = [{**self.fields}, [*map(attrs.astuple, goods)], problem]
        text = json.dumps(found, sort_keys=True)
        return f"d{hashlib.sha256(text.encode()).hexdigest()[:12]}"


# Bytes to records


def records(
    lines: Iterable[bytes], form: str | None, encoding: str | None, columns: Columns
) -> Iterator[Record]:
    """
    Yield what is in the lines of a text file.

    Args:
        form: csv, tsv or jsonl; None: as the first line looks.

        encoding: None: as the first line that is not ASCII looks.

    Raises:
        Problem: The file as a whole cannot be read.
    """
    numbered = enumerate(_decoded(lines, encoding), 1)
    for start, first in numbered:
        if first.strip():
            break
    else:
        return
    hint = _SEPARATOR.fullmatch(first)
    texts = itertools.chain([] if hint else [first], (text for _, text in numbered))
    start += bool(hint)
    if re.match(r'\s*\[\s*([\[{\]"]|$)', first):
        raise Problem("[JSON array]")
    if form == "jsonl" or (form is None and first.lstrip()[:1] == "{"):
        yield from _objects(texts, start, columns)
        return
    # Excel writes what the machine's region has between the items of a list.
    delimiter = ";" if ";" in first and "," not in first else ","
    if form == "tsv" or ("\t" in first and (form is None or "," not in first)):
        delimiter = "\t"
    cells = _cells(texts, start, hint[1] if hint else delimiter)
    yield from with_headings(cells, columns)


def _decoded(lines: Iterable[bytes], encoding: str | None) -> Iterator[str]:
    codec = "gb18030" if encoding == "gbk" else encoding
    for number, raw in enumerate(lines):
        if not number and raw.startswith(b"\xef\xbb\xbf"):
            raw, codec = raw[3:], "utf-8"
        if codec is None and not raw.isascii():
            codec = "utf-8" if _is_utf8(raw) else "gb18030"
        # Python 3.10 reads no CSV with a NUL in it.
        text = raw.decode(codec or "ascii", "replace").replace("\0", "\ufffd")
        # Nearly all UTF-8 can be read as GBK, and is nonsense then.
        if codec == "gb18030" and encoding != "gbk" and _is_utf8(raw):
            text = raw.decode("ascii", "replace")
        yield text


def _is_utf8(raw: bytes) -> bool:
    """
    Return whether *raw* can only be UTF-8: GBK that happens to be UTF-8 as well hardly
    ever has a letter of more than two bytes in it, and Chinese has three.
    """
    try:
        return max(raw.decode("utf-8")) > "\u07ff"
    except UnicodeDecodeError:
        return False


def likely_encoding(lines: Iterable[bytes]) -> str:
    """
    Return the encoding of most lines.
    """
    votes = [_is_utf8(raw) or -1 for raw in lines if not raw.isascii()]
    return "gb18030" if sum(votes) < 0 else "utf-8"


def _objects(texts: Iterable[str], start: int, columns: Columns) -> Iterator[Record]:
    for number, text in enumerate(texts, start):
        if not text.strip():
            continue
        try:
            value = loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, str) and columns is QUERY:
            value = {"waybill_token": value}
        if isinstance(value, dict):
            yield number, [*value], [*value.values()]
        else:
            yield number, [], [Problem("not a JSON object")]


def _cells(
    texts: Iterable[str], start: int, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    line = start
    try:
        for cells in reader:
            # Two stray quotation marks may swallow the rows between them.
            inner = [text for cell in cells for text in cell.splitlines()[1:]]
            if any(_is_row(text.split(delimiter), cells) for text in inner):
                raise csv.Error("rows within a cell")
            yield line, cells
            line = start + reader.line_num
    except csv.Error as error:
        raise Problem("[not CSV]", line=line, reason=error) from None


def _is_row(parts: Sequence[str], cells: Sequence[str]) -> bool:
    """
    Return whether a line of a cell, in *parts*, looks like a row as wide as *cells*: a
    line of a note hardly has a number or a token in the same column.
    """
    both = zip(parts, cells)
    words = [all(_TOKEN.fullmatch(each.strip(" ")) for each in pair) for pair in both]
    return len(parts) >= len(cells) and any(words)


def with_headings(
    cells: Iterable[tuple[int, Sequence[str]]], columns: Columns
) -> Iterator[Record]:
    """
    Yield the rows below the first one, whose cells are the headings.

    A single column of waybill_tokens needs no heading.
    """
    heads: Sequence[str] = ()
    for line, row in cells:
        if not any(cell.strip() for cell in row):
            continue
        if not heads:
            first = row[0].strip()
            known_one = [field_of(first, each) for each in (QUERY, TRACE)]
            is_token = len(row) == 1 and _TOKEN.fullmatch(first) and not any(known_one)
            heads = ["waybill_token"] if is_token and columns is QUERY else row
            yield line, heads, None
            if heads is row:
                continue
        values: list[Any] = [*row]
        if any(row[len(heads) :]):
            numbers = {"count": len(row), "width": len(heads)}
            values = [Problem("{count} values, but {width} headings", **numbers)]
        yield line, heads, values


def workbook(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """
    Yield the cells of the first sheet of an Excel file that has any.

    Raises:
        Problem: The extra is missing, or the file cannot be read.
    """
    try:
        import python_calamine
    except ImportError:
        raise Problem("[extra excel]") from None
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        get, names = book.get_sheet_by_name, book.sheet_names
        sheets = [get(name).to_python(skip_empty_area=False) for name in names]
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise Problem("not an Excel workbook: {reason}", reason=error) from None
    for rows in filter(None, sheets):
        for line, row in enumerate(rows, 1):
            yield line, [_cell(value) for value in row]
        return


def _cell(value: object) -> str:
    """
    Return a cell of a workbook as text; a number of more than 15 digits was rounded,
    and looks so: 7.7123E+18.
    """
    return f"{value:.15g}" if isinstance(value, float) else str(value)


# Records to tasks


class Reader:
    """
    Makes tasks of records.

    Args:
        columns: What they have.

        given: Headings -> fields, as --map gives them.

    Attributes:
        ignored: Headings that are none of our fields.

        rows_read: The rows so far.

        skipped: The lines of the sums below the table.

        without_token: How many rows of an earlier output have nothing to query.
    """

    def __init__(self, columns: Columns, given: Mapping[str, str] = {}) -> None:
        self._columns = columns
        self._given = given
        self.ignored: list[str] = []
        self.skipped: list[int] = []
        self.without_token = 0
        self.rows_read = 0

    def tasks(self, found: Iterable[Record]) -> Iterator[Task]:
        """
        Yield the tasks; several rows of one parcel, wherever they are, are one.

        Raises:
            Problem: A column is missing.
        """
        if not self._columns.goods:
            for row in self._rows(found):
                sent = {name: row.fields[name] for name in row.fields if name != "id"}
                yield Task((row,), sent, problem=row.problem)
            return
        parcels: dict[Any, list[Row]] = {}
        rows = [*self._rows(found)]
        # Without an openid a row may be of each parcel with its waybill_id.
        parcels_ = {row.number: row.of("waybill_id") for row in rows}
        unclear = {id_ for openid, id_ in parcels_.values() if not openid}
        keys = {n: key[key[1] in unclear :] for n, key in parcels_.items() if key[1]}
        # A row whose waybill_id cannot be used goes with the others of its order.
        orders = {row.of("id"): keys[row.number] for row in rows if row.number in keys}
        key: Any = None
        for above, row in zip([None, *rows], rows):
            if row.number in keys:
                key = keys[row.number]
            elif all(row.of("id")) and row.of("id") in orders:
                key = orders[row.of("id")]
            elif above is None or not row.continues(above):
                key = row.number
            # Else it goes on with the parcel above, as merged cells do.
            parcels.setdefault(key, []).append(row)
        yield from map(parcel_of, parcels.values())

    def _rows(self, found: Iterable[Record]) -> Iterator[Row]:
        table: Sequence[str] | None = None
        fields: list[str] = []
        # Sums, as far as no row follows.
        waiting: list[Any] = []
        is_ours = False
        for line, headings, values in found:
            problem: Problem | None = None
            if headings is not table:
                try:
                    fields = known(headings, self._columns, self._given)
                except Problem as error:
                    if values is None:
                        raise
                    fields, problem = [], error
                # Results of this command have columns of their own.
                is_ours = {"outcome", "digest"} <= {*headings}
                for heading, field in () if is_ours else zip(headings, fields):
                    if not field and heading.strip() and len(self.ignored) < 20:
                        self.ignored += {heading} - {*self.ignored}
            if values is None:
                table = headings
                check_complete(headings, fields, self._columns, self._given)
                continue
            if values and isinstance(values[0], Problem):
                problem, values = values[0], []
            cells = _by_field(headings, fields, values)
            if is_ours and self._columns is QUERY and not cells.get("waybill_token"):
                self.without_token += 1
                continue
            waiting.append((line, cells, problem))
            first = next((str(value) for value in values if value), "")
            number = cells.get("waybill_id") or cells.get("waybill_token") or first
            if _SUM.match(first) and _SUM.match(str(number)):
                continue
            for each in waiting:
                self.rows_read += 1
                yield self._row(self.rows_read, *each)
            waiting = []
        self.skipped = [line for line, *_ in waiting]

    def _row(
        self, number: int, line: int, cells: Mapping[str, Any], problem: Problem | None
    ) -> Row:
        """
        Return a row of its values by field, which are checked.
        """
        checked: dict[str, Any] = {}
        for name in (*self._columns.required, *self._columns.optional):
            try:
                value = text_of(name, cells.get(name))
                if value:
                    checked[name] = value
                elif name in self._columns.required:
                    problem = problem or Problem("{name} is empty", name=name)
            except Problem as error:
                problem = problem or error
        if self._columns.goods:
            try:
                checked["goods"] = _goods_of(cells)
            except Problem as error:
                problem = problem or error
        filled = [name for name in cells if name.startswith("goods") and cells[name]]
        # Nothing is known about a row that cannot be read.
        return Row(number, line, checked, problem, len(filled) if cells else 2)


def _by_field(
    headings: Sequence[str], fields: Sequence[str], values: Sequence[Any]
) -> dict[str, Any]:
    """
    Return values by field; of several columns of one field, the first that is filled.
    """
    found: dict[str, Any] = {}
    # The receiver's goes before the buyer's, and a mobile phone before a fixed one.
    ranks = [("收" not in each, "手机" not in each) for each in headings]
    columns = sorted(zip(ranks, fields, values), key=lambda each: each[0])
    for _, field, value in columns:
        if field and found.get(field) in (None, ""):
            found[field] = value.strip() if isinstance(value, str) else value
    return found


def parcel_of(rows: Sequence[Row]) -> Task:
    """
    Return the task of one parcel's rows: all their goods, and what they have in common.
    """
    fields: dict[str, str] = {}
    details: list[Any] = []
    problem: Problem | None = None
    lines: dict[str, int] = {}
    for row in rows:
        if row.problem and not problem:
            fields_ = {"line": row.line, "problem": row.problem.format_message()}
            problem = Problem("[parcel has problem]", **fields_)
            problem = row.problem if len(rows) == 1 else problem
        for name, value in row.fields.items():
            other = lines.setdefault(name, row.line)
            if name == "goods":
                details += [each for each in value.detail_list if each not in details]
            elif fields.setdefault(name, value) != value and name != "id":
                differs = {"line": row.line, "other": other, "name": name}
                problem = problem or Problem("[parcel differs]", **differs)
    if len(details) > MAX_GOODS:
        count = len(details)
        problem = problem or Problem("[parcel too large]", count=count, rows=len(rows))
    goods = GoodsInfo(details) if details else None
    fields.pop("id", None)
    return Task(tuple(rows), fields, goods, problem)


def _goods_of(content: Mapping[str, Any]) -> GoodsInfo:
    """
    Return the goods of a row: one value, or a name and its companions per article.
    """
    value = content.get("goods")
    if value in (None, ""):
        value = _numbered(content)
    if not isinstance(value, str):
        goods = goods_from_value(value)
    elif value[:1] in ("[", "{"):
        goods = goods_from_json(value)
    else:
        goods = goods_from_pairs(value.split("|"))
    for detail in goods.detail_list:
        for name in FIELDS:
            text_of(name, getattr(detail, name))
    return goods


def _numbered(content: Mapping[str, Any]) -> list[dict[str, str]]:
    articles = []
    for number in ("", *(f"_{number}" for number in range(2, 100))):
        found = {name: content.get(name + number) for name in FIELDS}
        article = {name: text_of(name, value) for name, value in found.items()}
        if not any(article.values()):
            continue
        if found["goods_img_url"] is None:
            raise Problem("[image is missing]", name=f"goods_img_url{number}")
        articles.append({name: value for name, value in article.items() if value})
    if not articles:
        raise Problem("{name} is empty", name="goods_name")
    return articles


def text_of(name: str, value: object) -> str:
    """
    Return *value* as the text of a field.

    Raises:
        Problem: It cannot be one.
    """
    if value is None:
        return ""
    value = str(value) if type(value) is int else value
    if not isinstance(value, str):
        raise Problem("{name} is not a text", name=name)
    value = value.strip()
    if name in (*_PATTERNS, "id"):
        value = _unprotected(value)
    if name != "waybill_token" and _ROUNDED.fullmatch(value):
        raise Problem("[rounded]", name=name, value=value)
    if _CONTROL.search(value):
        raise Problem("[unreadable]", name=name)
    if value and name in _PATTERNS and not _PATTERNS[name].fullmatch(value):
        raise Problem(f"[not one {name}]", name=name, value=repr(value)[1:-1][:60])
    return value


_PATTERNS = {"waybill_id": _WAYBILL, "trans_id": _TOKEN, "waybill_token": _TOKEN}
_PATTERNS |= {"openid": _TOKEN, "receiver_phone": _PHONE, "sender_phone": _PHONE}


def _unprotected(value: str) -> str:
    """
    Return a number without what protects it from a spreadsheet, or a ``.0`` from one.
    """
    found = _PROTECTED.fullmatch(value)
    value = (found[1] or found[2] or "").strip() if found else value
    return re.sub(r"^(\d{1,15})\.0+$", r"\1", value)
