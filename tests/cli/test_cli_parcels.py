"""Which row named a parcel first."""

from __future__ import annotations

from wxlogistics.cli.parcels import Parcels


class TestParcels:
    def test_first__new_and_known(self) -> None:
        """
        What came first with a key stays.
        """
        parcels = Parcels()

        assert 7 == parcels.first(1, 7)
        assert 7 == parcels.first(1, 8)
        assert 0 == parcels.first(2, 0)
        assert 0 == parcels.first(2, 9)

    def test_first__same_slot(self) -> None:
        """
        Keys that share their last bits are apart all the same.
        """
        parcels = Parcels()
        keys = [5 + (n << 40) for n in range(100)]

        assert [*range(100)] == [parcels.first(key, n) for n, key in enumerate(keys)]
        assert [*range(100)] == [parcels.first(key, 999) for key in keys]

    def test_first__grows(self) -> None:
        """
        It grows, and forgets nothing; a slot has 16 bytes.
        """
        parcels = Parcels()
        for number in range(100_000):
            parcels.first(number * 2_654_435_761 + 1, number)

        assert [*range(100_000)] == [
            parcels.first(n * 2_654_435_761 + 1, 0) for n in range(100_000)
        ]
        assert 2**18 == len(parcels._keys) == len(parcels._values)
