"""
The pages of the shop's staff.
"""

import hmac
import re

from flask import (
    Blueprint,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from sqlalchemy import select

from wxlogistics import WxLogisticsError

from . import shipping
from .models import Order, db, order_or_404
from .wechat import cache, client, message_for

bp = Blueprint("staff", __name__, url_prefix="/staff")

WAYBILL_ID = re.compile(r"[A-Za-z0-9-]{5,40}")


@bp.before_request
def require_login():
    if request.endpoint != "staff.login" and not session.get("staff"):
        return redirect(url_for("staff.login"))


@bp.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        password = current_app.config["STAFF_PASSWORD"]
        given = request.form.get("password", "")
        if password and hmac.compare_digest(given.encode(), password.encode()):
            session.clear()
            session["staff"] = True
            return redirect(url_for("staff.orders"))
        flash("密码不对。")
    return render_template("login.html")


@bp.get("/")
def orders():
    return render_template(
        "orders.html",
        orders=db.session.scalars(select(Order).order_by(Order.id.desc())),
        carriers=carriers(),
    )


@bp.post("/orders/<int:order_id>/ship")
def ship(order_id):
    order = order_or_404(order_id)
    waybill_id = request.form.get("waybill_id", "").strip()
    if not WAYBILL_ID.fullmatch(waybill_id):
        flash(f"订单 {order_id}：请填写正确的运单号。")
    elif not shipping.ship(order_id, waybill_id, request.form.get("delivery_id", "")):
        flash(f"订单 {order_id}：已经发过货了，不用再发。")
    elif order.problem:
        flash(f"订单 {order_id}：已发货，但还没有登记到微信物流。{order.problem}")
    else:
        flash(f"订单 {order_id}：已发货，微信开始跟踪物流。")
    return redirect(url_for("staff.orders"))


@bp.post("/orders/<int:order_id>/goods")
def update_goods(order_id):
    order = order_or_404(order_id)
    if not order.waybill_token:
        flash(f"订单 {order_id}：还没有登记到微信物流。")
    else:
        try:
            shipping.update_goods(order)
        except WxLogisticsError as error:
            flash(f"订单 {order_id}：{message_for(error)}")
        else:
            flash(f"订单 {order_id}：商品信息已更新。")
    return redirect(url_for("staff.orders"))


def carriers():
    """
    The carriers to choose from; asked for once a day, and none if WeChat is away.
    """
    found = cache.get("carriers")
    if found is None:
        try:
            found = [
                (carrier.delivery_id, carrier.delivery_name)
                for carrier in client.get_delivery_list()
            ]
        except WxLogisticsError as error:
            current_app.logger.warning("carriers: %s", error)
            found = []
        cache.set("carriers", found, timeout=24 * 3600 if found else 60)
    return found
