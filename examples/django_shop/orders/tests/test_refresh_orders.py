from datetime import timedelta
from io import StringIO

from django.core.management import CommandError, call_command
from django.test import TestCase
from django.utils import timezone
from orders.models import Order

from wxlogistics import WaybillStatus

from .base import WeChatMixin


class RefreshOrdersTests(WeChatMixin, TestCase):
    def refresh(self, **options):
        output = StringIO()
        call_command("refresh_orders", stdout=output, **options)
        return output.getvalue()

    def make_shipped(self, count):
        return [
            self.ship(self.make_order(waybill_id=f"SF100{number}"))
            for number in range(count)
        ]

    def test_parcels_are_brought_up_to_date(self):
        orders = self.make_shipped(3)
        self.wechat.move("SF1001", WaybillStatus.IN_TRANSIT)
        self.wechat.move("SF1002", WaybillStatus.SIGNED)

        said = self.refresh()

        self.assertIn("更新 3 个", said)
        for order in orders:
            order.refresh_from_db()
        self.assertEqual(
            [(order.state, order.parcel_status) for order in orders],
            [("shipped", 0), ("shipped", 2), ("signed", 4)],
        )

    def test_second_run_asks_nothing(self):
        self.make_shipped(2)
        self.refresh()

        said = self.refresh()

        self.assertIn("调用微信 0 次", said)
        self.assertEqual(len(self.calls("query_trace")), 2)

    def test_signed_parcels_are_left_alone(self):
        self.make_shipped(1)
        self.wechat.move("SF1000", WaybillStatus.SIGNED)
        self.refresh(min_age=0)

        self.refresh(min_age=0)

        self.assertEqual(len(self.calls("query_trace")), 1)

    def test_max_calls__longest_wait_first(self):
        first, second, third = self.make_shipped(3)
        hour = timedelta(hours=1)
        Order.objects.filter(pk=first.pk).update(checked_at=timezone.now() - 3 * hour)
        Order.objects.filter(pk=third.pk).update(checked_at=timezone.now() - 4 * hour)
        self.wechat.fail("query_trace", errcode=-1, times=None)

        self.refresh(max_calls=2)

        asked = [payload["waybill_token"] for payload in self.calls("query_trace")]
        self.assertCountEqual(asked, [second.waybill_token, third.waybill_token])

    def test_missed_registration(self):
        self.wechat.fail("trace_waybill", drop=True, times=3)
        with self.assertLogs("orders", "WARNING"):
            [order] = self.make_shipped(1)
        self.assertIn("连不上微信", order.problem_label)

        said = self.refresh()

        self.assertIn("传运单 1 个", said)
        order.refresh_from_db()
        self.assertEqual(len(order.waybill_token), 64)
        self.assertEqual(order.problem, "")

    def test_orders_that_failed_before_come_last(self):
        self.wechat.fail("trace_waybill", errcode=40003, times=None)
        with self.assertLogs("orders", "WARNING"):
            self.make_shipped(2)
            self.refresh()
            missed = self.ship(self.make_order())
        self.wechat.mend()

        self.refresh(max_calls=1, min_age=0)

        missed.refresh_from_db()
        self.assertEqual(len(missed.waybill_token), 64)

    def test_unknown_parcel__first_day_and_later(self):
        young, old = self.make_shipped(2)
        Order.objects.filter(pk=old.pk).update(
            shipped_at=timezone.now() - timedelta(hours=25)
        )
        self.wechat.fail("query_trace", errcode=931023, times=None)

        with self.assertLogs("orders", "WARNING"):
            said = self.refresh()

        self.assertIn("未成功 2 个", said)
        young.refresh_from_db()
        old.refresh_from_db()
        self.assertEqual(young.problem, "")
        self.assertIn("核对运单号", old.problem_label)

    def test_one_users_limit_stops_only_that_user(self):
        first, second = self.make_shipped(2)
        self.wechat.fail(
            "query_trace", errcode=9300513, times=None, waybill_id=first.waybill_id
        )

        with self.assertLogs("orders", "WARNING"):
            said = self.refresh()

        self.assertIn("更新 1 个，未成功 1 个", said)

    def test_spent_quota_ends_the_run(self):
        self.make_shipped(40)
        self.wechat.fail("query_trace", errcode=45009, times=None)

        with self.assertLogs("orders", "WARNING"):
            with self.assertRaisesMessage(CommandError, "次数暂时用完"):
                self.refresh(workers=2)

        self.assertLess(len(self.calls("query_trace")), 10)

    def test_wrong_account_ends_the_run(self):
        self.make_shipped(1)
        self.wechat.fail("query_trace", errcode=48001, times=None)

        with self.assertLogs("orders", "WARNING"):
            with self.assertRaisesMessage(CommandError, "配置有误"):
                self.refresh()

    def test_orders_in_one_parcel_share_a_call(self):
        first = self.ship(self.make_order())
        second = self.ship(self.make_order())
        self.wechat.move(first.waybill_id, WaybillStatus.SIGNED)

        self.refresh()

        self.assertEqual(len(self.calls("query_trace")), 1)
        second.refresh_from_db()
        self.assertEqual(second.state, Order.State.SIGNED)
