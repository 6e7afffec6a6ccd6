import re

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wxlogistics import WxLogisticsError

from . import shipping
from .models import Item, Order
from .wechat import describe, problem_of

WAYBILL_ID = re.compile(r"[A-Za-z0-9-]{5,40}")


class OrderForm(forms.ModelForm):
    def clean_waybill_id(self):
        waybill_id = self.cleaned_data["waybill_id"]
        # It may be empty until the order is shipped.
        if waybill_id or self.instance.shipped_at:
            if not WAYBILL_ID.fullmatch(waybill_id):
                raise forms.ValidationError(_("Enter a valid waybill number."))
        return waybill_id


class ItemInline(admin.TabularInline):
    model = Item
    extra = 0
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    form = OrderForm
    list_display = ["__str__", "state", "waybill_id", "parcel", "problem_text"]
    list_filter = ["state"]
    search_fields = ["=id", "=waybill_id"]
    fields = [
        "customer",
        "state",
        "receiver_phone",
        "trans_id",
        "delivery_id",
        "waybill_id",
        "shipped_at",
        "parcel",
        "problem_text",
    ]
    readonly_fields = ["customer", "state", "shipped_at", "parcel", "problem_text"]
    inlines = [ItemInline]
    actions = ["ship", "update_goods"]

    @admin.display(description=_("parcel"))
    def parcel(self, order):
        return order.parcel_label

    @admin.display(description=_("problem"))
    def problem_text(self, order):
        return order.problem_label

    def has_add_permission(self, request):
        # Orders come from customers.
        return False

    def save_model(self, request, obj, form, change):
        # Only these: another request may ship or register the order meanwhile.
        obj.save(update_fields=form.changed_data)
        if obj.shipped_at and {"waybill_id", "delivery_id"} & set(form.changed_data):
            # The admin saves in a transaction: WeChat is called after its commit.
            shipping.change_waybill(obj.pk)

    @admin.action(
        description=_("Ship, and register with WeChat"), permissions=["change"]
    )
    def ship(self, request, queryset):
        for order in queryset.order_by("pk"):
            if not order.waybill_id:
                text, level = gettext("Enter a waybill number first."), messages.ERROR
            elif not shipping.ship(order.pk):
                text, level = gettext("It is shipped already."), messages.WARNING
            else:
                self.log_change(request, order, gettext("Shipped."))
                order.refresh_from_db()
                text, level = self._outcome(order)
            self._report(request, order, text, level)

    def _outcome(self, order):
        if order.problem:
            text = gettext("Shipped, but not yet registered with WeChat. %s")
            return text % order.problem_label, messages.WARNING
        if order.waybill_token:
            return gettext("Shipped; WeChat follows the parcel."), messages.SUCCESS
        # With ATOMIC_REQUESTS the commit is yet to come.
        return gettext("Shipped; being registered with WeChat."), messages.INFO

    @admin.action(description=_("Update the goods at WeChat"), permissions=["change"])
    def update_goods(self, request, queryset):
        for order in queryset.order_by("pk"):
            text, level = gettext("The goods are updated."), messages.SUCCESS
            if not order.waybill_token:
                text, level = (
                    gettext("Not yet registered with WeChat."),
                    messages.WARNING,
                )
            else:
                try:
                    shipping.update_goods(order)
                except WxLogisticsError as error:
                    text, level = describe(problem_of(error)), messages.ERROR
                else:
                    self.log_change(request, order, text)
            self._report(request, order, text, level)

    def _report(self, request, order, text, level):
        # Translators: "Order 1: it is shipped already."
        message = gettext("%(order)s: %(text)s") % {"order": order, "text": text}
        self.message_user(request, message, level)
