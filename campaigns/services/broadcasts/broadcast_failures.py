"""Waves of which WeCom takes nothing at all: whoever launched the broadcast and whoever looks after the connection are told.

All send tasks of the wave were refused for good (a content that WeCom does not accept, a quota), or WeCom has refused each of
them since ten minutes and more, and they wait: for a right, an address, or for WeCom itself. One task that went through is enough
for silence: what single guides miss stands on the page of the broadcast.
"""

from datetime import timedelta
from typing import NamedTuple

from django.db import connection
from django.utils.translation import gettext as _

from campaigns.models import Broadcast, Wave
from campaigns.services import launchers
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from wecom.services.notices import tell_those_who

PATIENCE = timedelta(minutes=10)  # a short outage of WeCom needs nobody
OPEN = (Broadcast.State.ON, Broadcast.State.PAUSED)

# a task of nobody has lost its people before the call, which is told with them
_REFUSED = """
    SELECT wave_id, bool_and(state = 'failed'), mode() WITHIN GROUP (ORDER BY error), array_agg(DISTINCT corp_id)
      FROM campaigns_sendtask
     WHERE brand_id = %s AND broadcast_id = ANY(%s::bigint[]) AND wave_id = ANY(%s::bigint[]) AND n > 0 AND state <> 'cancelled'
     GROUP BY 1
    HAVING bool_and(error <> '' AND (state = 'failed' OR (state = 'planned' AND n_tries > 0)))
"""


class Refused(NamedTuple):
    """A wave of which WeCom has taken nothing; the error that most of its tasks got."""

    wave: Wave
    is_final: bool
    error: str
    corp_ids: list[int]


def tell(brand: Brand) -> int:
    """Tell of such waves, each once while it waits and once when it is over; gives how many there are. In the caller's
    transaction."""
    found = _refused(brand)
    corps = {
        corp.pk: corp for corp in Corp.objects.filter(pk__in={pk for row in found for pk in row.corp_ids})
    }
    for row in found:
        broadcast, key = (
            row.wave.broadcast,
            f"wave-refused:{row.wave.pk}:{'over' if row.is_final else 'waits'}",
        )
        words = {"name": broadcast.name, "n": row.wave.n, "error": row.error}
        if row.is_final:
            text = _("“%(name)s”: WeCom refused all of wave %(n)s, nobody got it\n%(error)s") % words
        else:
            text = (
                _(
                    "“%(name)s”: WeCom has taken nothing of wave %(n)s so far\n%(error)s\nIt is tried again by itself as long as"
                    " the broadcast allows a message to be late."
                )
                % words
            )
        launchers.tell(brand, broadcast, key=key, text=text, url=f"/broadcasts/{broadcast.pk}/")
        for corp_id in row.corp_ids:  # the same key: whoever is both is told once
            tell_those_who(brand, corps[corp_id], "corps.edit", key=key, text=text, url="/setup/")
    return len(found)


def _refused(brand: Brand) -> list[Refused]:
    rows = Wave.objects.filter(state=Wave.State.PLANNED, broadcast__state__in=OPEN).select_related(
        "broadcast"
    )
    waves = {wave.pk: wave for wave in rows}
    if not waves:
        return []
    with connection.cursor() as cursor:
        broadcasts = sorted({wave.broadcast_id for wave in waves.values()})
        cursor.execute(_REFUSED, [brand.pk, broadcasts, list(waves)])
        found = [Refused(waves[pk], *rest) for pk, *rest in cursor.fetchall()]
    since = clock.now() - PATIENCE
    return [row for row in found if row.is_final or (row.wave.planned_at or since) <= since]
