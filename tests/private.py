"""What the core's tests share: values, a call of each method, and what it may show."""

import copy
import pickle
import traceback
from pathlib import Path
from typing import Any, Callable, Iterator

from wxlogistics import ApiError, Client, GoodsDetail, GoodsInfo, WxLogisticsError

SAMPLES = Path(__file__).with_name("samples")

HOST = "https://api.weixin.qq.com"
OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"
QUERY_URL = f"{HOST}{OPEN_MSG}query_trace"

TOKEN = "84_q1W2e3R4t5Y6u7I8o9P0-aSdFgHjKlZxCvBnM_qWeRtYuIoP"
OPENID = "ovtZW4yB7DIj3CxOb6ii-nk4HhFo"
PHONE = "13812345678"
SENDER = "13987654321"
WAYBILL_TOKEN = "o_ARWHaxIxzWHmdui-AIw9KBr8qNnbmc08V0KhDyXE-IMLo6AcOqJkPsNLcLzfTb"
APPID = "wx1234567890abcdef"
SECRET = "c2b1a09f8e7d6c5b4a39281706f5e4d3"

PRIVATE = (TOKEN, OPENID, PHONE, SENDER, WAYBILL_TOKEN, SECRET)

WAYBILL_ID = "SF1234567890123"
GOODS = GoodsInfo([GoodsDetail("围巾", "https://img.example.com/1.jpg")])

#: What `Client.request` is given.
PAYLOAD = {
    "touser": OPENID,
    "appid": APPID,
    "secret": SECRET,
    "buyer": {"mobile": PHONE, "phone_list": [SENDER]},
    "authorizer_refresh_token": WAYBILL_TOKEN,
}

_REGISTER: dict[str, Any] = {
    "openid": OPENID,
    "waybill_id": WAYBILL_ID,
    "receiver_phone": PHONE,
    "goods_info": GOODS,
}
_QUERY: dict[str, Any] = {"waybill_token": WAYBILL_TOKEN}
_UPDATE: dict[str, Any] = _QUERY | {"goods_info": GOODS}

#: What each method cannot do without; `Client.request` apart.
REQUIRED = {
    "trace_waybill": _REGISTER,
    "query_trace": _QUERY,
    "update_waybill_goods": _UPDATE,
    "follow_waybill": _REGISTER,
    "query_follow_trace": _QUERY,
    "update_follow_waybill_goods": _UPDATE,
}

#: With everything private that each can hold beside.
_MORE: dict[str, dict[str, Any]] = {
    "trace_waybill": {"sender_phone": SENDER},
    "follow_waybill": {"sender_phone": SENDER},
    "query_follow_trace": {"openid": OPENID, "extra": {"phones": [PHONE, SENDER]}},
}


def _call(name: str) -> Callable[[Client], Any]:
    arguments = REQUIRED[name] | _MORE.get(name, {"openid": OPENID})
    return lambda client: getattr(client, name)(**arguments)


#: A call of each method.
CALLS: dict[str, Callable[[Client], Any]] = {
    **{name: _call(name) for name in REQUIRED},
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
