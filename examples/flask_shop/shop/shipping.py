"""
What happens to an order after it is packed: ship, register, look, correct.

No transaction is open while WeChat is called: that may take seconds, and a rollback
would not take it back.
"""

from flask import current_app
from sqlalchemy import select, update

from wxlogistics import TransportError, WaybillStatus, WxLogisticsError

from .models import Order, db, now
from .wechat import cache, client, message_for

# A customer who pulls to refresh makes one call in so many seconds.
LOOK_EVERY = 300


def ship(order_id, waybill_id, delivery_id=""):
    """
    Mark an order as shipped and, that being committed, tell WeChat.

    Returns:
        False if somebody has shipped it already: of two clicks one wins.
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
    Tell WeChat about a shipped order's waybill, and keep the waybill_token.

    What goes wrong is noted on the order: it stays shipped, and `refresh-orders`
    comes back to it. Registering twice does no harm.

    Returns:
        What went wrong, if anything did.
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
    Bring an order up to date, unless that was done a moment ago.

    A customer waits for this: what goes wrong leaves the order as it was.
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
    Tell WeChat the goods of a registered order as they are now.

    Raises:
        WxLogisticsError: It did not work.
    """
    waybill_token, goods_info = order.waybill_token, order.goods_info()
    db.session.commit()
    try:
        client.update_waybill_goods(waybill_token, goods_info)
    except TransportError as error:
        # An edit costs one of a few, so look before somebody tries again.
        if not error.maybe_applied:
            raise
        if client.query_trace(waybill_token).goods != goods_info.detail_list:
            raise


def note_trace(waybill_token, trace):
    """
    Keep what WeChat says about a parcel, for each order in it.
    """
    values = {"parcel_status": int(trace.status), "checked_at": now(), "problem": ""}
    if trace.status == WaybillStatus.EXCEPTION:
        values["problem"] = "包裹运输异常，请联系快递公司。"
    if trace.status.is_final:
        values["state"] = "signed"
    db.session.execute(
        update(Order).where(Order.waybill_token == waybill_token).values(values)
    )
    db.session.commit()


def note_problem(which, error):
    """
    Tell the staff what is wrong with an order.
    """
    for order_id in db.session.scalars(select(Order.id).where(which)):
        # The library keeps openids, phone numbers and tokens out of its errors.
        current_app.logger.warning("order %s: %s", order_id, error)
    db.session.execute(update(Order).where(which).values(problem=message_for(error)))
    db.session.commit()
