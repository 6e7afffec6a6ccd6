"""The rows of a file as people have it: CSV, TSV or JSON Lines, in UTF-8 or GBK.

Read one at a time. A row that cannot be read is a row too, with its problem.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import itertools
import json
import re
import unicodedata
from collections import deque
from typing import IO, Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

import attrs

from ..models import GoodsInfo
from .goods import goods_from_json, goods_from_pairs, goods_from_value
from .messages import Problem
from .parcels import Parcels

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

# Excel's way with a long number: 7.77123E+14, in some countries 7,77123E+14.
_ROUNDED = re.compile(r"\d([.,]\d+)?E[+-]?\d+", re.IGNORECASE)

# What other ways through a spreadsheet leave: ####, #N/A, ="138", '138, 138.0.
_MANGLED = re.compile(r"[#='\u2018\u2019]|\d+[.,]0+$")

#: The columns whose values a spreadsheet takes for numbers.
_NUMBERS = ("waybill_id", "trans_id", "receiver_phone", "sender_phone")

# How the files of Excel itself begin: .xlsx and .xls.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")

# A whole array of JSON. No column's name begins like that.
_ARRAY = re.compile(r"\s*\[\s*([\[{\]\"]|$)")

# Excel's own hint at what stands between the values.
_SEPARATOR = re.compile(r'\s*"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)

# So many lines behind the first one that may be GBK tell whether it is.
_AHEAD = 100

_CODECS = {"gbk": "gb18030", "utf-8": "utf-8"}

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

        encoding: utf-8 or gbk; None: as the lines look.

        likely: utf-8 or gbk, what a survey found; None: nobody has seen it all.

    Attributes:
        ignored: Names in the input that mean nothing here.
    """

    def __init__(
        self,
        columns: Columns,
        form: str | None = None,
        encoding: str | None = None,
        likely: str | None = None,
    ) -> None:
        self._columns = columns
        self._form = form
        self._encoding = encoding
        self._likely = likely
        self.ignored: list[str] = []

    def rows(self, file: IO[bytes]) -> Iterator[Row]:
        """
        Yield the rows in *file*.

        Raises:
            Problem: Its first line rules out that there are any.
        """
        lines = _Lines(file, self._encoding, self._likely)
        first = lines.peek()
        if first is None:
            return
        form = self._form or _guess_form(first.text)
        if _ARRAY.match(first.text):
            raise Problem("row.array")
        records = (
            self._objects(lines)
            if form == "jsonl"
            else self._cells(lines, _delimiter(form, lines))
        )
        parcels = Parcels()
        for number, (line, content) in enumerate(records, 1):
            if isinstance(content, Problem):
                yield Row(number, line, problem=content)
                continue
            problem, goods = None, None
            try:
                fields, goods = self._checked(content)
            except Problem as found:
                # Told as far as it can be read, so that it can be found.
                fields, problem = _texts(content), found
            if self._columns.goods:
                first_row = _first_row(parcels, number, content, goods)
                # WeChat would keep the goods of the first alone, and tell nobody.
                if first_row != number:
                    problem = problem or Problem("row.same_waybill", row=first_row)
            yield Row(number, line, fields, problem)

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
        if self._columns is QUERY and len(head) == 1 and _is_token(head[0]):
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

    def _checked(
        self, content: dict[str, Any]
    ) -> tuple[dict[str, Any], GoodsInfo | None]:
        """
        Return the values of a row and its goods, or raise what is wrong with it.
        """
        fields: dict[str, Any] = {}
        goods: GoodsInfo | None = None
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
            goods = goods_of(fields["goods"])
            for detail in goods.detail_list:
                for name in ("goods_name", "goods_img_url", "goods_desc"):
                    _text(name, getattr(detail, name))
        return fields, goods


def _first_row(
    parcels: Parcels,
    number: int,
    content: Mapping[str, Any],
    goods: GoodsInfo | None,
) -> int:
    """
    Return the number of the first row that names the same parcel with other goods;
    *number* itself, where there is none.

    A row that cannot be used, whose *goods* are None, counts as well: once it is
    mended, it is the first.
    """
    try:
        parcel = [_text(name, content.get(name)) for name in ("openid", "waybill_id")]
    except Problem:
        return number
    if not all(parcel):
        return number
    try:
        details = (goods or goods_of(_goods_cells(content))).detail_list
    except Problem:
        details = ()
    its_goods = _hash([*map(attrs.astuple, details)]) >> 32
    known = parcels.first(_hash(parcel), number << 32 | its_goods)
    first, goods_of_first = divmod(known, 1 << 32)
    return number if goods_of_first == its_goods else first


def _hash(value: object) -> int:
    """
    Return 64 bits that tell *value* from others, and are not all zero.
    """
    text = json.dumps(value, ensure_ascii=False)
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(found[:8], "big") or 1


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
    # An order's own number may look like 3E12, but not like 3E+12.
    if name in _NUMBERS or (name == "id" and "+" in value):
        if _ROUNDED.fullmatch(value):
            raise Problem("row.rounded", name=name, value=value)
    if name in _NUMBERS:
        if _MANGLED.match(value):
            raise Problem("row.mangled", name=name, value=value)
        if not value.isascii() and any(map(_is_odd, value)):
            raise Problem("row.odd", name=name, value=value)
    return value


