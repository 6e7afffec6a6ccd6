"""The world as a JSON file, and back."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections import deque
from pathlib import Path
from typing import Any, Iterable

import attrs

from .calls import Call
from .clock import Clock
from .faults import Fault
from .mint import Mint
from .parcels import Move, Parcel
from .settings import Settings
from .tokens import AccessToken, App, Authorization, Component, Fetches
from .world import Registration, World

_FORMAT = "wxlogistics-sandbox"
_VERSION = 1


def dump(world: World) -> dict[str, Any]:
    """
    Everything in *world*, as plain JSON.
    """
    with world.lock:
        tokens = world.tokens
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "settings": _fields(world.settings),
            "clock": {"now": world.clock.now(), "speed": world.clock.speed},
            "mint": {"key": world.mint.key.hex(), "serial": world.mint.serial},
            "appid": world.app.appid,
            "apps": [_fields(app) for app in tokens.apps.values()],
            "components": [_fields(one) for one in tokens.components.values()],
            "authorizations": [_fields(a) for a in tokens.authorizations.values()],
            "tokens": [_fields(token) for token in tokens.issued.values()],
            "latest": dict(tokens.latest),
            "forced_at": dict(tokens.forced_at),
            "fetches": {
                **_fields(tokens.fetches),
                "forced_at": list(tokens.fetches.forced_at),
            },
            "spent": {
                period: [index, dict(counts)]
                for period, (index, counts) in world.quotas.spent.items()
            },
            "users": dict(world.users),
            "parcels": [
                {
                    **_fields(parcel),
                    "route": _moves(parcel.route),
                    "moves": _moves(parcel.moves),
                }
                for parcel in world.parcels.values()
            ],
            "registrations": [_fields(one) for one in world.registrations.values()],
            "bound": {openid: list(bound) for openid, bound in world.bound.items()},
            "faults": [_fields(fault) for fault in world.faults.active],
            "fault_count": world.faults.count,
            "calls": [_fields(call) for call in world.calls],
            "call_count": world.call_count,
        }


def restore(data: Any, clock: Clock) -> World:
    """
    The world that *data* tells, with *clock* set to its time.

    Raises:
        ValueError: *data* is not what `dump()` gave.
    """
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError("this is not the state of a sandbox")
    if data.get("version") != _VERSION:
        raise ValueError(f"state of version {data.get('version')!r}, not {_VERSION}")
    try:
        return _restore(data, clock)
    except (TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"the state of a sandbox is damaged: {error!r}") from error


def _restore(data: dict[str, Any], clock: Clock) -> World:
    mint = Mint()
    world = World(Settings(**data["settings"]), clock, mint)
    mint.key, mint.serial = bytes.fromhex(data["mint"]["key"]), data["mint"]["serial"]
    tokens = world.tokens
    tokens.apps = {app["appid"]: App(**app) for app in data["apps"]}
    world.app = tokens.apps[data["appid"]]
    tokens.components = {one["appid"]: Component(**one) for one in data["components"]}
    tokens.authorizations = {
        (one["component_appid"], one["appid"]): Authorization(**one)
        for one in data["authorizations"]
    }
    tokens.issued = {one["value"]: AccessToken(**one) for one in data["tokens"]}
    tokens.latest = dict(data["latest"])
    tokens.forced_at = dict(data["forced_at"])
    fetches = data["fetches"]
    tokens.fetches = Fetches(**fetches)
    tokens.fetches.forced_at = deque(fetches["forced_at"], maxlen=100)
    world.quotas.spent = {
        period: (index, dict(counts))
        for period, (index, counts) in data["spent"].items()
    }
    world.users = dict(data["users"])
    for parcel in data["parcels"]:
        route = tuple(Move(*move) for move in parcel["route"])
        moves = [Move(*move) for move in parcel["moves"]]
        restored = Parcel(**{**parcel, "route": route, "moves": moves})
        world.parcels[restored.waybill_id] = restored
    for registration in data["registrations"]:
        world.keep(Registration(**registration))
    world.bound = {openid: list(bound) for openid, bound in data["bound"].items()}
    world.faults.active = [Fault(**fault) for fault in data["faults"]]
    world.faults.count = data["fault_count"]
    world.calls.extend(Call(**call) for call in data["calls"])
    world.call_count = data["call_count"]
    clock.set(data["clock"]["now"], data["clock"]["speed"])
    return world


def _fields(instance: Any) -> dict[str, Any]:
    # attrs.asdict() would do, but not for 100,000 waybills while the lock is held. What
    # hangs below is plain JSON that nobody changes.
    return {name: getattr(instance, name) for name in _names(instance.__class__)}


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))


def _moves(moves: Iterable[Move]) -> list[tuple[float, int, str | None]]:
    return [(move.at, move.status, move.message) for move in moves]


def save(world: World, path: str | os.PathLike[str]) -> None:
    """
    Write *world* to *path*, whole or not at all.
    """
    text = json.dumps(dump(world), ensure_ascii=False, indent=1)
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def load(path: str | os.PathLike[str], clock: Clock) -> World:
    """
    The world in the file *path*.
    """
    return restore(json.loads(Path(path).read_text(encoding="utf-8")), clock)
