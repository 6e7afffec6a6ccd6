import threading
from unittest import mock

from django.core.cache import cache
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, skipUnlessDBFeature
from orders import shipping
from orders.models import Order
from orders.wechat import client

from wxlogistics import UpdateLimitError, WaybillStatus

from .base import OPENID, PHONE, WAYBILL_ID, WeChatMixin


class ShipTests(WeChatMixin, TestCase):
    def test_waybill_is_registered(self):
        order = self.ship(self.make_order(trans_id="4200001", delivery_id="SF"))

        self.assertEqual(order.state, Order.State.SHIPPED)
        self.assertEqual(len(order.waybill_token), 64)
        self.assertEqual(
            self.calls("trace_waybill"),
            [
                {
                    "openid": OPENID,
                    "waybill_id": WAYBILL_ID,
                    "receiver_phone": PHONE,
                    "goods_info": {
                        "detail_list": [
                            {
                                "goods_name": "龙井茶",
                                "goods_img_url": "https://shop.example/%E8%8C%B6.jpg",
                            }
                        ]
                    },
                    "trans_id": "4200001",
                    "delivery_id": "SF",
                    "order_detail_path": f"pages/order/order?id={order.pk}",
                }
            ],
        )

    def test_ship__before_the_commit(self):
        order = self.make_order()

        with self.captureOnCommitCallbacks() as callbacks:
            shipping.ship(order.pk)

        self.assertEqual(len(callbacks), 1)
        self.assertEqual(self.calls("trace_waybill"), [])

    def test_ship__rollback(self):
        order = self.make_order()

        with self.captureOnCommitCallbacks(execute=True):
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                shipping.ship(order.pk)
                1 / 0

        self.assertEqual(self.calls("trace_waybill"), [])

    def test_second_click_does_nothing(self):
        order = self.ship(self.make_order())

        with self.captureOnCommitCallbacks(execute=True):
            self.assertFalse(shipping.ship(order.pk))

        self.assertEqual(len(self.calls("trace_waybill")), 1)

    def test_no_shipping_without_waybill_id(self):
        order = self.make_order(waybill_id="")

        self.assertFalse(shipping.ship(order.pk))

    def test_ship__registration_refused(self):
        self.wechat.fail("trace_waybill", errcode=40003)

        with self.assertLogs("orders", "WARNING"):
            order = self.ship(self.make_order())

        self.assertEqual(order.state, Order.State.SHIPPED)
        self.assertEqual(order.waybill_token, "")
        self.assertIn("联系技术人员", order.problem_label)
        self.assertIn("40003", order.problem_label)

    def test_success_clears_the_problem(self):
        self.wechat.fail("trace_waybill", errcode=931023)
        with self.assertLogs("orders", "WARNING"):
            order = self.ship(self.make_order())
        self.assertIn("揽收后几小时", order.problem_label)

        shipping.register(order.pk)

        order.refresh_from_db()
        self.assertEqual(order.problem, "")
        self.assertEqual(len(order.waybill_token), 64)

    def test_register__number_changed_meanwhile(self):
        order = self.make_order(state=Order.State.SHIPPED)

        def change_then_answer(**kwargs):
            Order.objects.update(waybill_id="YTO1")
            return "token-of-the-old-number"

        with mock.patch("orders.shipping.client") as patched:
            patched.return_value.trace_waybill = change_then_answer
            shipping.register(order.pk)

        order.refresh_from_db()
        self.assertEqual(order.waybill_token, "")

    def test_more_than_ten_items(self):
        order = self.make_order()
        for number in range(12):
            order.items.create(name=f"茶 {number}" * 25, quantity=number + 1)

        self.ship(order)

        [payload] = self.calls("trace_waybill")
        goods = payload["goods_info"]["detail_list"]
        self.assertEqual(len(goods), 10)
        self.assertLessEqual(max(len(each["goods_name"]) for each in goods), 60)
        self.assertTrue(goods[2]["goods_name"].endswith(" ×2"))

    def test_nothing_private_is_logged(self):
        self.wechat.fail("trace_waybill", errcode=9300534, errmsg=f"no {OPENID}")
        with self.assertLogs(level="DEBUG") as logs:
            self.ship(self.make_order())
            self.ship(self.make_order())

        self.assertIn("9300534", str(logs.output))
        for private in (OPENID, PHONE, self.wechat.secret, self.wechat.access_token()):
            self.assertNotIn(private, str(logs.output))

    def test_token_is_fetched_once(self):
        for number in range(3):
            self.ship(self.make_order(waybill_id=f"SF{number}"))
            # As another process: only Django's cache is shared.
            client.cache_clear()

        self.assertEqual(len(self.calls("stable_token")), 1)


