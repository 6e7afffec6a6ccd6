from datetime import datetime, timezone
from typing import Optional
from urllib.parse import quote

from flask import abort
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, DateTime, ForeignKey, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from wxlogistics import GoodsDetail, GoodsInfo, WaybillStatus

from .wechat import describe
from .words import _, language


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)

# WeChat refuses more.
MAX_GOODS = 10
MAX_NAME = 60

# The largest id that every database can look up.
LAST_ID = 2**31 - 1

STATES = {"paid": "to be shipped", "shipped": "shipped", "signed": "signed for"}


def now():
    return datetime.now(timezone.utc)


class Customer(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    openid: Mapped[str] = mapped_column(String(64), unique=True)


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    customer: Mapped[Customer] = relationship()
    receiver_phone: Mapped[str] = mapped_column(String(20))
    # At the time of the sale: [{"name": …, "image_url": …}, …]
    goods: Mapped[list] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(10), default="paid", index=True)

    delivery_id: Mapped[str] = mapped_column(String(32), default="")
    waybill_id: Mapped[str] = mapped_column(String(64), default="")
    shipped_at: Mapped[Optional[datetime]] = mapped_column(DateTime(timezone=True))

    # From WeChat: the waybill's token and the parcel's last known status.
    waybill_token: Mapped[str] = mapped_column(String(512), default="", index=True)
    parcel_status: Mapped[Optional[int]]
    checked_at: Mapped[Optional[datetime]] = mapped_column(DateTime(timezone=True))
    # As wechat.problem_of returns it.
    problem: Mapped[str] = mapped_column(String(40), default="")

    @property
    def state_label(self):
        return _(STATES[self.state])

    @property
    def parcel_label(self):
        """
        Where the parcel is, for people.
        """
        if self.parcel_status is None:
            return ""
        status = WaybillStatus(self.parcel_status)
        if language() == "zh":
            return status.label
        return status.name.replace("_", " ").lower()

    @property
    def problem_label(self):
        """
        What is wrong and what the staff can do about it.
        """
        return describe(self.problem) if self.problem else ""

    def goods_info(self):
        """
        The goods as WeChat's goods_info.
        """
        return GoodsInfo(
            [
                GoodsDetail(
                    item["name"][:MAX_NAME],
                    # WeChat refuses Chinese and brackets in a URL.
                    quote(item["image_url"], safe=":/?&=%#+,;@~"),
                )
                for item in self.goods[:MAX_GOODS]
            ]
        )


def order_or_404(order_id, **its):
    """
    Return the order with this id and these columns, or abort with 404.
    """
    if order_id > LAST_ID:
        abort(404)
    return db.first_or_404(select(Order).filter_by(id=order_id, **its))
