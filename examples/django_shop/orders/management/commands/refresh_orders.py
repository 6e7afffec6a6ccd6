from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from orders.models import Order
from orders.shipping import note_problem, note_trace, register
from orders.wechat import ACCOUNT_ERRORS, client, describe, problem_of

from wxlogistics import DailyQuotaError, WaybillNotFoundError
from wxlogistics.bulk import query_many

#: One order is one call, so that --max-calls holds: the next run retries a failure.
ONE_TRY = {"retries": 0}

#: Parcels older than this are not queried any more.
LONGEST_WAY = timedelta(days=30)

#: WeChat may not know a waybill for this long.
NO_ROUTE_YET = timedelta(days=1)


class Command(BaseCommand):
    help = _(
        "Register missed waybills and query the open ones; for cron, once an hour."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--max-calls",
            type=int,
            default=2000,
            help=_("calls to WeChat at most (2000)"),
        )
        parser.add_argument(
            "--min-age",
            type=int,
            default=120,
            metavar="MINUTES",
            help=_("leave orders alone that were queried within so many minutes (120)"),
        )
        parser.add_argument(
            "--workers", type=int, default=8, help=_("queries at the same time (8)")
        )

    def handle(self, *, max_calls, min_age, workers, **options):
        self.calls_left = max_calls
        self.failures = 0
        registered = self.register_orders(self.due(min_age).filter(waybill_token=""))
        refreshed = self.refresh_orders(
            self.due(min_age).exclude(waybill_token=""), workers
        )
        self.stdout.write(
            _(
                "Registered %(registered)d, updated %(updated)d, failed %(failed)d; "
                "%(calls)d calls to WeChat."
            )
            % {
                "registered": registered,
                "updated": refreshed,
                "failed": self.failures,
                "calls": max_calls - self.calls_left,
            }
        )

    def due(self, min_age):
        """
        The open orders, longest wait first.
        """
        now = timezone.now()
        return Order.objects.filter(
            Q(checked_at=None) | Q(checked_at__lte=now - timedelta(minutes=min_age)),
            state=Order.State.SHIPPED,
            shipped_at__gt=now - LONGEST_WAY,
        ).order_by(F("checked_at").asc(nulls_first=True))

    def claim(self, orders, field):
        """
        Return the *field* of as many orders as there are calls left.

        They are marked at once, so that a concurrent run gets other orders.
        """
        # Orders in one parcel share a token.
        values = dict.fromkeys(orders.values_list(field, flat=True))
        values = list(values)[: self.calls_left]
        Order.objects.filter(**{f"{field}__in": values}).update(
            checked_at=timezone.now()
        )
        return values

    def register_orders(self, orders):
        """
        Register shipped orders whose registration failed.
        """
        done = 0
        for pk in self.claim(orders, "pk"):
            self.calls_left -= 1
            error = register(pk, **ONE_TRY)
            if error is None:
                done += 1
            else:
                self.count_failure(error)
        return done

    def refresh_orders(self, orders, workers):
        """
        Query the open parcels.
        """
        done = 0
        tokens = self.claim(orders, "waybill_token")
        if not tokens:
            return done
        results = query_many(client(**ONE_TRY), tokens, workers=workers)
        try:
            for result in results:
                self.calls_left -= 1
                if result.error is None:
                    note_trace(result.token, result.trace)
                    done += 1
                else:
                    self.note_failure(result.token, result.error)
        finally:
            results.close()
        return done

    def note_failure(self, waybill_token, error):
        orders = Order.objects.filter(waybill_token=waybill_token)
        if isinstance(error, WaybillNotFoundError):
            orders = orders.filter(shipped_at__lt=timezone.now() - NO_ROUTE_YET)
        for pk in orders.values_list("pk", flat=True):
            note_problem(pk, error)
        self.count_failure(error)

    def count_failure(self, error):
        """
        Count a failure; stop the run if every other call would fail too.
        """
        self.failures += 1
        if isinstance(error, (DailyQuotaError, *ACCOUNT_ERRORS)):
            raise CommandError(_("Stopped: %s") % describe(problem_of(error)))