def _is_odd(char: str) -> bool:
    """
    Whether *char* is a full-width form of a letter or digit, or cannot be seen: what
    looks like a number and is none.
    """
    if "\uff01" <= char <= "\uff5e":
        return True
    return char != " " and unicodedata.category(char) in ("Cf", "Zs")


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


def _is_token(cell: str) -> bool:
    """
    Whether *cell*, alone in the first row, is a token already and not a column's name.
    """
    base = _plain(cell).rstrip("0123456789")
    return cell.isascii() and base not in _OURS


def _guess_form(line: str) -> str:
    if line.lstrip()[:1] == "{":
        return "jsonl"
    return "tsv" if "\t" in line else "csv"


def _delimiter(form: str, lines: _Lines) -> str:
    """
    Return what stands between the values, told by the first line that is not blank.
    """
    line = next(lines)
    told = _SEPARATOR.fullmatch(line.text)
    if told:
        return told[1]
    lines.push_back([line])
    text = line.text.rstrip("\r\n")
    if "\r" in text:
        raise Problem("row.mac")
    if form == "tsv":
        return "\t"
    # Excel writes what the machine's region has between the items of a list.
    return ";" if ";" in text and "," not in text else ","


class _Line(NamedTuple):
    number: int
    text: str
    problem: Problem | None = None


class _Lines:
    """
    The lines that are not blank, decoded, with their numbers.
    """

    def __init__(
        self, file: IO[bytes], encoding: str | None, likely: str | None
    ) -> None:
        self._raw: Iterator[tuple[int, bytes]] = _raw_lines(file)
        self._encoding = encoding
        self._likely = likely
        self._ahead: deque[_Line] = deque()

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        if self._ahead:
            return self._ahead.popleft()
        while True:
            number, raw = next(self._raw)
            if number == 1:
                if raw.startswith(_WORKBOOKS):
                    raise Problem("row.workbook")
                if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    raise Problem("row.utf16")
                if raw.startswith(_BOM):
                    self._encoding = "utf-8"
                    raw = raw[len(_BOM) :]
            if len(raw) >= LONGEST_LINE:
                # The beginning tells what kind of file it is.
                return _Line(number, raw[:8].decode("latin-1"), Problem("row.long"))
            # Python 3.10 reads no CSV with a NUL in it.
            text = self._decoded(raw).replace("\0", "\ufffd")
            if text.strip():
                return _Line(number, text)

    def peek(self) -> _Line | None:
        line = next(self, None)
        if line:
            self.push_back([line])
        return line

    def push_back(self, lines: Iterable[_Line]) -> None:
        self._ahead.extendleft(reversed([*lines]))

    def _decoded(self, raw: bytes) -> str:
        if raw.isascii():
            return raw.decode("ascii")
        if self._encoding:
            codec = _CODECS[self._encoding]
        else:
            self._likely = self._likely or self._look_ahead(raw)
            # Nearly all UTF-8 can be read as GBK, and is nonsense then.
            is_other = self._likely == "gbk" and _is_utf8(raw)
            codec = "ascii" if is_other else _CODECS[self._likely]
        # What cannot be read becomes a mark that `_text` refuses.
        return raw.decode(codec, "replace")

    def _look_ahead(self, raw: bytes) -> str:
        """
        Return the encoding of what begins with *raw*, the first line that is not ASCII.
        """
        if _is_utf8(raw):
            return "utf-8"
        ahead = [*itertools.islice(self._raw, _AHEAD)]
        self._raw = itertools.chain(ahead, self._raw)
        return _encoding_of([raw, *(each for _, each in ahead)])


def _is_utf8(raw: bytes) -> bool:
    """
    Whether *raw* can be nothing else: GBK that happens to be UTF-8 as well has hardly
    ever a letter of more than two bytes in it, and Chinese has three.
    """
    try:
        return max(raw.decode("utf-8")) > "\u07ff"
    except UnicodeDecodeError:
        return False


def _raw_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """
    Yield the lines of *file* with their numbers; of one that is too long its beginning.
    """
    pieces = iter(functools.partial(file.readline, LONGEST_LINE), b"")
    for number, raw in enumerate(pieces, 1):
        line = raw
        while len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
        yield number, raw


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
        Return the first record that has anything in it.
        """
        while True:
            self._first, cells = self._next(None)
            if not self._first:
                return []
            if isinstance(cells, Problem):
                raise cells
            if any(cell.strip() for cell in cells):
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
    return _encoding_of(raw for _, raw in _raw_lines(file))


def _encoding_of(lines: Iterable[bytes]) -> str:
    as_utf8, not_utf8 = 0, 0
    for raw in lines:
        if len(raw) >= LONGEST_LINE or raw.isascii():
            continue
        try:
            raw.decode("utf-8")
            as_utf8 += 1
        except UnicodeDecodeError:
            not_utf8 += 1
    return "gbk" if not_utf8 > as_utf8 else "utf-8"
