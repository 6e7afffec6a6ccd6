"""Counts calls by the month, the day, the minute and the second."""

from __future__ import annotations

import time
from typing import Mapping

from .clock import Clock

#: Seconds by which China is ahead of Greenwich.
CHINA = 8 * 3600

#: What is counted by the day: whose calls of what -> the setting that limits them.
LIMITS = {
    "apps query": "appid_daily_limit",
    "apps message": "appid_daily_limit",
    "apps stable_token": "token_daily_limit",
    "apps token": "classic_token_daily_limit",
    "apps force_refresh": "force_refresh_daily_limit",
    "users query": "user_daily_limit",
    "users message": "user_daily_limit_message",
}

_SECONDS = {"day": 86400, "minute": 60, "second": 1}


class Quotas:
    """
    How often each key was spent in the running month, day, minute and second.

    Args:
        clock: Decides when the next period begins.

        reset_hour: Hour in China when a day begins.
    """

    def __init__(self, clock: Clock, reset_hour: int = 0) -> None:
        self._clock = clock
        self._offset = CHINA - reset_hour * 3600
        # A period's index, and what was spent in it. What belongs to an earlier
        # period is dropped whole, so that memory does not grow with the days.
        self.spent: dict[str, tuple[int, dict[str, int]]] = {}

    def current(self, period: str) -> dict[str, int]:
        """
        Return what was spent in the running *period* by key.
        """
        now = self._clock.now() + self._offset
        index = int(now // _SECONDS.get(period, 86400))
        if period == "month":
            index = _month(index)
        seen = self.spent.get(period)
        if seen is None or seen[0] != index:
            seen = self.spent[period] = (index, {})
        return seen[1]

    def today(self) -> dict[str, dict[str, dict[str, int]]]:
        """
        Return what was spent today: "apps" or "users", then who, then on what.
        """
        counts_by: dict[str, dict[str, dict[str, int]]] = {"apps": {}, "users": {}}
        for key, count in self.current("day").items():
            kind, what, who = key.split(" ", 2)
            counts_by[kind].setdefault(who, {})[what] = count
        return counts_by

    def restore(self, period: str, index: int, counts: Mapping[str, int]) -> None:
        """
        Go on with what was spent in a *period*.
        """
        if type(index) is not int:
            raise ValueError(f"spent: {index!r:.200} is not a {period}")
        for key, count in counts.items():
            if type(count) is not int or (period == "day" and not _is_key(key)):
                raise ValueError(f"spent: {key!r:.200}: {count!r:.200}")
        self.spent[period] = index, dict(counts)

    def spend(self, period: str, key: str, limit: int | None) -> bool:
        """
        Count one for *key*; False, and not counted, if *limit* is reached.
        """
        counts = self.current(period)
        count = counts.get(key, 0)
        if limit is not None and count >= limit:
            return False
        counts[key] = count + 1
        return True


def _is_key(key: str) -> bool:
    words = key.split(" ", 2)
    return len(words) == 3 and " ".join(words[:2]) in LIMITS


def _month(day: int) -> int:
    """
    Return a number for the month of a *day* since 1970; the day if no calendar has it.
    """
    try:
        date = time.gmtime(day * 86400)
    except (ValueError, OverflowError, OSError):
        return day
    return date.tm_year * 12 + date.tm_mon
