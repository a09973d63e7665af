"""WeCom's events in words for people."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

WORDS: dict[tuple[str, str], Promise] = {
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
    ("customer_acquisition", "balance_low"): _("Acquisition links: the balance runs short"),
    ("customer_acquisition", "balance_exhausted"): _("Acquisition links: the balance is used up"),
    ("customer_acquisition", "balance_increased"): _("Acquisition links: the balance has grown"),
    ("customer_acquisition", "quota_expire_soon"): _("Acquisition links: a part of the balance ends soon"),
    ("customer_acquisition", "link_unavailable"): _("Acquisition link does not work"),
    ("customer_acquisition", "delete_link"): _("Acquisition link deleted"),
    ("customer_acquisition", "customer_start_chat"): _("Customer of a link wrote first"),
    ("customer_acquisition", "open_profile"): _("Somebody opened an acquisition link"),
    ("customer_acquisition", "friend_request"): _("Somebody asked through an acquisition link"),
    ("customer_acquisition", "message_from_customer"): _("Customer of a link wrote"),
    ("customer_acquisition", "del_follow_user"): _("Customer of a link deleted a guide"),
    ("change_contact", "update_tag"): _("Tags of members changed"),
    ("inactive_alert", ""): _("WeCom warns that the app is hardly used"),
    ("low_active_alert", ""): _("WeCom warns that the app is hardly used"),
    ("close_inactive_agent", ""): _("WeCom put the app to sleep"),
    ("low_active", ""): _("WeCom put the app to sleep"),
    ("reopen_inactive_agent", ""): _("WeCom started the app again"),
    ("active_restored", ""): _("WeCom started the app again"),
    ("enter_agent", ""): _("Member opened the app"),
    ("subscribe", ""): _("Member may use the app"),
    ("unsubscribe", ""): _("Member may not use the app any more"),
    ("batch_job_result", ""): _("A job in WeCom has ended"),
    ("upload_media_job_finish", ""): _("An upload has ended"),
    ("click", ""): _("Member used the app's menu"),
    ("view", ""): _("Member used the app's menu"),
    ("template_card_event", ""): _("Member answered a card"),
    ("template_card_menu_event", ""): _("Member answered a card"),
    ("LOCATION", ""): _("Member told where they are"),
    ("location_select", ""): _("Member told where they are"),
    **{
        (kind, ""): _("Member wrote to the app")
        for kind in ("text", "image", "voice", "video", "location", "link")
    },
    **{
        (kind, ""): _("Member used the camera of the app's menu")
        for kind in ("scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin")
    },
}


def label_of(event: str, change_type: str) -> str:
    """Words for an event; WeCom's own name where we have none."""
    words = WORDS.get((event, change_type))
    return str(words) if words else " · ".join(part for part in (event, change_type) if part)
