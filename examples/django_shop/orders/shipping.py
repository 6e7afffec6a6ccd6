"""
What happens to an order after it is packed: ship, register, look, correct.

WeChat is only called outside of transactions: a call may take seconds, and a rollback
would not take it back.
"""

import logging
from functools import partial

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from wxlogistics import TransportError, WaybillStatus, WxLogisticsError

from .models import Order
from .wechat import client, message_for

logger = logging.getLogger(__name__)

# A customer who pulls to refresh makes one call in so many seconds.
LOOK_EVERY = 300


def ship(pk):
    """
    Mark an order as shipped; once that is committed, tell WeChat.

    Returns:
        False if there is no waybill yet, or somebody has shipped it already: of two
        clicks one wins.
    """
    with transaction.atomic():
        shipped = (
            Order.objects.filter(pk=pk, state=Order.State.PAID)
            .exclude(waybill_id="")
            .update(state=Order.State.SHIPPED, shipped_at=timezone.now())
        )
        if shipped:
            transaction.on_commit(partial(register, pk))
    return bool(shipped)


def change_waybill(pk):
    """
    Register a shipped order anew, since its waybill_id was wrong.

    What was signed for was another parcel: this one is on its way.
    """
    Order.objects.filter(pk=pk).update(
        state=Order.State.SHIPPED,
        waybill_token="",
        parcel_status=None,
        checked_at=None,
        problem="",
    )
    transaction.on_commit(partial(register, pk))


def register(pk, **client_options):
    """
    Tell WeChat about a shipped order's waybill, and keep the waybill_token.

    What goes wrong is noted on the order: it stays shipped, and `refresh_orders`
    comes back to it. Registering twice does no harm.

    Returns:
        What went wrong, if anything did.
    """
    order = Order.objects.get(pk=pk)
    if order.waybill_token:
        return None
    try:
        waybill_token = client(**client_options).trace_waybill(
            openid=order.openid,
            waybill_id=order.waybill_id,
            receiver_phone=order.receiver_phone,
            goods_info=order.goods_info(),
            trans_id=order.trans_id or None,
            delivery_id=order.delivery_id or None,
            order_detail_path=f"pages/order/order?id={pk}",
        )
    except WxLogisticsError as error:
        note_problem(pk, error)
        return error
    # Not if somebody has changed the number meanwhile.
    Order.objects.filter(pk=pk, waybill_id=order.waybill_id, waybill_token="").update(
        waybill_token=waybill_token, problem=""
    )
    return None


def look(order, **client_options):
    """
    Bring an order up to date, unless that was done a moment ago.

    A customer waits for this: what goes wrong leaves the order as it was.
    """
    if not order.waybill_token or order.state != Order.State.SHIPPED:
        return
    if not cache.add(f"orders:looked:{order.waybill_token}", True, LOOK_EVERY):
        return
    try:
        trace = client(**client_options).query_trace(order.waybill_token)
    except WxLogisticsError as error:
        logger.warning("order %s: %s", order.pk, error)
    else:
        note_trace(order.waybill_token, trace)
        order.refresh_from_db()


def update_goods(order):
    """
    Tell WeChat the items of a registered order as they are now.

    Raises:
        WxLogisticsError: It did not work.
    """
    goods_info = order.goods_info()
    try:
        client().update_waybill_goods(order.waybill_token, goods_info)
    except TransportError as error:
        # An edit costs one of a few, so look before somebody tries again.
        if not error.maybe_applied:
            raise
        if client().query_trace(order.waybill_token).goods != goods_info.detail_list:
            raise


def note_trace(waybill_token, trace):
    """
    Keep what WeChat says about a parcel, for each order in it.
    """
    orders = Order.objects.filter(waybill_token=waybill_token)
    problem = ""
    if trace.status == WaybillStatus.EXCEPTION:
        problem = "包裹运输异常，请联系快递公司。"
    orders.update(
        parcel_status=trace.status, checked_at=timezone.now(), problem=problem
    )
    if trace.status.is_final:
        orders.filter(state=Order.State.SHIPPED).update(state=Order.State.SIGNED)


def note_problem(pk, error):
    """
    Tell the staff what is wrong with an order.
    """
    # The library keeps openids, phone numbers and tokens out of its errors.
    logger.warning("order %s: %s", pk, error)
    Order.objects.filter(pk=pk).update(problem=message_for(error))
