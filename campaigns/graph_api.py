"""REST API of SOPs drawn on the canvas: read, write, publish, put people in, figures of the nodes."""

from typing import Any

from django.http import JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from campaigns.graph import tidy
from campaigns.models import Sop, SopVersion
from campaigns.services.graphs import graph_warnings, graphs
from campaigns.services.journeys import figures, moments
from campaigns.services.sops import sop_approval, sop_requests, sops
from org.models import Job
from scrm.api_body import Body, id_list, read_body
from scrm.errors import NotFoundError

MAX_IDS = 10_000


class GraphOut(serializers.Serializer):
    """A graph SOP. `graph` is what is being drawn; `published` the version into which people come."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="draft | on | paused | ended")
    draft_n = serializers.IntegerField(help_text="give it back with a change: two editors notice each other")
    graph = serializers.JSONField()
    version = serializers.IntegerField(allow_null=True, help_text="number of the published version")
    published = serializers.JSONField(allow_null=True)
    waiting_id = serializers.IntegerField(
        allow_null=True, help_text="of what waits for a second person, at /sops/requests/<id>/"
    )
    summary = serializers.ListField(child=serializers.CharField(), help_text="the draft in words")
    problems = serializers.ListField(
        child=serializers.DictField(),
        help_text="what keeps the draft from being published: node, field, message",
    )
    warnings = serializers.ListField(
        child=serializers.DictField(),
        help_text="what may be published and will not do what is meant: node, field, message",
    )


class GraphIn(Body):
    name = serializers.CharField(max_length=60, required=False)
    graph = serializers.JSONField(required=False)
    draft_n = serializers.IntegerField(required=False)


class PublishIn(Body):
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    people = serializers.ChoiceField(choices=[graphs.STAY, graphs.MOVE], required=False)
    mapping = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)
    draft_n = serializers.IntegerField(required=False)


class BackIn(Body):
    people = serializers.ChoiceField(choices=[graphs.STAY, graphs.MOVE], required=False)
    mapping = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)


class PeopleIn(Body):
    contact_ids = id_list(min_length=1, max_length=MAX_IDS)


class RefusedOut(serializers.Serializer):
    """A moment of a node that is not out. `is_over`: it is not tried again."""

    moment_id = serializers.IntegerField()
    at = serializers.DateTimeField()
    error = serializers.CharField()
    n_guides = serializers.IntegerField()
    is_over = serializers.BooleanField()


class NodeOut(serializers.Serializer):
    """People and messages of one node over all versions; `outs` by way, also `goal`, `exit`, `lost`, `removed`, `moved`."""

    node = serializers.CharField()
    n_in = serializers.IntegerField()
    n_waiting = serializers.IntegerField()
    outs = serializers.DictField(child=serializers.IntegerField())
    touched = serializers.IntegerField()
    waiting_for_guide = serializers.IntegerField()
    failed = serializers.IntegerField()
    blocked = serializers.IntegerField()
    refused = RefusedOut(many=True, help_text="moments of the last 30 days that are not out, newest first")


class VersionOut(serializers.Serializer):
    """A graph as it was published; never changed."""

    n = serializers.IntegerField()
    note = serializers.CharField()
    published_by = serializers.CharField()
    approved_by = serializers.CharField(help_text="the second person; empty: nobody was asked")
    published_at = serializers.DateTimeField()
    is_present = serializers.BooleanField(help_text="people come into this one")


class VersionWhole(VersionOut):
    graph = serializers.JSONField()
    summary = serializers.ListField(child=serializers.CharField(), help_text="in words")


class RehearseIn(Body):
    days = serializers.IntegerField(required=False, min_value=1, max_value=366, help_text="91 unless told")
    graph = serializers.JSONField(required=False, help_text="the draft unless told")


class RehearsalOut(serializers.Serializer):
    job_id = serializers.IntegerField()
    state = serializers.CharField(help_text="waiting | running | paused | done | failed | cancelled")
    error = serializers.CharField()
    result = serializers.JSONField(
        allow_null=True,
        help_text="when it is done: calendar, guides, nodes, ends, n_gives_way (messages of lower campaigns), workload (where "
        "guides would have been above the brand's limit of a day and what its rule would have done; null without a limit)",
    )


PUBLISHED = inline_serializer(
    "SopPublished",
    {
        "version": serializers.IntegerField(allow_null=True),
        "job_id": serializers.IntegerField(allow_null=True, help_text="people who move"),
        "request_id": serializers.IntegerField(allow_null=True, help_text="waits for a second person"),
    },
)
JOB = inline_serializer("SopEnrolJob", {"job_id": serializers.IntegerField()})
ENROLLED = inline_serializer(
    "SopEnrolled",
    {
        "job_id": serializers.IntegerField(allow_null=True),
        "request_id": serializers.IntegerField(
            allow_null=True, help_text="a second person has to approve it, at /sops/requests/<id>/"
        ),
    },
)
VERSIONS = inline_serializer("SopVersions", {"results": VersionOut(many=True)})
NODES = inline_serializer("SopNodes", {"results": NodeOut(many=True)})


class SopGraphViewSet(viewsets.ViewSet):
    capabilities = {
        "retrieve": "sops.view",
        "nodes": "sops.view",
        "create": "sops.edit",
        "partial_update": "sops.edit",
        "publish": "sops.edit",
        "enrol": "sops.edit",
        "versions": "sops.view",
        "version": "sops.view",
        "roll_back": "sops.edit",
        "rehearse": "sops.edit",
        "rehearsal": "sops.view",
    }

    @extend_schema(operation_id="sop_graphs_create", request=GraphIn, responses={201: GraphOut})
    def create(self, request: Any) -> JsonResponse:
        """POST /api/v1/sops/graphs/: a draft."""
        given = read_body(GraphIn, request)
        sop = graphs.create_graph_sop(
            request.brand, name=given.get("name", ""), graph=given.get("graph"), by=request.user
        )
        return JsonResponse(_out(request.brand, sop), status=201)

    @extend_schema(operation_id="sop_graphs_retrieve", responses=GraphOut)
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/sops/<id>/graph/."""
        return JsonResponse(_out(request.brand, graphs.get_graph_sop(pk)))

    @extend_schema(operation_id="sop_graphs_update", request=GraphIn, responses=GraphOut)
    def partial_update(self, request: Any, pk: int) -> JsonResponse:
        """PATCH /api/v1/sops/<id>/graph/: the draft, the name."""
        sop = graphs.get_graph_sop(pk)
        given = read_body(GraphIn, request)
        if "graph" in given:
            sop = graphs.save_draft(
                request.brand, sop_id=pk, graph=given["graph"], by=request.user, draft_n=given.get("draft_n")
            )
        if "name" in given:
            sop = graphs.rename(request.brand, sop_id=pk, name=given["name"], by=request.user)
        return JsonResponse(_out(request.brand, sop))

    @extend_schema(
        operation_id="sop_graphs_publish", request=PublishIn, responses={201: PUBLISHED, 202: PUBLISHED}
    )
    def publish(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/publish/: the draft becomes the next version; `people` stay or move. 202: it waits for a
        second person."""
        graphs.get_graph_sop(pk)
        given = read_body(PublishIn, request)
        return _published(sop_approval.publish(request.brand, sop_id=pk, by=request.user, **given))

    @extend_schema(operation_id="sops_enrol", request=PeopleIn, responses={202: ENROLLED})
    def enrol(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/enrol/: put people in, of either form; a job. Without a job and with `request_id` a list of
        more than a hundred waits for a second person."""
        sops.get_sop(pk)
        given = read_body(PeopleIn, request)
        outcome = sop_approval.put_in(
            request.brand, sop_id=pk, contact_ids=given["contact_ids"], by=request.user
        )
        job, asked = outcome.job, outcome.request
        return JsonResponse(
            {"job_id": job.pk if job else None, "request_id": asked.pk if asked else None}, status=202
        )

    @extend_schema(operation_id="sop_versions_list", responses=VERSIONS)
    def versions(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/sops/<id>/versions/: the newest first."""
        sop = graphs.get_graph_sop(pk)
        rows = [_version(sop, version) for version in graphs.versions(sop.pk)]
        return JsonResponse({"results": VersionOut(rows, many=True).data})

    @extend_schema(operation_id="sop_versions_retrieve", responses=VersionWhole)
    def version(self, request: Any, pk: int, n: int) -> JsonResponse:
        """GET /api/v1/sops/<id>/versions/<n>/: with its graph."""
        sop = graphs.get_graph_sop(pk)
        found = graphs.get_version(sop.pk, n)
        words = graphs.summary(request.brand, tidy(found.graph))
        row = {**_version(sop, found), "graph": found.graph, "summary": words}
        return JsonResponse(VersionWhole(row).data)

    @extend_schema(
        operation_id="sop_versions_back", request=BackIn, responses={201: PUBLISHED, 202: PUBLISHED}
    )
    def roll_back(self, request: Any, pk: int, n: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/versions/<n>/back/: publish it again, as the next version; the draft becomes it. 409 when
        it is the present one; 202: it was never approved and waits for a second person."""
        graphs.get_graph_sop(pk)
        given = read_body(BackIn, request)
        return _published(sop_approval.roll_back(request.brand, sop_id=pk, n=n, by=request.user, **given))

    @extend_schema(operation_id="sop_rehearse", request=RehearseIn, responses={202: JOB})
    def rehearse(self, request: Any, pk: int) -> JsonResponse:
        """POST /api/v1/sops/<id>/rehearsals/: run the draft over the past, as a job; nothing is sent."""
        graphs.get_graph_sop(pk)
        job = graphs.rehearse(request.brand, sop_id=pk, by=request.actor, **read_body(RehearseIn, request))
        return JsonResponse({"job_id": job.pk}, status=202)

    @extend_schema(operation_id="sop_rehearsal", responses=RehearsalOut)
    def rehearsal(self, request: Any, pk: int, job_id: int) -> JsonResponse:
        """GET /api/v1/sops/<id>/rehearsals/<job>/: how far it is, and its result."""
        sop = graphs.get_graph_sop(pk)
        job = Job.objects.filter(pk=job_id, kind="sop_rehearse", params__sop_id=sop.pk).first()
        if job is None:
            raise NotFoundError()
        result = job.result if job.state == Job.State.DONE else None
        row = {"job_id": job.pk, "state": job.state, "error": job.error, "result": result}
        return JsonResponse(RehearsalOut(row).data)

    @extend_schema(operation_id="sop_graphs_nodes", responses=NODES)
    def nodes(self, request: Any, pk: int) -> JsonResponse:
        """GET /api/v1/sops/<id>/nodes/: figures of each node."""
        sop = graphs.get_graph_sop(pk)
        rows, refused = figures.of_nodes(sop), moments.refused_of(sop)
        names = ("n_in", "n_waiting", "outs", "touched", "waiting_for_guide", "failed")
        found = [
            {
                "node": node,
                **{name: getattr(row, name) for name in names},
                "blocked": row.n_blocked,
                "refused": [
                    {
                        "moment_id": one.moment.pk,
                        "at": one.moment.at,
                        "error": one.error,
                        "n_guides": len(one.moment.staff_ids),
                        "is_over": one.is_over,
                    }
                    for one in refused.get(node, [])
                ],
            }
            for node, row in sorted(rows.items())
        ]
        return JsonResponse({"results": NodeOut(found, many=True).data})


def _published(outcome: sop_approval.Outcome) -> JsonResponse:
    version, job, request = outcome.version, outcome.job, outcome.request
    body = {
        "version": version.n if version else None,
        "job_id": job.pk if job else None,
        "request_id": request.pk if request else None,
    }
    return JsonResponse(body, status=202 if request else 201)


def _version(sop: Sop, version: SopVersion) -> dict[str, Any]:
    names = ("n", "note", "published_by", "approved_by", "published_at")
    return {name: getattr(version, name) for name in names} | {"is_present": version.pk == sop.version_id}


def _out(brand: Any, sop: Sop) -> dict[str, Any]:
    version = SopVersion.objects.filter(pk=sop.version_id).first() if sop.version_id else None
    graph = tidy(sop.draft or graphs.EMPTY)
    waits = sop_requests.waiting().filter(sop=sop).values_list("pk", flat=True).first()
    return dict(
        GraphOut(
            {
                "id": sop.pk,
                "name": sop.name,
                "state": sop.state,
                "draft_n": sop.draft_n,
                "graph": graph,
                "version": version.n if version else None,
                "published": version.graph if version else None,
                "waiting_id": waits,
                "summary": graphs.summary(brand, graph),
                "problems": graphs.validate(brand, graph),
                "warnings": graph_warnings.warnings(brand, graph, sop.pk),
            }
        ).data
    )
