"""Checks of arguments: each error names the field and what to do, not the value."""

from __future__ import annotations

from .errors import InvalidArgumentError

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True


def wrong_type(field: str, value: object, wanted: str) -> InvalidArgumentError:
    """
    Return the error for a *value* of the wrong type, without showing it.
    """
    kind = type(value).__name__
    return InvalidArgumentError(field, f"is of type {kind}; give {wanted}")


def require_text(field: str, value: object, *, optional: bool = False) -> None:
    """
    Check that *value* is a str that is not blank.

    Raises:
        InvalidArgumentError: It is not; the error names *field*, not the value.
    """
    if not isinstance(value, str):
        raise wrong_type(field, value, "a str")
    if not value.strip():
        otherwise = ", or None" if optional else ""
        raise InvalidArgumentError(field, f"is empty; give its value{otherwise}")
    # isascii first: it is much faster, and true for nearly all values.
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidArgumentError(field, "holds half a character; give whole Unicode")


def require_bare_text(field: str, value: object, *, optional: bool = False) -> None:
    """
    Check that *value* is a str that is not blank, without whitespace around it.

    Raises:
        InvalidArgumentError: It is not; the error names *field*, not the value.
    """
    require_text(field, value, optional=optional)
    if isinstance(value, str) and value != value.strip():
        problem = "begins or ends with a blank or a line's end; strip() it"
        raise InvalidArgumentError(field, problem)


def require_seconds(field: str, value: float) -> float:
    """
    Return *value* checked, and no longer than a socket can wait.

    Raises:
        InvalidArgumentError: It is not a number above 0; the error names *field*.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise InvalidArgumentError(field, "is not a number of seconds above 0")
    return float(min(value, 86_400))
