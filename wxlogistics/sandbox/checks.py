"""What is let in: JSON as the standard has it, values of the types they must have."""

from __future__ import annotations

import functools
import inspect
import json
import sys
import types
from collections import deque
from typing import (
    Any,
    Callable,
    Iterable,
    Mapping,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON's")


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) <= sys.float_info.max else _no_number(text)


# json.loads would make a new one for each call.
_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)


def read_json(text: str | bytes) -> Any:
    """
    The value of a JSON *text*.

    Unlike Python's own it lets in no NaN, no Infinity and nothing as large, such as
    1e999: they could not be written again as JSON.

    Raises:
        ValueError: It is no JSON.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    return _DECODER.decode(text)


def write_json(value: object, indent: int | None = None) -> bytes:
    """
    *value* as JSON in plain UTF-8, but for half a surrogate pair: UTF-8 has none, so
    it is written as JSON's escape.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    # What Python writes for half a pair, \ud800, happens to be JSON's escape.
    return text.encode(errors="backslashreplace")


def check(name: str, value: object, hint: Any, told: object = None) -> None:
    """
    See that *value* is what the annotation *hint* says.

    Args:
        name: What it is the value of.

        value: Anything.

        hint: A type; of an iterator the items are not looked at.

        told: How *hint* stands in the code, for the error.

    Raises:
        TypeError: It is not.
    """
    if not _fits(value, hint):
        plain = getattr(hint, "__name__", hint) if get_origin(hint) is None else hint
        text = plain if told is None else told
        raise TypeError(f"{name} is of type {text}, not {value!r:.200}")


def _fits(value: Any, hint: Any) -> bool:
    # The first for speed: a state may hold a million values.
    if type(value) is hint or hint is Any:
        return True
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in args)
    if hint is float and isinstance(value, int):
        # JSON knows but one kind of number; a larger one is none that a float can be.
        hint = int if abs(value) <= sys.float_info.max else float
    if hint is int and isinstance(value, bool):
        return False
    if not isinstance(value, origin or hint):
        return False
    if origin is dict:
        return all(_fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items())
    if origin in (list, deque) or args[1:] == (...,):
        return all(_fits(item, args[0]) for item in value)
    if origin is tuple:
        return len(value) == len(args) and all(map(_fits, value, args))
    return True


@functools.cache
def _hints(owner: Any) -> Mapping[str, tuple[Any, object]]:
    """
    The annotations of a function or class: name -> what it means and how it is written.
    """
    hints = get_type_hints(owner)
    written: dict[str, object] = {}
    for each in reversed(getattr(owner, "__mro__", (owner,))):
        written.update(getattr(each, "__annotations__", {}))
    return {name: (hint, written[name]) for name, hint in hints.items()}


def check_fields(instance: Any) -> None:
    """
    See that each field of an attrs class's *instance* is what it is annotated as.

    Raises:
        TypeError: One is not.
    """
    kind: Any = type(instance)
    hints = _hints(kind)
    for field in attrs.fields(kind):
        check(field.name, getattr(instance, field.name), *hints[field.name])


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """
    Let a method see first that its arguments are what they are annotated as.

    Here, for a wrong one would otherwise break a call much later.
    """
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        hints = _hints(function)
        given: Iterable[tuple[str, object]] = [*zip(names, args), *kwargs.items()]
        for name, value in given:
            # What it does not take, it says itself.
            if name in hints:
                check(name, value, *hints[name])
        return function(*args, **kwargs)

    return wrapper
