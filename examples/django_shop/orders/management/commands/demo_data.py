import os

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from orders.models import Order

ORDERS = [
    ("龙井茶 Longjing tea", "https://shop.example/龙井.jpg", 2, "SF1000000000001"),
    ("青花瓷茶杯 Porcelain cup", "https://shop.example/cup.jpg", 1, "YTO2000000000002"),
    ("竹制茶盘 Bamboo tray", "", 1, ""),
]


class Command(BaseCommand):
    help = "Create users and orders for the demo; DEMO_PASSWORD is their password."

    def handle(self, **options):
        if not settings.DEBUG:
            raise CommandError("demo data is for DJANGO_DEBUG=1 only")
        password = os.environ["DEMO_PASSWORD"]
        users = get_user_model().objects
        if users.filter(username="staff").exists():
            raise CommandError("the demo data exists already")
        users.create_superuser("staff", password=password)
        customer = users.create_user("customer", password=password)
        for name, image_url, quantity, waybill_id in ORDERS:
            order = Order.objects.create(
                customer=customer,
                openid="oDEMO-customer-of-this-shop0",
                receiver_phone="13800138000",
                waybill_id=waybill_id,
            )
            order.items.create(name=name, image_url=image_url, quantity=quantity)
