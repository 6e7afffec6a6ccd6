"""
The staff's pages.
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
from .wechat import cache, client, describe, problem_of
from .words import _

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
        flash(_("Wrong password."))
    return render_template("login.html")


@bp.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("staff.login"))


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
        text = _("enter a valid waybill number.")
    elif not shipping.ship(order_id, waybill_id, request.form.get("delivery_id", "")):
        text = _("it is shipped already.")
    elif order.problem:
        text = _(
            "shipped, but not yet registered with WeChat. {problem}",
            problem=order.problem_label,
        )
    else:
        text = _("shipped; WeChat follows the parcel.")
    flash(_("Order {id}: {text}", id=order_id, text=text))
    return redirect(url_for("staff.orders"))


@bp.post("/orders/<int:order_id>/goods")
def update_goods(order_id):
    order = order_or_404(order_id)
    text = _("the goods are updated.")
    if not order.waybill_token:
        text = _("not yet registered with WeChat.")
    else:
        try:
            shipping.update_goods(order)
        except WxLogisticsError as error:
            text = describe(problem_of(error))
    flash(_("Order {id}: {text}", id=order_id, text=text))
    return redirect(url_for("staff.orders"))


def carriers():
    """
    The carriers to choose from; fetched once a day, empty if WeChat does not answer.
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
