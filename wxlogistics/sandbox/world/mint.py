"""Makes ids, secrets and tokens: random ones, or the same ones again from a seed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets


class Mint:
    """
    The source of everything unguessable in a sandbox.

    Each value depends on the key and on how many were drawn before, so that key and
    serial are all that a state file needs to go on with the same values.

    Args:
        seed: The same seed gives the same values; None gives new ones each time.
    """

    def __init__(self, seed: int | str | None = None) -> None:
        if seed is None:
            self.key = secrets.token_bytes(32)
        else:
            self.key = hashlib.sha256(str(seed).encode()).digest()
        self.serial = 0

    def restore(self, key: str, serial: int) -> None:
        """
        Go on from a *key* in hex digits and a *serial*.
        """
        # As it goes into each draw.
        serial.to_bytes(8, "big")
        self.key, self.serial = bytes.fromhex(key), serial

    def _draw(self, size: int) -> bytes:
        self.serial += 1
        return hashlib.shake_128(self.key + self.serial.to_bytes(8, "big")).digest(size)

    def hex(self, length: int) -> str:
        """
        Return *length* hex digits.
        """
        return self._draw((length + 1) // 2).hex()[:length]

    def text(self, length: int) -> str:
        """
        Return *length* characters of the base64url alphabet.
        """
        return base64.urlsafe_b64encode(self._draw(length)).decode()[:length]

    def seal(self, *parts: str) -> str:
        """
        Return 64 characters of the base64url alphabet that stand for *parts*.
        """
        # SHA-384 gives 48 bytes, which are 64 characters without padding: the shape of
        # a waybill_token.
        message = "\0".join(parts).encode()
        digest = hmac.digest(self.key, message, "sha384")
        return base64.urlsafe_b64encode(digest).decode()
