"""
The tasks. Each is idempotent: it may be delivered twice, or die and be delivered again.
"""

import random

from celery import Task

from wxlogistics import ApiError, RateLimitError, TransportError, WxLogisticsError

from . import quota, settings, store
from .celery import app
from .wechat import client_for


class WeChatTask(Task):
    """
    A task that calls WeChat.
    """

    max_retries = 6
    # Expected: logged in one line, without a traceback.
    throws = (WxLogisticsError, quota.QuotaSpent)

    def call(self, order, endpoint, *args, share=1.0, **kwargs):
        """
        Call WeChat about *order*, within the quota; retry the task if that may help.
        """
        quota.take(order, share)
        try:
            return getattr(client_for(order.appid), endpoint)(*args, **kwargs)
        except WxLogisticsError as error:
            if not may_help(error):
                raise
            # After the last retry this raises *error*.
            raise self.retry(exc=error, countdown=self.pause(error))

    def pause(self, error):
        """
        Return the seconds to wait before the next retry.
        """
        longest = min(600, settings.RETRY_AFTER * 2**self.request.retries)
        pause = random.uniform(0, longest)
        # WeChat counts calls by the minute.
        return pause + 60 if isinstance(error, RateLimitError) else pause


def may_help(error):
    """
    Whether the same call may succeed a little later.
    """
    if isinstance(error, ApiError):
        return error.retryable
    # No answer: register and replace_goods check whether the last attempt was applied.
    return isinstance(error, TransportError)


@app.task(bind=True, base=WeChatTask)
def register(self, appid, number):
    """
    Register an order's waybill with WeChat, and store the waybill_token.

    An earlier attempt may have been applied, but WeChat answers no query without the
    token. Registering again returns the token and keeps the first goods, so
    `replace_goods` compares them after more than one attempt.
    """
    with store.lock(store.get(appid, number)):
        order = store.get(appid, number)
        if order.waybill_token:
            return
        attempts = store.count_attempt(order)
        waybill_token = self.call(
            order,
            "trace_waybill",
            openid=order.openid,
            waybill_id=order.waybill_id,
            receiver_phone=order.receiver_phone,
            goods_info=order.goods_info,
            delivery_id=order.delivery_id or None,
            order_detail_path=f"pages/order/order?id={number}",
        )
        store.keep_token(order, waybill_token, unsure=attempts > 1)
    if attempts > 1:
        replace_goods.delay(appid, number)


@app.task(bind=True, base=WeChatTask)
def replace_goods(self, appid, number):
    """
    Replace WeChat's goods by the order's, if they differ.

    WeChat allows a few edits, so each attempt queries first.
    """
    order = store.get(appid, number)
    goods_info = order.goods_info
    trace = self.call(order, "query_trace", order.waybill_token)
    if trace.goods != goods_info.detail_list:
        self.call(order, "update_waybill_goods", order.waybill_token, goods_info)
    store.now_sure(order)


@app.task(bind=True, base=WeChatTask)
def query(self, appid, number):
    """
    Query an order's parcel.

    Returns:
        The Trace.
    """
    order = store.get(appid, number)
    trace = self.call(
        order, "query_trace", order.waybill_token, share=settings.POLLING_SHARE
    )
    store.keep_status(order, trace.status)
    if order.unsure:
        # A parcel without a route could not be queried for its goods.
        replace_goods.delay(appid, number)
    return trace


@app.task
def poll():
    """
    Query every open order, and register those whose registration failed.

    The next poll tries again what a few retries do not help: a parcel without a route,
    a used-up quota.
    """
    for appid, number in store.open_orders():
        try:
            order = store.get(appid, number)
        except LookupError:
            # It was deleted.
            store.forget(appid, number)
            continue
        task = query if order.waybill_token else register
        task.apply_async(
            (appid, number),
            # The next poll replaces a late one.
            expires=settings.POLL_EVERY,
            ignore_result=True,
        )
