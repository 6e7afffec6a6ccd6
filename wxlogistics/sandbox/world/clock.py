"""The sandbox's own clock."""

from __future__ import annotations

import math
import sys
import time
from typing import Callable

#: The highest speed: thirty years in a second. At any, time would come to no end.
FASTEST = 10**9


class Clock:
    """
    The sandbox's time: real time, until it is moved.

    Args:
        start: Unix time to begin at; None begins now.

        speed: Seconds that pass in a real one. 3600 makes an hour pass each second; 0
            stands still until `tick()`. At most `FASTEST`.

        real: Where real time comes from; None: `time.time`.
    """

    def __init__(
        self,
        start: float | None = None,
        *,
        speed: float = 1.0,
        real: Callable[[], float] | None = None,
    ) -> None:
        # Looked up at each call, so that what replaces time.time moves it.
        self._real = real or (lambda: time.time())
        #: How often it was moved or set, for those who show it.
        self.jumps = 0
        self.set(self._real() if start is None else start, speed)

    def now(self) -> float:
        """
        Return the time in Unix seconds.
        """
        passed = max(0.0, self._real() - self._real_start)
        return self._start + passed * self._speed

    @property
    def speed(self) -> float:
        """
        Seconds that pass in a real one.
        """
        return self._speed

    def tick(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> float:
        """
        Advance the time at once.

        Returns:
            The time it is now.

        Raises:
            ValueError: The sum is negative, or there is no time that late.
        """
        try:
            step = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        except OverflowError:
            # Whole numbers may be larger than a float can be.
            step = math.inf
        if not 0 <= step <= sys.float_info.max - abs(self._start):
            raise ValueError("time only moves forward")
        self._start += step
        self.jumps += 1
        return self.now()

    def set(self, now: float, speed: float) -> None:
        """
        Go on from *now* at *speed*, as after a restart.
        """
        if not abs(now) <= sys.float_info.max:
            raise ValueError(f"now is a finite number of seconds, not {now}")
        if not 0 <= speed <= FASTEST:
            raise ValueError(f"speed is from 0 to {FASTEST}, not {speed}")
        self._start, self._speed, self._real_start = now, speed, self._real()
        self.jumps += 1
