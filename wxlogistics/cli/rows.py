"""The rows of a file as people have it: CSV, TSV or JSON Lines, in UTF-8 or GBK.

Read one at a time. A row that cannot be read is a row too, with its problem.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import re
from collections import deque
from typing import IO, Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

import attrs

from ..models import GoodsInfo
from .goods import goods_from_json, goods_from_pairs, goods_from_value
from .messages import Problem

#: A longer line is no row of ours.
LONGEST_LINE = 1024 * 1024

# A quoted value may go over so many lines; a quote that is never closed is then known
# to be a fault of its own row, and swallows no other.
_LONGEST_RECORD = 32

#: What a row may have, and the names that people give it. Compared without case,
#: blanks, hyphens and underscores; a number at the end counts the goods.
_NAMES: Mapping[str, Sequence[str]] = {
    "waybill_token": ("waybill_token", "token", "运单token", "查询id"),
    "openid": ("openid", "用户openid"),
    "waybill_id": ("waybill_id", "运单号", "快递单号", "物流单号"),
    "receiver_phone": ("receiver_phone", "收件人手机号", "收件人手机", "收件人电话"),
    "sender_phone": ("sender_phone", "寄件人手机号", "寄件人手机", "寄件人电话"),
    "trans_id": ("trans_id", "交易单号", "微信支付交易单号"),
    "delivery_id": ("delivery_id", "运力id"),
    "order_detail_path": ("order_detail_path", "订单详情页"),
    "goods": ("goods", "goods_info", "detail_list", "商品信息"),
    "goods_name": ("goods_name", "商品名称"),
    "goods_img_url": ("goods_img_url", "商品图片", "商品图片url"),
    "goods_desc": ("goods_desc", "商品描述", "商品详情"),
    "id": ("id", "order_id", "订单号", "订单编号"),
}

# Excel's way with a long number: 7.77123E+14.
_ROUNDED = re.compile(r"\d(\.\d+)?E\+?\d+", re.IGNORECASE)

# What no value has: control characters, and the mark for what could not be decoded.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")

_BOM = b"\xef\xbb\xbf"


@attrs.frozen
class Row:
    """
    One row of the input.

    Attributes:
        number: Counts the rows from 1; neither the names above them nor blank lines.

        line: The line in the file on which it begins.

        fields: Its values by our names.

        problem: Why it cannot be used.
    """

    number: int
    line: int
    fields: Mapping[str, Any] = {}
    problem: Problem | None = None

    @property
    def id(self) -> str | None:
        """
        What the row is called: by the input, or else by WeChat.
        """
        for name in ("id", "waybill_id", "waybill_token"):
            value = self.fields.get(name)
            if isinstance(value, str):
                return value
        return None

    @property
    def digest(self) -> int:
        """
        A number that changes with the row's content: 48 bits of a hash.
        """
        told = [self.fields, self.problem and self.problem.key]
        text = json.dumps(told, ensure_ascii=False, sort_keys=True)
        found = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(found[:6], "big")


class Columns(NamedTuple):
    """
    What the rows of a command have.

    Attributes:
        required: Each row must have these.

        optional: And may have these.

        goods: Whether each must have goods.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    goods: bool


QUERY = Columns(("waybill_token",), ("id", "openid"), False)
TRACE = Columns(
    ("openid", "waybill_id", "receiver_phone"),
    ("id", "sender_phone", "trans_id", "delivery_id", "order_detail_path"),
    True,
)


