"""The headings of shops' exports, and which of our fields each one is."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from pathlib import Path
from typing import Mapping, NamedTuple, Sequence

from .language import labelled, listed, say
from .output import Problem


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
    goods: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """
        All of them, in the order in which a message lists them.
        """
        return (*self.required, *self.goods, *self.optional)


QUERY = Columns(("waybill_token",), ("id", "openid"))
TRACE = Columns(
    ("openid", "waybill_id", "receiver_phone"),
    ("id", "sender_phone", "trans_id", "delivery_id", "order_detail_path"),
    ("goods_name", "goods_img_url", "goods_desc", "goods"),
)

_DATA = json.loads(Path(__file__).with_name("headings.json").read_text("utf-8"))


def _written_out(pattern: str) -> str:
    """
    Return *pattern* with what stands for each word in it.
    """
    return re.sub("<(.+?)>", lambda found: str(_DATA["words"][found[1]]), pattern)


#: Field -> headings that a message names, and a pattern for all that are known, without
#: case, blanks and marks.
HEADINGS: Mapping[str, tuple[str, str]] = {
    field: (names, _written_out(pattern))
    for field, (names, pattern) in _DATA["headings"].items()
}

#: Headings that give way to an exact one of the same field: 单号 to 快递单号.
_VAGUE = re.compile(_written_out(_DATA["vague"]))

#: More than one column may be one of these: the first that is filled counts.
_ALTERNATIVES = ("receiver_phone", "sender_phone", "id")

# "(必填)", "【选填, 11位】": remarks, not parts of a name.
_REMARK = re.compile(
    r"[(\[【][^)\]】]*(填|选|必|请|例|如|多个|格式|文本|位|required|optional).*?[)\]】]"
)


# The same few, for each line of JSON.
@functools.lru_cache(maxsize=1024)
def _plain(heading: str) -> str:
    """
    Return *heading* without remarks, case, blanks and marks.
    """
    text = _REMARK.sub("", unicodedata.normalize("NFKC", heading).casefold())
    return "".join(char for char in text if char.isalnum())


@functools.lru_cache(maxsize=1024)
def field_of(heading: str, columns: Columns) -> str:
    """
    Return the field that *heading* is; empty if it is none.
    """
    plain = _plain(heading)
    base = plain.rstrip("0123456789")
    number = plain[len(base) :].lstrip("0")
    for field, (_, pattern) in HEADINGS.items():
        if plain == field.replace("_", "") or re.fullmatch(pattern, plain):
            return field if field in columns.fields else ""
        if field[:6] == "goods_" and 0 < len(number) < 3 and field in columns.fields:
            if re.fullmatch(pattern, base) or base == field.replace("_", ""):
                return field if number == "1" else f"{field}_{number}"
    return ""


def known(
    headings: Sequence[str], columns: Columns, given: Mapping[str, str]
) -> list[str]:
    """
    Return the field of each heading.

    Args:
        given: Headings -> fields, as --map gives them.

    Raises:
        Problem: Two columns are one field.
    """
    fields = []
    for heading in headings:
        field = given.get(heading.strip()) or field_of(heading, columns)
        is_free = heading.strip() in given or field not in given.values()
        fields.append(field if is_free else "")
    vague = [_VAGUE.fullmatch(_plain(each)) for each in headings]
    exact = {field for field, is_vague in zip(fields, vague) if not is_vague}
    pairs = zip(fields, vague)
    fields = ["" if is_vague and field in exact else field for field, is_vague in pairs]
    for field in {*fields} - {""}:
        found = [head.strip() for head, each in zip(headings, fields) if each == field]
        if len(found) > (len({*found}) if field in _ALTERNATIVES else 1):
            once = [head for head in found if found.count(head) == 1]
            names = {"name": field, "found": listed(found), "head": [*once, ""][0]}
            raise Problem("[several columns]" if once else "[same headings]", **names)
    return fields


def check_given(given: Sequence[str], columns: Columns) -> dict[str, str]:
    """
    Return the values of --map as heading -> field.

    Raises:
        Problem: One is not HEADING=FIELD, or has no such field.
    """
    found = {}
    for item in given:
        heading, _, field = item.rpartition("=")
        if (
            not heading
            or re.sub(r"^(goods_\w+?)_([2-9]|10)$", r"\1", field) not in columns.fields
        ):
            raise Problem("[not a map]", value=item, fields=listed(columns.fields))
        found[heading.strip()] = field
    return found


def check_complete(
    headings: Sequence[str],
    fields: Sequence[str],
    columns: Columns,
    given: Mapping[str, str],
) -> None:
    """
    Check that no required column is missing.

    Raises:
        Problem: One is; the message lists what was found and what would do.
    """
    heads = [heading.strip() for heading in headings if heading.strip()]
    missing = [name for name in columns.required if name not in fields]
    if columns.goods and "goods" not in fields:
        names = [name for name in fields if name.startswith("goods_name")]
        if not names:
            missing.append("goods_name")
        images = [name.replace("name", "img_url") for name in names or ["goods_name"]]
        missing += [image for image in images if image not in fields]
    absent = [heading for heading in given if heading not in heads]
    if not missing and not absent:
        return
    lines = [say("no column {names}", names=listed(absent or missing))]
    for name in () if absent else missing:
        lines.append(labelled(name, examples(name)))
    if not absent and any(name.startswith("goods_img_url") for name in missing):
        lines.append(say("Without pictures, add an empty column goods_img_url."))
    found = listed([head[:40] for head in heads[:40]])
    lines.append(say("Found: {headings}", headings=found))
    if not any(fields):
        lines.append(say("[headings first]"))
    lines.append(say("Name a column: --map 'HEADING={name}'", name=[*missing, "id"][0]))
    raise Problem("{lines}", lines="\n".join(lines))


def examples(field: str) -> str:
    """
    Return some headings for *field*, as a list.
    """
    found, _ = HEADINGS[re.sub(r"_\d+$", "", field)]
    return listed([field, *found.split(" ")])
