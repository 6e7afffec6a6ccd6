from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from . import shipping
from .models import Order

#: A customer waits for the page: one short attempt.
IMPATIENT = {"timeout": (2, 4), "deadline": 5, "retries": 0}


@require_GET
@login_required
def order_list(request):
    """
    The customer's orders, as a page.
    """
    orders = Order.objects.filter(customer=request.user).prefetch_related("items")
    return render(request, "orders/order_list.html", {"orders": orders})


@require_GET
@never_cache
def order_detail(request, pk):
    """
    An order with its waybill_token, for its own customer's mini-program.
    """
    if not request.user.is_authenticated:
        return JsonResponse({"message": _("Log in first.")}, status=401)
    # 404 for everyone else: a 403 would confirm that the order exists.
    order = Order.objects.filter(pk=pk, customer=request.user).first()
    if order is None:
        return JsonResponse({"message": _("There is no such order.")}, status=404)
    shipping.look(order, **IMPATIENT)
    return JsonResponse(
        {
            "id": order.pk,
            "state": order.state,
            "state_label": order.get_state_display(),
            "waybill_id": order.waybill_id,
            "waybill_token": order.waybill_token,
            "parcel_label": order.parcel_label,
        }
    )
