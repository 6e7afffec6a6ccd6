"""The headings of shops' exports, and which of our fields each one is."""

from __future__ import annotations

import functools
import re
import unicodedata
from itertools import product
from typing import Mapping, NamedTuple, Sequence

from .language import listed, say
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
    goods: bool

    @property
    def fields(self) -> tuple[str, ...]:
        """
        All of them, in the order in which a message lists them.
        """
        goods = ("goods_name", "goods_img_url", "goods_desc", "goods")
        return (*self.required, *(goods if self.goods else ()), *self.optional)


QUERY = Columns(("waybill_token",), ("id", "openid"), False)
TRACE = Columns(
    ("openid", "waybill_id", "receiver_phone"),
    ("id", "sender_phone", "trans_id", "delivery_id", "order_detail_path"),
    True,
)


def _joined(*parts: str) -> list[str]:
    """
    Return every combination of one word from each part.
    """
    return ["".join(words) for words in product(*(part.split(" ") for part in parts))]


# A mobile phone goes before a fixed one: Taobao's export has a column for each. The
# leading blank is the empty word.
_PHONES = (
    "手机号 手机号码 手机 移动电话 联系手机 联系手机号 联系手机号码 手机电话 电话手机 "
    "联系电话 联系方式 电话 电话号码 联系电话号码 固定电话"
)
_GOODS = "商品 宝贝 货品 产品 物品"

#: Field -> the headings for it, the likeliest first.
HEADINGS: Mapping[str, Sequence[str]] = {
    "waybill_token": ["waybill_token", "token", "运单token", "查询id"],
    "openid": ["openid", "用户openid", "买家openid", "客户openid", "下单人openid"],
    "waybill_id": [
        "waybill_id",
        *_joined(
            "运单 快递 物流 快递运单 物流运单 包裹 面单 快递面单 电子面单",
            "号 单号 编号 号码 单号码 单编号",
        ),
        "运单",
        *_joined("waybill tracking express logistics mail", " no number num code"),
    ],
    "receiver_phone": [
        "receiver_phone",
        *(
            person + phone
            for phone in _PHONES.split(" ")
            for person in "收件人 收货人 收件方 收货方 收件 收货 买家 客户 顾客 用户 会员 "
            "联系人 下单人 购买人".split(" ") + [""]
        ),
        *_joined(" receiver recipient consignee buyer", "phone mobile tel"),
    ],
    "sender_phone": [
        "sender_phone",
        *(
            person + phone
            for phone in _PHONES.split(" ")
            for person in "寄件人 发件人 发货人 寄件方 发件方 发货方 寄件 发件 发货 卖家 商家".split(
                " "
            )
        ),
        *_joined("sender", "phone mobile tel"),
    ],
    "trans_id": [
        "trans_id",
        "交易单号",
        *_joined("微信", "支付交易 支付 交易", "单号 订单号 流水号"),
    ],
    "delivery_id": ["delivery_id", "运力id", "运力编码"],
    "order_detail_path": ["order_detail_path", "订单详情页", "订单详情页路径"],
    "goods": ["goods", "goods_info", "detail_list", "商品信息"],
    "goods_name": [
        "goods_name",
        *_joined(_GOODS, "名称 标题 名 全称"),
        "商品",
        "选购商品",
        *_joined("goods product item", " name title"),
        "title",
    ],
    "goods_img_url": [
        "goods_img_url",
        *_joined(
            _GOODS + " sku ",
            "主图 图片 图 首图 缩略图 主图图片",
            " url 链接 地址 网址 图片链接 图片地址",
        ),
        *_joined("goods product item ", "img image pic picture", " url link"),
    ],
    "goods_desc": ["goods_desc", *_joined(_GOODS, "描述 详情 介绍")],
    "id": [
        "id",
        *_joined("order", "id no number"),
        *_joined("订单 主订单 子订单 商户订单", "号 编号 id"),
    ],
}

#: More than one column may be one of these: the first that is filled counts.
_ALTERNATIVES = ("receiver_phone", "sender_phone", "id")

