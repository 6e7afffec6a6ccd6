from urllib.parse import quote

from django.conf import settings
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from wxlogistics import GoodsDetail, GoodsInfo, WaybillStatus

from .wechat import describe

# WeChat refuses more.
MAX_GOODS = 10
MAX_NAME = 60


class Order(models.Model):
    """
    A paid order and its parcel.
    """

    class State(models.TextChoices):
        PAID = "paid", _("to be shipped")
        SHIPPED = "shipped", _("shipped")
        SIGNED = "signed", _("signed for")

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, verbose_name=_("customer")
    )
    # The customer's openid in the shop's mini-program.
    openid = models.CharField(max_length=64, editable=False)
    receiver_phone = models.CharField(_("receiver's phone number"), max_length=20)
    trans_id = models.CharField(_("WeChat Pay transaction"), max_length=64, blank=True)
    state = models.CharField(
        _("state"), max_length=10, choices=State, default=State.PAID, editable=False
    )
    created_at = models.DateTimeField(_("ordered at"), auto_now_add=True)

    delivery_id = models.CharField(
        _("carrier"),
        max_length=32,
        blank=True,
        help_text=_("SF or YTO, for example; may be left empty"),
    )
    waybill_id = models.CharField(_("waybill number"), max_length=64, blank=True)
    shipped_at = models.DateTimeField(_("shipped at"), null=True, editable=False)

    # From WeChat: the waybill's token and the parcel's last known status.
    waybill_token = models.CharField(
        max_length=512, blank=True, editable=False, db_index=True
    )
    parcel_status = models.IntegerField(null=True, editable=False)
    checked_at = models.DateTimeField(_("queried at"), null=True, editable=False)
    # As orders.wechat.problem_of returns it.
    problem = models.CharField(max_length=40, blank=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("order"), _("orders")
        ordering = ["-pk"]
        indexes = [models.Index(fields=["state", "checked_at"])]

    def __str__(self):
        return _("Order %s") % self.pk

    @property
    def parcel_label(self):
        """
        Where the parcel is, for people.
        """
        if self.parcel_status is None:
            return ""
        status = WaybillStatus(self.parcel_status)
        if get_language().startswith("zh"):
            return status.label
        return status.name.replace("_", " ").lower()

    @property
    def problem_label(self):
        """
        What is wrong and what the staff can do about it.
        """
        return describe(self.problem) if self.problem else ""

    def goods_info(self):
        """
        The order's items as WeChat's goods_info.
        """
        return GoodsInfo([item.goods_detail() for item in self.items.all()[:MAX_GOODS]])


class Item(models.Model):
    """
    An article in an order.
    """

    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    name = models.CharField(_("article"), max_length=100)
    image_url = models.URLField(_("image"), max_length=500, blank=True)
    quantity = models.PositiveIntegerField(_("quantity"), default=1)

    class Meta:
        verbose_name, verbose_name_plural = _("item"), _("items")
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
