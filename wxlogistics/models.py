"""The shapes WeChat sends and takes: field names are WeChat's JSON keys.

From the wire everything is read leniently: what WeChat left out, or sent in a shape
that makes no sense, is None or an empty tuple. To the wire everything is checked.

Source: https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/industry/express/business/express_search.html
"""  # noqa: E501

from __future__ import annotations

import enum
import re
from typing import Any, Iterable, Mapping

import attrs

from .errors import InvalidArgumentError

__all__ = [
    "DeliveryInfo",
    "GoodsDetail",
    "GoodsInfo",
    "PathAction",
    "ShopInfo",
    "Trace",
    "WaybillInfo",
    "WaybillStatus",
]

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True

#: WeChat takes this many entries in one detail_list; more is a permanent errcode -1.
MAX_GOODS = 10


class WaybillStatus(enum.IntEnum):
    """
    Where a parcel is (运单状态).

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
        # Not remembered in the class: a server could otherwise fill the memory.
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        return member

    # As Python 3.11 and newer print an IntEnum; 3.10 would print the member's name, and
    # with __str__ alone would refuse f"{status:d}".
    __str__ = int.__repr__

    def __format__(self, format_spec: str) -> str:
        return int.__format__(self, format_spec)

    @property
    def label(self) -> str:
        """
        The status in the words of WeChat's document.
        """
        return _LABELS.get(self, f"未知状态 {self.value}")

    @property
    def is_final(self) -> bool:
        """
        Whether the parcel has arrived, so that asking again tells nothing new.
        """
        return self in (WaybillStatus.SIGNED, WaybillStatus.SIGNED_BY_PROXY)


_LABELS: dict[int, str] = {
    WaybillStatus.NOT_COLLECTED: "运单不存在或者未揽收",
    WaybillStatus.COLLECTED: "已揽件",
    WaybillStatus.IN_TRANSIT: "运输中",
    WaybillStatus.OUT_FOR_DELIVERY: "派件中",
    WaybillStatus.SIGNED: "已签收",
    WaybillStatus.EXCEPTION: "异常",
    WaybillStatus.SIGNED_BY_PROXY: "代签收",
}


# A run of digits as long as a phone number. action_msg may hold a courier's.
_DIGITS = re.compile(r"\d(?:[\W_]{0,2}\d){6,}")


def _repr_without_phones(text: str | None) -> str:
    return repr(text and _DIGITS.sub("***", text))


def _goods_tuple(value: Iterable[GoodsDetail]) -> tuple[GoodsDetail, ...]:
    # A str or a dict is iterable too, and would be taken apart in silence.
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise wrong_type("goods_info.detail_list", value, "a list of GoodsDetail")
    return tuple(value)


@attrs.frozen
class GoodsDetail:
    """
    One article in the parcel.

    Attributes:
        goods_name: What the customer reads; WeChat's document allows 60 characters.

        goods_img_url: An image WeChat can load; percent-encoded where not ASCII. The
            empty string passes.

        goods_desc: A description; WeChat's document allows 40 characters.
    """

    goods_name: str | None
    goods_img_url: str | None
    goods_desc: str | None = None


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

        action_type: WeChat's number for the kind of step, 500001 for example; in no
            document.

        action_msg: The carrier's text; may hold a courier's phone number, which the
            repr leaves out.
    """

    action_time: int | None = None
    action_type: int | None = None
    action_msg: str | None = attrs.field(default=None, repr=_repr_without_phones)


@attrs.frozen
class WaybillInfo:
    """
    The parcel (运单信息).

    Attributes:
        status: Where it is.

        waybill_id: The carrier's number.

        path: The steps so far, newest first; empty where WeChat sends none.
    """

    status: WaybillStatus | None = attrs.field(
        default=None, converter=attrs.converters.optional(WaybillStatus)
    )
    waybill_id: str | None = None
    path: tuple[PathAction, ...] = ()


@attrs.frozen
class ShopInfo:
    """
    What the shop registered (商品信息).

    Attributes:
        goods_info: The goods as first registered, or as last updated.
    """

    goods_info: GoodsInfo | None = None


@attrs.frozen
class DeliveryInfo:
    """
    A carrier (运力公司).

    Attributes:
        delivery_id: WeChat's id of it: ``SF``, ``YTO``, also ``(AU)``.

        delivery_name: Its name.
    """

    delivery_id: str | None = None
    delivery_name: str | None = None


