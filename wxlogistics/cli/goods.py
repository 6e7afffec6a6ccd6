"""Goods as people write them: NAME=URL, or JSON."""

from __future__ import annotations

import json
from typing import Any, Iterable

from ..models import MAX_GOODS, GoodsDetail, GoodsInfo
from .output import Problem

FIELDS = ("goods_name", "goods_img_url", "goods_desc")


def goods_from_pairs(pairs: Iterable[str]) -> GoodsInfo:
    """
    Return the goods that *pairs* name, each as NAME=URL.

    Raises:
        Problem: One is not like that.
    """
    details = []
    for pair in pairs:
        name, equals, url = pair.partition("=")
        if not equals:
            raise Problem("{value!r} is not NAME=URL", value=pair)
        details.append({"goods_name": name.strip(), "goods_img_url": url.strip()})
    return goods_from_value(details)


def loads(text: str | bytes) -> Any:
    """
    Return the value of a JSON text; Python makes no int of thousands of digits.
    """
    return json.loads(text, parse_int=lambda n: int(n) if len(n) < 99 else n)


def goods_from_json(text: str | bytes) -> GoodsInfo:
    """
    Return the goods in a JSON text, as `goods_from_value` takes them.

    Raises:
        Problem: There are none.
    """
    try:
        value = loads(text)
    except (ValueError, RecursionError):
        raise Problem("the goods are not JSON") from None
    return goods_from_value(value)


def goods_from_value(value: object) -> GoodsInfo:
    """
    Return the goods in *value*: a list, or an object around one as WeChat's API has it.

    Raises:
        Problem: It is neither.
    """
    for key in ("goods_info", "detail_list"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    if isinstance(value, dict) and "goods_name" in value:
        value = [value]
    if not isinstance(value, list):
        raise Problem("[goods shape]")
    if not 1 <= len(value) <= MAX_GOODS:
        raise Problem("{count} goods; WeChat takes 1 to 10", count=len(value))
    return GoodsInfo([_detail(detail) for detail in value])


def _detail(detail: object) -> GoodsDetail:
    if not isinstance(detail, dict):
        raise Problem("[goods shape]")
    for key, value in detail.items():
        if key not in FIELDS:
            raise Problem("[goods field]", name=key)
        if not isinstance(value, str) and not (key == "goods_desc" and value is None):
            raise Problem("[goods shape]")
    name, url, text = (detail.get(field) for field in FIELDS)
    if not name or not name.strip():
        raise Problem("goods without a goods_name")
    # WeChat takes "" for no image.
    return GoodsDetail(name, url or "", text or "")
