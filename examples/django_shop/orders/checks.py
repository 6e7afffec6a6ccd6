"""
A warning of `manage.py check` when the shop cannot call WeChat.
"""

from django.conf import settings
from django.core.checks import Warning, register


@register
def credentials_are_set(app_configs, **kwargs):
    missing = [
        name
        for name in ("WXLOGISTICS_APPID", "WXLOGISTICS_SECRET")
        if not getattr(settings, name)
    ]
    if not missing:
        return []
    return [
        Warning(
            f"{' and '.join(missing)} not set: parcels cannot be registered.",
            hint="Set the mini-program's appid and AppSecret in the environment.",
            id="orders.W001",
        )
    ]
