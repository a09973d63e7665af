"""Addresses of this app."""

from django.urls import path, re_path

from campaigns.views import broadcasts, moments, people, policy, sops, staff_tasks, staff_tasks_new, touches

urlpatterns = [
    path("sops/", sops.sop_list, name="sops"),
    path("sops/new/", sops.sop_edit, name="sop_new"),
    path("sops/enrol/", people.enrol_chosen, name="sop_enrol_chosen"),
    path("sops/<int:sop_id>/", sops.sop_detail, name="sop"),
    path("sops/<int:sop_id>/edit/", sops.sop_edit, name="sop_edit"),
    path("sops/<int:sop_id>/people/", people.people, name="sop_people"),
    path("sops/<int:sop_id>/people/<int:enrolment_id>/remove/", people.remove, name="sop_remove"),
    path("sops/<int:sop_id>/enrol/", people.enrol, name="sop_enrol"),
    path("sops/<int:sop_id>/enrol/confirm/", people.enrol_confirm, name="sop_enrol_confirm"),
    re_path(
        r"^sops/(?P<sop_id>\d+)/(?P<act>on|pause|resume|end|duplicate|delete)/$", sops.sop_act, name="sop_act"
    ),
    path("broadcasts/", broadcasts.broadcast_list, name="broadcasts"),
    path("broadcasts/new/", broadcasts.broadcast_edit, name="broadcast_new"),
    path("broadcasts/<int:broadcast_id>/", broadcasts.broadcast_detail, name="broadcast"),
    path("broadcasts/<int:broadcast_id>/edit/", broadcasts.broadcast_edit, name="broadcast_edit"),
    path("broadcasts/<int:broadcast_id>/check/", broadcasts.dry_run, name="broadcast_check"),
    path("broadcasts/<int:broadcast_id>/winner/", broadcasts.choose_winner, name="broadcast_winner"),
    path("broadcasts/<int:broadcast_id>/numbers/", broadcasts.live_numbers, name="broadcast_numbers"),
    path(
        "broadcasts/<int:broadcast_id>/waves/<int:wave_id>/", broadcasts.wave_people, name="broadcast_people"
    ),
    re_path(
        r"^broadcasts/(?P<broadcast_id>\d+)/"
        r"(?P<act>launch|approve|reject|pause|resume|cancel|remind|reassign|duplicate|delete)/$",
        broadcasts.broadcast_act,
        name="broadcast_act",
    ),
    path("tasks/", staff_tasks.task_list, name="staff_tasks"),
    path("tasks/new/", staff_tasks_new.task_new, name="staff_task_new"),
    path("tasks/chosen/", staff_tasks.chosen, name="staff_tasks_chosen"),
    path("tasks/guides/", staff_tasks.by_guide, name="staff_task_guides"),
    path("tasks/batches/", staff_tasks.batch_list, name="staff_task_batches"),
    re_path(
        r"^tasks/batches/(?P<job_id>\d+)/(?P<act>take|give)/$", staff_tasks.batch_act, name="staff_task_batch"
    ),
    path("tasks/<int:task_id>/done/", staff_tasks.task_done, name="staff_task_done"),
    re_path(
        r"^tasks/(?P<task_id>\d+)/(?P<act>cancel|restore|reopen)/$",
        staff_tasks.task_act,
        name="staff_task_act",
    ),
    path("moments/", moments.moment_list, name="moments"),
    path("moments/new/", moments.moment_edit, name="moment_new"),
    path("moments/<int:moment_id>/", moments.moment_detail, name="moment"),
    path("moments/<int:moment_id>/edit/", moments.moment_edit, name="moment_edit"),
    path("moments/<int:moment_id>/guides/", moments.moment_guides, name="moment_guides"),
    re_path(
        r"^moments/(?P<moment_id>\d+)/(?P<act>launch|remind|cancel|duplicate|delete)/$",
        moments.moment_act,
        name="moment_act",
    ),
    path("touches/", touches.touch_list, name="touches"),
    path("touches/tasks/", touches.task_list, name="send_tasks"),
    re_path(
        r"^touches/tasks/(?P<task_id>\d+)/(?P<act>remind|cancel|reassign)/$",
        touches.task_act,
        name="send_task_act",
    ),
    path("settings/touch/", policy.touch_policy, name="touch_policy"),
    path("settings/touch/rules/", policy.rule_add, name="no_contact_add"),
    path("settings/touch/rules/<int:rule_id>/delete/", policy.rule_delete, name="no_contact_delete"),
    path("contacts/<int:contact_id>/refusal/", policy.refusal, name="contact_refusal"),
]
