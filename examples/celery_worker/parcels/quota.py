"""
The calls of a day, counted in Redis for all workers on all machines.

Celery's own ``rate_limit`` counts for each worker alone, and nothing about customers.
"""

import datetime
import hashlib

from . import settings
from .store import connection

CHINA = datetime.timezone(datetime.timedelta(hours=8))

# Both counters or neither, whoever else counts at the same time.
_take = connection.register_script("""
    for i, key in ipairs(KEYS) do
        if tonumber(redis.call("GET", key) or 0) >= tonumber(ARGV[i]) then
            return i
        end
    end
    for _, key in ipairs(KEYS) do
        redis.call("INCR", key)
        redis.call("EXPIRE", key, 172800)
    end
    return 0
    """)


class QuotaSpent(Exception):
    """
    No more calls today: nothing was sent.
    """


def take(order, share=1.0):
    """
    Count one call about *order*.

    Args:
        order: Whose mini-program and customer the call is about.

        share: The part of the day's calls after which there are no more of this kind.

    Raises:
        QuotaSpent: There are no more until midnight, China time.
    """
    app, customer = keys(order)
    spent = _take(
        keys=[app, customer],
        args=[int(settings.CALLS_PER_DAY * share), settings.CALLS_PER_CUSTOMER],
    )
    if spent:
        whose = "mini-program" if spent == 1 else "customer"
        raise QuotaSpent(f"the {whose}'s calls of today are used up")


def keys(order):
    """
    Return the counters that a call about *order* counts in.
    """
    today = datetime.datetime.now(CHINA).date().isoformat()
    customer = hashlib.sha256(order.openid.encode()).hexdigest()[:16]
    app = f"calls:{today}:{order.appid}"
    return app, f"{app}:{customer}"
