from datetime import datetime, timezone
from typing import Optional
from urllib.parse import quote

from flask import abort
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, DateTime, ForeignKey, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from wxlogistics import GoodsDetail, GoodsInfo, WaybillStatus


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)

# WeChat takes no more of either.
MAX_GOODS = 10
MAX_NAME = 60

# No database has a larger number in an id.
LAST_ID = 2**31 - 1

STATES = {"paid": "待发货", "shipped": "已发货", "signed": "已签收"}


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
    # As it was sold: [{"name": …, "image_url": …}, …]
    goods: Mapped[list] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(10), default="paid", index=True)

    delivery_id: Mapped[str] = mapped_column(String(32), default="")
    waybill_id: Mapped[str] = mapped_column(String(64), default="")
    shipped_at: Mapped[Optional[datetime]] = mapped_column(DateTime(timezone=True))

    # What WeChat gave for the waybill, and what it last said about it.
    waybill_token: Mapped[str] = mapped_column(String(512), default="", index=True)
    parcel_status: Mapped[Optional[int]]
    checked_at: Mapped[Optional[datetime]] = mapped_column(DateTime(timezone=True))
    problem: Mapped[str] = mapped_column(String(300), default="")

    @property
    def state_label(self):
        return STATES[self.state]

    @property
    def parcel_label(self):
        """
        Where the parcel is, in WeChat's words.
        """
        if self.parcel_status is None:
            return ""
        return WaybillStatus(self.parcel_status).label

    def goods_info(self):
        """
        The goods, as WeChat takes them.
        """
        return GoodsInfo(
            [
                GoodsDetail(
                    item["name"][:MAX_NAME],
                    # WeChat refuses Chinese and brackets that are not encoded.
                    quote(item["image_url"], safe=":/?&=%#+,;@~"),
                )
                for item in self.goods[:MAX_GOODS]
            ]
        )


def order_or_404(order_id, **its):
    """
    Return an order that has these columns; without one, answer 404.
    """
    if order_id > LAST_ID:
        abort(404)
    return db.first_or_404(select(Order).filter_by(id=order_id, **its))
