"""WeCom's events in words for people."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_WORDS: dict[tuple[str, str], Promise] = {
    ("verify_url", ""): _("Address checked by WeCom"),
    ("change_external_contact", "add_external_contact"): _("Customer added a guide"),
    ("change_external_contact", "add_half_external_contact"): _("Customer asked to be added"),
    ("change_external_contact", "edit_external_contact"): _("Guide edited a customer"),
    ("change_external_contact", "del_external_contact"): _("Guide deleted a customer"),
    ("change_external_contact", "del_follow_user"): _("Customer deleted a guide"),
    ("change_external_contact", "transfer_fail"): _("Hand-over refused"),
    ("change_external_contact", "msg_audit_approved"): _("Customer agreed to archiving"),
    ("change_external_tag", "create"): _("Tag made"),
    ("change_external_tag", "update"): _("Tag changed"),
    ("change_external_tag", "delete"): _("Tag deleted"),
    ("change_external_tag", "shuffle"): _("Tags put in order"),
    ("change_contact", "create_user"): _("Member joined"),
    ("change_contact", "update_user"): _("Member changed"),
    ("change_contact", "delete_user"): _("Member left"),
    ("change_contact", "create_party"): _("Department made"),
    ("change_contact", "update_party"): _("Department changed"),
    ("change_contact", "delete_party"): _("Department deleted"),
    ("change_external_chat", "create"): _("Group chat made"),
    ("change_external_chat", "update"): _("Group chat changed"),
    ("change_external_chat", "dismiss"): _("Group chat dissolved"),
}


def label_of(event: str, change_type: str) -> str:
    """Words for an event; WeCom's own name where we have none."""
    words = _WORDS.get((event, change_type))
    return str(words) if words else " · ".join(part for part in (event, change_type) if part)
