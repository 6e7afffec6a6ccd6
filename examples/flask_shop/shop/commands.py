"""
What runs without a browser: ``flask --app shop …``.
"""

from datetime import timedelta

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import or_, select, update

from wxlogistics import DailyQuotaError, WaybillNotFoundError
from wxlogistics.bulk import query_many

from .models import Order, db, now
from .shipping import note_problem, note_trace, register
from .wechat import ACCOUNT_ERRORS, make_client, message_for

#: A parcel that has not arrived by then is a case for people.
LONGEST_WAY = timedelta(days=30)

#: So long may WeChat know nothing of a waybill.
NO_ROUTE_YET = timedelta(days=1)


def init_app(app):
    app.cli.add_command(init_db)
    app.cli.add_command(refresh_orders)


@click.command()
@with_appcontext
def init_db():
    """创建数据库表（已存在的不变）。"""
    db.create_all()
    click.echo("数据库已就绪。")


@click.command()
@click.option("--max-calls", default=2000, show_default=True, help="最多调用微信多少次")
@click.option(
    "--min-age",
    default=120,
    show_default=True,
    help="多少分钟内查询过的订单不再查询",
)
@click.option("--workers", default=8, show_default=True, help="同时进行的查询数")
@with_appcontext
def refresh_orders(max_calls, min_age, workers):
    """登记尚未登记的运单，并更新在途订单的物流状态；适合由 cron 每小时运行一次。"""
    # One order is one call, so that max_calls is kept: what fails is for the next run.
    client = make_client(current_app, retries=0)
    calls = done = failed = 0

    for order_id in claim(Order.id, Order.waybill_token == "", min_age, max_calls):
        calls += 1
        error = register(order_id, client)
        done, failed = done + (error is None), failed + (error is not None)
        stop_if_in_vain(error)

    tokens = claim(
        Order.waybill_token, Order.waybill_token != "", min_age, max_calls - calls
    )
    for result in query_many(client, tokens, workers=workers):
        calls += 1
        if result.error is None:
            done += 1
            note_trace(result.token, result.trace)
        else:
            failed += 1
            which = Order.waybill_token == result.token
            if isinstance(result.error, WaybillNotFoundError):
                which &= Order.shipped_at < now() - NO_ROUTE_YET
            note_problem(which, result.error)
            stop_if_in_vain(result.error)
    click.echo(f"成功 {done} 个，未成功 {failed} 个，调用微信 {calls} 次。")


def claim(column, which, min_age, limit):
    """
    Return *column* of the orders on their way, those first that waited longest.

    They are marked at once, so that a second run at the same time finds others.
    """
    due = (
        select(column)
        .where(
            which,
            Order.state == "shipped",
            Order.shipped_at > now() - LONGEST_WAY,
            or_(
                Order.checked_at.is_(None),
                Order.checked_at <= now() - timedelta(minutes=min_age),
            ),
        )
        .order_by(Order.checked_at.asc().nulls_first())
    )
    # Orders that were packed together share a token.
    values = list(dict.fromkeys(db.session.scalars(due)))[:limit]
    db.session.execute(update(Order).where(column.in_(values)).values(checked_at=now()))
    db.session.commit()
    return values


def stop_if_in_vain(error):
    if isinstance(error, (DailyQuotaError, *ACCOUNT_ERRORS)):
        raise click.ClickException(f"提前结束：{message_for(error)}")
