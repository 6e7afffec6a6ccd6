from django.contrib.auth import get_user_model
from django.core.cache import cache
from orders import shipping
from orders.models import Order
from orders.wechat import client

from wxlogistics.sandbox import Sandbox

OPENID = "oTEST-customer-of-this-shop0"
PHONE = "13800138000"
WAYBILL_ID = "SF1234567890123"


class WeChatMixin:
    """
    A TestCase's shop, in Chinese, with a sandbox in place of WeChat: ``self.wechat``.
    """

    def setUp(self):
        super().setUp()
        self.wechat = Sandbox().mock()
        self.wechat.__enter__()
        self.addCleanup(self.wechat.__exit__)
        settings = self.settings(
            LANGUAGE_CODE="zh-hans",
            WXLOGISTICS_APPID=self.wechat.appid,
            WXLOGISTICS_SECRET=self.wechat.secret,
            WXLOGISTICS_BASE_URL="https://api.weixin.qq.com",
        )
        settings.enable()
        self.addCleanup(settings.disable)
        client.cache_clear()
        cache.clear()
        self.customer = get_user_model().objects.create_user("customer")

    def calls(self, endpoint):
        """
        Return the bodies of all calls of *endpoint*.
        """
        return [call.payload for call in self.wechat.calls if call.endpoint == endpoint]

    def make_order(self, **fields):
        order = Order.objects.create(
            **{
                "customer": self.customer,
                "openid": OPENID,
                "receiver_phone": PHONE,
                "waybill_id": WAYBILL_ID,
            }
            | fields
        )
        order.items.create(name="龙井茶", image_url="https://shop.example/茶.jpg")
        return order

    def ship(self, order):
        with self.captureOnCommitCallbacks(execute=True):
            self.assertTrue(shipping.ship(order.pk))
        order.refresh_from_db()
        return order
