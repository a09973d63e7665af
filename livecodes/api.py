"""REST API of channel codes and acquisition links (获客助手): list, make, change, end, figures. WeCom is told after the
answer; `sync_state` says how far it is."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, viewsets

from contacts.models import Follow
from livecodes.api_shapes import (
    CodeIn,
    CodeOut,
    CodeReportOut,
    CodeWhole,
    LinkCustomerOut,
    QuotaOut,
    code_input,
    parts_of,
)
from livecodes.models import AcquisitionQuota, ChannelCode, LinkCustomer
from livecodes.services import codes, figures, links, ways
from livecodes.services.content import as_input
from livecodes.services.doors import address_of
from livecodes.services.ways import problem_of
from org.models import Corp
from scrm.api_body import read_body
from scrm.api_pages import asked_page, page_answer, page_out, paged
from scrm.api_query import asked_number, asked_word
from scrm.errors import InvalidError, NotFoundError
from tenants.models import Brand

SIZE, DAYS, MAX_DAYS = 50, 30, 90
Kind = ChannelCode.Kind


class _CodeViewSet(viewsets.ViewSet):
    """What both kinds can do; each sees its own only."""

    kind: ClassVar[str]
    capabilities = {
        "list": "codes.view", "retrieve": "codes.view", "report": "codes.view", "create": "codes.edit",
        "partial_update": "codes.edit", "destroy": "codes.edit", "retry": "codes.edit", "remake": "codes.edit",
    }  # fmt: skip

    @extend_schema(
        responses=page_out("ChannelCodePage", CodeOut),
        parameters=[
            OpenApiParameter("q", str, description="in the name or the place"),
            OpenApiParameter("guide", int, description="id of a staff member behind it"),
            OpenApiParameter("sync_state", str, enum=ChannelCode.Sync.values),
            *paged(SIZE),
        ],
    )
    def list(self, request: Any) -> HttpResponse:
        """Newest first, with figures; what has ended is left out."""
        given = request.query_params
        found = codes.matching(q=given.get("q", ""), guide_id=asked_number(given, "guide"), kind=self.kind)
        if sync := asked_word(given, "sync_state", ChannelCode.Sync.values):
            found = found.filter(sync_state=sync)
        page = asked_page(request, found.select_related("corp"), ("-pk",), SIZE)
        return page_answer(_rows(request._request.brand, page.rows), page)

    @extend_schema(responses=CodeWhole)
    def retrieve(self, request: Any, pk: int) -> HttpResponse:
        """One, with guides, hours, tags and welcomes."""
        return JsonResponse(_whole(request._request.brand, self._code(pk)))

    @extend_schema(request=CodeIn, responses={201: CodeWhole})
    def create(self, request: Any) -> HttpResponse:
        """Make one; WeCom is told after the answer."""
        brand = request._request.brand
        checked = read_body(CodeIn, request)
        given = code_input(brand, checked)
        corp = _corp(checked.get("corpid"))
        code = codes.create_code(brand, by=request.user, corp=corp, given=given, kind=self.kind)
        return JsonResponse(_whole(brand, code), status=201)

    @extend_schema(request=CodeIn(partial=True), responses=CodeWhole)
    def partial_update(self, request: Any, pk: int) -> HttpResponse:
        """Change what is given; of `guides`, `hours`, `tag_ids` and `welcomes` the whole list. Printed codes follow."""
        brand = request._request.brand
        checked = read_body(CodeIn, request, partial=True)
        if "corpid" in checked:
            problem = _("It stays with the corp in which it was made")
            raise InvalidError(problem, fields={"corpid": problem})
        with transaction.atomic():  # held: what is left out is as another change at this moment has left it
            code = self._code(pk, lock=True)
            given = code_input(brand, checked, as_input(code))
            code = codes.edit_code(brand, by=request.user, code_id=pk, given=given)
        return JsonResponse(_whole(brand, code))

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Any, pk: int) -> HttpResponse:
        """End it, here and in WeCom: whoever scans it then meets nobody. Its customers and figures stay."""
        self._code(pk)
        codes.delete_code(request._request.brand, by=request.user, code_id=pk)
        return HttpResponse(status=204)

    @extend_schema(request=None, responses=CodeWhole)
    def retry(self, request: Any, pk: int) -> HttpResponse:
        """Ask WeCom again, after what it complained of has been mended."""
        self._code(pk)
        ways.retry(request._request.brand, by=request.user, code_id=pk)
        return JsonResponse(_whole(request._request.brand, self._code(pk)))

    @extend_schema(request=None, responses=CodeWhole)
    def remake(self, request: Any, pk: int) -> HttpResponse:
        """A new picture or address for one that was deleted in WeCom; 409 while the present one works."""
        self._code(pk)
        ways.remake(request._request.brand, by=request.user, code_id=pk)
        return JsonResponse(_whole(request._request.brand, self._code(pk)))

    @extend_schema(
        responses=CodeReportOut,
        parameters=[OpenApiParameter("days", int, description=f"1 to {MAX_DAYS}; {DAYS} if not given")],
    )
    def report(self, request: Any, pk: int) -> HttpResponse:
        """Who came each day and who was lost, who stayed, by guide."""
        brand, code = request._request.brand, self._code(pk)
        n_days = asked_number(request.query_params, "days", MAX_DAYS) or DAYS
        is_link = code.kind == Kind.LINK
        shown = {
            "figures": figures.of_codes(brand, [code])[code.pk],
            "by_day": [
                {"on": on, "n_added": n, "n_lost": lost}
                for on, n, lost in figures.by_day(brand, code, n_days)
            ],
            "kept": figures.retention(brand, code),
            "guides": [
                {"staff_id": pk, **row.__dict__} for pk, row in sorted(figures.by_guide(brand, code).items())
            ],
            "wecom": links.figures([code.pk])[code.pk] if is_link else None,
            "wecom_by_day": [
                {"on": on, "n_clicks": n, "n_new": new}
                for on, n, new in (links.by_day(code) if is_link else [])
            ],
        }
        return JsonResponse(_plain(CodeReportOut(shown)))

    def _code(self, pk: int, *, lock: bool = False) -> ChannelCode:
        code = codes.get_code(pk, lock=lock)
        if code.kind != self.kind:
            raise NotFoundError()
        return code


class ChannelCodeViewSet(_CodeViewSet):
    kind = Kind.CODE


class AcquisitionLinkViewSet(_CodeViewSet):
    kind = Kind.LINK
    capabilities = {
        **_CodeViewSet.capabilities,
        "customers": "contacts.view",
        "quota": "codes.view",
        "read": "codes.edit",
    }

    @extend_schema(responses=page_out("LinkCustomerPage", LinkCustomerOut), parameters=paged(SIZE))
    def customers(self, request: Any, pk: int) -> HttpResponse:
        """Whom WeCom lists for a link, and whether they have written; read each night."""
        rows = LinkCustomer.objects.filter(code=self._code(pk))
        order = ("external_userid", "staff_id")
        page = asked_page(request, rows, order, SIZE)
        pairs = {(row.staff_id, row.external_userid) for row in page}
        follows = Follow.objects.filter(
            staff__in={staff for staff, _e in pairs}, external_userid__in={external for _s, external in pairs}
        )
        known = {(f.staff_id, f.external_userid): f.contact_id for f in follows} if pairs else {}
        shown = [
            {
                "external_userid": row.external_userid,
                "contact_id": known.get((row.staff_id, row.external_userid)),
                "staff_id": row.staff_id,
                "state": row.state,
                "chat": LinkCustomer.Chat(row.chat).name.lower(),
                "seen_at": row.seen_at,
            }
            for row in page
        ]
        return page_answer(LinkCustomerOut(shown, many=True).data, page)

    @extend_schema(request=None, responses={202: None})
    def read(self, request: Any) -> HttpResponse:
        """Ask WeCom for balance, customers and figures now; they come by themselves."""
        links.read_all(request._request.brand, by=request.user)
        return HttpResponse(status=202)

    @extend_schema(responses=inline_serializer("AcquisitionQuotas", {"results": QuotaOut(many=True)}))
    def quota(self, request: Any) -> HttpResponse:
        """What is left of WeCom's balance of new customers, by corp; read each hour."""
        rows = AcquisitionQuota.objects.select_related("corp").order_by("corp")
        return JsonResponse({"results": QuotaOut(rows, many=True).data})


