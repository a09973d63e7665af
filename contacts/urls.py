"""Addresses of this app."""

from django.urls import path

from contacts.views import bulk, detail, lists, merges, own, profile, sync

urlpatterns = [
    path("contacts/", lists.contact_list, name="contacts"),
    path("contacts/count/", lists.contact_count, name="contacts_count"),
    path("contacts/filters/", lists.contact_filters, name="contacts_filters"),
    path("contacts/columns/", lists.contact_columns, name="contacts_columns"),
    path("contacts/views/new/", lists.view_new, name="contacts_view_new"),
    path("contacts/views/<int:view_id>/delete/", lists.view_delete, name="contacts_view_delete"),
    path("contacts/bulk/<slug:act>/", bulk.bulk_act, name="contacts_bulk"),
    path("contacts/<int:contact_id>/", detail.contact_detail, name="contact"),
    path("contacts/<int:contact_id>/timeline/", detail.contact_timeline, name="contact_timeline"),
    path("contacts/<int:contact_id>/notes/", detail.contact_note, name="contact_note"),
    path("contacts/<int:contact_id>/do-not-contact/", detail.contact_do_not_contact, name="contact_dnc"),
    path("contacts/<int:contact_id>/tags/", detail.contact_tags, name="contact_tags"),
    path(
        "contacts/<int:contact_id>/tags/<int:tag_id>/remove/",
        detail.contact_tag_remove,
        name="contact_tag_remove",
    ),
    path("contacts/<int:contact_id>/join/", merges.contact_join, name="contact_join"),
    path("contacts/<int:contact_id>/joined/<int:merge_id>/", merges.contact_part, name="contact_part"),
    path("contacts/<int:contact_id>/fields/", profile.contact_fields, name="contact_fields"),
    path("contacts/<int:contact_id>/stage/", profile.contact_stage, name="contact_stage"),
    path("contacts/<int:contact_id>/reminders/new/", profile.reminder_new, name="reminder_new"),
    path("reminders/", profile.reminder_list, name="reminders"),
    path("reminders/<int:reminder_id>/<slug:act>/", profile.reminder_act, name="reminder_act"),
    path("fields/", own.own_page, name="own_page"),
    path("fields/<slug:what>/new/", own.own_new, name="own_new"),
    path("fields/<slug:what>/<int:row_id>/", own.own_edit, name="own_edit"),
    path("fields/<slug:what>/<int:row_id>/<slug:act>/", own.own_act, name="own_act"),
    path("sync/", sync.sync_page, name="sync"),
    path("sync/start/", sync.sync_start, name="sync_start"),
]
