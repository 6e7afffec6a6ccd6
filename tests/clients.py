"""Clients whose pauses and time a test decides."""

from typing import Any, Callable

from wxlogistics import Client


def make_client(
    token: Any,
    *,
    sleep: Callable[[float], object] = lambda seconds: None,
    random: Callable[[], float] = lambda: 1.0,
    clock: Callable[[], float] | None = None,
    **options: Any,
) -> Client:
    """Return a client that pauses by *sleep*, by default for no time."""
    client = Client(token, **options)
    seams: Any = client._wire
    seams._sleep = sleep
    seams._random = random
    if clock is not None:
        seams._clock = clock
    return client
