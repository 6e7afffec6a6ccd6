"""
What happens to an order after it is packed: ship, register, query, correct.

WeChat is called outside of transactions only: a call may take seconds, and a rollback
would not undo it.
"""

from flask import current_app
from sqlalchemy import select, update

from wxlogistics import TransportError, WaybillStatus, WxLogisticsError

from .models import Order, db, now
from .wechat import cache, client, problem_of

# Minimum seconds between two queries of one waybill by its customer.
LOOK_EVERY = 300


def ship(order_id, waybill_id, delivery_id=""):
    """
    Mark an order as shipped, commit, and register its waybill.

    Returns:
        False if the order is shipped already: of two clicks one wins.
    """
    shipped = db.session.execute(
        update(Order)
        .where(Order.id == order_id, Order.state == "paid")
        .values(
            state="shipped",
            shipped_at=now(),
            waybill_id=waybill_id,
            delivery_id=delivery_id,
        )
    )
    db.session.commit()
    if shipped.rowcount == 1:
        register(order_id)
    return shipped.rowcount == 1


def register(order_id, client=client):
    """
    Register a shipped order's waybill with WeChat, and store the waybill_token.

    An error is stored with the order: it stays shipped, and `refresh-orders` retries.
    Registering twice is harmless.

    Returns:
        The error, or None.
    """
    order = db.session.get_one(Order, order_id)
    waybill = {
        "openid": order.customer.openid,
        "waybill_id": order.waybill_id,
        "receiver_phone": order.receiver_phone,
        "goods_info": order.goods_info(),
        "delivery_id": order.delivery_id or None,
        "order_detail_path": f"pages/order/order?id={order_id}",
    }
    db.session.commit()
    try:
        waybill_token = client.trace_waybill(**waybill)
    except WxLogisticsError as error:
        note_problem(Order.id == order_id, error)
        return error
    db.session.execute(
        update(Order)
        .where(Order.id == order_id, Order.waybill_token == "")
        .values(waybill_token=waybill_token, problem="")
    )
    db.session.commit()
    return None


def look(order):
    """
    Query an order's parcel, unless that was done a moment ago.

    A customer waits for this: an error is logged, and the order stays as it was.
    """
    waybill_token = order.waybill_token
    if not waybill_token or order.state != "shipped":
        return
    if not cache.add(f"looked:{waybill_token}", True, LOOK_EVERY):
        return
    order_id = order.id
    db.session.commit()
    try:
        trace = client.query_trace(waybill_token)
    except WxLogisticsError as error:
        current_app.logger.warning("order %s: %s", order_id, error)
    else:
        note_trace(waybill_token, trace)


def update_goods(order):
    """
    Replace WeChat's goods of a registered order.

    Raises:
        WxLogisticsError: The goods could not be replaced.
    """
    waybill_token, goods_info = order.waybill_token, order.goods_info()
    db.session.commit()
    try:
        client.update_waybill_goods(waybill_token, goods_info)
    except TransportError as error:
        # WeChat allows a few edits: look whether this one was applied.
        if not error.maybe_applied:
            raise
        if client.query_trace(waybill_token).goods != goods_info.detail_list:
            raise


def note_trace(waybill_token, trace):
    """
    Store a parcel's status with each order in it.
    """
    values = {"parcel_status": int(trace.status), "checked_at": now(), "problem": ""}
    if trace.status == WaybillStatus.EXCEPTION:
        values["problem"] = "exception"
    if trace.status.is_final:
        values["state"] = "signed"
    db.session.execute(
        update(Order).where(Order.waybill_token == waybill_token).values(values)
    )
    db.session.commit()


def note_problem(which, error):
    """
    Store an error with the orders, for the staff.
    """
    for order_id in db.session.scalars(select(Order.id).where(which)):
        # The library's errors hold no openid, phone number or token.
        current_app.logger.warning("order %s: %s", order_id, error)
    db.session.execute(update(Order).where(which).values(problem=problem_of(error)))
    db.session.commit()
