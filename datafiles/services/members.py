"""历史会员触达: how many of the members that files have brought a guide can reach; from bitmaps, whatever their number."""

from dataclasses import dataclass

from django.db import connection

from tagging.models import Dim, Flag
from tenants.models import Brand

_COUNT = """
    SELECT coalesce(sum(bit_count(m.bits)), 0), coalesce(sum(bit_count(m.bits & r.bits)), 0)
      FROM tagging_dimbits m
      LEFT JOIN tagging_dimbits r ON r.brand_id = %(brand)s AND r.dim = m.dim AND r.val = %(reachable)s AND r.chunk = m.chunk
     WHERE m.brand_id = %(brand)s AND m.dim = %(dim)s AND m.val = %(member)s
"""


@dataclass(frozen=True)
class Members:
    n: int
    n_reachable: int

    @property
    def percent(self) -> int:
        return round(100 * self.n_reachable / self.n) if self.n else 0


def figures(brand: Brand) -> Members:
    """Members, and those whom at least one guide may message, in the caller's transaction."""
    with connection.cursor() as cursor:
        values = {"brand": brand.pk, "dim": Dim.FLAG, "member": Flag.MEMBER, "reachable": Flag.REACHABLE}
        cursor.execute(_COUNT, values)
        n, n_reachable = cursor.fetchone()
        return Members(int(n), int(n_reachable))
