"""Goods as people write them: NAME=URL, or JSON."""

from __future__ import annotations

import json
from typing import Iterable, Sequence

from ..models import MAX_GOODS, GoodsDetail, GoodsInfo
from .messages import Problem

_FIELDS = ("goods_name", "goods_img_url", "goods_desc")


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
            raise Problem("goods.pair", value=pair)
        details.append({"goods_name": name.strip(), "goods_img_url": url.strip()})
    return _goods(details)


def goods_from_json(text: str | bytes) -> GoodsInfo:
    """
    Return the goods in a JSON text, as `goods_from_value` takes them.

    Raises:
        Problem: There are none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Problem("goods.json") from None
    return goods_from_value(value)


def goods_from_value(value: object) -> GoodsInfo:
    """
    Return the goods in *value*: a list, or an object around one as WeChat's API has it.

    Raises:
        Problem: It is nothing of that kind.
    """
    for key in ("goods_info", "detail_list"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    if isinstance(value, dict) and "goods_name" in value:
        value = [value]
    if not isinstance(value, list):
        raise Problem("goods.shape")
    return _goods(value)


def _goods(details: Sequence[object]) -> GoodsInfo:
    if not 1 <= len(details) <= MAX_GOODS:
        raise Problem("goods.count", count=len(details))
    return GoodsInfo([_detail(detail) for detail in details])


def _detail(detail: object) -> GoodsDetail:
    if not isinstance(detail, dict):
        raise Problem("goods.shape")
    for key, value in detail.items():
        if key not in _FIELDS:
            raise Problem("goods.unknown", name=key)
        if not isinstance(value, str) and not (key == "goods_desc" and value is None):
            raise Problem("goods.shape")
    name, url, text = (detail.get(field) for field in _FIELDS)
    if not name or not name.strip():
        raise Problem("goods.no_name")
    # WeChat takes "" for no image.
    return GoodsDetail(name, url or "", text or None)
