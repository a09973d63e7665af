"""Whole rows, kept as JSON, written into their tables again."""

import json
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import ForeignKey

from tenants.fields import BrandField


def put_back(cursor: Any, model: str, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows as `to_jsonb` gave them; gives how many. A row that is there already stays as it is. Columns that are new
    since get their default; what a row refers to and is gone is left empty or, where that cannot be, the row is left out.
    """
    if not rows:
        return 0
    fields = apps.get_model(model)._meta.local_concrete_fields
    quote = connection.ops.quote_name
    plain = [
        {f.column: row[f.column] if f.column in row else f.get_default() for f in fields if f.column}
        for row in rows
    ]
    columns, values, needed = [], [], ["true"]
    for field in fields:
        if not field.column:  # a key of several columns is no column
            continue
        column, value = quote(field.column), f"x.{quote(field.column)}"
        columns.append(column)
        if (
            isinstance(field, ForeignKey)
            and not isinstance(field, BrandField)
            and field.column != "contact_id"
        ):
            table = quote(field.related_model._meta.db_table)
            there = f"EXISTS (SELECT 1 FROM {table} r WHERE r.brand_id = x.brand_id AND r.id = {value})"  # noqa: S608
            if field.null:
                value = f"CASE WHEN {there} THEN {value} END"
            else:
                needed.append(there)
        values.append(value)
    table = quote(apps.get_model(model)._meta.db_table)
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE SELECT {', '.join(values)}"  # noqa: S608
        f" FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb) x WHERE {' AND '.join(needed)} ON CONFLICT DO NOTHING",
        [json.dumps(plain, cls=DjangoJSONEncoder)],
    )
    return cursor.rowcount
