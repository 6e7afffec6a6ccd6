from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "小店后台"

urlpatterns = [
    path("", include("orders.urls")),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("admin/", admin.site.urls),
]