class LookTests(WeChatMixin, TestCase):
    def test_look__status(self):
        order = self.ship(self.make_order())
        self.wechat.move(WAYBILL_ID, WaybillStatus.OUT_FOR_DELIVERY)

        shipping.look(order)

        self.assertEqual(order.parcel_label, "派件中")
        self.assertEqual(order.state, Order.State.SHIPPED)

    def test_look__signed(self):
        order = self.ship(self.make_order())
        self.wechat.move(WAYBILL_ID, WaybillStatus.SIGNED_BY_PROXY)

        shipping.look(order)

        self.assertEqual(order.state, Order.State.SIGNED)

    def test_look__exception(self):
        order = self.ship(self.make_order())
        self.wechat.move(WAYBILL_ID, WaybillStatus.EXCEPTION)

        shipping.look(order)

        self.assertIn("联系快递公司", order.problem_label)

    def test_look__several_times(self):
        order = self.ship(self.make_order())

        for _ in range(5):
            shipping.look(order)

        self.assertEqual(len(self.calls("query_trace")), 1)

    def test_look__refused(self):
        order = self.ship(self.make_order())
        shipping.look(order)
        cache.clear()
        self.wechat.fail("query_trace", errcode=931023)

        with self.assertLogs("orders", "WARNING"):
            shipping.look(order)

        self.assertEqual(order.parcel_label, "运单不存在或者未揽收")
        self.assertEqual(order.problem, "")


class UpdateGoodsTests(WeChatMixin, TestCase):
    def setUp(self):
        super().setUp()
        self.order = self.ship(self.make_order())
        self.order.items.update(name="碧螺春")

    def goods(self):
        trace = self.wechat.client.query_trace(self.order.waybill_token)
        return [detail.goods_name for detail in trace.goods]

    def test_goods_are_replaced(self):
        shipping.update_goods(self.order)

        self.assertEqual(self.goods(), ["碧螺春"])

    def test_lost_answer__applied(self):
        """
        The edits are limited, so an applied one is not reported as failed.
        """
        self.wechat.fail("update_waybill_goods", drop=True)

        shipping.update_goods(self.order)

        self.assertEqual(self.goods(), ["碧螺春"])
        self.assertEqual(len(self.calls("update_waybill_goods")), 1)

    def test_limit(self):
        self.wechat.fail("update_waybill_goods", errcode=9300560)

        with self.assertRaises(UpdateLimitError):
            shipping.update_goods(self.order)


@skipUnlessDBFeature("test_db_allows_multiple_connections")
class RaceTests(WeChatMixin, TransactionTestCase):
    """
    Concurrent clicks on one order; PostgreSQL only.
    """

    def test_ship__concurrent_clicks(self):
        order = self.make_order()
        barrier = threading.Barrier(8)
        outcomes = []

        def click():
            try:
                barrier.wait()
                outcomes.append(shipping.ship(order.pk))
            finally:
                connection.close()

        threads = [threading.Thread(target=click) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual(sorted(outcomes), [False] * 7 + [True])
        self.assertEqual(len(self.calls("trace_waybill")), 1)
        order.refresh_from_db()
        self.assertEqual(len(order.waybill_token), 64)
