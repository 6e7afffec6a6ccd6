from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path
from django.utils.translation import gettext_lazy as _

admin.site.site_header = admin.site.site_title = _("Shop admin")

urlpatterns = [
    path("", include("orders.urls")),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("admin/", admin.site.urls),
]
