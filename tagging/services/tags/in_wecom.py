"""Changes of the corp tag library in WeCom: one at a time for a corp, because WeCom answers 45035 to two at once."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import transaction
from django.utils.translation import gettext as _

from org.models import Corp
from scrm.errors import ConflictError, InvalidError
from tagging.models import Tag, TagGroup
from tenants.models import Brand
from wecom.client import WeComClient, client_for
from wecom.errors import WeComRateLimited, WeComRejected
from wecom.services.turns import Busy, turn

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_TAGS = 10_000  # of a corp
GONE = 40068  # WeCom does not know the tag (any more)
CHANGED_ELSEWHERE = 45035
PAUSES_S = (0.4, 0.8, 1.6, 3.2)  # after what the client has tried already
WAIT_S, HOLD_S = 10.0, 60.0


def in_turn(brand: Brand, corp: Corp, act: Callable[[WeComClient], T]) -> T:
    """Make a change in WeCom when nobody of ours is at the same library; tried again while others are.

    Outside of transactions.

    Raises:
        ConflictError: somebody is at it for longer than we wait.
    """
    client = client_for(corp)
    try:
        with turn(brand, "tag_library", str(corp.pk), wait_s=WAIT_S, hold_s=HOLD_S):
            for pause in PAUSES_S:
                try:
                    return act(client)
                except WeComRateLimited as error:
                    if error.errcode != CHANGED_ELSEWHERE:
                        raise
                    log.info(
                        "tag library of corp %s is being changed elsewhere, again in %s s", corp.pk, pause
                    )
                    time.sleep(pause)
            return act(client)
    except Busy as error:
        raise ConflictError(
            _("Somebody else is changing the tags of this company. Try again in a moment.")
        ) from error


def change(brand: Brand, item: Tag | TagGroup, act: Callable[[WeComClient], None]) -> None:
    """Make a change of one tag or group in WeCom if it is WeCom's; one that is gone there counts as changed."""
    if not item.wecom_id:
        return
    try:
        in_turn(brand, corp_of(item), act)
    except WeComRejected as error:
        if error.errcode != GONE:
            raise


def corp_of(item: Tag | TagGroup) -> Corp:
    with transaction.atomic():
        group = item.group if isinstance(item, Tag) else item
        return Corp.objects.get(taggroup=group)


def check_room(corp: Corp, n: int) -> None:
    """Before WeCom is asked for `n` more tags.

    Raises:
        InvalidError: the corp has as many as WeCom allows.
    """
    with transaction.atomic():
        there = Tag.objects.filter(group__corp=corp, deleted_at=None).count()
    if there + n > MAX_TAGS:
        text = _("WeCom allows %(most)s tags; there are %(there)s already") % {
            "most": MAX_TAGS,
            "there": there,
        }
        raise InvalidError(text, fields={"names": text})