def _corp(corpid: str | None) -> Corp:
    """The corp that was named, or the only one. Raises InvalidError: none, or not said which."""
    corps = list(Corp.objects.order_by("pk"))
    if corpid is not None:
        corps = [corp for corp in corps if corp.corpid == corpid]
    if len(corps) != 1:
        problem = _("The brand has several corps: say which") if corps else _("The brand has no such corp")
        raise InvalidError(problem, fields={"corpid": problem})
    return corps[0]


def _dicts(brand: Brand, found: Sequence[ChannelCode]) -> list[dict[str, Any]]:
    ids = [code.pk for code in found if code.kind == Kind.LINK]
    counted, told = figures.of_codes(brand, found), links.figures(ids) if ids else {}
    names = (
        "name", "corp", "place", "strategy", "skip_verify", "remark", "cost_fen", "store_id", "owner_id", "sop_id",
        "state", "sync_state", "current_userids", "created_at",
    )  # fmt: skip
    return [
        {
            "id": code.pk,
            **{name: getattr(code, name) for name in names},
            "qr_url": code.qr_url if code.kind == Kind.CODE else "",
            "address": address_of(code),
            "sync_error": problem_of(code.sync_error)[0] if code.sync_error else "",
            "figures": counted[code.pk],
            "wecom": told.get(code.pk),
        }
        for code in found
    ]


def _rows(brand: Brand, found: Sequence[ChannelCode]) -> Any:
    return _plain(CodeOut(_dicts(brand, found), many=True))


def _whole(brand: Brand, code: ChannelCode) -> dict[str, Any]:
    (row,) = _dicts(brand, [code])
    whole: dict[str, Any] = _plain(CodeWhole(row | parts_of(as_input(code))))
    return whole


def _plain(shown: serializers.BaseSerializer) -> Any:
    return json.loads(json.dumps(shown.data, default=str))