@attrs.frozen
class Trace:
    """
    The state of a waybill, as query_trace and query_follow_trace answer it.

    Attributes:
        waybill_info: The parcel.

        shop_info: What the shop registered.

        delivery_info: The carrier.

        raw: WeChat's whole reply; treat it as read-only.
    """

    waybill_info: WaybillInfo | None = None
    shop_info: ShopInfo | None = None
    delivery_info: DeliveryInfo | None = None
    # Equal replies are equal Traces; a dict has no hash and says everything twice.
    raw: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @classmethod
    def from_reply(cls, reply: dict[str, Any]) -> Trace:
        """
        Return the Trace that *reply*, a decoded JSON object, stands for.
        """
        return cls(
            _waybill_info(reply.get("waybill_info")),
            _shop_info(reply.get("shop_info")),
            _delivery_info(reply.get("delivery_info")),
            reply,
        )

    @property
    def status(self) -> WaybillStatus | None:
        """
        Where the parcel is; None where WeChat does not say.
        """
        return self.waybill_info.status if self.waybill_info else None

    @property
    def waybill_id(self) -> str | None:
        """
        The carrier's number; None where WeChat does not say.
        """
        return self.waybill_info.waybill_id if self.waybill_info else None

    @property
    def goods(self) -> tuple[GoodsDetail, ...]:
        """
        The goods; empty where WeChat names none.
        """
        if self.shop_info and self.shop_info.goods_info:
            return self.shop_info.goods_info.detail_list
        return ()


def delivery_list(reply: Mapping[str, Any]) -> tuple[DeliveryInfo, ...]:
    """
    Return the carriers of a get_delivery_list reply.
    """
    return tuple(
        [
            DeliveryInfo(
                text(carrier.get("delivery_id")), text(carrier.get("delivery_name"))
            )
            for carrier in _list(reply.get("delivery_list"))
            if isinstance(carrier, dict)
        ]
    )


def _waybill_info(value: object) -> WaybillInfo | None:
    if not isinstance(value, dict):
        return None
    path = value.get("path")
    actions = _list(path.get("path_action")) if isinstance(path, dict) else ()
    return WaybillInfo(
        integer(value.get("status")),
        text(value.get("waybill_id")),
        tuple(
            PathAction(
                integer(action.get("action_time")),
                integer(action.get("action_type")),
                text(action.get("action_msg")),
            )
            for action in actions
            if isinstance(action, dict)
        ),
    )


def _shop_info(value: object) -> ShopInfo | None:
    if not isinstance(value, dict):
        return None
    goods_info = value.get("goods_info")
    if not isinstance(goods_info, dict):
        return ShopInfo(None)
    return ShopInfo(
        GoodsInfo(
            GoodsDetail(
                text(detail.get("goods_name")),
                text(detail.get("goods_img_url")),
                text(detail.get("goods_desc")),
            )
            for detail in _list(goods_info.get("detail_list"))
            if isinstance(detail, dict)
        )
    )


def _delivery_info(value: object) -> DeliveryInfo | None:
    if not isinstance(value, dict):
        return None
    return DeliveryInfo(
        text(value.get("delivery_id")), text(value.get("delivery_name"))
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """
    Return *value* of a reply as text: a number may stand where text is due.
    """
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else None


def integer(value: object) -> int | None:
    """
    Return *value* of a reply as a number: it may come as a string.
    """
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None


def wrong_type(field: str, value: object, wanted: str) -> InvalidArgumentError:
    """
    Return the error for a *value* that is not what is *wanted*; it does not show it.
    """
    kind = type(value).__name__
    return InvalidArgumentError(field, f"is of type {kind}; give {wanted}")


def require_text(field: str, value: object, *, optional: bool = False) -> None:
    """
    Check that *value* is text that says something.

    Raises:
        InvalidArgumentError: It is not; the error names *field*, not the value.
    """
    if not isinstance(value, str):
        raise wrong_type(field, value, "a str")
    if not value.strip():
        otherwise = ", or None" if optional else ""
        raise InvalidArgumentError(field, f"is empty; give its value{otherwise}")
    # isascii first: it is quicker by far, and true of nearly all that is sent.
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidArgumentError(field, "holds half a character; give whole Unicode")


def require_bare_text(field: str, value: object) -> None:
    """
    Check that *value* is text that says something, with no blank around it.

    Raises:
        InvalidArgumentError: It is not; the error names *field*, not the value.
    """
    require_text(field, value)
    if isinstance(value, str) and value != value.strip():
        raise InvalidArgumentError(
            field, "begins or ends with a blank or a line's end; strip() it"
        )


def goods_payload(goods_info: GoodsInfo) -> dict[str, Any]:
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
        raise InvalidArgumentError(
            "goods_info.detail_list",
            f"holds {len(details)} entries; WeChat takes 1 to {MAX_GOODS}",
        )
    return {
        "detail_list": [
            _detail_payload(f"goods_info.detail_list[{index}]", detail)
            for index, detail in enumerate(details)
        ]
    }


def _detail_payload(field: str, detail: GoodsDetail) -> dict[str, Any]:
    if not isinstance(detail, GoodsDetail):
        raise wrong_type(field, detail, "a GoodsDetail")
    require_text(f"{field}.goods_name", detail.goods_name)
    payload = {"goods_name": detail.goods_name, "goods_img_url": detail.goods_img_url}
    # Unlike every other text this one may be empty: WeChat takes "" for no image.
    if detail.goods_img_url is None:
        raise wrong_type(f"{field}.goods_img_url", None, 'a str, "" for no image')
    if detail.goods_img_url != "":
        require_text(f"{field}.goods_img_url", detail.goods_img_url)
    if detail.goods_desc is not None:
        require_text(f"{field}.goods_desc", detail.goods_desc, optional=True)
        payload["goods_desc"] = detail.goods_desc
    return payload
