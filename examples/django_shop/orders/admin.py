import re

from django import forms
from django.contrib import admin, messages
from django.db import models

from wxlogistics import WxLogisticsError

from . import shipping
from .models import Item, Order
from .wechat import message_for

WAYBILL_ID = re.compile(r"[A-Za-z0-9-]{5,40}")


class OrderForm(forms.ModelForm):
    def clean_waybill_id(self):
        waybill_id = self.cleaned_data["waybill_id"]
        # None yet is right until the order is shipped.
        if waybill_id or self.instance.shipped_at:
            if not WAYBILL_ID.fullmatch(waybill_id):
                raise forms.ValidationError("请填写正确的运单号。")
        return waybill_id


class ItemInline(admin.TabularInline):
    model = Item
    extra = 0
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    form = OrderForm
    list_display = ["__str__", "state", "waybill_id", "parcel_label", "problem"]
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
        "parcel_label",
        "problem",
    ]
    readonly_fields = ["customer", "state", "shipped_at", "parcel_label", "problem"]
    inlines = [ItemInline]
    actions = ["ship", "update_goods"]

    def has_add_permission(self, request):
        # Orders come from customers.
        return False

    def save_model(self, request, obj, form, change):
        # Only these: the order may be shipped or registered at this very moment.
        obj.save(update_fields=form.changed_data)
        if obj.shipped_at and {"waybill_id", "delivery_id"} & set(form.changed_data):
            # The admin saves in a transaction: WeChat hears of it afterwards.
            shipping.change_waybill(obj.pk)

    @admin.action(description="发货，并通知微信物流", permissions=["change"])
    def ship(self, request, queryset):
        for order in queryset.order_by("pk"):
            if not order.waybill_id:
                self.message_user(
                    request, f"{order}：请先填写运单号，再发货。", messages.ERROR
                )
            elif not shipping.ship(order.pk):
                self.message_user(
                    request, f"{order}：已经发过货了，不用再发。", messages.WARNING
                )
            else:
                self.log_change(request, order, "发货")
                order.refresh_from_db()
                self._tell_how_it_went(request, order)

    def _tell_how_it_went(self, request, order):
        if order.problem:
            self.message_user(
                request,
                f"{order}：已发货，但还没有登记到微信物流。{order.problem}",
                messages.WARNING,
            )
        elif order.waybill_token:
            self.message_user(
                request, f"{order}：已发货，微信开始跟踪物流。", messages.SUCCESS
            )
        else:
            # With ATOMIC_REQUESTS the commit is yet to come.
            self.message_user(request, f"{order}：已发货，正在登记到微信物流。")

    @admin.action(description="把商品信息更新到微信物流", permissions=["change"])
    def update_goods(self, request, queryset):
        for order in queryset.order_by("pk"):
            if not order.waybill_token:
                self.message_user(
                    request, f"{order}：还没有登记到微信物流。", messages.WARNING
                )
                continue
            try:
                shipping.update_goods(order)
            except WxLogisticsError as error:
                self.message_user(
                    request, f"{order}:{message_for(error)}", messages.ERROR
                )
            else:
                self.log_change(request, order, "更新微信物流的商品信息")
                self.message_user(request, f"{order}：商品信息已更新。")
