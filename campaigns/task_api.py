"""REST API of guides' tasks: lists and batches, and what becomes of one task."""

from collections.abc import Sequence
from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from campaigns.models import StaffTask
from campaigns.services import senders, staff_tasks, workload_tasks
from campaigns.services.staff_tasks import TaskInput
from contacts.models import Contact
from contacts.services.outcomes import Outcome, Result
from org.models import Staff
from scrm import clock
from scrm.api_batch import BatchOut, answer, batch_in, rows_of
from scrm.api_body import Body, Id, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_moment, asked_number, asked_word
from tenants.models import Brand

KINDS = [kind for kind in StaffTask.Kind.values if kind not in StaffTask.BY_ITSELF]


class TaskIn(Body):
    """A task for a customer's guide (contact_id), or for a guide (guide), or for a certain guide about a customer."""

    key = serializers.CharField(max_length=60, help_text="of yours: the same key again gives no second task")
    kind = serializers.ChoiceField(choices=KINDS)
    title = serializers.CharField(max_length=80)
    note = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")
    due_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="not worth doing any more after this"
    )
    contact_id = Id(required=False)
    guide = serializers.CharField(
        max_length=64, required=False, help_text="userid; if not given: the customer's guide"
    )


class TaskOut(serializers.Serializer):
    id = serializers.IntegerField()
    staff_id = serializers.IntegerField()
    contact_id = serializers.IntegerField(allow_null=True)
    kind = serializers.ChoiceField(choices=StaffTask.Kind.values)
    title = serializers.CharField()
    note = serializers.CharField()
    due_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    source = serializers.CharField(help_text="page, job, sop, api …")  # type: ignore[assignment]
    state = serializers.ChoiceField(choices=StaffTask.State.values)
    result = serializers.CharField()
    done_at = serializers.DateTimeField(allow_null=True, help_text="done, ended or cancelled at")
    done_by = serializers.CharField()
    reminded_at = serializers.DateTimeField(allow_null=True)
    escalated_at = serializers.DateTimeField(allow_null=True, help_text="when the manager was told")
    created_at = serializers.DateTimeField()


class ResultIn(Body):
    result = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")


class TaskViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "tasks.view", "retrieve": "tasks.view", "create": "tasks.edit", "done": "tasks.edit",
        "cancel": "tasks.edit", "reopen": "tasks.edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="tasks_list",
        responses=page_out("TaskPage", TaskOut),
        parameters=[
            OpenApiParameter("guide", int, description="id of a staff member"),
            OpenApiParameter("contact", int),
            OpenApiParameter("state", str, enum=list(StaffTask.State.values)),
            OpenApiParameter("due_before", str, description="moment (ISO 8601)"),
            *paged(),
        ],
    )
    def list(self, request: Any) -> JsonResponse:
        """GET /api/v1/tasks/: newest first. All filters given must hold."""
        rows = StaffTask.objects.all()
        if (guide := asked_number(request.query_params, "guide")) is not None:
            rows = rows.filter(staff=guide)
        if (contact := asked_number(request.query_params, "contact")) is not None:
            rows = rows.filter(contact=contact)
        if state := asked_word(request.query_params, "state", StaffTask.State.values):
            rows = rows.filter(state=state)
        if (before := asked_moment(request.query_params, "due_before")) is not None:
            rows = rows.filter(due_at__lt=before)
        page = asked_page(request, rows, ("-pk",))
        return page_answer(TaskOut(list(page), many=True).data, page)

    @extend_schema(
        operation_id="tasks_create",
        request=batch_in("TaskBatch", TaskIn, with_source=False),
        responses=BatchOut,
    )
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/tasks/: up to 1,000 tasks; each row is answered for itself. `guide_busy`: the guide has enough to do on
        the day of the deadline; where the brand has it wait, the task gets a later one."""
        brand, actor = request._request.brand, request._request.actor
        return answer(rows_of(request), TaskIn, lambda row: row, lambda rows: give(brand, rows, by=actor))

    @extend_schema(operation_id="tasks_retrieve", responses=TaskOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/tasks/<id>/."""
        return JsonResponse(TaskOut(staff_tasks.get_task(pk)).data)

    @extend_schema(operation_id="tasks_done", request=ResultIn, responses=TaskOut)
    def done(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tasks/<id>/done/: safe to repeat."""
        staff_tasks.get_task(pk)
        given = read_body(ResultIn, request)
        task = staff_tasks.complete(
            request._request.brand,
            task_id=pk,
            by=request._request.actor,
            result=given["result"],
        )
        return JsonResponse(TaskOut(task).data)

    @extend_schema(operation_id="tasks_reopen", request=None, responses=TaskOut)
    def reopen(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tasks/<id>/reopen/: undo of `done`, within a day."""
        task = staff_tasks.reopen(request._request.brand, task_id=pk, by=request._request.actor)
        return JsonResponse(TaskOut(task).data)

    @extend_schema(operation_id="tasks_cancel", request=None, responses=TaskOut)
    def cancel(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tasks/<id>/cancel/: an open one; one that is not open stays as it is."""
        staff_tasks.get_task(pk)
        staff_tasks.cancel(request._request.brand, by=request._request.actor, task_ids=[pk])
        return JsonResponse(TaskOut(staff_tasks.get_task(pk)).data)


def give(brand: Brand, rows: Sequence[dict[str, Any]], *, by: Any) -> list[Outcome]:
    """Give the tasks of a batch; an outcome for each row, in order."""
    ids = {row["contact_id"] for row in rows if row.get("contact_id")}
    known = dict(Contact.objects.filter(pk__in=ids).values_list("pk", "do_not_contact"))
    chosen = senders.choose(brand, known)
    userids = {row["guide"].lower() for row in rows if row.get("guide")}
    people = Staff.objects.filter(userid__in=userids, state=Staff.State.ACTIVE).values_list("userid", "pk")
    guides = dict(people)
    found: list[Outcome] = []
    wanted: list[TaskInput] = []
    for row in rows:
        contact_id = row.get("contact_id")
        sender = chosen.get(contact_id) if contact_id else None
        staff_id = guides.get(row["guide"].lower()) if row.get("guide") else sender and sender.staff_id
        reason = ""
        if contact_id and contact_id not in known:
            reason = "unknown_contact"
        elif contact_id and known[contact_id]:
            reason = "do_not_contact"
        elif staff_id is None:
            reason = "unknown_guide" if row.get("guide") else "no_guide"
        elif row["due_at"] <= clock.now():
            reason = "deadline_over"
        if reason:
            found.append(Outcome(Result.REFUSED, None, reason))
            continue
        found.append(Outcome(Result.REPEATED, None, ""))
        wanted.append(
            TaskInput(
                staff_id=staff_id or 0,
                contact_id=contact_id,
                kind=row["kind"],
                title=row["title"],
                note=row["note"],
                due_at=row["due_at"],
                expires_at=row.get("expires_at"),
                key=f"api:{row['key']}",
            )
        )
    if not any(outcome.result == Result.REPEATED for outcome in found):
        return found
    given = workload_tasks.give(brand, wanted, source="api", by=by)
    new = set(given.ids)
    by_key = dict(StaffTask.objects.filter(key__in=[row.key for row in wanted]).values_list("key", "pk"))
    told: set[int] = set()
    keys = iter(wanted)
    for n, outcome in enumerate(found):
        if outcome.result != Result.REPEATED:
            continue
        if (key := next(keys).key) in given.left_out:
            found[n] = Outcome(Result.REFUSED, None, "guide_busy")
            continue
        pk = by_key[key]
        is_new = pk in new and pk not in told
        told.add(pk)
        found[n] = Outcome(Result.ACCEPTED if is_new else Result.REPEATED, pk, "")
    return found
