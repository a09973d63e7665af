"""Addresses of this app."""

from django.urls import path, re_path

from tagging.views import acts, computed, conditions, files, library, removing, rules, segments, value

_ITEM = r"^tags/(?P<kind>tag|group)/(?P<item_id>\d{1,18})"

urlpatterns = [
    path("tags/", library.tag_list, name="tags"),
    path("tags/sync/", library.sync, name="tags_sync"),
    path("tags/order/", library.order, name="tags_order"),
    path("tags/groups/new/", library.group_new, name="tag_group_new"),
    path("tags/groups/<int:group_id>/", library.group_body, name="tag_group"),
    path("tags/groups/<int:group_id>/new/", library.tags_new, name="tags_new"),
    re_path(f"{_ITEM}/edit/$", library.edit, name="tag_edit"),
    re_path(f"{_ITEM}/delete/$", removing.delete, name="tag_delete"),
    re_path(f"{_ITEM}/restore/$", removing.restore, name="tag_restore"),
    path("tags/tag/<int:item_id>/merge/", removing.merge, name="tag_merge"),
    re_path(
        r"^tags/tag/(?P<item_id>\d{1,18})/(?P<way>archive|unarchive)/$", library.archive, name="tag_archive"
    ),
    path("tags/import/", files.library_import, name="tags_import"),
    path("tags/import/start/", files.library_import_start, name="tags_import_start"),
    path("tags/import/<int:job_id>/", files.library_import_job, name="tags_import_job"),
    path("tags/list/", files.list_new, name="tag_list_new"),
    path("tags/list/start/", files.list_start, name="tag_list_start"),
    path("tags/rules/", rules.rule_list, name="tag_rules"),
    path("tags/rules/new/", rules.rule_new, name="tag_rule_new"),
    path("tags/rules/parts/", rules.rule_parts, name="tag_rule_parts"),
    path("tags/rules/look/", rules.rule_look, name="tag_rule_look"),
    path("tags/rules/order/", rules.rule_order, name="tag_rule_order"),
    path("tags/rules/<int:rule_id>/", rules.rule_detail, name="tag_rule"),
    path("tags/rules/<int:rule_id>/edit/", rules.rule_edit, name="tag_rule_edit"),
    path("tags/rules/<int:rule_id>/on/", rules.rule_on, name="tag_rule_on"),
    re_path(
        r"^tags/rules/(?P<rule_id>\d{1,18})/(?P<act>off|run|again|delete)/$",
        rules.rule_act,
        name="tag_rule_act",
    ),
    path("tags/computed/", computed.computed_list, name="tags_computed"),
    path("tags/computed/new/", computed.computed_edit, name="tags_computed_new"),
    path("tags/computed/<int:row_id>/", computed.computed_edit, name="tags_computed_edit"),
    re_path(
        r"^tags/computed/(?P<row_id>\d{1,18})/(?P<act>on|off|delete)/$",
        computed.computed_act,
        name="tags_computed_act",
    ),
    path("tags/history/", acts.history, name="tag_acts"),
    path("tags/history/<int:act_id>/", files.act_page, name="tag_act"),
    path("tags/history/<int:act_id>/undo/", acts.undo, name="tag_act_undo"),
    path("segments/", segments.segment_list, name="segments"),
    path("segments/new/", segments.segment_edit, name="segment_new"),
    path("segments/builder/", conditions.meta, name="condition_meta"),
    path("segments/count/", conditions.count, name="segment_count"),
    path("segments/choices/", conditions.choices, name="segment_choices"),
    path("segments/<int:segment_id>/", segments.segment_detail, name="segment"),
    path("segments/<int:segment_id>/edit/", segments.segment_edit, name="segment_edit"),
    path("segments/<int:segment_id>/tag/", segments.segment_tag, name="segment_tag"),
    path("segments/<int:segment_id>/why/", segments.segment_why, name="segment_why"),
    re_path(
        r"^segments/(?P<segment_id>\d{1,18})/(?P<act>count|freeze|delete)/$",
        segments.segment_act,
        name="segment_act",
    ),
    path("value/", value.overview, name="value"),
    path("value/people/", value.people, name="value_people"),
    path("value/next/", value.next_orders, name="value_next"),
    path("value/lifecycle/", value.lifecycle_page, name="value_lifecycle"),
    path("value/lookalike/", value.lookalike_page, name="value_lookalike"),
    path("value/settings/", value.settings, name="value_settings"),
    path("value/stages/", value.stages, name="value_stages"),
    path("tags/waiting/", acts.waiting_list, name="tags_waiting"),
    path("tags/waiting/drop/", acts.waiting_drop, name="tags_waiting_drop"),
]
