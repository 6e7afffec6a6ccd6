"""The world as a JSON file, and back."""

from __future__ import annotations

import json
import os
import re
import stat
from collections import deque
from pathlib import Path
from typing import Any, Callable, Container, Iterable, Iterator, Mapping

import attrs
from attrs.validators import deep_iterable, deep_mapping, instance_of

from .calls import Call
from .clock import Clock
from .endpoints import PLUGIN
from .faults import Fault
from .fields import checked, typed
from .mint import Mint
from .parcels import Move, Parcel
from .plain_json import read_json, write_json
from .settings import Settings
from .tokens import AccessToken, App, Authorization, Code, Component, Fetches
from .world import Registration, World

_FORMAT = "wxlogistics-sandbox"
_VERSION = 2

#: The lists of a state: its name -> what each row is, and where a world has them.
_ROWS: dict[str, tuple[type[Any], Callable[[World], Iterable[Any]]]] = {
    "apps": (App, lambda world: world.tokens.apps.values()),
    "components": (Component, lambda world: world.tokens.components.values()),
    "authorizations": (
        Authorization,
        lambda world: world.tokens.authorizations.values(),
    ),
    "tokens": (AccessToken, lambda world: world.tokens.issued.values()),
    "codes": (Code, lambda world: world.tokens.codes.values()),
    "parcels": (Parcel, lambda world: world.parcels.values()),
    "registrations": (Registration, lambda world: world.registrations.values()),
    "faults": (Fault, lambda world: world.faults.active),
    "calls": (Call, lambda world: world.calls),
}


def _mapping(kind: Any) -> Any:
    """
    Return the field of a dict whose values are of *kind* or fit that validator.
    """
    check = kind if callable(kind) and not isinstance(kind, type) else instance_of(kind)
    return checked(deep_mapping(instance_of(str), check, instance_of(dict)))


@attrs.frozen(kw_only=True, field_transformer=typed)
class _Rest:
    """
    What a state holds besides its lists.
    """

    clock: dict[str, float] = _mapping((int, float))
    mint: dict[str, Any] = checked(instance_of(dict))
    appid: str
    latest: dict[str, str] = _mapping(str)
    forced_at: dict[str, float] = _mapping((int, float))
    spent: dict[str, list[Any]] = _mapping(list)
    users: dict[str, str] = _mapping(str)
    bound: dict[str, list[str]] = _mapping(
        deep_iterable(instance_of(str), instance_of(list))
    )
    fault_count: int
    call_count: int


def dump(world: World) -> dict[str, Any]:
    """
    Return everything in *world* as plain JSON.
    """
    with world.lock:
        tokens = world.tokens
        rest = _Rest(
            clock={"now": world.clock.now(), "speed": world.clock.speed},
            mint={"key": world.mint.key.hex(), "serial": world.mint.serial},
            appid=world.app.appid,
            latest=dict(tokens.latest),
            forced_at=dict(tokens.forced_at),
            spent={
                period: [index, dict(counts)]
                for period, (index, counts) in world.quotas.spent.items()
            },
            users=dict(world.users),
            bound={openid: list(bound) for openid, bound in world.bound.items()},
            fault_count=world.faults.count,
            call_count=world.call_count,
        )
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "settings": _fields(world.settings),
            **_fields(rest),
            "fetches": _fields(tokens.fetches),
            **{
                name: [_fields(row) for row in rows(world)]
                for name, (_, rows) in _ROWS.items()
            },
        }


def _fields(instance: Any) -> dict[str, Any]:
    # What hangs below is plain JSON that nothing changes: for 100,000 waybills it would
    # take too long to go down there while the lock is held.
    return attrs.asdict(instance, recurse=False, value_serializer=_plain)


def _plain(_: object, __: object, value: Any) -> Any:
    if isinstance(value, (list, tuple, deque)):
        return [
            attrs.astuple(item) if isinstance(item, Move) else item for item in value
        ]
    return value


