"""Parcels and how they move."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import attrs

from ...models import WaybillStatus
from .carriers import CARRIERS
from .fields import checked, several, typed
from .plain_json import read_resource

#: status -> action_type and, for the first time and the next, action_msg. The numbers
#: are those of the sibling API 物流助手, and 500001, the one seen in a reply of
#: query_follow_trace. A courier's number stands in some, as it does in real ones.
_ACTIONS: dict[str, list[Any]] = read_resource(__package__, "actions.json")

#: The waybill numbers in general use -> delivery_id.
_NUMBERS = {
    "SF": "SF",
    "JD": "JD",
    "YT": "YTO",
    "JT": "JTSD",
    "DPK": "DBL",
    "YD|4[0-9]{14}$": "YD",
    "77[0-9]{13}$": "STO",
    "7[0-9]{13}$": "ZTO",
    "9[0-9]{12}$": "YZPY",
    "1[0-9]{12}$|E[A-Z][0-9]{9}CN$": "EMS",
}


@attrs.frozen(field_transformer=typed)
class Move:
    """
    A parcel changes its status.

    Attributes:
        at: Unix time.

        status: The status from then on.

        message: The carrier's text; None: the sandbox writes one.
    """

    at: float
    status: int
    message: str | None = None


@attrs.define(field_transformer=typed)
class Parcel:
    """
    A parcel on its way, whether or not it is registered.

    Attributes:
        waybill_id: The carrier's number.

        delivery_id: The carrier.

        route: What happens by the clock.

        moves: What was done by hand. The first of them stops the clock's.
    """

    waybill_id: str
    delivery_id: str = checked(attrs.validators.in_(CARRIERS))
    route: tuple[Move, ...] = checked(converter=several)
    moves: list[Move] = attrs.field(factory=list)

    def history(self, now: float) -> list[Move]:
        """
        What has happened until *now*, oldest first.
        """
        stopped = self.moves[0].at if self.moves else math.inf
        done = [m for m in self.route if m.at <= now and m.at < stopped]
        return done + self.moves

    def status(self, now: float) -> WaybillStatus:
        """
        Where the parcel is *now*.
        """
        history = self.history(now)
        return WaybillStatus(history[-1].status if history else 0)

    def due(self, now: float) -> float | None:
        """
        When the clock moves it next; None if it does no more.
        """
        if self.moves:
            return None
        return min((move.at for move in self.route if move.at > now), default=None)

    def path(self, now: float) -> list[dict[str, Any]]:
        """
        WeChat's path_action: what has happened, newest first.
        """
        carrier = CARRIERS[self.delivery_id]
        seen: Counter[int] = Counter()
        actions = []
        for move in self.history(now):
            status = WaybillStatus(move.status)
            if status == WaybillStatus.NOT_COLLECTED:
                continue
            kind, *texts = _ACTIONS.get(str(int(status)), [500001, status.label])
            text = texts[min(seen[status], len(texts) - 1)]
            seen[status] += 1
            actions.append(
                {
                    "action_time": int(move.at),
                    "action_type": kind,
                    "action_msg": move.message or text.format(carrier=carrier),
                }
            )
        return actions[::-1]


def guess_carrier(waybill_id: str, default: str) -> str:
    """
    Return the delivery_id of the carrier whose numbers look like *waybill_id*.
    """
    found = (key for shape, key in _NUMBERS.items() if re.match(shape, waybill_id))
    return next(found, default)
