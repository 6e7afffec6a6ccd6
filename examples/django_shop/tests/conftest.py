import pytest
from django.core.cache import cache
from orders.models import Order
from orders.wechat import client


@pytest.fixture(autouse=True)
def account(wechat, settings):
    """
    Give the shop the sandbox's account, and each test an empty cache.
    """
    settings.LANGUAGE_CODE = "zh-hans"
    settings.WXLOGISTICS_APPID = wechat.appid
    settings.WXLOGISTICS_SECRET = wechat.secret
    settings.WXLOGISTICS_BASE_URL = "https://api.weixin.qq.com"
    client.cache_clear()
    cache.clear()


@pytest.fixture
def customer(django_user_model):
    return django_user_model.objects.create_user("customer")


@pytest.fixture
def order(customer):
    order = Order.objects.create(
        customer=customer,
        openid="oTEST-customer-of-this-shop0",
        receiver_phone="13800138000",
        waybill_id="SF1234567890123",
    )
    order.items.create(name="龙井茶", image_url="https://shop.example/tea.jpg")
    return order
