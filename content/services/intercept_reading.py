"""WeCom's own rules against words (敏感词), read and kept: ours agree with WeCom's after each reading.

Source: developer.work.weixin.qq.com/document/path/95097
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from content.models import InterceptReading, InterceptRule
from content.services.intercept_input import FIELDS, RuleInput, fill
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from wecom.api import intercept_rules as api
from wecom.client import client_for
from wecom.errors import WeComError, WeComRejected

STALE = timedelta(hours=1)


def stale(corps: Iterable[Corp]) -> list[Corp]:
    """Corps whose rules were not read for an hour, in the caller's transaction."""
    fresh = set(
        InterceptReading.objects.filter(read_at__gt=clock.now() - STALE).values_list("corp_id", flat=True)
    )
    return [corp for corp in corps if corp.pk not in fresh]


def read(brand: Brand, corp: Corp) -> str:
    """Make ours agree with WeCom; gives why that could not be done, empty when it was."""
    client, error = client_for(corp), ""
    found: list[api.Rule] = []
    try:
        listed = {row["rule_id"]: row for row in api.rules(client) if row.get("rule_id")}
        for rule_id, row in listed.items():
            try:
                found.append({**row, **api.rule(client, rule_id), "rule_id": rule_id})  # type: ignore[typeddict-unknown-key]
            except WeComRejected:
                if rule_id in {one.get("rule_id") for one in api.rules(client)}:
                    raise  # else it was deleted between the two calls
    except WeComError as problem:
        error = str(problem)[:300]
    with transaction.atomic():
        Corp.objects.select_for_update(no_key=True).get(
            pk=corp.pk
        )  # two readings are stored one after the other
        InterceptReading.objects.update_or_create(
            corp=corp, defaults={"read_at": clock.now(), "error": error}
        )
        if not error:
            _store(corp, found)
    return error


def _store(corp: Corp, found: Sequence[Any]) -> None:
    known = {row.rule_id: row for row in InterceptRule.objects.filter(corp=corp)}
    InterceptRule.objects.filter(corp=corp).exclude(rule_id__in=[row["rule_id"] for row in found]).delete()
    new: list[InterceptRule] = []
    changed: list[InterceptRule] = []
    for given in found:
        row = known.get(given["rule_id"]) or InterceptRule(corp=corp, rule_id=given["rule_id"])
        before = [getattr(row, name) for name in FIELDS]
        fill(row, as_input(given))
        if given.get("create_time"):
            row.made_at = datetime.fromtimestamp(int(given["create_time"]), UTC)
        if row.pk is None:
            new.append(row)
        elif before != [getattr(row, name) for name in FIELDS]:
            row.changed_by, row.changed_at = "", clock.now()
            changed.append(row)
    InterceptRule.objects.bulk_create(new)
    InterceptRule.objects.bulk_update(changed, [*FIELDS, "changed_by", "changed_at", "made_at"])


def as_input(given: Any) -> RuleInput:
    where = given.get("applicable_range") or {}
    return RuleInput(
        name=str(given.get("rule_name") or "")[:60],
        words=[str(word)[:64] for word in given.get("word_list") or []],
        act=int(given.get("intercept_type") or InterceptRule.Act.STOP),
        semantics=[int(n) for n in (given.get("extra_rule") or {}).get("semantics_list") or []],
        userids=[str(userid).lower()[:64] for userid in where.get("user_list") or []],
        department_ids=[int(n) for n in where.get("department_list") or []],
    )


def spelling(given: Any) -> dict[str, str]:
    """{userid in small letters: as WeCom spells it}."""
    userids = map(str, (given.get("applicable_range") or {}).get("user_list") or [])
    return {userid.lower()[:64]: userid for userid in userids}
