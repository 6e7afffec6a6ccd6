from urllib.parse import quote

from django.conf import settings
from django.db import models

from wxlogistics import GoodsDetail, GoodsInfo, WaybillStatus

# WeChat takes no more of either.
MAX_GOODS = 10
MAX_NAME = 60


class Order(models.Model):
    """
    What a customer has paid for, and the parcel it travels in.
    """

    class State(models.TextChoices):
        PAID = "paid", "待发货"
        SHIPPED = "shipped", "已发货"
        SIGNED = "signed", "已签收"

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, verbose_name="顾客"
    )
    # The customer's, in the shop's own mini-program.
    openid = models.CharField(max_length=64, editable=False)
    receiver_phone = models.CharField("收件人手机号", max_length=20)
    # Of WeChat Pay.
    trans_id = models.CharField("微信支付交易单号", max_length=64, blank=True)
    state = models.CharField(
        "状态", max_length=10, choices=State, default=State.PAID, editable=False
    )
    created_at = models.DateTimeField("下单时间", auto_now_add=True)

    delivery_id = models.CharField(
        "快递公司编码", max_length=32, blank=True, help_text="如 SF、YTO；不清楚可留空"
    )
    waybill_id = models.CharField("运单号", max_length=64, blank=True)
    shipped_at = models.DateTimeField("发货时间", null=True, editable=False)

    # What WeChat gave for the waybill, and what it last said about it.
    waybill_token = models.CharField(
        max_length=512, blank=True, editable=False, db_index=True
    )
    parcel_status = models.IntegerField(null=True, editable=False)
    checked_at = models.DateTimeField("物流查询时间", null=True, editable=False)
    problem = models.CharField("待处理", max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = verbose_name_plural = "订单"
        ordering = ["-pk"]
        indexes = [models.Index(fields=["state", "checked_at"])]

    def __str__(self):
        return f"订单 {self.pk}"

    @property
    def parcel_label(self):
        """
        Where the parcel is, in WeChat's words.
        """
        if self.parcel_status is None:
            return ""
        return WaybillStatus(self.parcel_status).label

    def goods_info(self):
        """
        The order's items, as WeChat takes them.
        """
        return GoodsInfo([item.goods_detail() for item in self.items.all()[:MAX_GOODS]])


class Item(models.Model):
    """
    An article in an order.
    """

    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    name = models.CharField("商品", max_length=100)
    image_url = models.URLField("图片", max_length=500, blank=True)
    quantity = models.PositiveIntegerField("数量", default=1)

    class Meta:
        verbose_name = verbose_name_plural = "商品"
        ordering = ["pk"]

    def __str__(self):
        return self.name

    def goods_detail(self):
        name = self.name
        if self.quantity > 1:
            count = f" ×{self.quantity}"
            name = name[: MAX_NAME - len(count)] + count
        # WeChat refuses Chinese and brackets in an image's address unless they are
        # percent-encoded.
        return GoodsDetail(name[:MAX_NAME], quote(self.image_url, safe=":/?&=%#+,;@~"))