class Reader:
    """
    Reads rows from bytes.

    Args:
        columns: What they have.

        form: csv, tsv or jsonl; None: as the first line looks.

        encoding: utf-8 or gbk; None: utf-8 until a line is none.

    Attributes:
        ignored: Names in the input that mean nothing here.
    """

    def __init__(
        self, columns: Columns, form: str | None = None, encoding: str | None = None
    ) -> None:
        self._columns = columns
        self._form = form
        self._encoding = encoding
        self.ignored: list[str] = []

    def rows(self, file: IO[bytes]) -> Iterator[Row]:
        """
        Yield the rows in *file*.

        Raises:
            Problem: Its first line rules out that there are any.
        """
        lines = _Lines(file, self._encoding)
        first = lines.peek()
        if first is None:
            return
        form = self._form or _guess_form(first.text)
        records = (
            self._objects(lines)
            if form == "jsonl"
            else self._cells(lines, _delimiter(form, first.text))
        )
        before = Row(0, 0)
        for number, (line, content) in enumerate(records, 1):
            if isinstance(content, Problem):
                yield Row(number, line, problem=content)
                continue
            try:
                row = Row(number, line, self._checked(content))
                _check_goods_of_one(before, row)
                before = row
            except Problem as problem:
                # Told as far as it can be read, so that it can be found.
                row = Row(number, line, _texts(content), problem)
            yield row

    def _objects(self, lines: _Lines) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
        for line in lines:
            yield line.number, self._object(line)

    def _object(self, line: _Line) -> dict[str, Any] | Problem:
        if line.problem:
            return line.problem
        try:
            value = json.loads(line.text)
        except (ValueError, RecursionError):
            return Problem("row.json")
        if isinstance(value, str) and "waybill_token" in self._columns.required:
            return {"waybill_token": value}
        if not isinstance(value, dict):
            return Problem("row.json")
        try:
            names = self._known([*value])
        except Problem as problem:
            return problem
        return {name: field for name, field in zip(names, value.values()) if name}

    def _cells(
        self, lines: _Lines, delimiter: str
    ) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
        records = _Records(lines, delimiter)
        head = records.head()
        names = self._known(head)
        only_tokens = not any(names) and len(head) == 1
        if only_tokens and self._columns is QUERY:
            names = ["waybill_token"]
            self.ignored.clear()
            records.push_back()
        else:
            self._check_names(names)
        for line, cells in records.below(names):
            if isinstance(cells, Problem):
                yield line, cells
            elif any(cell.strip() for cell in cells):
                yield line, {name: cell for name, cell in zip(names, cells) if name}

    def _known(self, names: Sequence[str]) -> list[str]:
        """
        Return our name of each column; empty where there is none.
        """
        known = [_our_name(name, self._columns) for name in names]
        for name, ours in zip(names, known):
            if ours and known.count(ours) > 1:
                raise Problem("row.twice", name=ours)
            if not ours and name not in self.ignored and len(self.ignored) < 20:
                self.ignored.append(name)
        return known

    def _check_names(self, names: Sequence[str]) -> None:
        missing = [name for name in self._columns.required if name not in names]
        if self._columns.goods and "goods" not in names and "goods_name" not in names:
            missing.append("goods_name")
        if missing:
            raise Problem("row.no_column", names=", ".join(missing))

    def _checked(self, content: dict[str, Any]) -> dict[str, Any]:
        """
        Return the values of a row, or raise what is wrong with it.
        """
        fields: dict[str, Any] = {}
        columns = self._columns
        for name in (*columns.required, *columns.optional):
            value = _text(name, content.get(name))
            if value:
                fields[name] = value
            elif name in columns.required:
                raise Problem("row.empty", name=name)
        if columns.goods:
            fields["goods"] = _goods_cells(content)
            # Read now, so that a row with bad goods is known before any is sent.
            goods_of(fields["goods"])
        return fields


def _check_goods_of_one(before: Row, row: Row) -> None:
    """
    Refuse the second article of one parcel in a row of its own: WeChat would keep the
    first alone, and tell nobody.
    """
    if "goods" not in row.fields:
        return
    same = [before.fields.get(n) == row.fields[n] for n in ("openid", "waybill_id")]
    if all(same) and before.fields["goods"] != row.fields["goods"]:
        raise Problem("row.same_waybill", row=before.number)


def goods_of(value: object) -> GoodsInfo:
    """
    Return the goods of a row, which may be written in several ways.

    Raises:
        Problem: They cannot be read.
    """
    if not isinstance(value, str):
        return goods_from_value(value)
    if value.lstrip()[:1] in ("[", "{"):
        return goods_from_json(value)
    return goods_from_pairs(value.split("|"))


def _goods_cells(content: Mapping[str, Any]) -> object:
    """
    Return the goods of a row: one value, or one name and its company per article.
    """
    goods = content.get("goods")
    if goods and goods != "":
        return goods
    numbers = {
        re.sub(r"goods_(name|img_url|desc)", "", name)
        for name in content
        if name.startswith("goods_")
    }
    articles = []
    for number in sorted(numbers, key=lambda number: int(number[1:] or 1)):
        article = {
            name: _text(name, content.get(name + number))
            for name in ("goods_name", "goods_img_url", "goods_desc")
        }
        if any(article.values()):
            articles.append({name: value for name, value in article.items() if value})
    if not articles:
        raise Problem("row.empty", name="goods_name")
    return articles


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise Problem("row.type", name=name)
    value = value.strip()
    if _CONTROL.search(value):
        raise Problem("row.characters", name=name)
    if name in ("waybill_id", "trans_id", "receiver_phone", "sender_phone"):
        if _ROUNDED.fullmatch(value):
            raise Problem("row.rounded", name=name, value=value)
    return value


def _texts(content: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in content.items() if isinstance(value, str)}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


_OURS = {_plain(theirs): ours for ours, names in _NAMES.items() for theirs in names}


