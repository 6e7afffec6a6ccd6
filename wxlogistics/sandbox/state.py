"""The world as a JSON file, and back."""

from __future__ import annotations

import functools
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Container, Iterable, Iterator, TypeVar

import attrs

from .calls import Call
from .carriers import CARRIERS
from .checks import check, check_fields, read_json, write_json
from .clock import Clock
from .faults import Fault
from .mint import Mint
from .parcels import Move, Parcel
from .settings import Settings
from .tokens import AccessToken, App, Authorization, Component, Fetches
from .world import ENDPOINTS, Registration, World

_T = TypeVar("_T")

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
    except (TypeError, LookupError, AttributeError, OverflowError) as error:
        raise ValueError(f"the state of a sandbox is damaged: {error!r}") from error


def _restore(data: dict[str, Any], clock: Clock) -> World:
    mint = Mint()
    world = World(Settings(**data["settings"]), clock, mint)
    mint.key, mint.serial = bytes.fromhex(data["mint"]["key"]), data["mint"]["serial"]
    check("serial", mint.serial, int)
    # As it goes into each draw.
    mint.serial.to_bytes(8, "big")
    tokens = world.tokens
    tokens.apps = {one.appid: one for one in _made(App, data["apps"])}
    world.app = tokens.apps[data["appid"]]
    tokens.components = {one.appid: one for one in _made(Component, data["components"])}
    tokens.authorizations = {
        (one.component_appid, one.appid): one
        for one in _made(Authorization, data["authorizations"])
    }
    for token in _made(AccessToken, data["tokens"]):
        if token.component_appid is not None:
            key = (token.component_appid, token.appid)
            _refer("component_appid", key, tokens.authorizations)
        tokens.issued[token.value] = token
    tokens.latest = _typed(data, "latest", dict[str, str])
    tokens.forced_at = _typed(data, "forced_at", dict[str, float])
    [tokens.fetches] = _made(Fetches, [data["fetches"]])
    for period, spent in data["spent"].items():
        check("spent", spent, list[Any])
        index, counts = spent
        check("spent", index, int)
        check("spent", counts, dict[str, int])
        world.quotas.spent[period] = (index, counts)
    world.users = _typed(data, "users", dict[str, str])
    for parcel in data["parcels"]:
        route, moves = (
            [_checked(Move(*move)) for move in parcel[name]]
            for name in ("route", "moves")
        )
        [restored] = _made(Parcel, [{**parcel, "route": tuple(route), "moves": moves}])
        _refer("delivery_id", restored.delivery_id, CARRIERS)
        world.parcels[restored.waybill_id] = restored
    for registration in _made(Registration, data["registrations"]):
        _refer("component", registration.component, ENDPOINTS.values())
        _refer("waybill_id", registration.waybill_id, world.parcels)
        world.keep(registration)
    world.bound = _typed(data, "bound", dict[str, list[str]])
    for bound in world.bound.values():
        for value in bound:
            _refer("bound", value, world.registrations)
    world.faults.active = list(_made(Fault, data["faults"]))
    world.faults.count = _typed(data, "fault_count", int)
    world.calls.extend(_made(Call, data["calls"]))
    world.call_count = _typed(data, "call_count", int)
    # At the very end, for it is the one thing here that is in use already.
    clock.set(data["clock"]["now"], data["clock"]["speed"])
    return world


def _typed(data: dict[str, Any], name: str, hint: Any) -> Any:
    check(name, data[name], hint)
    return data[name]


def _made(kind: type[_T], rows: Iterable[dict[str, Any]]) -> Iterator[_T]:
    for row in rows:
        yield _checked(kind(**row))


def _checked(instance: _T) -> _T:
    check_fields(instance)
    return instance


def _refer(name: str, key: object, there: Container[object]) -> None:
    if key not in there:
        raise LookupError(f"{name}: there is no {key!r}")


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
    text = write_json(dump(world), indent=1)
    # Where a link leads, for it should go on leading there.
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(name, stat.S_IMODE(target.stat().st_mode))
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def load(path: str | os.PathLike[str], clock: Clock) -> World:
    """
    The world in the file *path*.
    """
    return restore(read_json(Path(path).read_text(encoding="utf-8")), clock)
