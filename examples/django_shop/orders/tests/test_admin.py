from unittest import mock

from django.contrib.auth import get_user_model
from django.test import TestCase, TransactionTestCase
from django.urls import reverse
from orders.admin import OrderAdmin
from orders.models import Order

from .base import OPENID, WeChatMixin


class AdminMixin(WeChatMixin):
    def setUp(self):
        super().setUp()
        staff = get_user_model().objects.create_superuser("staff")
        self.client.force_login(staff)

    def act(self, action, *orders):
        """
        Run *action* for *orders* in the list; return the messages.
        """
        self.client.post(
            reverse("admin:orders_order_changelist"),
            {"action": action, "_selected_action": [o.pk for o in orders]},
        )
        page = self.client.get(reverse("admin:orders_order_changelist"))
        return [str(message) for message in page.context["messages"]]

    def save(self, order, **fields):
        """
        Save the form of *order*.
        """
        with self.captureOnCommitCallbacks(execute=True):
            response = self.post(order, **fields)
        self.assertRedirects(response, reverse("admin:orders_order_changelist"))
        order.refresh_from_db()

    def post(self, order, **fields):
        form = {
            "receiver_phone": order.receiver_phone,
            "waybill_id": order.waybill_id,
            "delivery_id": "",
            "trans_id": "",
            "items-TOTAL_FORMS": 0,
            "items-INITIAL_FORMS": 0,
        }
        return self.client.post(
            reverse("admin:orders_order_change", args=[order.pk]), form | fields
        )


class ShipTests(AdminMixin, TransactionTestCase):
    """
    With real commits: registration ends before the page is rendered.
    """

    def test_ship(self):
        first, second = self.make_order(), self.make_order(waybill_id="YTO22")

        said = self.act("ship", first, second)

        self.assertEqual(
            said,
            [f"{order}：已发货，微信开始跟踪物流。" for order in (first, second)],
        )
        second.refresh_from_db()
        self.assertEqual(len(second.waybill_token), 64)

    def test_ship__registration_refused(self):
        order = self.make_order()
        self.wechat.fail("trace_waybill", errcode=48001)

        with self.assertLogs("orders", "WARNING"):
            [said] = self.act("ship", order)

        self.assertIn("已发货，但还没有传运单", said)
        self.assertIn("小程序的物流接口配置有误", said)
        page = self.client.get(reverse("admin:orders_order_changelist"))
        self.assertContains(page, "小程序的物流接口配置有误")


class AdminTests(AdminMixin, TestCase):
    def test_ship__second_click(self):
        order = self.ship(self.make_order())

        [said] = self.act("ship", order)

        self.assertIn("已经发过货了", said)
        self.assertEqual(len(self.calls("trace_waybill")), 1)

    def test_ship__no_waybill_number(self):
        [said] = self.act("ship", self.make_order(waybill_id=""))

        self.assertIn("请先填写运单号", said)

    def test_save__corrected_number(self):
        order = self.ship(self.make_order())
        before = order.waybill_token

        self.save(order, waybill_id="YTO7777777")

        self.assertEqual(self.calls("trace_waybill")[-1]["waybill_id"], "YTO7777777")
        self.assertEqual(len(order.waybill_token), 64)
        self.assertNotEqual(order.waybill_token, before)

    def test_save__corrected_number_of_a_signed_order(self):
        order = self.ship(self.make_order())
        Order.objects.filter(pk=order.pk).update(
            state=Order.State.SIGNED, parcel_status=4
        )

        self.save(order, waybill_id="YTO7777777")

        self.assertEqual(order.state, Order.State.SHIPPED)
        self.assertEqual(order.parcel_status, None)
        self.assertEqual(len(order.waybill_token), 64)

    def test_save__wrong_number(self):
        shipped, new = self.ship(self.make_order()), self.make_order(waybill_id="")

        for order, waybill_id in (
            (shipped, ""),
            (shipped, "SF 中文 <b>"),
            (new, "1"),
        ):
            response = self.post(order, waybill_id=waybill_id)
            self.assertContains(response, "请填写正确的运单号。")
        self.assertEqual(len(self.calls("trace_waybill")), 1)

    def test_save__no_number_yet(self):
        order = self.make_order(waybill_id="")

        self.save(order, receiver_phone="13900139000")

        self.assertEqual(order.receiver_phone, "13900139000")

    def test_save__number_before_shipping(self):
        order = self.make_order(waybill_id="")

        self.save(order, waybill_id="YTO7777777")

        self.assertEqual(order.waybill_id, "YTO7777777")
        self.assertEqual(self.calls("trace_waybill"), [])

    def test_save__shipped_meanwhile(self):
        order = self.make_order()
        loaded = OrderAdmin.get_object

        def load_then_ship(*args, **kwargs):
            found = loaded(*args, **kwargs)
            Order.objects.filter(pk=order.pk).update(state=Order.State.SHIPPED)
            return found

        with mock.patch.object(OrderAdmin, "get_object", load_then_ship):
            self.save(order, receiver_phone="13900139000")

        self.assertEqual(order.state, Order.State.SHIPPED)
        self.assertEqual(order.receiver_phone, "13900139000")

    def test_update_goods(self):
        order = self.ship(self.make_order())

        [said] = self.act("update_goods", order)

        self.assertIn("已更新", said)

    def test_update_goods__limit(self):
        order = self.ship(self.make_order())
        self.wechat.fail("update_waybill_goods", errcode=9300560)

        [said] = self.act("update_goods", order)

        self.assertIn("修改次数已用完", said)

    def test_update_goods__not_registered(self):
        [said] = self.act("update_goods", self.make_order())

        self.assertIn("还没有传运单", said)

    def test_pages__no_openid(self):
        order = self.make_order()

        for url in (
            reverse("admin:orders_order_changelist"),
            reverse("admin:orders_order_change", args=[order.pk]),
        ):
            page = self.client.get(url)
            self.assertContains(page, f"订单 {order.pk}")
            self.assertNotContains(page, OPENID)

    def test_ship__no_permission(self):
        order = self.make_order()
        viewer = get_user_model().objects.create_user("viewer", is_staff=True)
        viewer.user_permissions.add(
            *viewer.user_permissions.model.objects.filter(codename="view_order")
        )
        self.client.force_login(viewer)

        self.act("ship", order)

        order.refresh_from_db()
        self.assertEqual(order.state, Order.State.PAID)
