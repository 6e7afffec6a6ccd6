"""A call of each method, what it holds in confidence, and how to look for that."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any, Callable, Iterator

from wxlogistics import ApiError, Client, GoodsDetail, GoodsInfo, WxLogisticsError

TOKEN = "84_q1W2e3R4t5Y6u7I8o9P0-aSdFgHjKlZxCvBnM_qWeRtYuIoP"
OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
PHONE = "13812345678"
SENDER = "13987654321"
WAYBILL_TOKEN = "o_ARWHaxIxzWHmdui-AIw9KBr8qNnbmc08V0KhDyXE-IMLo6AcOqJkPsNLcLzfTb"
SECRET = "c2b1a09f8e7d6c5b4a39281706f5e4d3"

PRIVATE = (TOKEN, OPENID, PHONE, SENDER, WAYBILL_TOKEN, SECRET)

WAYBILL_ID = "SF1234567890123"
GOODS = GoodsInfo([GoodsDetail("围巾", "https://img.example.com/1.jpg")])

OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"

#: What `Client.request` is given.
PAYLOAD = {
    "touser": OPENID,
    "appid": "wx1234567890abcdef",
    "secret": SECRET,
    "buyer": {"mobile": PHONE, "phone_list": [SENDER]},
    "authorizer_refresh_token": WAYBILL_TOKEN,
}

_WAYBILL: dict[str, Any] = {
    "openid": OPENID,
    "waybill_id": WAYBILL_ID,
    "receiver_phone": PHONE,
    "sender_phone": SENDER,
    "goods_info": GOODS,
}

#: A call of each method, with everything private that it can hold.
CALLS: dict[str, Callable[[Client], Any]] = {
    "trace_waybill": lambda client: client.trace_waybill(**_WAYBILL),
    "follow_waybill": lambda client: client.follow_waybill(**_WAYBILL),
    "query_trace": lambda client: client.query_trace(WAYBILL_TOKEN, openid=OPENID),
    "query_follow_trace": lambda client: client.query_follow_trace(
        WAYBILL_TOKEN, openid=OPENID, extra={"phones": [PHONE, SENDER]}
    ),
    "update_waybill_goods": lambda client: client.update_waybill_goods(
        WAYBILL_TOKEN, GOODS, openid=OPENID
    ),
    "update_follow_waybill_goods": lambda client: client.update_follow_waybill_goods(
        WAYBILL_TOKEN, GOODS, openid=OPENID
    ),
    "get_delivery_list": lambda client: client.get_delivery_list(),
    "request": lambda client: client.request(OPEN_MSG + "request", PAYLOAD),
}

#: The private values that each of them sends.
SENT = {
    "trace_waybill": (TOKEN, OPENID, PHONE, SENDER),
    "follow_waybill": (TOKEN, OPENID, PHONE, SENDER),
    "query_trace": (TOKEN, OPENID, WAYBILL_TOKEN),
    "query_follow_trace": (TOKEN, OPENID, PHONE, SENDER, WAYBILL_TOKEN),
    "update_waybill_goods": (TOKEN, OPENID, WAYBILL_TOKEN),
    "update_follow_waybill_goods": (TOKEN, OPENID, WAYBILL_TOKEN),
    "get_delivery_list": (TOKEN,),
    "request": PRIVATE,
}


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and everything that hangs on it."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and not any(each is other for other in seen):
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__]


def spoken(error: BaseException) -> str:
    """Return every text that logging, showing or sending *error* could contain."""
    texts = []
    for each in chain(error):
        texts += [str(each), repr(each), repr(each.args), repr(vars(each))]
        texts += traceback.format_exception(each)
    if isinstance(error, WxLogisticsError):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            texts.append(pickle.dumps(error, protocol).decode("latin-1"))
        texts.append(repr(copy.deepcopy(error)))
        if isinstance(error, ApiError):
            texts += [str(error.rid), str(error.detail), error.advice]
    return "\n".join(texts)


def private_parts(text: str) -> list[str]:
    """Return the private values that *text* holds."""
    return [value for value in PRIVATE if value in text]
