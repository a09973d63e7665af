"""敏感词 at WeCom: rules are made, changed and deleted in WeCom first and kept here afterwards, so these functions are
called outside of transactions. An app sees and changes only the rules that it made.

Source: developer.work.weixin.qq.com/document/path/95097
"""

from django.db import transaction
from django.utils.translation import gettext as _

from content.models import InterceptRule
from content.services.intercept_input import FIELDS, RuleInput, check, fill, known_range
from content.services.intercept_reading import as_input, spelling
from org import audit
from org.access import Actor
from org.models import Corp
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand
from wecom.api import intercept_rules as api
from wecom.client import WeComClient, client_for
from wecom.errors import LostAnswer, WeComRejected

MAX_RULES = 100  # WeCom's


def get_rule(rule_pk: int) -> InterceptRule:
    """Raises NotFoundError: none, or another brand's."""
    row = InterceptRule.objects.select_related("corp").filter(pk=rule_pk).first()
    if row is None:
        raise NotFoundError()
    return row


def create_rule(brand: Brand, *, by: Actor, corp: Corp, given: RuleInput) -> InterceptRule:
    """A new rule in WeCom.

    Raises:
        InvalidError: with `fields`. WeComError: as the client does; nothing is kept then.
    """
    with transaction.atomic():
        check(given, corp)
        rows = InterceptRule.objects.filter(corp=corp)
        if rows.count() >= MAX_RULES:
            raise InvalidError(_("WeCom keeps at most %(n)d rules of a company") % {"n": MAX_RULES})
        known = set(rows.values_list("rule_id", flat=True))
    client = client_for(corp)
    try:
        rule_id = api.add_rule(
            client, name=given.name, words=given.words, act=given.act, userids=given.userids,  # type: ignore[arg-type]
            department_ids=given.department_ids, semantics=given.semantics,  # type: ignore[arg-type]
        )  # fmt: skip
    except LostAnswer:
        rule_id = _made(client, given.name, known)
        if not rule_id:
            raise
    with transaction.atomic():
        row = InterceptRule.objects.filter(corp=corp, rule_id=rule_id).first()  # a reading was quicker
        row = row or InterceptRule(corp=corp, rule_id=rule_id)
        fill(row, given)
        row.made_at = row.changed_at = clock.now()
        row.changed_by = by.name
        row.save()
        audit.record(by, "intercept.create", row, name=row.name, after=audit.snapshot(row, FIELDS))
    return row


def _made(client: WeComClient, name: str, known: set[str]) -> str:
    """The rule of that name that was not there before: its answer was lost."""
    ids = [row["rule_id"] for row in api.rules(client) if row.get("rule_name") == name]
    return next((rule_id for rule_id in ids if rule_id not in known), "")


def edit_rule(brand: Brand, *, by: Actor, rule_pk: int, given: RuleInput) -> InterceptRule:
    """Change a rule in WeCom. Members and departments of it that we do not know stay in it.

    Raises:
        InvalidError: with `fields`. ConflictError: it is not there any more. WeComError: as the client does.
    """
    with transaction.atomic():
        row = get_rule(rule_pk)
        there = known_range(row.corp)
        before = audit.snapshot(row, FIELDS)
    client = client_for(row.corp)
    there_now = _there(client, row)  # the range grows and shrinks: from what WeCom has at this moment
    now, spelt = as_input(there_now), spelling(there_now)
    users = {*given.userids, *(set(now.userids) - there[0])}
    departments = {*given.department_ids, *(set(now.department_ids) - there[1])}
    given = RuleInput(given.name, given.words, given.act, given.semantics, sorted(users), sorted(departments))
    with transaction.atomic():
        check(given, row.corp, row)
    api.update_rule(
        client,
        row.rule_id,
        name=given.name,
        words=given.words,
        act=given.act,  # type: ignore[arg-type]
        semantics=given.semantics,  # type: ignore[arg-type]
        add=_range(users - set(now.userids), departments - set(now.department_ids)),
        remove=_range(
            {spelt[userid] for userid in set(now.userids) - users}, set(now.department_ids) - departments
        ),
    )
    with transaction.atomic():
        row = get_rule(rule_pk)
        fill(row, given)
        row.changed_by, row.changed_at = by.name, clock.now()
        row.save()
        after = audit.snapshot(row, FIELDS)
        audit.record(by, "intercept.edit", row, name=row.name, before=before, after=after)
    return row


def _range(userids: set[str], departments: set[int]) -> api.RuleRange | None:
    found: api.RuleRange = {}
    if userids:
        found["user_list"] = sorted(userids)
    if departments:
        found["department_list"] = sorted(departments)
    return found or None


def delete_rule(brand: Brand, *, by: Actor, rule_pk: int) -> None:
    """Delete a rule in WeCom; one that is gone already is deleted here. Raises WeComError as the client does."""
    with transaction.atomic():
        row = get_rule(rule_pk)
    client = client_for(row.corp)
    try:
        api.delete_rule(client, row.rule_id)
    except WeComRejected:
        if _is_there(client, row):
            raise
    with transaction.atomic():
        audit.record(by, "intercept.delete", row, name=row.name, before=audit.snapshot(row, FIELDS))
        row.delete()


def _there(client: WeComClient, row: InterceptRule) -> api.Rule:
    try:
        return api.rule(client, row.rule_id)
    except WeComRejected:
        if _is_there(client, row):
            raise
    with transaction.atomic():
        InterceptRule.objects.filter(pk=row.pk).delete()
    raise ConflictError(_("“%(name)s” was deleted in WeCom meanwhile") % {"name": row.name})


def _is_there(client: WeComClient, row: InterceptRule) -> bool:
    return row.rule_id in {one.get("rule_id") for one in api.rules(client)}
