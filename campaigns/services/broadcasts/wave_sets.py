"""Kept sets of planned waves: bitmaps of who was wanted, and of whom a reason held back."""

from django.db import connection

from tagging.services.bits.frames import Bits, Frame


def set_of(frame: Frame, wave_id: int, what: int) -> Bits:
    """A kept set of a planned wave: who was wanted (0), or whom a reason held back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT chunk, bit_send(bits) FROM campaigns_waveset WHERE brand_id = %s AND wave_id = %s AND what = %s",
            [frame.brand.pk, wave_id, what],
        )
        return frame.of_chunks({chunk: bytes(sent)[4:] for chunk, sent in cursor})
