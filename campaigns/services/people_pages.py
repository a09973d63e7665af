"""Pages of people of a set of contacts (tagging.services.bits.frames), as far as whoever looks may see them."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from contacts.models import Contact, visible_follows
from org.models import Staff
from scrm.errors import InvalidError
from scrm.ids import read_id
from scrm.keyset import Page
from tagging.services.bits import frames
from tagging.services.bits.frames import Bits, Frame

SIZE = 100


@dataclass(frozen=True)
class People:
    """One page of a set.

    Attributes:
        page: contacts, those who came last first.
        n, n_seen: people of the set; those of them whom the viewer may see.
    """

    page: Page
    n: int
    n_seen: int


def ids_page(
    frame: Frame, bits: Bits, *, after: str | None = None, size: int = SIZE
) -> tuple[list[int], str]:
    """Positions of one page of a set, the highest first, and the token of the next page.

    Raises:
        InvalidError: no token of such a page.
    """
    positions = frame.positions(bits)[::-1]
    if after:
        below = read_id(after)
        if below is None:
            raise InvalidError(_("This page link is not valid any more"), code="bad_page")
        positions = positions[positions < below]
    found = [int(position) for position in positions[:size]]
    return found, str(found[-1]) if len(positions) > size else ""


def people_page(
    frame: Frame, bits: Bits, *, staff: Staff, after: str | None = None, size: int = SIZE
) -> People:
    """One page of those of a set whom a person may see: the scope is applied before the page is cut.

    Raises:
        InvalidError: as `ids_page`.
    """
    seen = bits if visible_follows(staff) is None else bits & _visible(frame, staff)
    positions, following = ids_page(frame, seen, after=after, size=size)
    rows = Contact.objects.visible_to(staff).filter(position__in=positions).order_by("-position")
    return People(Page(list(rows), following, after or ""), frames.count(bits), frames.count(seen))


def _visible(frame: Frame, staff: Staff) -> Bits:
    rows: Any = Contact.objects.visible_to(staff).order_by().values_list("position", flat=True)
    return frame.of_positions(rows.iterator(chunk_size=10_000))
