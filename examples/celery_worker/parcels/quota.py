"""
The calls of a day, counted in Redis for all workers on all machines.

Celery's ``rate_limit`` counts for one worker alone, and does not know customers.
"""

import datetime
import hashlib

from . import settings
from .store import connection

CHINA = datetime.timezone(datetime.timedelta(hours=8))

# Atomic: increments both counters or neither.
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
    The calls of the day are used up; nothing was sent.
    """


def take(order, share=1.0):
    """
    Count one call about *order*.

    Args:
        order: Its mini-program and its customer are counted.

        share: The part of the day's calls that this kind of call may use.

    Raises:
        QuotaSpent: No more calls until midnight, China time.
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
    Return the keys of the counters for a call about *order*.
    """
    today = datetime.datetime.now(CHINA).date().isoformat()
    customer = hashlib.sha256(order.openid.encode()).hexdigest()[:16]
    app = f"calls:{today}:{order.appid}"
    return app, f"{app}:{customer}"
