"""Batches of the API: many rows in one request, an answer for each; and how batches are described."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _
from rest_framework import serializers

from scrm.api_body import Body, body
from scrm.errors import InvalidError
from scrm.responses import plain_fields

MAX_ROWS = 1_000
SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,17}")


class RowOut(serializers.Serializer):
    """What became of one row. `reason` of an accepted one is a remark, e.g. `unknown_person`: it waits for them."""

    row = serializers.IntegerField(help_text="its place in the batch, from 0")
    result = serializers.ChoiceField(choices=["accepted", "repeated", "refused"])
    id = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(help_text="a word that does not change; may be empty")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="of a row that could not be read: field → what is wrong",
    )


class BatchOut(serializers.Serializer):
    accepted = serializers.IntegerField()
    repeated = serializers.IntegerField(help_text="known already, or older than what is known")
    refused = serializers.IntegerField()
    results = RowOut(many=True)


class BuyerIn(Body):
    """Who it is, by an outside id."""

    kind = serializers.ChoiceField(choices=["unionid", "external_userid", "openid", "phone", "member_no"])
    value = serializers.CharField(max_length=64)
    scope = serializers.CharField(
        max_length=64,
        required=False,
        allow_blank=True,
        help_text="corp id of an external_userid (not needed with one corp), app id of an openid",
    )


def rows_of(request: Any) -> list[Any]:
    """`rows` of a batch. Raises InvalidError when there are none or too many."""
    rows = request.data.get("rows")
    if not isinstance(rows, list) or not rows:
        text = _("rows must be a list that is not empty")
        raise InvalidError(text, fields={"rows": text})
    if len(rows) > MAX_ROWS:
        text = _("At most %(n)s rows in one request") % {"n": MAX_ROWS}
        raise InvalidError(text, code="too_many", fields={"rows": text})
    return rows


def source_of(request: Any) -> str:
    """`source` of a batch: whose numbers these are; `api` if not given."""
    source = request.data.get("source", "api")
    if not isinstance(source, str) or not SOURCE.fullmatch(source):
        text = _("source: at most 18 small letters, digits, - and _")
        raise InvalidError(text, fields={"source": text})
    return source


def answer(
    rows: Sequence[Any],
    shape: type[Body],
    plain: Callable[[dict[str, Any]], dict[str, Any]],
    record: Callable[[list[dict[str, Any]]], Sequence[Any]],
) -> JsonResponse:
    """Read each row with its serializer, record those that can be read, answer for all.

    Args:
        plain: the validated row as the service takes it.
        record: the service; gives an outcome (result, id, reason) for each row.
    """
    results: list[dict[str, Any]] = []
    good: list[dict[str, Any]] = []
    where: list[int] = []
    for n, row in enumerate(rows):
        given = shape(data=row)
        if isinstance(row, dict) and given.is_valid():
            good.append(plain(dict(given.validated_data)))
            where.append(n)
            results.append({"row": n})
        else:
            wrong = given.errors if isinstance(row, dict) else {"row": [_("A row must be a JSON object")]}
            fields = plain_fields(wrong)
            results.append({"row": n, "result": "refused", "id": None, "reason": "invalid", "fields": fields})
    outcomes = record(good) if good else []
    for n, outcome in zip(where, outcomes, strict=True):
        results[n] |= {"result": str(outcome.result), "id": outcome.id, "reason": outcome.reason}
    sums = {word: sum(r["result"] == word for r in results) for word in ("accepted", "repeated", "refused")}
    return JsonResponse({**sums, "results": results})


def with_buyer(row: dict[str, Any]) -> dict[str, Any]:
    """`buyer: {kind, scope, value}` as the columns of the services."""
    buyer = row.pop("buyer", None) or {}
    return {
        **row, "buyer_kind": buyer.get("kind"), "buyer_scope": buyer.get("scope"), "buyer_value": buyer.get("value"),
    }  # fmt: skip


# ---- description


def batch_in(name: str, shape: type[Body], *, with_source: bool = True) -> Any:
    """The description of a batch."""
    fields: dict[str, Any] = {"rows": shape(many=True, help_text=f"at most {MAX_ROWS}")}
    if with_source:
        fields["source"] = serializers.CharField(
            required=False, help_text="whose numbers these are: shop, pos …; `api` if not given"
        )
    return body(name, fields)
