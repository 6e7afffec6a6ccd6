"""
The commands of ``flask --app shop``.
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
from .wechat import ACCOUNT_ERRORS, describe, make_client, problem_of
from .words import _

#: Parcels older than this are not queried any more.
LONGEST_WAY = timedelta(days=30)

#: WeChat may not know a waybill for this long.
NO_ROUTE_YET = timedelta(days=1)


def init_app(app):
    app.cli.add_command(init_db)
    app.cli.add_command(refresh_orders)


@click.command(help=_("Create the tables that are missing."))
@with_appcontext
def init_db():
    db.create_all()
    click.echo(_("The database is ready."))


@click.command(
    help=_("Register missed waybills and query the open ones; for cron, once an hour.")
)
@click.option(
    "--max-calls", default=2000, show_default=True, help=_("calls to WeChat at most")
)
@click.option(
    "--min-age",
    default=120,
    show_default=True,
    help=_("leave orders alone that were queried within so many minutes"),
)
@click.option(
    "--workers", default=8, show_default=True, help=_("queries at the same time")
)
@with_appcontext
def refresh_orders(max_calls, min_age, workers):
    ids = claim(Order.id, Order.waybill_token == "", min_age, max_calls)
    tokens = claim(
        Order.waybill_token, Order.waybill_token != "", min_age, max_calls - len(ids)
    )
    # One order is one call, so that max_calls holds: the next run retries a failure.
    client = make_client(current_app, retries=0) if ids or tokens else None
    calls = done = failed = 0

    for order_id in ids:
        calls += 1
        error = register(order_id, client)
        done, failed = done + (error is None), failed + (error is not None)
        stop_if_in_vain(error)

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
    click.echo(
        _(
            "{done} done, {failed} failed, {calls} calls to WeChat.",
            done=done,
            failed=failed,
            calls=calls,
        )
    )


def claim(column, which, min_age, limit):
    """
    Return the *column* of at most *limit* open orders, longest wait first.

    They are marked at once, so that a concurrent run gets other orders.
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
    # Orders in one parcel share a token.
    values = list(dict.fromkeys(db.session.scalars(due)))[:limit]
    db.session.execute(update(Order).where(column.in_(values)).values(checked_at=now()))
    db.session.commit()
    return values


def stop_if_in_vain(error):
    """
    Stop the run if every other call would fail too.
    """
    if isinstance(error, (DailyQuotaError, *ACCOUNT_ERRORS)):
        problem = describe(problem_of(error))
        raise click.ClickException(_("Stopped: {problem}", problem=problem))
