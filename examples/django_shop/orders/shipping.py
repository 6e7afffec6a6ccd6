"""
What happens to an order after it is packed: ship, register, query, correct.

WeChat is called outside of transactions only: a call may take seconds, and a rollback
would not undo it.
"""

import logging
from functools import partial

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from wxlogistics import TransportError, WaybillStatus, WxLogisticsError

from .models import Order
from .wechat import client, problem_of

logger = logging.getLogger(__name__)

# Minimum seconds between two queries of one waybill by its customer.
LOOK_EVERY = 300


def ship(pk):
    """
    Mark an order as shipped, and register its waybill after the commit.

    Returns:
        False if the order has no waybill number or is shipped already: of two clicks
        one wins.
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
    Register a shipped order again after its waybill_id was corrected.

    The status belonged to another parcel, so it is dropped.
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
    Register a shipped order's waybill with WeChat, and store the waybill_token.

    An error is stored with the order: it stays shipped, and `refresh_orders` retries.
    Registering twice is harmless.

    Returns:
        The error, or None.
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
    # The number may have been changed meanwhile: then the token is not stored.
    Order.objects.filter(pk=pk, waybill_id=order.waybill_id, waybill_token="").update(
        waybill_token=waybill_token, problem=""
    )
    return None


def look(order, **client_options):
    """
    Query an order's parcel, unless that was done a moment ago.

    A customer waits for this: an error is logged, and the order stays as it was.
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
    Replace WeChat's goods of a registered order by its items.

    Raises:
        WxLogisticsError: The goods could not be replaced.
    """
    goods_info = order.goods_info()
    try:
        client().update_waybill_goods(order.waybill_token, goods_info)
    except TransportError as error:
        # WeChat allows a few edits: look whether this one was applied.
        if not error.maybe_applied:
            raise
        if client().query_trace(order.waybill_token).goods != goods_info.detail_list:
            raise


def note_trace(waybill_token, trace):
    """
    Store a parcel's status with each order in it.
    """
    orders = Order.objects.filter(waybill_token=waybill_token)
    problem = "exception" if trace.status == WaybillStatus.EXCEPTION else ""
    orders.update(
        parcel_status=trace.status, checked_at=timezone.now(), problem=problem
    )
    if trace.status.is_final:
        orders.filter(state=Order.State.SHIPPED).update(state=Order.State.SIGNED)


def note_problem(pk, error):
    """
    Store an error with an order, for the staff.
    """
    # The library's errors hold no openid, phone number or token.
    logger.warning("order %s: %s", pk, error)
    Order.objects.filter(pk=pk).update(problem=problem_of(error))
