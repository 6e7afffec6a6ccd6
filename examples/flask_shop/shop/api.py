"""
The mini-program's API.
"""

from flask import Blueprint, abort, current_app, jsonify, request
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import HTTPException

from . import shipping
from .models import Customer, Order, db, order_or_404
from .words import _

bp = Blueprint("api", __name__, url_prefix="/api")

# Seconds until the mini-program has to call wx.login again.
SESSION_LIFE = 7 * 24 * 3600

MESSAGES = {
    400: "The request is malformed.",
    401: "Log in first.",
    403: "WeChat did not accept the login; try again.",
    404: "There is no such order.",
}


@bp.errorhandler(HTTPException)
def as_json(error):
    message = MESSAGES.get(error.code, "The shop is not available; try again later.")
    return jsonify(message=_(message)), error.code


@bp.after_request
def keep_out_of_caches(response):
    response.cache_control.no_store = True
    return response


@bp.post("/login")
def login():
    """
    Exchange a code of wx.login for a session of this shop.
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
    An order with its waybill_token, for its own customer.
    """
    # 404 for everyone else: a 403 would confirm that the order exists.
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
        # A concurrent request of this customer was faster.
        db.session.rollback()
    return db.session.scalar(known)


def _logged_in():
    """
    Return the customer's id, or abort with 401.
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
