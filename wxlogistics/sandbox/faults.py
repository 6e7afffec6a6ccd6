"""Faults on demand."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.define(kw_only=True)
class Fault:
    """
    What goes wrong with some calls; made by `Sandbox.fail()`.

    Attributes:
        number: Counts the faults of a sandbox.

        endpoint: The endpoint it is for, or ``*`` for all.

        openid: Only calls about this user.

        waybill_id: Only calls about this waybill.

        times: How many calls it is still for; None: all, until taken back.

        errcode: WeChat refuses with this; the call has no effect.

        errmsg: The whole errmsg, instead of WeChat's text and a rid.

        status: A server in front of WeChat answers with this HTTP status and no JSON;
            the call has no effect.

        body: What that server says.

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


class Faults:
    """
    The faults in force, oldest first.
    """

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.count = 0

    def add(self, **fields: Any) -> Fault:
        """
        Put a fault in force.
        """
        self.count += 1
        fault = Fault(number=self.count, **fields)
        self.active.append(fault)
        return fault

    def remove(self, number: int | None) -> None:
        """
        Take back the fault *number*, or all.
        """
        self.active = [f for f in self.active if number not in (None, f.number)]

    def take(self, endpoint: str, openid: str, waybill_id: str) -> Fault | None:
        """
        The fault for this call, if there is one; that spends one of its times.
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
