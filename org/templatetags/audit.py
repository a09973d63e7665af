"""Audit entries in words: what was done to what, and which values changed (`{% load audit %}`)."""

from typing import Any

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from org.access import RIGHTS
from org.models import AuditEntry

register = template.Library()

OBJECTS: dict[str, Any] = {
    "api_key": lazy("API key"),
    "brand": lazy("Brand"),
    "code": lazy("Channel code"),
    "computedtag": lazy("Computed tag"),
    "contact": lazy("Contact"),
    "corp": lazy("WeCom corp"),
    "enrolment": lazy("Enrolment"),
    "event": lazy("Callback event"),
    "inbox": lazy("Inbox"),
    "job": lazy("Job"),
    "policy": lazy("Cap of touches"),
    "field": lazy("Custom field"),
    "product": lazy("Product"),
    "stage": lazy("Stage"),
    "behaviour_kind": lazy("Kind of behaviour"),
    "region": lazy("Region"),
    "role": lazy("Role"),
    "sop": lazy("SOP"),
    "staff": lazy("Staff"),
    "store": lazy("Store"),
    "sync": lazy("Sync"),
    "stafftask": lazy("Task"),
    "tag": lazy("Tag"),
    "tag_act": lazy("Act on tags"),
    "tag_group": lazy("Tag group"),
    "tag_rule": lazy("Automatic rule"),
    "task": lazy("Task"),
    "tagact": lazy("Act on tags"),
    "taggroup": lazy("Tag group"),
    "tagrule": lazy("Automatic rule"),
    "touch_policy": lazy("Cap of touches"),
    "view": lazy("Saved view"),
    "waiting_tag": lazy("Waiting tag"),
    "welcome": lazy("Welcome message"),
}
VERBS: dict[str, Any] = {
    "give": lazy("given"),
    "reassign": lazy("given to somebody else"),
    "reopen": lazy("opened again"),
    "add": lazy("added"),
    "add_login": lazy("given a log-in"),
    "archive": lazy("archived"),
    "bulk_tag": lazy("tags added to many"),
    "bulk_untag": lazy("tags removed from many"),
    "cancel": lazy("cancelled"),
    "check": lazy("checked"),
    "connect": lazy("connected"),
    "create": lazy("created"),
    "delete": lazy("deleted"),
    "delete_group": lazy("deleted"),
    "disconnect": lazy("disconnected"),
    "drop": lazy("taken off the list"),
    "edit": lazy("changed"),
    "end": lazy("ended"),
    "enrol": lazy("people enrolled"),
    "merge": lazy("merged"),
    "move": lazy("put in order"),
    "off": lazy("switched off"),
    "on": lazy("switched on"),
    "pause": lazy("paused"),
    "recolor": lazy("given another colour"),
    "remove": lazy("removed"),
    "remove_login": lazy("lost the log-in"),
    "rename": lazy("renamed"),
    "replay": lazy("handled again"),
    "reset_password": lazy("given a new password"),
    "restore": lazy("brought back"),
    "resume": lazy("continued"),
    "revoke": lazy("revoked"),
    "run": lazy("run"),
    "start": lazy("started"),
    "state": lazy("state changed"),
    "tag": lazy("tags added"),
    "unarchive": lazy("offered again"),
    "undo": lazy("taken back"),
    "unlock": lazy("unlocked"),
    "untag": lazy("tags removed"),
}
PAGES = {
    "staff": "/staff/{}/",
    "role": "/staff/roles/{}/",
    "contact": "/contacts/{}/",
    "channelcode": "/codes/{}/",
    "sop": "/sops/{}/",
}


@register.filter
def action_words(action: str) -> str:
    """`role.edit` → 'Role changed'; an unknown action is shown as it is."""
    thing, _dot, verb = action.partition(".")
    if thing in OBJECTS and verb in VERBS:
        return _("%(thing)s %(done)s") % {"thing": OBJECTS[thing], "done": VERBS[verb]}
    return action


@register.filter
def audit_url(entry: AuditEntry) -> str:
    """The page of the row concerned, if it has one; the row may be gone since."""
    pattern = PAGES.get(entry.object_type)
    return (
        pattern.format(entry.object_id)
        if pattern and entry.object_id and ".delete" not in entry.action
        else ""
    )


@register.filter
def changes(entry: AuditEntry) -> list[dict[str, Any]]:
    """Rows {name, old, new} of an entry; of two lists only what came and what went."""
    before, after = entry.before, entry.after
    rows = []
    for name in [*after, *(k for k in before if k not in after)]:
        old, new = before.get(name), after.get(name)
        if isinstance(old, list) and isinstance(new, list):
            old, new = [v for v in old if v not in new], [v for v in new if v not in old]
        rows.append({"name": FIELDS.get(name, name), "old": _text(old), "new": _text(new)})
    return rows


FIELDS: dict[str, Any] = {
    "code": lazy("Number"),
    "cost_fen": lazy("Cost (fen)"),
    "name": lazy("Name"),
    "field": lazy("Custom field"),
    "product": lazy("Product"),
    "stage": lazy("Stage"),
    "behaviour_kind": lazy("Kind of behaviour"),
    "region": lazy("Region"),
    "rights": lazy("Rights"),
    "role": lazy("Role"),
    "scope": lazy("Data scope"),
    "state": lazy("State"),
    "store": lazy("Store"),
    "text": lazy("Text"),
    "timezone": lazy("Time zone"),
    "username": lazy("User name"),
    "wrong_tries": lazy("Wrong passwords"),
}


def _text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return _(", ").join(_text(v) for v in value)
    if isinstance(value, dict):
        return _(", ").join(f"{k}: {_text(v)}" for k, v in value.items())
    return str(RIGHTS.get(value, value)) if isinstance(value, str) else str(value)
