"""The REST API, version 1: authenticated by a brand's API key."""

from typing import Any

from django.urls import path

from campaigns.alert_api import AlertRuleViewSet, AlertViewSet
from campaigns.api import TouchViewSet
from campaigns.broadcast_api import BroadcastViewSet
from campaigns.calendar_api import CalendarViewSet
from campaigns.enrolment_api import EnrolmentViewSet, SopsOfContactViewSet
from campaigns.graph_api import SopGraphViewSet
from campaigns.moment_api import MomentViewSet
from campaigns.policy_api import NoContactRuleViewSet, PolicyViewSet, WishesViewSet
from campaigns.send_task_api import SendTaskViewSet
from campaigns.sop_api import SopViewSet
from campaigns.sop_request_api import SopRequestViewSet
from campaigns.task_api import TaskViewSet
from campaigns.trial_api import BroadcastTrialViewSet, SopTrialViewSet
from commerce.api import OrderViewSet, ProductViewSet, RefundViewSet
from contacts.api import ContactViewSet
from contacts.api_identities import IdentityViewSet
from contacts.api_profile import BehaviourViewSet, FieldViewSet, StageViewSet, ValueViewSet
from contacts.api_reminders import ReminderViewSet
from contacts.merge_api import MergeViewSet
from content.api import ContentViewSet
from content.intercept_api import InterceptRuleViewSet
from content.link_api import LinkViewSet
from content.poster_api import PosterPictureViewSet, PosterViewSet
from content.trial_api import ContentTrialViewSet
from content.word_api import WordViewSet
from datafiles.api import ExportViewSet, ImportViewSet
from drift.api import DifferenceViewSet, DriftRunViewSet
from groups.api import GroupViewSet
from groups.code_api import GroupCodeViewSet
from guides.api import LeadListViewSet, LeadViewSet
from guides.card_api import CardStyleViewSet, CardViewSet
from handover.api import HandoverViewSet
from livecodes.api import AcquisitionLinkViewSet, ChannelCodeViewSet
from org.api import StaffViewSet, StoreViewSet
from scrm import api_docs
from tagging.kept_api import ComputedTagViewSet, WaitingTagViewSet
from tagging.rule_api import RuleViewSet
from tagging.segment_api import SegmentViewSet
from tagging.tag_api import ContactTagViewSet, TagViewSet
from tagging.value_api import LookalikeViewSet, ValueStandViewSet
from wecom.edge_api import InboxViewSet, JobViewSet, OutboundViewSet

