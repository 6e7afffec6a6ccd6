"""
What the mini-program asks for.
"""

from flask import Blueprint, abort, current_app, jsonify, request
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import HTTPException

from . import shipping
from .models import Customer, Order, db, order_or_404

bp = Blueprint("api", __name__, url_prefix="/api")

# Seconds until a customer has to log in anew; wx.login does that without a click.
SESSION_LIFE = 7 * 24 * 3600

MESSAGES = {
    400: "请求有误。",
    401: "请先登录。",
    403: "微信登录失败，请重试。",
    404: "没有找到这个订单。",
}


@bp.errorhandler(HTTPException)
def as_json(error):
    message = MESSAGES.get(error.code, "服务暂时不可用，请稍后再试。")
    return jsonify(message=message), error.code


@bp.after_request
def keep_out_of_caches(response):
    response.cache_control.no_store = True
    return response


@bp.post("/login")
def login():
    """
    Exchange a code of wx.login for a session of this shop's.
    """
    body = request.get_json()
    code = body.get("code") if isinstance(body, dict) else None
    if not isinstance(code, str) or not code:
        abort(400)
    openid = current_app.config["OPENID_FOR_CODE"](code)
    if not openid:
        abort(403)
    return jsonify(session=_serializer().dumps(_customer_id(openid)))


@bp.get("/orders")
def order_list():
    """
    The customer's orders, newest first.
    """
    orders = select(Order).filter_by(customer_id=_logged_in()).order_by(Order.id.desc())
    return jsonify(orders=[_summary(order) for order in db.session.scalars(orders)])


@bp.get("/orders/<int:order_id>")
def order_detail(order_id):
    """
    An order with its waybill_token, which only its own customer gets.
    """
    # For all others there is no such order.
    order = order_or_404(order_id, customer_id=_logged_in())
    shipping.look(order)
    return jsonify(_summary(order) | {"waybill_token": order.waybill_token})


def _summary(order):
    return {
        "id": order.id,
        "goods": [item["name"] for item in order.goods],
        "state": order.state,
        "state_label": order.state_label,
        "waybill_id": order.waybill_id,
        "parcel_label": order.parcel_label,
    }


def _customer_id(openid):
    known = select(Customer.id).filter_by(openid=openid)
    try:
        found = db.session.scalar(known)
        if found is None:
            db.session.add(Customer(openid=openid))
            db.session.commit()
    except IntegrityError:
        # Another request of the same customer was quicker.
        db.session.rollback()
    return db.session.scalar(known)


def _logged_in():
    """
    Return the customer's id, or answer 401.
    """
    scheme, _, session = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        abort(401)
    try:
        return _serializer().loads(session, max_age=SESSION_LIFE)
    except BadData:
        abort(401)


def _serializer():
    return URLSafeTimedSerializer(current_app.secret_key, salt="customer")
