"""JSON as the standard has it: read strictly, written in plain UTF-8."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


# json.loads would make a new one for each call.
_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)


def read_json(text: str | bytes) -> Any:
    """
    Return the value of a JSON *text*.

    Unlike Python's own reader it refuses NaN, Infinity and 1e999, which could not be
    written as JSON again.

    Raises:
        ValueError: It is not JSON, or nests too deep to be read.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("JSON that nests too deep") from None


def write_json(value: object, indent: int | None = None) -> bytes:
    """
    Return *value* as JSON in UTF-8.

    Half a surrogate pair, which UTF-8 cannot hold, is written as JSON's escape.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    # What Python writes for half a pair, \ud800, happens to be JSON's escape.
    return text.encode(errors="backslashreplace")


def read_resource(package: str | None, name: str) -> Any:
    """
    Return the JSON in a file of *package*.
    """
    return read_json(resources.files(str(package)).joinpath(name).read_bytes())
