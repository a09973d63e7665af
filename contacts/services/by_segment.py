"""A segment as a filter of contacts: who is in it now, asked once as bits, for tests of one contact and for a list of all."""

from functools import cached_property

import numpy as np
from django.db.models import BinaryField, BooleanField, Case, F, Func, TextField, Value, When
from django.db.models.expressions import Combinable

from contacts import hooks
from contacts.services.staging import numbers
from tenants.models import Brand

FEW = 20_000  # up to so many members are looked up by their positions, beyond it everybody's bit is looked at
SAMPLE = 4_000


class AtPositions(Func):
    """`position = ANY(…)`: rows are found by the index of positions."""

    template = "%(expressions)s::bigint[])"
    arg_joiner = " = ANY("
    output_field = BooleanField()


class LedByPositions(AtPositions):
    """The same, and nothing is known of how many they are: Postgres would take them for spread evenly over time and walk
    the newest until it has met enough, past everybody if they all came years ago."""

    arg_joiner = " = ANY(ARRAY(SELECT unnest("
    template = "%(expressions)s::bigint[])))"


class GetBit(Func):
    template = "get_bit(%(expressions)s) = 1"
    output_field = BooleanField()


class Members:
    """Who is in a segment, fixed at the moment of asking."""

    def __init__(self, bits: bytes) -> None:
        self.bits = bits
        self.n = int(np.bitwise_count(np.frombuffer(bits, np.uint8)).sum())

    @cached_property
    def _positions(self) -> "np.ndarray":
        return np.flatnonzero(np.unpackbits(np.frombuffer(self.bits, np.uint8), bitorder="little"))

    @property
    def test(self) -> Combinable:
        """Whether a contact is a member."""
        if self.n <= FEW:
            return AtPositions(*_at(self._positions))
        bit = GetBit(Value(self.bits, output_field=BinaryField()), F("position"))
        # who came after the bits were taken has none
        return Case(When(position__lt=8 * len(self.bits), then=bit), default=Value(False))

    @property
    def all(self) -> Combinable:
        """The same, for a query that begins with the members."""
        return LedByPositions(*_at(self._positions))

    def sample(self) -> tuple[Combinable, int]:
        """Members in even distances, as a test, and how many they are."""
        chosen = self._positions[:: self.n // SAMPLE + 1]
        return LedByPositions(*_at(chosen)), len(chosen)


def members(brand: Brand, segment_id: int) -> Members:
    """Raises SCRMError: no such segment, or its condition cannot be read any more."""
    return Members(hooks.segment_bits(brand, segment_id))


def _at(positions: "np.ndarray") -> tuple[F, Value]:
    return F("position"), Value(numbers(positions.tolist()), output_field=TextField())