# "(必填)", "【选填, 11位】", "(URL)": remarks, not parts of a name.
_REMARK = re.compile(
    r"[(\[【][^)\]】]*(填|选|必|格式|文本|required|optional)[^)\]】]*[)\]】]"
)


def _plain(heading: str) -> str:
    """
    Return *heading* without case, width, remarks, blanks and marks.
    """
    text = _REMARK.sub("", unicodedata.normalize("NFKC", heading).casefold())
    return "".join(char for char in text if char.isalnum())


_FIELDS = {
    _plain(heading): (field, rank)
    for field, headings in HEADINGS.items()
    for rank, heading in reversed([*enumerate(headings)])
}


# The same few, for each line of JSON.
@functools.lru_cache(maxsize=1024)
def field_of(heading: str, columns: Columns) -> tuple[str, int]:
    """
    Return the field that *heading* is, and its rank there; empty if it is none.
    """
    plain = _plain(heading)
    found = re.fullmatch(r"(.*?)0*([1-9]\d?)", plain)
    base, number = (
        (found[1], found[2]) if found and plain not in _FIELDS else (plain, "")
    )
    field, rank = _FIELDS.get(base, ("", 0))
    if field not in columns.fields or (number and not field.startswith("goods_")):
        return "", 0
    return (f"{field}_{number}" if number not in ("", "1") else field), rank


def known(
    headings: Sequence[str], columns: Columns, given: Mapping[str, str]
) -> list[tuple[str, int]]:
    """
    Return the field of each heading and its rank.

    Args:
        given: Headings -> fields, as --map gives them.

    Raises:
        Problem: Two columns are one field.
    """
    fields = []
    for heading in headings:
        field, rank = field_of(heading, columns)
        if heading.strip() in given:
            fields.append((given[heading.strip()], -1))
        else:
            fields.append(("", 0) if field in given.values() else (field, rank))
    for field in {field for field, _ in fields if field}:
        of_it = [head for head, (each, _) in zip(headings, fields) if each == field]
        if len(of_it) > 1 and (
            field not in _ALTERNATIVES or len({*of_it}) < len(of_it)
        ):
            raise Problem(
                "several columns are {name}: {found}. Choose one with --map "
                "'{heading}={name}', or rename the other.",
                name=field,
                found=listed(of_it),
                heading=of_it[0],
            )
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
        base = re.sub(r"(?<=[a-z])_([2-9]|10)$", "", field)
        if not heading or base not in columns.fields:
            raise Problem(
                "--map {value!r} is not HEADING=FIELD, with one of the fields {fields}",
                value=item,
                fields=listed(columns.fields),
            )
        found[heading.strip()] = field
    return found


def check_complete(
    headings: Sequence[str], fields: Sequence[str], columns: Columns
) -> None:
    """
    Check that no required column is missing.

    Raises:
        Problem: One is; the message lists what was found and what would do.
    """
    missing = [name for name in columns.required if name not in fields]
    if columns.goods and "goods" not in fields:
        for name in ("goods_name", "goods_img_url"):
            numbered = {
                field.replace("goods_name", name)
                for field in fields
                if field.startswith("goods_name")
            }
            missing += sorted((numbered or {name}).difference(fields))
    if not missing:
        return
    lines = [
        say("no column {names}", names=listed(missing)),
        *(
            say("{name} can be called {headings}", name=name, headings=examples(name))
            for name in missing
        ),
    ]
    if any(name.startswith("goods_img_url") for name in missing):
        lines.append(say("Without pictures, add an empty column goods_img_url."))
    named = [heading.strip() for heading in headings if heading.strip()]
    lines += [
        say("Found: {headings}", headings=listed(named[:40])),
        say("Name another one: --map 'HEADING={name}'", name=missing[0]),
    ]
    raise Problem("{text}", text="\n".join(lines))


def examples(field: str) -> str:
    """
    Return some headings for *field*, as a list.
    """
    base = re.sub(r"_\d+$", "", field)
    headings = [*HEADINGS[base]]
    if base == "receiver_phone":
        headings[2:] = ["收货人手机号", "联系手机", "手机号", "联系电话"]
    return listed(headings[:6])