urlpatterns: list[Any] = [
    path("schema/", api_docs.schema, name="api_schema"),
    path("docs/", api_docs.page, name="api_docs"),
    path("contacts/", ContactViewSet.as_view({"get": "list"}), name="api_contacts"),
    path(
        "contacts/<int:pk>/",
        ContactViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_contact",
    ),
    path(
        "contacts/<int:pk>/merges/", MergeViewSet.as_view({"get": "list", "post": "join"}), name="api_merges"
    ),
    path(
        "contacts/<int:pk>/merges/<int:merge_id>/part/",
        MergeViewSet.as_view({"post": "part"}),
        name="api_part",
    ),
    path(
        "contacts/<int:pk>/identities/",
        IdentityViewSet.as_view({"post": "create"}),
        name="api_identities",
    ),
    path(
        "contacts/<int:pk>/wishes/",
        WishesViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_wishes",
    ),
    path(
        "contacts/<int:pk>/sops/", SopsOfContactViewSet.as_view({"get": "list"}), name="api_sops_of_contact"
    ),
    path("staff/", StaffViewSet.as_view({"get": "list"}), name="api_staff"),
    path("staff/<int:pk>/", StaffViewSet.as_view({"get": "retrieve"}), name="api_staff_member"),
    path("stores/", StoreViewSet.as_view({"get": "list"}), name="api_stores"),
    path("fields/", FieldViewSet.as_view({"get": "list"}), name="api_fields"),
    path("stages/", StageViewSet.as_view({"get": "list"}), name="api_stages"),
    path("contact-values/", ValueViewSet.as_view({"post": "create"}), name="api_contact_values"),
    path("behaviour/", BehaviourViewSet.as_view({"get": "list", "post": "create"}), name="api_behaviour"),
    path("products/", ProductViewSet.as_view({"get": "list", "post": "create"}), name="api_products"),
    path("products/<int:pk>/", ProductViewSet.as_view({"get": "retrieve"}), name="api_product"),
    path("orders/", OrderViewSet.as_view({"get": "list", "post": "create"}), name="api_orders"),
    path("orders/<int:pk>/", OrderViewSet.as_view({"get": "retrieve"}), name="api_order"),
    path("refunds/", RefundViewSet.as_view({"get": "list", "post": "create"}), name="api_refunds"),
    path("group-codes/", GroupCodeViewSet.as_view({"get": "list", "post": "create"}), name="api_group_codes"),
    path(
        "group-codes/<int:pk>/",
        GroupCodeViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_group_code",
    ),
    path(
        "channel-codes/",
        ChannelCodeViewSet.as_view({"get": "list", "post": "create"}),
        name="api_channel_codes",
    ),
    path(
        "channel-codes/<int:pk>/",
        ChannelCodeViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_channel_code",
    ),
    path(
        "channel-codes/<int:pk>/figures/",
        ChannelCodeViewSet.as_view({"get": "report"}),
        name="api_channel_code_figures",
    ),
    path(
        "channel-codes/<int:pk>/retry/",
        ChannelCodeViewSet.as_view({"post": "retry"}),
        name="api_channel_code_retry",
    ),
    path(
        "channel-codes/<int:pk>/remake/",
        ChannelCodeViewSet.as_view({"post": "remake"}),
        name="api_channel_code_remake",
    ),
    path(
        "acquisition-links/",
        AcquisitionLinkViewSet.as_view({"get": "list", "post": "create"}),
        name="api_acquisition_links",
    ),
    path(
        "acquisition-links/<int:pk>/",
        AcquisitionLinkViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_acquisition_link",
    ),
    path(
        "acquisition-links/<int:pk>/figures/",
        AcquisitionLinkViewSet.as_view({"get": "report"}),
        name="api_acquisition_link_figures",
    ),
    path(
        "acquisition-links/<int:pk>/retry/",
        AcquisitionLinkViewSet.as_view({"post": "retry"}),
        name="api_acquisition_link_retry",
    ),
    path(
        "acquisition-links/<int:pk>/remake/",
        AcquisitionLinkViewSet.as_view({"post": "remake"}),
        name="api_acquisition_link_remake",
    ),
    path(
        "acquisition-links/read/",
        AcquisitionLinkViewSet.as_view({"post": "read"}),
        name="api_acquisition_links_read",
    ),
    path(
        "acquisition-links/quota/",
        AcquisitionLinkViewSet.as_view({"get": "quota"}),
        name="api_acquisition_quota",
    ),
    path(
        "acquisition-links/<int:pk>/customers/",
        AcquisitionLinkViewSet.as_view({"get": "customers"}),
        name="api_acquisition_link_customers",
    ),
    path("groups/", GroupViewSet.as_view({"get": "list"}), name="api_groups"),
    path("groups/<int:pk>/", GroupViewSet.as_view({"get": "retrieve"}), name="api_group"),
    path("groups/<int:pk>/members/", GroupViewSet.as_view({"get": "members"}), name="api_group_members"),
    path("handovers/", HandoverViewSet.as_view({"get": "list"}), name="api_handovers"),
    path("handovers/<int:pk>/", HandoverViewSet.as_view({"get": "retrieve"}), name="api_handover"),
    path("handovers/<int:pk>/items/", HandoverViewSet.as_view({"get": "items"}), name="api_handover_items"),
    path("tags/", TagViewSet.as_view({"get": "list", "post": "create"}), name="api_tags"),
    path(
        "tags/<int:pk>/",
        TagViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="api_tag",
    ),
    path("tags/<int:pk>/restore/", TagViewSet.as_view({"post": "restore"}), name="api_tag_restore"),
    path(
        "contacts/<int:pk>/tags/", ContactTagViewSet.as_view({"get": "retrieve"}), name="api_tags_of_contact"
    ),
    path("contact-tags/", ContactTagViewSet.as_view({"post": "create"}), name="api_contact_tags"),
    path("tag-acts/<int:pk>/undo/", ContactTagViewSet.as_view({"post": "undo"}), name="api_tag_act_undo"),
    path("computed-tags/", ComputedTagViewSet.as_view({"get": "list"}), name="api_computed_tags"),
    path("computed-tags/<int:pk>/", ComputedTagViewSet.as_view({"get": "retrieve"}), name="api_computed_tag"),
    path("waiting-tags/", WaitingTagViewSet.as_view({"get": "list"}), name="api_waiting_tags"),
    path("tag-rules/", RuleViewSet.as_view({"get": "list", "post": "create"}), name="api_tag_rules"),
    path("tag-rules/events/", RuleViewSet.as_view({"get": "events"}), name="api_tag_rule_events"),
    path("tag-rules/preview/", RuleViewSet.as_view({"post": "preview"}), name="api_tag_rule_preview"),
    path(
        "tag-rules/<int:pk>/",
        RuleViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_tag_rule",
    ),
    path("tag-rules/<int:pk>/on/", RuleViewSet.as_view({"post": "on"}), name="api_tag_rule_on"),
    path("tag-rules/<int:pk>/off/", RuleViewSet.as_view({"post": "off"}), name="api_tag_rule_off"),
    path("tag-rules/<int:pk>/runs/", RuleViewSet.as_view({"get": "runs"}), name="api_tag_rule_runs"),
    path("segments/", SegmentViewSet.as_view({"get": "list", "post": "create"}), name="api_segments"),
    path("segments/kinds/", SegmentViewSet.as_view({"get": "kinds"}), name="api_segment_kinds"),
    path("segments/count/", SegmentViewSet.as_view({"post": "count"}), name="api_segment_count"),
    path(
        "segments/<int:pk>/",
        SegmentViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_segment",
    ),
    path(
        "segments/<int:pk>/members/",
        SegmentViewSet.as_view({"get": "members", "post": "change_members"}),
        name="api_segment_members",
    ),
    path("segments/<int:pk>/sizes/", SegmentViewSet.as_view({"get": "sizes"}), name="api_segment_sizes"),
    path(
        "segments/<int:pk>/profile/", SegmentViewSet.as_view({"get": "profile"}), name="api_segment_profile"
    ),
    path(
        "segments/<int:pk>/overlaps/",
        SegmentViewSet.as_view({"get": "overlaps"}),
        name="api_segment_overlaps",
    ),
    path("segments/<int:pk>/freeze/", SegmentViewSet.as_view({"post": "freeze"}), name="api_segment_freeze"),
    path(
        "segments/<int:pk>/why/<int:contact_id>/",
        SegmentViewSet.as_view({"get": "why"}),
        name="api_segment_why",
    ),
    path("value/", ValueStandViewSet.as_view({"get": "list"}), name="api_value"),
    path("value/recompute/", ValueStandViewSet.as_view({"post": "recompute"}), name="api_value_recompute"),
    path("value/lifecycle/", ValueStandViewSet.as_view({"get": "stages"}), name="api_value_lifecycle"),
    path("lookalikes/", LookalikeViewSet.as_view({"get": "list", "post": "create"}), name="api_lookalikes"),
    path("lookalikes/<int:pk>/", LookalikeViewSet.as_view({"get": "retrieve"}), name="api_lookalike"),
    path("tasks/", TaskViewSet.as_view({"get": "list", "post": "create"}), name="api_tasks"),
    path("tasks/<int:pk>/", TaskViewSet.as_view({"get": "retrieve"}), name="api_task"),
    path("tasks/<int:pk>/done/", TaskViewSet.as_view({"post": "done"}), name="api_task_done"),
    path("tasks/<int:pk>/later/", TaskViewSet.as_view({"post": "later"}), name="api_task_later"),
    path(
        "tasks/<int:pk>/later/undo/", TaskViewSet.as_view({"post": "later_undo"}), name="api_task_later_undo"
    ),
    path("tasks/<int:pk>/reopen/", TaskViewSet.as_view({"post": "reopen"}), name="api_task_reopen"),
    path("tasks/<int:pk>/cancel/", TaskViewSet.as_view({"post": "cancel"}), name="api_task_cancel"),
    path("reminders/", ReminderViewSet.as_view({"get": "list", "post": "create"}), name="api_reminders"),
    path(
        "reminders/<int:pk>/",
        ReminderViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_reminder",
    ),
    path("reminders/<int:pk>/done/", ReminderViewSet.as_view({"post": "done"}), name="api_reminder_done"),
    path(
        "reminders/<int:pk>/reopen/", ReminderViewSet.as_view({"post": "reopen"}), name="api_reminder_reopen"
    ),
    path("cards/", CardViewSet.as_view({"get": "list"}), name="api_cards"),
    path(
        "cards/style/",
        CardStyleViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_card_style",
    ),
    path(
        "cards/<int:pk>/",
        CardViewSet.as_view({"get": "retrieve", "post": "create", "patch": "partial_update"}),
        name="api_card",
    ),
    path("lead-lists/", LeadListViewSet.as_view({"get": "list", "post": "create"}), name="api_lead_lists"),
    path("lead-lists/<int:pk>/", LeadListViewSet.as_view({"get": "retrieve"}), name="api_lead_list"),
    path("lead-lists/<int:pk>/give/", LeadListViewSet.as_view({"post": "give"}), name="api_lead_list_give"),
    path(
        "lead-lists/<int:pk>/close/", LeadListViewSet.as_view({"post": "close"}), name="api_lead_list_close"
    ),
    path(
        "lead-lists/<int:pk>/leads/", LeadViewSet.as_view({"get": "list", "post": "create"}), name="api_leads"
    ),
    path("content/", ContentViewSet.as_view({"get": "list", "post": "create"}), name="api_content"),
    path("content/folders/", ContentViewSet.as_view({"get": "folders"}), name="api_content_folders"),
    path(
        "content/<int:pk>/",
        ContentViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_content_item",
    ),
    path(
        "content/<int:pk>/archive/", ContentViewSet.as_view({"post": "archive"}), name="api_content_archive"
    ),
    path(
        "content/<int:pk>/restore/", ContentViewSet.as_view({"post": "restore"}), name="api_content_restore"
    ),
    path("content/<int:pk>/decide/", ContentViewSet.as_view({"post": "decide"}), name="api_content_decide"),
    path("content/<int:pk>/test/", ContentTrialViewSet.as_view({"post": "create"}), name="api_content_test"),
    path("content/<int:pk>/results/", ContentViewSet.as_view({"get": "results"}), name="api_content_results"),
    path("links/", LinkViewSet.as_view({"get": "list", "post": "create"}), name="api_links"),
    path(
        "links/<int:pk>/",
        LinkViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_link",
    ),
    path("links/<int:pk>/people/", LinkViewSet.as_view({"get": "people"}), name="api_link_people"),
    path("posters/", PosterViewSet.as_view({"get": "list"}), name="api_posters"),
    path("posters/<int:pk>/", PosterPictureViewSet.as_view({"get": "retrieve"}), name="api_poster"),
    path("sensitive-words/", WordViewSet.as_view({"get": "list", "post": "create"}), name="api_words"),
    path("sensitive-words/check/", WordViewSet.as_view({"post": "check"}), name="api_words_check"),
    path(
        "intercept-rules/",
        InterceptRuleViewSet.as_view({"get": "list", "post": "create"}),
        name="api_intercept_rules",
    ),
    path(
        "intercept-rules/<int:pk>/",
        InterceptRuleViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="api_intercept_rule",
    ),
    path("send-tasks/", SendTaskViewSet.as_view({"get": "list"}), name="api_send_tasks"),
    path("touches/", TouchViewSet.as_view({"get": "list"}), name="api_touches"),
    path(
        "touch-policy/",
        PolicyViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_touch_policy",
    ),
    path("touch-policy/effect/", PolicyViewSet.as_view({"get": "effect"}), name="api_touch_policy_effect"),
    path(
        "no-contact-rules/",
        NoContactRuleViewSet.as_view({"get": "list", "post": "create"}),
        name="api_no_contact_rules",
    ),
    path(
        "no-contact-rules/<int:pk>/",
        NoContactRuleViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="api_no_contact_rule",
    ),
    path("alerts/", AlertViewSet.as_view({"get": "list"}), name="api_alerts"),
    path("alert-rules/", AlertRuleViewSet.as_view({"get": "list", "post": "create"}), name="api_alert_rules"),
    path(
        "alert-rules/<int:pk>/",
        AlertRuleViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="api_alert_rule",
    ),
    path(
        "alert-rules/<int:pk>/preview/",
        AlertRuleViewSet.as_view({"get": "preview"}),
        name="api_alert_preview",
    ),
    path("calendar/", CalendarViewSet.as_view({"get": "list"}), name="api_calendar"),
    path("moments/", MomentViewSet.as_view({"get": "list", "post": "create"}), name="api_moments"),
    path("moments/<int:pk>/", MomentViewSet.as_view({"get": "retrieve"}), name="api_moment"),
    path("moments/<int:pk>/guides/", MomentViewSet.as_view({"get": "guides"}), name="api_moment_guides"),
    path("moments/<int:pk>/cancel/", MomentViewSet.as_view({"post": "cancel"}), name="api_moment_cancel"),
    path("moments/<int:pk>/approve/", MomentViewSet.as_view({"post": "approve"}), name="api_moment_approve"),
    path("moments/<int:pk>/reject/", MomentViewSet.as_view({"post": "reject"}), name="api_moment_reject"),
    path("moments/<int:pk>/remind/", MomentViewSet.as_view({"post": "remind"}), name="api_moment_remind"),
    path("broadcasts/", BroadcastViewSet.as_view({"get": "list", "post": "create"}), name="api_broadcasts"),
    path(
        "broadcasts/<int:pk>/",
        BroadcastViewSet.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}),
        name="api_broadcast",
    ),
    path(
        "broadcasts/<int:pk>/dry-run/",
        BroadcastViewSet.as_view({"post": "dry_run"}),
        name="api_broadcast_dry_run",
    ),
    path(
        "broadcasts/<int:pk>/dry-run/people/",
        BroadcastViewSet.as_view({"get": "dry_run_people"}),
        name="api_broadcast_dry_run_people",
    ),
    path(
        "broadcasts/<int:pk>/test/",
        BroadcastTrialViewSet.as_view({"post": "create"}),
        name="api_broadcast_test",
    ),
    path(
        "broadcasts/<int:pk>/reject/",
        BroadcastViewSet.as_view({"post": "reject"}),
        name="api_broadcast_reject",
    ),
    path(
        "broadcasts/<int:pk>/duplicate/",
        BroadcastViewSet.as_view({"post": "duplicate"}),
        name="api_broadcast_duplicate",
    ),
    path(
        "broadcasts/<int:pk>/launch/",
        BroadcastViewSet.as_view({"post": "launch"}),
        name="api_broadcast_launch",
    ),
    path(
        "broadcasts/<int:pk>/approve/",
        BroadcastViewSet.as_view({"post": "approve"}),
        name="api_broadcast_approve",
    ),
    path(
        "broadcasts/<int:pk>/pause/", BroadcastViewSet.as_view({"post": "pause"}), name="api_broadcast_pause"
    ),
    path(
        "broadcasts/<int:pk>/resume/",
        BroadcastViewSet.as_view({"post": "resume"}),
        name="api_broadcast_resume",
    ),
    path(
        "broadcasts/<int:pk>/cancel/",
        BroadcastViewSet.as_view({"post": "cancel"}),
        name="api_broadcast_cancel",
    ),
    path(
        "broadcasts/<int:pk>/remind/",
        BroadcastViewSet.as_view({"post": "remind"}),
        name="api_broadcast_remind",
    ),
    path(
        "broadcasts/<int:pk>/reassign/",
        BroadcastViewSet.as_view({"post": "reassign"}),
        name="api_broadcast_reassign",
    ),
    path(
        "broadcasts/<int:pk>/winner/",
        BroadcastViewSet.as_view({"post": "winner"}),
        name="api_broadcast_winner",
    ),
    path("sops/", SopViewSet.as_view({"get": "list", "post": "create"}), name="api_sops"),
    path("sops/requests/", SopRequestViewSet.as_view({"get": "list"}), name="api_sop_requests"),
    path("sops/requests/<int:pk>/", SopRequestViewSet.as_view({"get": "retrieve"}), name="api_sop_request"),
    path(
        "sops/requests/<int:pk>/approve/",
        SopRequestViewSet.as_view({"post": "approve"}),
        name="api_sop_request_approve",
    ),
    path(
        "sops/requests/<int:pk>/reject/",
        SopRequestViewSet.as_view({"post": "reject"}),
        name="api_sop_request_reject",
    ),
    path(
        "sops/requests/<int:pk>/withdraw/",
        SopRequestViewSet.as_view({"post": "withdraw"}),
        name="api_sop_request_withdraw",
    ),
    path("sops/graphs/", SopGraphViewSet.as_view({"post": "create"}), name="api_sop_graphs"),
    path(
        "sops/<int:pk>/graph/",
        SopGraphViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="api_sop_graph",
    ),
    path("sops/<int:pk>/test/", SopTrialViewSet.as_view({"post": "create"}), name="api_sop_test"),
    path("sops/<int:pk>/publish/", SopGraphViewSet.as_view({"post": "publish"}), name="api_sop_publish"),
    path("sops/<int:pk>/enrol/", SopGraphViewSet.as_view({"post": "enrol"}), name="api_sop_enrol"),
    path("sops/<int:pk>/people/", EnrolmentViewSet.as_view({"get": "list"}), name="api_sop_people"),
    path("sops/<int:pk>/take-out/", EnrolmentViewSet.as_view({"post": "take_out"}), name="api_sop_take_out"),
    path("sops/<int:pk>/nodes/", SopGraphViewSet.as_view({"get": "nodes"}), name="api_sop_nodes"),
    path("sops/<int:pk>/on/", SopViewSet.as_view({"post": "switch_on"}), name="api_sop_on"),
    path("sops/<int:pk>/duplicate/", SopViewSet.as_view({"post": "duplicate"}), name="api_sop_duplicate"),
    path("sops/<int:pk>/pause/", SopViewSet.as_view({"post": "pause"}), name="api_sop_pause"),
    path("sops/<int:pk>/resume/", SopViewSet.as_view({"post": "resume"}), name="api_sop_resume"),
    path("sops/<int:pk>/end/", SopViewSet.as_view({"post": "end"}), name="api_sop_end"),
    path("sops/<int:pk>/versions/", SopGraphViewSet.as_view({"get": "versions"}), name="api_sop_versions"),
    path(
        "sops/<int:pk>/versions/<int:n>/",
        SopGraphViewSet.as_view({"get": "version"}),
        name="api_sop_version",
    ),
    path(
        "sops/<int:pk>/versions/<int:n>/back/",
        SopGraphViewSet.as_view({"post": "roll_back"}),
        name="api_sop_version_back",
    ),
    path(
        "sops/<int:pk>/rehearsals/",
        SopGraphViewSet.as_view({"post": "rehearse"}),
        name="api_sop_rehearse",
    ),
    path(
        "sops/<int:pk>/rehearsals/<int:job_id>/",
        SopGraphViewSet.as_view({"get": "rehearsal"}),
        name="api_sop_rehearsal",
    ),
    path(
        "sops/<str:pk>/",
        SopViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="api_sop",
    ),
    path("inbox/", InboxViewSet.as_view({"get": "figures"}), name="api_inbox"),
    path("inbox/events/", InboxViewSet.as_view({"get": "list"}), name="api_inbox_events"),
    path("inbox/replay/", InboxViewSet.as_view({"post": "replay"}), name="api_inbox_replay"),
    path("outbound/", OutboundViewSet.as_view({"get": "list"}), name="api_outbound"),
    path("outbound/again/", OutboundViewSet.as_view({"post": "again"}), name="api_outbound_again"),
    path("jobs/", JobViewSet.as_view({"get": "list"}), name="api_jobs"),
    path("drift/runs/", DriftRunViewSet.as_view({"get": "list"}), name="api_drift_runs"),
    path("drift/differences/", DifferenceViewSet.as_view({"get": "list"}), name="api_drift_differences"),
    path("imports/", ImportViewSet.as_view({"get": "list", "post": "create"}), name="api_imports"),
    path("imports/<int:pk>/", ImportViewSet.as_view({"get": "retrieve"}), name="api_import"),
    path("imports/<int:pk>/start/", ImportViewSet.as_view({"post": "start"}), name="api_import_start"),
    path("imports/<int:pk>/cancel/", ImportViewSet.as_view({"post": "cancel"}), name="api_import_cancel"),
    path("imports/<int:pk>/undo/", ImportViewSet.as_view({"post": "undo"}), name="api_import_undo"),
    path("imports/<int:pk>/refused/", ImportViewSet.as_view({"get": "refused"}), name="api_import_refused"),
    path("exports/", ExportViewSet.as_view({"get": "list", "post": "create"}), name="api_exports"),
    path("exports/<int:pk>/", ExportViewSet.as_view({"get": "retrieve"}), name="api_export"),
    path("exports/<int:pk>/file/", ExportViewSet.as_view({"get": "file"}), name="api_export_file"),
]