# The same few names, for each line of JSON.
@functools.lru_cache(maxsize=256)
def _our_name(name: str, columns: Columns) -> str:
    plain = _plain(name)
    base = plain.rstrip("0123456789")
    number = plain[len(base) :]
    ours = _OURS.get(base, "")
    if columns.goods and ours.startswith("goods_"):
        return ours if number in ("", "1") else f"{ours}_{number}"
    if columns.goods and ours == "goods" and not number:
        return ours
    return "" if number or ours not in columns.required + columns.optional else ours


def _guess_form(line: str) -> str:
    if line.lstrip()[:1] == "{":
        return "jsonl"
    return "tsv" if "\t" in line else "csv"


def _delimiter(form: str, line: str) -> str:
    if form == "tsv":
        return "\t"
    # Excel writes what the machine's region has between the items of a list.
    return ";" if ";" in line and "," not in line else ","


class _Line(NamedTuple):
    number: int
    text: str
    problem: Problem | None = None


class _Lines:
    """
    The lines that are not blank, decoded, with their numbers.
    """

    def __init__(self, file: IO[bytes], encoding: str | None) -> None:
        self._raw = _raw_lines(file)
        self._encoding = {"gbk": "gb18030"}.get(encoding or "", encoding)
        self._ahead: deque[_Line] = deque()

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        if self._ahead:
            return self._ahead.popleft()
        for number, raw in self._raw:
            if raw is None:
                return _Line(number, "", Problem("row.long"))
            if number == 1:
                if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    raise Problem("row.utf16")
                if raw.startswith(_BOM):
                    self._encoding = "utf-8"
                    raw = raw[len(_BOM) :]
            # Python 3.10 reads no CSV with a NUL in it.
            text = self._decoded(raw).replace("\0", "\ufffd")
            if text.strip():
                return _Line(number, text)
        raise StopIteration

    def peek(self) -> _Line | None:
        line = next(self, None)
        if line:
            self.push_back([line])
        return line

    def push_back(self, lines: Iterable[_Line]) -> None:
        self._ahead.extendleft(reversed([*lines]))

    def _decoded(self, raw: bytes) -> str:
        if self._encoding is None:
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError:
                self._encoding = "gb18030"
        # What cannot be read becomes a mark that `_text` refuses.
        return raw.decode(self._encoding, "replace")


def _raw_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while True:
        raw = file.readline(LONGEST_LINE)
        if not raw:
            return
        number += 1
        if len(raw) < LONGEST_LINE:
            yield number, raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(LONGEST_LINE)
        yield number, None


class _Records:
    """
    Lines taken apart, where a quoted value may go over several.
    """

    def __init__(self, lines: _Lines, delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._first: list[_Line] = []

    def head(self) -> list[str]:
        """
        Return the first record.
        """
        self._first, cells = self._next(None)
        if isinstance(cells, Problem):
            raise cells
        return cells

    def push_back(self) -> None:
        self._lines.push_back(self._first)

    def below(self, names: Sequence[str]) -> Iterator[tuple[int, list[str] | Problem]]:
        """
        Yield the other records, each with the line on which it begins.
        """
        while True:
            lines, cells = self._next(names)
            if not lines:
                return
            yield lines[0].number, cells

    def _next(
        self, names: Sequence[str] | None
    ) -> tuple[list[_Line], list[str] | Problem]:
        taken: list[_Line] = []
        problem = Problem("row.quote")
        for line in self._lines:
            taken.append(line)
            if line.problem:
                problem = line.problem if len(taken) == 1 else problem
                break
            try:
                cells = self._parse("".join(each.text for each in taken))
            except csv.Error as error:
                is_open = "unexpected end of data" in str(error)
                if is_open and len(taken) < _LONGEST_RECORD:
                    continue
                break
            if names is None or _fits(cells, names):
                return taken, cells
            if len(taken) == 1:
                problem = Problem("row.width", count=len(cells), width=len(names))
            break
        # The fault is the first line's; those behind it are rows of their own.
        self._lines.push_back(taken[1:])
        return taken[:1], problem

    def _parse(self, text: str) -> list[str]:
        (cells,) = csv.reader([text], delimiter=self._delimiter, strict=True)
        return cells


def _fits(cells: Sequence[str], names: Sequence[str]) -> bool:
    """
    Whether *cells* are one row: not too many, and none of several lines but where that
    makes sense.
    """
    return not any(cells[len(names) :]) and not any(
        "\n" in cell.strip() and name and not name.startswith("goods")
        for cell, name in zip(cells, names)
    )


def survey(file: IO[bytes]) -> str:
    """
    Return the encoding of a whole file: utf-8 or gbk.

    A single line in the wrong encoding does not change that of all the others.
    """
    as_utf8, not_utf8 = 0, 0
    for _, raw in _raw_lines(file):
        if raw is None or raw.isascii():
            continue
        try:
            raw.decode("utf-8")
            as_utf8 += 1
        except UnicodeDecodeError:
            not_utf8 += 1
    return "gbk" if not_utf8 > as_utf8 else "utf-8"
