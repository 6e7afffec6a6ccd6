"""The shapes WeChat sends and takes: field names are WeChat's JSON keys.

Replies are read leniently: a text that WeChat left out, or sent as another type, is "",
a number 0, a list (). Requests are checked.

Source: https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/industry/express/business/express_search.html
"""  # noqa: E501

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ._arguments import require_bare_text, require_text, wrong_type
from .errors import InvalidArgumentError

#: A JSON object.
Json = dict[str, Any]

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True

#: WeChat takes this many entries in one detail_list; more is a permanent errcode -1.
MAX_GOODS = 10


class WaybillStatus(enum.IntEnum):
    """
    The status of a waybill (运单状态).

    A number that WeChat has not documented becomes a member too, named
    ``UNKNOWN_<number>``, which keeps its value.
    """

    NOT_COLLECTED = 0
    COLLECTED = 1
    IN_TRANSIT = 2
    OUT_FOR_DELIVERY = 3
    SIGNED = 4
    EXCEPTION = 5
    SIGNED_BY_PROXY = 6

    @classmethod
    def _missing_(cls, value: object) -> WaybillStatus | None:
        if type(value) is not int:
            return None
        # Not stored in the class: a server could otherwise fill the memory.
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        return member

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        # By value: some versions of Python pickle an IntEnum by name, and an unknown
        # status has none in the class.
        return WaybillStatus, (self.value,)

    # As Python 3.11 and newer print an IntEnum; 3.10 would print the member's name, and
    # with __str__ alone would refuse f"{status:d}".
    __str__ = int.__repr__

    def __format__(self, format_spec: str) -> str:
        return int.__format__(self, format_spec)

    @property
    def label(self) -> str:
        """
        The official document's text.
        """
        return _LABELS[self] if 0 <= self < len(_LABELS) else f"未知状态 {self:d}"

    @property
    def is_final(self) -> bool:
        """
        Whether the parcel has arrived: another query returns nothing new.
        """
        return self in (WaybillStatus.SIGNED, WaybillStatus.SIGNED_BY_PROXY)


_LABELS = (
    "运单不存在或者未揽收",
    "已揽件",
    "运输中",
    "派件中",
    "已签收",
    "异常",
    "代签收",
)


def _goods_tuple(value: Iterable[GoodsDetail]) -> tuple[GoodsDetail, ...]:
    # A str or a dict is iterable as well, and would be split silently.
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise wrong_type("goods_info.detail_list", value, "a list of GoodsDetail")
    return tuple(value)


@attrs.frozen
class GoodsDetail:
    """
    One article in the parcel.

    Attributes:
        goods_name: The name shown to the customer; WeChat allows 60 characters.

        goods_img_url: An image that WeChat can load, non-ASCII characters
            percent-encoded; "" for no image.

        goods_desc: A description; WeChat allows 40 characters. It is not sent if it is
            empty.
    """

    goods_name: str
    goods_img_url: str
    goods_desc: str = ""


@attrs.frozen
class GoodsInfo:
    """
    The goods in the parcel.

    Attributes:
        detail_list: 1 to 10 articles; any iterable of `GoodsDetail`, kept as a tuple.
    """

    detail_list: tuple[GoodsDetail, ...] = attrs.field(converter=_goods_tuple)


@attrs.frozen
class PathAction:
    """
    One step on the parcel's way.

    Attributes:
        action_time: Unix time in seconds; may be 0.

        action_type: WeChat's number for the kind of step, 500001 for example;
            undocumented.

        action_msg: The carrier's text; may hold a courier's phone number.
    """

    action_time: int = 0
    action_type: int = 0
    action_msg: str = ""


@attrs.frozen
class WaybillInfo:
    """
    The parcel (运单信息).

    Attributes:
        status: The status.

        waybill_id: The carrier's number.

        path: The steps so far, newest first; empty if WeChat sends none.
    """

    status: WaybillStatus = attrs.field(
        default=WaybillStatus.NOT_COLLECTED, converter=WaybillStatus
    )
    waybill_id: str = ""
    path: tuple[PathAction, ...] = ()


@attrs.frozen
class ShopInfo:
    """
    What the shop registered (商品信息).

    Attributes:
        goods_info: The goods as first registered, or as last updated.
    """

    goods_info: GoodsInfo = GoodsInfo(())


@attrs.frozen
class DeliveryInfo:
    """
    A carrier (快递公司).

    Attributes:
        delivery_id: WeChat's id of it: ``SF``, ``YTO``, also ``(AU)``.

        delivery_name: Its name.
    """

    delivery_id: str = ""
    delivery_name: str = ""


