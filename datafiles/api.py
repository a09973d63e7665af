"""Imports and exports by API key: upload, state, refused rows; a list, its state, its file."""

from typing import Any, ClassVar

from django.http import FileResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.parsers import MultiPartParser

from datafiles.exports import KINDS as LISTS
from datafiles.exports import all_export_kinds
from datafiles.kinds import KINDS
from datafiles.models import ExportFile, ImportFile
from datafiles.services import exports, imports, places, refused, undo, uploads
from org import audit
from org.models import Job
from org.services import jobs
from scrm import json_in
from scrm.api_body import Body, read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.errors import ConflictError, InvalidError, NotFoundError
from scrm.json_in import PlainJSONParser


class ImportIn(Body):
    kind = serializers.ChoiceField(choices=list(KINDS))
    file = serializers.FileField()
    mapping = serializers.CharField(
        required=False, help_text='JSON: {"phone": {"column": 0}, …}; without it as guessed'
    )
    options = serializers.CharField(required=False, help_text='JSON, e.g. {"source": "shop"}')
    start = serializers.ChoiceField(choices=["check", "import", "no"], default="check")


class ImportOut(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="uploaded, checked, running, done, undoing, undone")
    job = serializers.CharField(
        help_text="waiting, running, paused, done, failed, cancelled; empty before the first"
    )
    stage = serializers.CharField(help_text="what the job is at, in words")
    n_done = serializers.IntegerField(help_text="rows")
    n_total = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    headings = serializers.ListField(child=serializers.CharField())
    mapping = serializers.DictField()
    counts = serializers.DictField(help_text="of the check, or of the import when it is done")


class AskedFilter(dict[str, list[str]]):
    """A filter as the page of its list has it in its address; knows which names were asked for."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__({name: _texts(name, value) for name, value in given.items()})
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Of several values the last one, as of an address."""
        return found[-1] if (found := self.getlist(name)) else default

    def getlist(self, name: str) -> list[str]:
        self.asked.add(name)
        return super().get(name, [])

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def check(self) -> None:
        """Raises InvalidError: a name that nobody has asked for; a misspelled filter does not mean everything."""
        if unknown := sorted(set(self) - self.asked):
            text = _("This key is not known here")
            raise InvalidError(text, fields={f"filter.{name}": text for name in unknown})


def _texts(name: str, value: Any) -> list[str]:
    """Raises InvalidError: neither a text, a number or yes and no, nor a list of these."""
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(one, (str, int, bool)) for one in rows):
        text = _("A text or a number, or a list of these")
        raise InvalidError(text, fields={f"filter.{name}": text})
    return [str(int(one)) if isinstance(one, bool) else str(one) for one in rows]


class ExportIn(Body):
    kind = serializers.ChoiceField(choices=list(LISTS))
    format = serializers.ChoiceField(choices=list(exports.FORMATS), default="csv")
    filter = serializers.DictField(
        required=False, help_text="as in the address of the list's page: a value or a list of them"
    )


