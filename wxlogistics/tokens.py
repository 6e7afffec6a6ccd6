"""Where access tokens come from."""

from __future__ import annotations

from typing import Callable

from ._wire import TokenProvider
from .errors import InvalidArgumentError
from .models import require_text

__all__ = ["TokenProvider", "token_provider"]


class _FixedToken:
    """
    A token that somebody else keeps; there is no other.
    """

    def __init__(self, token: str) -> None:
        require_text("token", token)
        self._token = token

    def get(self) -> str:
        return self._token

    def renew(self, rejected: str) -> str:
        return self._token


class _CalledToken:
    """
    A token that a function of the caller's returns, asked for anew each time.
    """

    def __init__(self, function: Callable[[], str]) -> None:
        self._function = function

    def get(self) -> str:
        token = self._function()
        require_text("token", token)
        return token

    def renew(self, rejected: str) -> str:
        return self.get()


def token_provider(token: str | Callable[[], str] | TokenProvider) -> TokenProvider:
    """
    Return the provider that *token* is or stands for.
    """
    if hasattr(token, "get") and hasattr(token, "renew"):
        return token
    if callable(token):
        return _CalledToken(token)
    if isinstance(token, str):
        return _FixedToken(token)
    raise InvalidArgumentError(
        "token",
        f"is of type {type(token).__name__}; give a str, a callable that returns one, "
        "or a TokenProvider",
    )