def restore(data: Any, clock: Clock) -> World:
    """
    Return the world that *data* holds, with *clock* set to its time.

    Raises:
        ValueError: *data* is not what `dump()` returned.
    """
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ValueError("this is not the state of a sandbox")
    if data.get("version") != _VERSION:
        raise ValueError(f"state of version {data.get('version')!r}, not {_VERSION}")
    try:
        return _restore(data, clock)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        # Without the name of what Python called.
        reason = re.sub(r"^[\w.]+\(\) ", "", str(error))
        reason = f"no {reason}" if isinstance(error, KeyError) else reason
        text = f"the state of a sandbox is damaged: {reason:.300}"
        raise ValueError(text) from error


def _restore(data: dict[str, Any], clock: Clock) -> World:
    rest = _Rest(**{name: data[name] for name in attrs.fields_dict(_Rest)})
    mint = Mint()
    world = World(Settings(**data["settings"]), clock, mint)
    # Now, for making the world draws from it.
    mint.restore(**rest.mint)
    tokens = world.tokens
    tokens.apps = {one.appid: one for one in _made(data, "apps")}
    world.app = tokens.apps[rest.appid]
    tokens.components = {one.appid: one for one in _made(data, "components")}
    for authorization in _made(data, "authorizations"):
        _refer("appid", authorization.appid, tokens.apps)
        key = (authorization.component_appid, authorization.appid)
        tokens.authorizations[key] = authorization
    for token in _made(data, "tokens"):
        if token.component_appid is not None:
            key = (token.component_appid, token.appid)
            _refer("component_appid", key, tokens.authorizations)
        tokens.issued[token.value] = token
    tokens.codes = {code.value: code for code in _made(data, "codes")}
    tokens.latest, tokens.forced_at = rest.latest, rest.forced_at
    tokens.fetches = Fetches(**data["fetches"])
    for period, (index, counts) in rest.spent.items():
        world.quotas.restore(period, index, counts)
    world.users = rest.users
    for parcel in _made(data, "parcels"):
        world.parcels[parcel.waybill_id] = parcel
    for registration in _made(data, "registrations"):
        _refer("component", registration.component, PLUGIN.values())
        _refer("waybill_id", registration.waybill_id, world.parcels)
        world.keep(registration)
    world.bound = rest.bound
    for bound in world.bound.values():
        for value in bound:
            _refer("bound", value, world.registrations)
    world.faults.active = list(_made(data, "faults"))
    world.faults.count = rest.fault_count
    world.calls.extend(_made(data, "calls"))
    world.call_count = rest.call_count
    # At the very end, for it is the one thing here that is in use already.
    clock.set(**rest.clock)
    return world


def _made(data: Mapping[str, Any], name: str) -> Iterator[Any]:
    """
    Return what the rows of a list stand for.
    """
    kind, _ = _ROWS[name]
    for row in data[name]:
        if kind is Parcel:
            row = {**row, "route": _moves(row["route"]), "moves": _moves(row["moves"])}
        yield kind(**row)


def _moves(rows: Iterable[Iterable[Any]]) -> list[Move]:
    return [Move(*row) for row in rows]


def _refer(name: str, key: object, there: Container[object]) -> None:
    if key not in there:
        raise LookupError(f"{name}: there is no {key!r}")


def save(world: World, path: str | os.PathLike[str]) -> None:
    """
    Write *world* to *path*, whole or not at all.
    """
    text = write_json(dump(world), indent=1)
    # Where a link leads, for it should go on leading there.
    target = Path(os.path.realpath(path))
    # Always the same name: what a killed process left is overwritten and renamed.
    name = target.with_name(f".{target.name}.new")
    try:
        with open(name, "wb", opener=_open_private) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(name, stat.S_IMODE(target.stat().st_mode))
        os.replace(name, target)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def _open_private(name: str, flags: int) -> int:
    # A file of that name, or a link, is not written to.
    Path(name).unlink(missing_ok=True)
    return os.open(name, flags | os.O_EXCL, 0o600)


def load(path: str | os.PathLike[str], clock: Clock) -> World:
    """
    Return the world in the file *path*.

    Raises:
        ValueError: It is not a state; the message begins with the file's name.
    """
    try:
        return restore(read_json(Path(path).read_bytes()), clock)
    except ValueError as error:
        is_json = not isinstance(error, (json.JSONDecodeError, UnicodeDecodeError))
        text = f"{error}" if is_json else f"not JSON: {error}"
        raise ValueError(f"{os.fspath(path)}: {text}") from None
