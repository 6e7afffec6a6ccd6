"""
The orders. Here they are in Redis; in a shop, in its database.

Tasks get an order's number alone: openids and phone numbers never go through the
broker, the results or the logs.
"""

import dataclasses
import json

import redis

from wxlogistics import GoodsDetail, GoodsInfo

from . import settings

connection = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)


@dataclasses.dataclass(frozen=True)
class Order:
    """
    A shipped order of the mini-program *appid*.
    """

    appid: str
    number: str
    openid: str = dataclasses.field(repr=False)
    receiver_phone: str = dataclasses.field(repr=False)
    waybill_id: str
    goods: str
    delivery_id: str = ""
    waybill_token: str = dataclasses.field(default="", repr=False)
    # "1" if WeChat may hold other goods.
    unsure: str = ""
    status: str = ""

    @property
    def goods_info(self):
        return GoodsInfo(GoodsDetail(*detail) for detail in json.loads(self.goods))


def add(order):
    """
    Store a shipped order.
    """
    connection.hset(_key(order.appid, order.number), mapping=dataclasses.asdict(order))
    connection.sadd("open", f"{order.appid}/{order.number}")


def get(appid, number):
    """
    Return an order as it is now.

    Raises:
        LookupError: There is no such order.
    """
    fields = connection.hgetall(_key(appid, number))
    if not fields:
        raise LookupError(f"no order {number} of {appid}")
    names = {field.name for field in dataclasses.fields(Order)}
    return Order(**{name: fields[name] for name in names & fields.keys()})


def open_orders():
    """
    Yield (appid, number) of each order whose parcel has not arrived.
    """
    for entry in connection.sscan_iter("open", count=1000):
        appid, _, number = entry.partition("/")
        yield appid, number


def keep_goods(order, goods):
    """
    Replace the goods of an order: [(name, image URL), …].
    """
    connection.hset(_key(order.appid, order.number), "goods", json.dumps(goods))


def keep_token(order, waybill_token, *, unsure):
    """
    Store the waybill_token; *unsure* if WeChat may hold other goods than the order's.
    """
    connection.hset(
        _key(order.appid, order.number),
        mapping={"waybill_token": waybill_token, "unsure": "1" if unsure else ""},
    )


def now_sure(order):
    connection.hset(_key(order.appid, order.number), "unsure", "")


def keep_status(order, status):
    connection.hset(_key(order.appid, order.number), "status", int(status))
    if status.is_final:
        forget(order.appid, order.number)


def forget(appid, number):
    """
    Stop polling an order.
    """
    connection.srem("open", f"{appid}/{number}")


def count_attempt(order):
    """
    Count an attempt to register an order, and return the number of attempts.

    It is counted before the call: a worker may die during it.
    """
    return connection.hincrby(_key(order.appid, order.number), "attempts")


def lock(order):
    """
    Return a lock on an order. It expires soon after the longest call.
    """
    seconds = 1.5 * settings.DEADLINE
    return connection.lock(
        f"lock:{order.appid}:{order.number}",
        timeout=seconds,
        blocking_timeout=2 * seconds,
        raise_on_release_error=False,
    )


def _key(appid, number):
    return f"order:{appid}:{number}"
