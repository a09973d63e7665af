"""The groups of a reconciliation, step by step: those that the lists of their owners show, then those that none shows."""

import logging
from collections.abc import Sequence
from contextlib import suppress

from django.db import transaction

from drift.services import chats
from drift.services.group_codes import compare_group_codes, repair
from drift.services.work import Work
from groups.models import GroupChat
from groups.services.owners import are_through, go_round, next_owners
from groups.services.reading import Reading, list_groups
from groups.services.sync import read_groups
from org.access import SYSTEM
from scrm.errors import ConflictError, NotFoundError
from wecom.errors import WeComRejected

log = logging.getLogger(__name__)

GROUPS, CODES = 100, 50  # per step


def compare_groups(work: Work) -> None:
    """A page of the groups of some owners, with who is in them; at the end those that nobody's list has shown. An app
    that may not see groups compares the rest."""
    run, at = work.run, work.run.at
    if "groups" not in at:
        at["groups"] = {"after": 0, "cursor": ""}
        if not chats.are_mirrored(run.brand, run.corp):
            return _without(work, "")
    place = at["groups"]
    owners = {} if "unseen" in place else next_owners(run.corp, place)
    if not owners:
        return _unlisted(work)
    try:
        page = list_groups(run.client, list(owners.values()), place["cursor"], GROUPS)
        states = {
            str(row["chat_id"]): row.get("status", 0) for row in page["group_chat_list"] if row.get("chat_id")
        }
        readings = read_groups(run.corp, states)
    except WeComRejected as error:
        if not go_round(run.corp, place, owners, error):
            return _without(work, str(error))
        with transaction.atomic():
            return run.save()
    place["cursor"] = page["next_cursor"]
    if not place["cursor"]:
        are_through(place, owners)
    return _compare(work, readings)


def _unlisted(work: Work) -> None:
    run, place = work.run, work.run.at["groups"]
    with transaction.atomic():
        live = GroupChat.objects.live().filter(corp=run.corp, pk__gt=place.get("unseen", 0))
        rows = list(live.exclude(synced_in=run.job.pk).order_by("pk").values_list("pk", "chat_id")[:GROUPS])
    if not rows:
        return _codes(work)
    place["unseen"] = rows[-1][0]
    try:
        readings = read_groups(run.corp, {chat_id: None for _pk, chat_id in rows})
    except WeComRejected as error:
        return _without(work, str(error))
    return _compare(work, readings)


def _codes(work: Work) -> None:
    """Group codes beside their join ways; of what differs, codes that were changed are rewritten."""
    run, place = work.run, work.run.at["groups"]
    try:
        found, last = compare_group_codes(run.corp, run.client, after=place.get("code", 0), limit=CODES)
    except WeComRejected as error:
        return _without(work, str(error))
    with transaction.atomic():
        repaired = []
        for new in work.auto_of(found):
            with suppress(NotFoundError, ConflictError):  # deleted here meanwhile
                if new.kind == "group_code_differs":
                    repair(run.brand, new.kind, new.object_id or 0, SYSTEM)
                    repaired.append(new)
        work.note(found, repaired)
        place["code"] = last
        return run.save() if last is not None else run.next("gone")


def _compare(work: Work, readings: Sequence[Reading]) -> None:
    run = work.run

    def act() -> None:
        found = chats.compare(run.corp, readings)
        repaired = chats.follow(run.brand, run.corp, readings, found, work.auto, job_id=run.job.pk)
        work.note([new for own in found.values() for new in own], repaired)
        work.leave(chats.KINDS, [reading.chat_id for reading in readings if reading.chat_id not in found])
        run.save(result=work.compared(len(readings)))

    work.write(act)


def _without(work: Work, why: str) -> None:
    """Groups are left out of this run: they were never read, or WeCom does not show them."""
    run = work.run
    run.at["blind"] = "groups"
    with transaction.atomic():
        if why:
            log.warning("reconciliation %s without groups: %s", run.job.pk, why)
            work.drift_run.note = why[:300]
            work.drift_run.save(update_fields=["note"])
        run.next("gone")