@attrs.frozen
class Trace:
    """
    The state of a waybill, as query_trace and query_follow_trace return it.

    Attributes:
        waybill_info: The parcel.

        shop_info: What the shop registered.

        delivery_info: The carrier; None if WeChat leaves it out.

        raw: WeChat's whole reply; treat it as read-only.
    """

    waybill_info: WaybillInfo = WaybillInfo()
    shop_info: ShopInfo = ShopInfo()
    delivery_info: DeliveryInfo | None = None
    # Compared, since equal replies are equal Traces; not hashed, since a dict has none.
    raw: Json = attrs.field(factory=dict, repr=False, hash=False)

    @classmethod
    def from_reply(cls, reply: Json) -> Trace:
        """
        Return the Trace of *reply*, a decoded JSON object.
        """
        waybill_info = _waybill_info(_dict(reply.get("waybill_info")))
        shop_info = _shop_info(_dict(reply.get("shop_info")))
        carrier = reply.get("delivery_info")
        delivery_info = _delivery_info(carrier) if isinstance(carrier, dict) else None
        return cls(waybill_info, shop_info, delivery_info, reply)

    @property
    def status(self) -> WaybillStatus:
        """
        The status.
        """
        return self.waybill_info.status

    @property
    def waybill_id(self) -> str:
        """
        The carrier's number; empty if WeChat leaves it out.
        """
        return self.waybill_info.waybill_id

    @property
    def goods(self) -> tuple[GoodsDetail, ...]:
        """
        The goods; empty if WeChat leaves them out.
        """
        return self.shop_info.goods_info.detail_list


def has_status(reply: Mapping[str, Any]) -> bool:
    """
    Whether the *reply* of a query holds a status.
    """
    return integer(_dict(reply.get("waybill_info")).get("status")) is not None


def delivery_list(reply: Mapping[str, Any]) -> tuple[DeliveryInfo, ...]:
    """
    Return the carriers of a get_delivery_list reply.
    """
    return tuple(map(_delivery_info, _dicts(reply.get("delivery_list"))))


def _waybill_info(value: Json) -> WaybillInfo:
    path = tuple(
        PathAction(
            integer(action.get("action_time")) or 0,
            integer(action.get("action_type")) or 0,
            text(action.get("action_msg")) or "",
        )
        for action in _dicts(_dict(value.get("path")).get("path_action"))
    )
    status = integer(value.get("status")) or 0
    return WaybillInfo(status, text(value.get("waybill_id")) or "", path)


def _shop_info(value: Json) -> ShopInfo:
    details = _dicts(_dict(value.get("goods_info")).get("detail_list"))
    names = "goods_name", "goods_img_url", "goods_desc"
    return ShopInfo(GoodsInfo(GoodsDetail(*_texts(each, *names)) for each in details))


def _delivery_info(value: Json) -> DeliveryInfo:
    return DeliveryInfo(*_texts(value, "delivery_id", "delivery_name"))


def _texts(value: Json, *names: str) -> list[str]:
    return [text(value.get(name)) or "" for name in names]


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[Json]:
    found = value if isinstance(value, list) else []
    return [each for each in found if isinstance(each, dict)]


def text(value: object) -> str | None:
    """
    Return *value* of a reply as text: WeChat may send an int for a documented string.
    """
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else None


def integer(value: Any) -> int | None:
    """
    Return *value* of a reply as a number: it may come as a string.
    """
    if type(value) is int:
        return value
    whole = isinstance(value, float) and value.is_integer()
    try:
        return int(value) if whole or isinstance(value, str) else None
    except ValueError:
        return None


def goods_payload(goods_info: GoodsInfo) -> Json:
    """
    Return *goods_info* as JSON, checked.

    Raises:
        InvalidArgumentError: There are no goods or too many, or one lacks a name or an
            image URL.
    """
    if not isinstance(goods_info, GoodsInfo):
        raise wrong_type("goods_info", goods_info, "a GoodsInfo")
    details = goods_info.detail_list
    if not 1 <= len(details) <= MAX_GOODS:
        problem = f"holds {len(details)} entries; WeChat takes 1 to {MAX_GOODS}"
        raise InvalidArgumentError("goods_info.detail_list", problem)
    entries = [
        _detail_payload(f"goods_info.detail_list[{index}]", detail)
        for index, detail in enumerate(details)
    ]
    return {"detail_list": entries}


def _detail_payload(field: str, detail: GoodsDetail) -> Json:
    if not isinstance(detail, GoodsDetail):
        raise wrong_type(field, detail, "a GoodsDetail")
    require_text(f"{field}.goods_name", detail.goods_name)
    payload = {"goods_name": detail.goods_name, "goods_img_url": detail.goods_img_url}
    # Unlike every other text this one is sent when it is empty: WeChat takes "" for no
    # image.
    if detail.goods_img_url is None:
        raise wrong_type(f"{field}.goods_img_url", None, 'a str, "" for no image')
    if detail.goods_img_url != "":
        require_bare_text(f"{field}.goods_img_url", detail.goods_img_url)
    if detail.goods_desc not in ("", None):
        require_text(f"{field}.goods_desc", detail.goods_desc, optional=True)
        payload["goods_desc"] = detail.goods_desc
    return payload
