"""How the fields of the world's classes are checked."""

from __future__ import annotations

import functools
from typing import Any, Iterable

import attrs
from attrs.validators import and_

#: A plain annotation -> the types that it stands for.
_PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "None": (type(None),),
}


def typed(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """
    Let fields with a plain annotation take nothing else; for attrs' field_transformer.
    """
    return [
        field.evolve(validator=and_(_check_type, *filter(None, [field.validator])))
        for field in fields
    ]


def _check_type(_: object, field: attrs.Attribute[Any], value: object) -> None:
    kinds = _kinds(str(field.type))
    # True is not a number.
    is_flag = isinstance(value, bool) and bool not in kinds
    if kinds and (is_flag or not isinstance(value, kinds)):
        raise TypeError(f"{field.name} is of type {field.type}, not {value!r:.200}")


@functools.cache
def _kinds(annotation: str) -> tuple[type, ...]:
    """
    Return the types that a plain annotation stands for; none for others.
    """
    names = annotation.split(" | ")
    if not _PLAIN.keys() >= set(names):
        return ()
    return tuple(kind for name in names for kind in _PLAIN[name])


def checked(*validators: Any, **options: Any) -> Any:
    """
    Return a field with *validators*.
    """
    return attrs.field(validator=list(validators), **options)


def several(values: Any) -> Any:
    """
    Return *values* as a tuple; what is not a list is left for the validator to refuse.
    """
    is_list = isinstance(values, Iterable) and not isinstance(values, str)
    return tuple(values) if is_list else values


def tuple_of(kind: type, what: str, default: Any) -> Any:
    """
    Return the field of a tuple of *kind*, called *what*, or of *default*.
    """

    def check(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        is_list = isinstance(value, tuple) and all(isinstance(v, kind) for v in value)
        if value != default and not is_list:
            raise TypeError(f"{field.name} is a list of {what}, not {value!r:.200}")

    return checked(check, default=default, converter=several)
