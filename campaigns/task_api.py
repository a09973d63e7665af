"""REST API of guides' tasks: lists and batches, and what becomes of one task."""

from collections.abc import Sequence
from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets

from campaigns.models import StaffTask, TaskDelay
from campaigns.services.governance import workload_tasks
from campaigns.services.sending import senders
from campaigns.services.tasks import staff_tasks, task_later
from campaigns.services.tasks.staff_tasks import TaskInput
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
    outcome = serializers.CharField(help_text="reached, agreed, declined, unreached, or empty: nobody said")
    later_at = serializers.DateTimeField(
        allow_null=True, help_text="put off until; over: it is back on top of the guide's list"
    )
    n_later = serializers.IntegerField(help_text="how often it was put off")
    first_due_at = serializers.DateTimeField(
        allow_null=True, help_text="the deadline as it was given, where putting off has moved it"
    )
    done_at = serializers.DateTimeField(allow_null=True, help_text="done, ended or cancelled at")
    done_by = serializers.CharField()
    reminded_at = serializers.DateTimeField(allow_null=True)
    escalated_at = serializers.DateTimeField(allow_null=True, help_text="when the manager was told")
    created_at = serializers.DateTimeField()


class DelayOut(serializers.Serializer):
    id = serializers.IntegerField()
    staff_id = serializers.IntegerField(help_text="whose task it was")
    by = serializers.CharField()
    at = serializers.DateTimeField()
    until = serializers.DateTimeField()
    why = serializers.ChoiceField(choices=TaskDelay.Why.values)
    words = serializers.CharField()


class TaskWhole(TaskOut):
    delays = DelayOut(many=True, help_text="how often and why it was put off, the last time first")


class LaterIn(Body):
    until = serializers.DateTimeField(
        help_text="to come, and as late as deadline and brand allow; one after the deadline moves it to an hour later"
    )
    why = serializers.ChoiceField(choices=TaskDelay.Why.values)
    words = serializers.CharField(
        max_length=300, required=False, allow_blank=True, default="", help_text="`other` wants some"
    )
    n_later = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=1_000,
        help_text="of the task as you have read it: the same again puts it off no second time",
    )  # fmt: skip


class DelayIn(Body):
    delay_id = Id()


class ResultIn(Body):
    outcome = serializers.ChoiceField(
        choices=StaffTask.Outcome.values, required=False, allow_blank=True, default="",
        help_text="how it ended with the customer",
    )  # fmt: skip
    result = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")


class TaskViewSet(viewsets.ViewSet):
    capabilities = {
        "list": "tasks.view", "retrieve": "tasks.view", "create": "tasks.edit", "done": "tasks.edit",
        "cancel": "tasks.edit", "reopen": "tasks.edit", "later": "tasks.edit", "later_undo": "tasks.edit",
    }  # fmt: skip

    @extend_schema(
        operation_id="tasks_list",
        responses=page_out("TaskPage", TaskOut),
        parameters=[
            OpenApiParameter("guide", int, description="id of a staff member"),
            OpenApiParameter("contact", int),
            OpenApiParameter("state", str, enum=list(StaffTask.State.values)),
            OpenApiParameter("due_before", str, description="moment (ISO 8601)"),
            OpenApiParameter("outcome", str, enum=list(StaffTask.Outcome.values)),
            OpenApiParameter(
                "later_after", str, description="moment (ISO 8601): put off until after it; now: what waits"
            ),
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
        if outcome := asked_word(request.query_params, "outcome", StaffTask.Outcome.values):
            rows = rows.filter(outcome=outcome)
        if (after := asked_moment(request.query_params, "later_after")) is not None:
            rows = rows.filter(later_at__gt=after)
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

    @extend_schema(operation_id="tasks_retrieve", responses=TaskWhole)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/tasks/<id>/: with how often and why it was put off."""
        return whole(staff_tasks.get_task(pk))

    @extend_schema(operation_id="tasks_later", request=LaterIn, responses=TaskWhole)
    def later(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tasks/<id>/later/: an open task about a customer is put off; the guide is reminded then."""
        staff_tasks.get_task(pk)
        given = read_body(LaterIn, request)
        task = task_later.put_off(
            request._request.brand,
            task_id=pk,
            by=request._request.actor,
            until=given["until"],
            why=given["why"],
            words=given["words"],
            seen=given["n_later"],
        )
        return whole(task)

    @extend_schema(operation_id="tasks_later_undo", request=DelayIn, responses=TaskWhole)
    def later_undo(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/tasks/<id>/later/undo/: the last putting off, while the task waits. Safe to repeat."""
        staff_tasks.get_task(pk)
        given = read_body(DelayIn, request)
        brand, actor = request._request.brand, request._request.actor
        return whole(task_later.take_back(brand, task_id=pk, delay_id=given["delay_id"], by=actor))

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
            outcome=given["outcome"],
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


def whole(task: StaffTask) -> JsonResponse:
    delays = task_later.history([task]).get(task.pk, [])
    return JsonResponse({**TaskOut(task).data, "delays": DelayOut(delays, many=True).data})


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
