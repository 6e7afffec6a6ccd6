"""Which row named a parcel first, in a few bytes a row."""

from __future__ import annotations

from array import array

# To begin with; a power of two, so that a key's last bits choose its slot.
_SLOTS = 1024


class Parcels:
    """
    Keeps the number that came first with each key.

    A hash table of 16 bytes a slot, a third of them in use or more: a dict of a million
    rows takes four times as much.
    """

    def __init__(self) -> None:
        self._make(_SLOTS)

    def first(self, key: int, value: int) -> int:
        """
        Return the value that came first with *key*: *value*, if nothing did.

        Args:
            key: 1 to 2⁶⁴ - 1.

            value: 0 to 2⁶⁴ - 1.
        """
        slot = self._slot(key)
        if self._keys[slot]:
            return self._values[slot]
        self._keys[slot], self._values[slot] = key, value
        self._used += 1
        if 3 * self._used > 2 * len(self._keys):
            pairs = zip(self._keys, self._values)
            self._make(2 * len(self._keys))
            for key_, value_ in pairs:
                if key_:
                    self.first(key_, value_)
        return value

    def _make(self, slots: int) -> None:
        self._keys = array("Q", bytes(8 * slots))
        self._values = array("Q", bytes(8 * slots))
        self._used = 0

    def _slot(self, key: int) -> int:
        """
        Return where *key* is, or would be.
        """
        last = len(self._keys) - 1
        slot = key & last
        while self._keys[slot] not in (0, key):
            slot = (slot + 1) & last
        return slot
