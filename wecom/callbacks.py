"""What happens with each event of WeCom: one table of dotted paths, because the functions live in apps above
this one.

A handler is `handler(brand, corp, payload, event) -> None`: `payload` is the decrypted event with WeCom's own
names (a missing element and an empty one mean the same), `event` the inbox row. It runs in the brand's scope
without a transaction, opens short ones itself, and must be safe to repeat: the same event comes again after a
crash, and events come late and out of order (`event.happened_at` is the time of the fact).

What it raises decides what follows: `WeComRejected` (not Forbidden) ends the event as dead, everything else
    is
tried again with growing pauses (wecom/services/inbox.py).

Source: developer.work.weixin.qq.com/document/path/92130, 90970, 90971
"""

_CONTACT = "change_external_contact"
_CHAT = "change_external_chat"
_TAG = "change_external_tag"
_LINKS = "customer_acquisition"
_MEMBERS = "change_contact"

HANDLERS: dict[tuple[str, str], str] = {
    (_CONTACT, "add_external_contact"): "livecodes.services.arrival.on_contact_added",
    (_CONTACT, "add_half_external_contact"): "livecodes.services.arrival.on_half_added",
    (_CONTACT, "edit_external_contact"): "contacts.services.edits.on_contact_edited",
    (_CONTACT, "del_external_contact"): "livecodes.services.arrival.on_deleted_by_staff",
    (_CONTACT, "del_follow_user"): "livecodes.services.arrival.on_deleted_by_customer",
    (_CONTACT, "msg_audit_approved"): "livecodes.services.consent.on_consent",
    (_CONTACT, "transfer_fail"): "handover.services.results.on_transfer_fail",
    (_CHAT, "create"): "groups.services.events.on_chat_created",
    (_CHAT, "update"): "groups.services.events.on_chat_changed",
    (_CHAT, "dismiss"): "groups.services.events.on_chat_dismissed",
    (_LINKS, "balance_low"): "livecodes.services.quota.on_balance_changed",
    (_LINKS, "balance_exhausted"): "livecodes.services.quota.on_balance_changed",
    (_LINKS, "balance_increased"): "livecodes.services.quota.on_balance_changed",
    (_LINKS, "quota_expire_soon"): "livecodes.services.quota.on_quota_expires",
    (_LINKS, "link_unavailable"): "livecodes.services.links.on_link_trouble",
    (_LINKS, "delete_link"): "livecodes.services.links.on_link_trouble",
    (_LINKS, "customer_start_chat"): "livecodes.services.links.on_customer_wrote",
    (_TAG, "create"): "tagging.services.tags.tags.on_tag_changed",
    (_TAG, "update"): "tagging.services.tags.tags.on_tag_changed",
    (_TAG, "delete"): "tagging.services.tags.tags.on_tag_changed",
    (_TAG, "shuffle"): "tagging.services.tags.tags.on_tag_changed",
    (_MEMBERS, "create_user"): "wecom.services.staff_sync.on_member_changed",
    (_MEMBERS, "update_user"): "wecom.services.staff_sync.on_member_changed",
    (_MEMBERS, "delete_user"): "handover.services.leavers.on_member_deleted",
    **{
        (event, ""): "wecom.services.dormancy.on_app_dormant"
        for event in (
            "inactive_alert",
            "low_active_alert",
            "close_inactive_agent",
            "low_active",
            "reopen_inactive_agent",
            "active_restored",
        )
    },
    (_MEMBERS, "create_party"): "wecom.services.staff_sync.on_department_changed",
    (_MEMBERS, "update_party"): "wecom.services.staff_sync.on_department_changed",
    (_MEMBERS, "delete_party"): "wecom.services.staff_sync.on_department_changed",
}

# Known, and nothing to do: what comes again as an event of the customer contact (an adding, a loss), or says
# less than the figures that are read daily; the rest is for the app's own menu. They are stored all the same
# and can be replayed once a handler is there.
_ACQUISITION = "open_profile friend_request message_from_customer del_follow_user"
_APP = """
    subscribe unsubscribe enter_agent click view LOCATION location_select scancode_push scancode_waitmsg pic_sysphoto
    pic_photo_or_album pic_weixin batch_job_result template_card_event template_card_menu_event upload_media_job_finish
    text image voice video location link
"""
VERIFY = ("verify_url", "")  # our own word for WeCom's check of the callback address
NOTED: frozenset[tuple[str, str]] = frozenset(
    {
        VERIFY,
        (_MEMBERS, "update_tag"),
        *((_LINKS, change) for change in _ACQUISITION.split()),
        *((event, "") for event in _APP.split()),
    }
)
