"""Counts calls by the day, the minute and the second."""

from __future__ import annotations

from .clock import Clock

#: Days begin at midnight in China, eight hours before Greenwich.
_CHINA = 8 * 3600

_SECONDS = {"day": 86400, "minute": 60, "second": 1}


class Quotas:
    """
    How often each key was spent in the running day, minute and second.

    Args:
        clock: Tells when the next period begins.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # A period's index, and what was spent in it. What belongs to an earlier
        # period is dropped whole, so that memory does not grow with the days.
        self.spent: dict[str, tuple[int, dict[str, int]]] = {}

    def current(self, period: str) -> dict[str, int]:
        """
        What was spent in the running *period* by key.
        """
        index = int((self._clock.now() + _CHINA) // _SECONDS[period])
        seen = self.spent.get(period)
        if seen is None or seen[0] != index:
            seen = self.spent[period] = (index, {})
        return seen[1]

    def today(self) -> dict[str, dict[str, dict[str, int]]]:
        """
        What was spent today: "apps" or "users", then who, then on what.
        """
        told: dict[str, dict[str, dict[str, int]]] = {"apps": {}, "users": {}}
        for key, count in self.current("day").items():
            kind, what, who = key.split(" ", 2)
            told[kind].setdefault(who, {})[what] = count
        return told

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
