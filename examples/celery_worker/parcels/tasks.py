"""
The tasks. Each may be delivered twice, or die half-way and be delivered again.
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
        Call WeChat about *order*, within the quota; come back later if that helps.
        """
        quota.take(order, share)
        try:
            return getattr(client_for(order.appid), endpoint)(*args, **kwargs)
        except WxLogisticsError as error:
            if not may_help(error):
                raise
            # After the last retry this raises the error itself.
            raise self.retry(exc=error, countdown=self.pause(error))

    def pause(self, error):
        """
        Return the seconds to wait before the next retry.
        """
        longest = min(600, settings.RETRY_AFTER * 2**self.request.retries)
        pause = random.uniform(0, longest)
        # WeChat counts by the minute.
        return pause + 60 if isinstance(error, RateLimitError) else pause


def may_help(error):
    """
    Whether the same call may succeed a little later.
    """
    if isinstance(error, ApiError):
        return error.retryable
    # No answer: register and replace_goods look up what became of the last attempt.
    return isinstance(error, TransportError)


@app.task(bind=True, base=WeChatTask)
def register(self, appid, number):
    """
    Tell WeChat about an order's waybill, and keep the waybill_token.

    Before each attempt the order is looked up: an earlier one may have done it. WeChat
    itself cannot be asked about a waybill without its token. Telling it twice gives
    the token again, but keeps the goods of the first time: after more than one attempt
    `replace_goods` compares them.
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
    Let WeChat's goods be the order's.

    Each attempt looks first, so that none of the few edits is spent twice.
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
    Ask where an order's parcel is.

    Returns:
        The Trace.
    """
    order = store.get(appid, number)
    trace = self.call(
        order, "query_trace", order.waybill_token, share=settings.POLLING_SHARE
    )
    store.keep_status(order, trace.status)
    if order.unsure:
        # While the parcel had no route, its goods could not be looked at.
        replace_goods.delay(appid, number)
    return trace


@app.task
def poll():
    """
    See to every open order: ask where it is, or register what could not be.

    What failed for a reason that takes longer than a few retries, a parcel without a
    route or a spent quota, is tried again by the next poll.
    """
    for appid, number in store.open_orders():
        try:
            order = store.get(appid, number)
        except LookupError:
            # Somebody has deleted it: there is nothing to ask about.
            store.forget(appid, number)
            continue
        task = query if order.waybill_token else register
        task.apply_async(
            (appid, number),
            # Behind time, the next poll sees to it.
            expires=settings.POLL_EVERY,
            ignore_result=True,
        )