class ExportOut(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    format = serializers.CharField()
    job = serializers.CharField()
    error = serializers.CharField()
    rows = serializers.IntegerField()
    is_ready = serializers.BooleanField()
    expires_at = serializers.DateTimeField()


def _json(given: Any, name: str) -> dict[str, Any]:
    text = given.get(name)
    if not text:
        return {}
    try:
        value = json_in.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidError(_("This is no JSON object"), fields={name: _("This is no JSON object")})
    return value


def _job_of(row: ImportFile | ExportFile) -> Job | None:
    return Job.objects.filter(pk=row.job_id).first() if row.job_id else None


def _import(pk: int) -> ImportFile:
    found = ImportFile.objects.filter(pk=pk).first()
    if found is None:
        raise NotFoundError()
    return found


def _shown(file: ImportFile, job: Job | None = None) -> dict[str, Any]:
    job = job or _job_of(file)
    return {
        "id": file.pk, "kind": file.kind, "name": file.name, "state": file.state, "job": job.state if job else "",
        "stage": job.stage if job else "", "n_done": job.n_done if job else 0, "n_total": job.n_total if job else None,
        "error": job.error if job else "", "headings": file.headings, "mapping": file.mapping,
        "counts": file.result or file.checked.get("counts", {}),
    }  # fmt: skip


class ImportViewSet(viewsets.ViewSet):
    capabilities: ClassVar[dict[str, str]] = {
        "list": "imports.run", "create": "imports.run", "retrieve": "imports.run", "start": "imports.run",
        "refused": "imports.run", "cancel": "imports.run", "undo": "imports.run",
    }  # fmt: skip
    parser_classes = [MultiPartParser, PlainJSONParser]

    @extend_schema(responses=page_out("ImportPage", ImportOut), parameters=paged(), tags=["files"])
    def list(self, request: Any) -> JsonResponse:
        """Imports of the brand, also those of its people; newest first."""
        page = asked_page(request, ImportFile.objects.all(), ("-created_at", "-pk"))
        found = {job.pk: job for job in Job.objects.filter(pk__in=[row.job_id for row in page if row.job_id])}
        return page_answer([_shown(row, found.get(row.job_id or 0)) for row in page], page)

    @extend_schema(request=ImportIn, responses={201: ImportOut}, tags=["files"])
    def create(self, request: Any) -> JsonResponse:
        """Upload a file; `start` says whether it is checked (the default), imported at once, or only kept."""
        given = read_body(ImportIn, request)
        data = given["file"]
        mapping, options = _json(given, "mapping"), _json(given, "options")
        brand, by = request._request.brand, request.user
        file = uploads.receive(brand, kind=given["kind"], name=data.name or "file", data=data, by=by)
        if mapping or options:
            imports.set_mapping(brand, file=file, mapping=mapping or file.mapping, options=options)
        start = {"check": imports.start_check, "import": imports.start_import}.get(given["start"])
        if start:
            start(brand, file=file, by=by)
        return JsonResponse(_shown(file), status=201)

    @extend_schema(responses=ImportOut, tags=["files"])
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """State and counts of an import."""
        return JsonResponse(_shown(_import(pk)))

    @extend_schema(request=None, responses=ImportOut, tags=["files"])
    def start(self, request: Any, pk: int) -> JsonResponse:
        """Import what was checked."""
        file = _import(pk)
        imports.start_import(request._request.brand, file=file, by=request.user)
        return JsonResponse(_shown(file), status=202)

    @extend_schema(request=None, responses=ImportOut, tags=["files"])
    def cancel(self, request: Any, pk: int) -> JsonResponse:
        """Stop the check, import or undo that is going on; what is written already stays and can be undone."""
        file = _import(pk)
        if file.job_id is None:
            raise ConflictError(_("Nothing is being done with this file"))
        job = jobs.cancel(file.job_id)
        audit.record(request.user, "job.cancel", job, name=job.title)
        return JsonResponse(_shown(file), status=202)

    @extend_schema(request=None, responses=ImportOut, tags=["files"])
    def undo(self, request: Any, pk: int) -> JsonResponse:
        """Take an import back, within 30 days."""
        file = _import(pk)
        undo.start_undo(request._request.brand, file=file, by=request.user)
        return JsonResponse(_shown(file), status=202)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY}, tags=["files"])
    def refused(self, request: Any, pk: int) -> Any:
        """Rows that were left out, with row number and reasons."""
        file = _import(pk)
        path = places.import_folder(file) / refused.NAME
        if not path.is_file():
            raise NotFoundError()
        imports.note_download(request._request.brand, file=file, by=request.user)
        return FileResponse(
            path.open("rb"), as_attachment=True, filename="refused.csv", content_type="text/csv"
        )


class ExportViewSet(viewsets.ViewSet):
    capabilities: ClassVar[dict[str, str]] = {
        "list": "exports.run", "create": "exports.run", "retrieve": "exports.run", "file": "exports.run",
    }  # fmt: skip

    @extend_schema(responses=page_out("ExportPage", ExportOut), parameters=paged(), tags=["files"])
    def list(self, request: Any) -> JsonResponse:
        """Exports of this key, newest first."""
        kinds = [one.key for one in all_export_kinds() if request.user.can(one.right)]
        rows = ExportFile.objects.filter(user_id=None, created_by=request.user.name, kind__in=kinds)
        page = asked_page(request, rows, ("-created_at", "-pk"))
        found = {job.pk: job for job in Job.objects.filter(pk__in=[row.job_id for row in page if row.job_id])}
        return page_answer([self._shown(row, found.get(row.job_id or 0)) for row in page], page)

    @extend_schema(request=ExportIn, responses={201: ExportOut}, tags=["files"])
    def create(self, request: Any) -> JsonResponse:
        """Begin an export; phone numbers are masked unless the key has `contacts.phones`."""
        values = read_body(ExportIn, request)
        query = AskedFilter(values.get("filter", {}))
        row = exports.start_export(
            request._request.brand, kind=values["kind"], query=query, format=values["format"], by=request.user, staff=None,
        )  # fmt: skip
        query.check()  # what is refused is rolled back
        return JsonResponse(self._shown(row), status=201)

    @extend_schema(responses=ExportOut, tags=["files"])
    def retrieve(self, request: Any, pk: int) -> JsonResponse:
        """State of an export of this key."""
        row = ExportFile.objects.filter(pk=pk, user_id=None).first()
        if row is None or not exports.is_of(row, request.user):
            raise NotFoundError()
        return JsonResponse(self._shown(row))

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, tags=["files"])
    def file(self, request: Any, pk: int) -> Any:
        """The finished file, for three days. 409 `not_ready` before it is finished."""
        waiting = ExportFile.objects.filter(pk=pk, user_id=None, ended_at=None, purged_at=None).first()
        if waiting and exports.is_of(waiting, request.user):
            raise ConflictError(_("The file is not ready yet"), code="not_ready")
        path, name = exports.open_file(request._request.brand, export_id=pk, by=request.user)
        return FileResponse(path.open("rb"), as_attachment=True, filename=name)

    @staticmethod
    def _shown(row: ExportFile, job: Job | None = None) -> dict[str, Any]:
        job = job or _job_of(row)
        return {
            "id": row.pk, "kind": row.kind, "format": row.format, "job": job.state if job else "",
            "error": job.error if job else "", "rows": row.n_rows, "is_ready": row.ended_at is not None,
            "expires_at": row.expires_at,
        }  # fmt: skip
