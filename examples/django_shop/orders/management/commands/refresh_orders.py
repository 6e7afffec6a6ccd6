from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.db.models import F, Q
from django.utils import timezone
from orders.models import Order
from orders.shipping import note_problem, note_trace, register
from orders.wechat import ACCOUNT_ERRORS, client, message_for

from wxlogistics import DailyQuotaError, WaybillNotFoundError
from wxlogistics.bulk import query_many

#: One order is one call, so that --max-calls is kept: what fails is for the next run.
ONE_TRY = {"retries": 0}

#: A parcel that has not arrived by then is a case for people.
LONGEST_WAY = timedelta(days=30)

#: So long may WeChat know nothing of a waybill.
NO_ROUTE_YET = timedelta(days=1)


class Command(BaseCommand):
    help = "登记尚未登记的运单，并更新在途订单的物流状态；适合由 cron 每小时运行一次。"

    def add_arguments(self, parser):
        parser.add_argument(
            "--max-calls",
            type=int,
            default=2000,
            help="最多调用微信多少次（默认 2000）",
        )
        parser.add_argument(
            "--min-age",
            type=int,
            default=120,
            metavar="MINUTES",
            help="多少分钟内查询过的订单不再查询（默认 120）",
        )
        parser.add_argument(
            "--workers", type=int, default=8, help="同时进行的查询数（默认 8）"
        )

    def handle(self, *, max_calls, min_age, workers, **options):
        self.calls_left = max_calls
        self.failures = 0
        registered = self.register_orders(self.due(min_age).filter(waybill_token=""))
        refreshed = self.refresh_orders(
            self.due(min_age).exclude(waybill_token=""), workers
        )
        self.stdout.write(
            f"登记 {registered} 个，更新 {refreshed} 个，未成功 {self.failures} 个，"
            f"调用微信 {max_calls - self.calls_left} 次。"
        )

    def due(self, min_age):
        """
        The orders on their way, those first that waited longest.
        """
        now = timezone.now()
        return Order.objects.filter(
            Q(checked_at=None) | Q(checked_at__lte=now - timedelta(minutes=min_age)),
            state=Order.State.SHIPPED,
            shipped_at__gt=now - LONGEST_WAY,
        ).order_by(F("checked_at").asc(nulls_first=True))

    def claim(self, orders, field):
        """
        Return each *field* of the orders that there are calls left for.

        They are marked at once, so that a second run at the same time finds others.
        """
        # Orders that were packed together share a token.
        values = dict.fromkeys(orders.values_list(field, flat=True))
        values = list(values)[: self.calls_left]
        Order.objects.filter(**{f"{field}__in": values}).update(
            checked_at=timezone.now()
        )
        return values

    def register_orders(self, orders):
        """
        Register what was shipped but could not be registered at the time.
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
        Ask about the parcels on their way.
        """
        done = 0
        tokens = self.claim(orders, "waybill_token")
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
        Go on to the next order, unless that is in vain.
        """
        self.failures += 1
        if isinstance(error, (DailyQuotaError, *ACCOUNT_ERRORS)):
            raise CommandError(f"提前结束：{message_for(error)}")
