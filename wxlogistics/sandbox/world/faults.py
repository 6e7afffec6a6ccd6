"""Faults on demand."""

from __future__ import annotations

import attrs

from .fields import typed

#: Seconds; longer than any caller waits.
LONGEST_DELAY = 3600


@attrs.define(kw_only=True, field_transformer=typed)
class Fault:
    """
    What goes wrong with some calls; made by `Sandbox.fail()`.

    Attributes:
        number: Counts the faults of a sandbox.

        endpoint: The endpoint it is for, or ``*`` for all.

        openid: Only calls about this user.

        waybill_id: Only calls about this waybill.

        times: How many calls it is still for; None: all, until removed.

        errcode: WeChat refuses with this; the call has no effect.

        errmsg: The whole errmsg, instead of WeChat's text and a rid.

        status: A server in front of WeChat answers with this HTTP status and no JSON;
            the call has no effect.

        body: The body of its answer.

        delay: Seconds until the answer goes out.

        drop: The call has its effect, but the connection breaks before the answer.
    """

    number: int
    endpoint: str
    openid: str | None = None
    waybill_id: str | None = None
    times: int | None = 1
    errcode: int | None = None
    errmsg: str | None = None
    status: int | None = None
    body: str | None = None
    delay: float = 0.0
    drop: bool = False

    def __attrs_post_init__(self) -> None:
        if self.errcode == 0:
            raise ValueError("errcode is a whole number other than 0")
        if self.status is not None and not 200 <= self.status < 600:
            raise ValueError("status is a whole number from 200 to 599")
        if not 0 <= self.delay <= LONGEST_DELAY:
            raise ValueError(f"delay is from 0 to {LONGEST_DELAY} seconds")
        if (self.errcode, self.status, self.delay, self.drop) == (None, None, 0, False):
            raise ValueError("name what goes wrong: errcode, status, delay or drop")
        if self.errmsg is not None and self.errcode is None:
            raise ValueError("errmsg goes with an errcode")
        if self.errcode is not None and self.status is not None:
            raise ValueError("errcode or status, not both")
        if self.body is not None and self.status is None:
            raise ValueError("body goes with a status")
        if self.times is not None and self.times < 1:
            raise ValueError("times is a whole number from 1, or None for always")


class Faults:
    """
    The active faults, oldest first.
    """

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.count = 0

    def take(self, endpoint: str, openid: str, waybill_id: str) -> Fault | None:
        """
        Return the fault for this call, if there is one, and spend one of its times.
        """
        for fault in self.active:
            if (
                fault.endpoint in ("*", endpoint)
                and fault.openid in (None, openid)
                and fault.waybill_id in (None, waybill_id)
            ):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.active.remove(fault)
                return fault
        return None
