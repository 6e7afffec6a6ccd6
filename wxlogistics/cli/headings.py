"""The headings of shops' exports, and which of our fields each one is."""

from __future__ import annotations

import functools
import re
import unicodedata
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

_RECEIVER = "收[件货][人方]?|买家|客户|顾客|用户|会员|联系人|下单人|购买人"
_SENDER = "[寄发][件货][人方]?|卖家|商家"
_PHONE = "((联系|固定|移动)?(手机|电话|手机电话|电话手机)(号码?)?|联系方式)"
_GOODS = "商品|宝贝|货品|产品|物品"

#: Field -> headings that a message names, and a pattern for all that are known, without
#: case, blanks and marks.
HEADINGS: Mapping[str, tuple[str, str]] = {
    "waybill_token": ("token", "(waybill)?token|运单token|查询id"),
    "openid": ("用户openid 买家openid", f"(({_RECEIVER})的?)?openid"),
    "waybill_id": (
        "运单号 快递单号 物流单号 运单编号 快递编号",
        "((国内)?快递|(国内)?物流|电子)?(运单|快递|物流|包裹|面单)单?(号码?|编号)|运单"
        "|(waybill|tracking)(id|no|number|code)?|(express|logistics|mail)(no|number)",
    ),
    "receiver_phone": (
        "收件人手机号 收货人手机号 联系手机 手机号 联系电话 收件人电话",
        f"({_RECEIVER})?{_PHONE}|(receiver|recipient|consignee)?(phone|mobile|tel)",
    ),
    "sender_phone": (
        "寄件人手机号 发件人手机号 寄件人电话",
        f"({_SENDER}){_PHONE}|sender(phone|mobile|tel)",
    ),
    "trans_id": (
        "交易单号 微信支付交易单号",
        "transid|(微信)?(支付)?交易单号|微信(支付)?(订?单号|流水号)",
    ),
    "delivery_id": ("运力id", "deliveryid|运力(id|编码)"),
    "order_detail_path": ("订单详情页", "orderdetailpath|订单详情页(路径)?"),
    "goods_name": (
        "商品名称 商品标题 宝贝标题 宝贝名称 商品",
        f"({_GOODS})(名称?|标题|全[称名])|品名|(选购)?商品|((goods|product|item)name|"
        "(product|item)?title)",
    ),
    "goods_img_url": (
        "商品图片 商品主图 宝贝图片 图片",
        f"({_GOODS}|sku)?(主图|首图|缩略图|图片?)(图片)?(url|链接|地址|网址)?"
        "|(goods|product|item)?(img|image|pic|picture)(url|link)?",
    ),
    "goods_desc": ("商品描述 商品详情", f"goodsdesc|({_GOODS})(描述|详情|介绍)"),
    "goods": ("商品信息", "goods(info)?|detaillist|商品信息"),
    "id": ("订单号 订单编号", "id|order(id|no|number)|(主|子|商户)?订单(号|编号|id)"),
}

#: More than one column may be one of these: the first that is filled counts.
_ALTERNATIVES = ("receiver_phone", "sender_phone", "id")

# "(必填)", "【选填, 11位】": remarks, not parts of a name.
_REMARK = re.compile(
    r"[(\[【][^)\]】]*(填|选|必|格式|文本|required|optional).*?[)\]】]"
)


# The same few, for each line of JSON.
@functools.lru_cache(maxsize=1024)
def field_of(heading: str, columns: Columns) -> str:
    """
    Return the field that *heading* is; empty if it is none.
    """
    text = _REMARK.sub("", unicodedata.normalize("NFKC", heading).casefold())
    plain = "".join(char for char in text if char.isalnum())
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
    for field in {*fields} - {""}:
        found = [head for head, each in zip(headings, fields) if each == field]
        if len(found) > (len({*found}) if field in _ALTERNATIVES else 1):
            names = {"name": field, "found": listed(found), "head": found[0]}
            raise Problem("[several columns]", **names)
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
