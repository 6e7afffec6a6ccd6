"""
One client for each process, and texts for its errors.
"""

import functools

from django.conf import settings
from django.core.cache import cache
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wxlogistics import (
    AccessTokenError,
    ApiError,
    Client,
    CredentialError,
    GoodsImageError,
    InvalidArgumentError,
    IpNotAllowedError,
    NotAuthorizedError,
    OpenidError,
    OpenidMismatchError,
    QuotaError,
    StableToken,
    SystemBusyError,
    UpdateLimitError,
    WaybillNotFoundError,
    WaybillTokenError,
    WxLogisticsError,
)

#: While one of these lasts, no order's call succeeds.
ACCOUNT_ERRORS = (
    AccessTokenError,
    CredentialError,
    IpNotAllowedError,
    NotAuthorizedError,
)


@functools.cache
def client(**options):
    """
    Return this process's client with these *options*; its threads share it.
    """
    tokens = StableToken(
        settings.WXLOGISTICS_APPID, settings.WXLOGISTICS_SECRET, cache=cache
    )
    return Client(tokens, base_url=settings.WXLOGISTICS_BASE_URL, **options)


@receiver(setting_changed)
def forget_clients(*, setting, **kwargs):
    """
    Drop the clients when a test changes the settings.
    """
    if setting.startswith("WXLOGISTICS_"):
        client.cache_clear()


#: Short name -> the errors that it stands for, and the text. The first match counts.
_PROBLEMS = {
    "no-route": (
        WaybillNotFoundError,
        _(
            "WeChat does not know this waybill yet. A parcel becomes known some hours "
            "after the carrier has collected it; the shop retries by itself. After a "
            "day, check the waybill number and the carrier."
        ),
    ),
    "no-edit": (
        UpdateLimitError,
        _("The goods of this waybill cannot be changed any more."),
    ),
    "quota": (
        QuotaError,
        _("The calls to WeChat are used up for now; the shop retries by itself."),
    ),
    "image": (
        GoodsImageError,
        _("WeChat cannot load an image of the goods; check its address."),
    ),
    "openid": (
        (OpenidError, OpenidMismatchError),
        _("The customer's openid does not fit this mini-program; ask a developer."),
    ),
    "token": (
        WaybillTokenError,
        _("WeChat does not know this order's waybill_token; ask a developer."),
    ),
    "account": (
        ACCOUNT_ERRORS,
        _("The mini-program's access to WeChat is not set up; ask a developer."),
    ),
    "busy": (SystemBusyError, _("WeChat is busy; the shop retries by itself.")),
    "data": (
        InvalidArgumentError,
        _("Something is missing; check phone number, waybill number and items."),
    ),
    "refused": (ApiError, _("WeChat refused the call; ask a developer.")),
    "no-answer": (
        WxLogisticsError,
        _("WeChat cannot be reached; the shop retries by itself."),
    ),
    "exception": ((), _("The parcel is held up; ask the carrier.")),
}


def problem_of(error):
    """
    Return what is wrong in a form to be stored: ``openid 40003``.
    """
    if isinstance(error, InvalidArgumentError) and error.field in ("appid", "secret"):
        return "account"
    name = next(
        name for name, (kinds, text) in _PROBLEMS.items() if isinstance(error, kinds)
    )
    return f"{name} {error.errcode}" if isinstance(error, ApiError) else name


def describe(problem):
    """
    Return what is wrong and what the staff can do about it, in the page's language.
    """
    name, blank, errcode = problem.partition(" ")
    text = _PROBLEMS[name][1]
    if not errcode:
        return str(text)
    return gettext("%(text)s (errcode %(errcode)s)") % {
        "text": text,
        "errcode": errcode,
    }
