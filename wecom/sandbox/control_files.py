"""The state of the sandbox as a file: JSON Lines, written and read row by row, so that its size does not matter.

First line {"sandbox": 1, "schema": …}, then {"table": …, "row": …} in the order of keys, {"file": media_id, "base64": …}.
"""

import base64
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.apps import apps as django_apps
from django.conf import settings
from django.db import connection, models
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from . import clock, delivery, life, store
from .api import media_by_url
from .api.media import path_of
from .control_system import forget_all
from .errors import Refused
from .models import Prepared

VERSION = 1
SLICE = 2000
# What depends on real time and on who listened: left out of a stable dump, so that two runs can be compared by bytes.
UNSTABLE = {"sandbox_delivery": ("due_at", "attempts")}
UNSTABLE_SETTINGS = ("clock",)


def tables() -> list[type[models.Model]]:
    """All tables but what is only prepared from others, in the order of their names."""
    found = [model for model in django_apps.get_app_config("sandbox").get_models() if model is not Prepared]
    return sorted(found, key=lambda model: model._meta.db_table)


def schema() -> str:
    """The last migration."""
    rows = MigrationRecorder.Migration.objects.filter(app="sandbox").order_by("-name")
    return rows.values_list("name", flat=True).first() or ""


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def dump(*, stable: bool = False, media: bool = True) -> Iterator[str]:
    """The lines of the file."""
    head: dict[str, Any] = {"sandbox": VERSION, "schema": schema()}
    with contextlib.closing(
        sqlite3.connect(f"file:{settings.DATABASES['default']['NAME']}?mode=ro", uri=True)
    ) as apart:
        with store.writers:
            head |= {} if stable else {"shown": clock.running(), "speed": clock.speed()}
            apart.execute(
                "BEGIN"
            )  # one moment of the database, while others go on writing: that of the first reading
            apart.execute("SELECT count(*) FROM sandbox_setting").fetchone()
        yield _line(head)
        yield from _rows(apart, stable=stable)
    if media:
        yield from _media()


def _rows(apart: sqlite3.Connection, *, stable: bool) -> Iterator[str]:
    for model in tables():
        table = model._meta.db_table
        columns = [field.column for field in model._meta.concrete_fields]
        if stable:
            columns = [column for column in columns if column not in UNSTABLE.get(table, ())]
        names = ", ".join(f'"{column}"' for column in columns)
        key = model._meta.pk.column  # type: ignore[union-attr]
        cursor = apart.execute(f'SELECT {names} FROM "{table}" ORDER BY "{key}"')  # noqa: S608
        while rows := cursor.fetchmany(SLICE):
            for row in rows:
                if not (stable and table == "sandbox_setting" and row[0] in UNSTABLE_SETTINGS):
                    yield _line({"table": table, "row": dict(zip(columns, row, strict=True))})


def _media() -> Iterator[str]:
    folder = path_of("x").parent
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        yield _line({"file": path.name, "base64": base64.b64encode(path.read_bytes()).decode()})


def restore(lines: Iterable[bytes]) -> dict[str, int]:
    """Wipe everything and take what the lines say; counts of rows by table.

    Raises:
        Refused: no such file, or one of another version; the sandbox then stays as it was.
    """
    reading = iter(lines)
    head = _parsed(next(reading, b""), 1)
    if head.get("sandbox") != VERSION or head.get("schema") != schema():
        raise Refused(f"this is no dump of this version ({VERSION}, {schema()})")
    if "shown" not in head:
        raise Refused("a stable dump is for comparing; it cannot be read back")
    with life.playing, store.writers:
        try:
            counts = _take(reading)
        except Exception:
            store.load()  # chance was wiped in memory; the tables are as before
            raise
        store.load()
        store.set_clock(shown=float(head["shown"]), speed=float(head["speed"]))
        forget_all()
        delivery.take_up()
        media_by_url.take_up()
    return counts


def _take(reading: Iterator[bytes]) -> dict[str, int]:
    """Wipe and insert, in one transaction; then the files."""
    known = {model._meta.db_table: model for model in tables()}
    counts: dict[str, int] = {}
    files: list[tuple[str, bytes]] = []
    with store.writing():
        store.wipe()
        batch: dict[str, list[dict[str, Any]]] = {}
        for number, line in enumerate(reading, 2):
            one = _parsed(line, number)
            if "file" in one:
                files.append((_safe(str(one["file"])), base64.b64decode(one["base64"])))
                continue
            table = one.get("table")
            if table not in known:
                raise Refused(f"line {number}: no table {table!r}")
            batch.setdefault(table, []).append(one["row"])
            counts[table] = counts.get(table, 0) + 1
            if len(batch[table]) >= SLICE:
                _insert(known[table], batch.pop(table))
        for table, rows in batch.items():
            _insert(known[table], rows)
        store.another_world()
    store.wipe_media()
    for name, content in files:
        target = path_of(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return counts


def _safe(name: str) -> str:
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise Refused(f"{name!r} is no file of the sandbox")
    return name


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        raise Refused(f"line {number}: no JSON") from None
    if not isinstance(found, dict):
        raise Refused(f"line {number}: an object")
    return found


def _insert(model: type[models.Model], rows: list[dict[str, Any]]) -> None:
    columns = [field.column for field in model._meta.concrete_fields]
    if any(set(row) != set(columns) for row in rows):
        raise Refused(f"{model._meta.db_table}: other columns than ours")
    names, marks = ", ".join(f'"{column}"' for column in columns), ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({marks})',  # noqa: S608
            [[row[column] for column in columns] for row in rows],
        )


def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """GET /control/export?stable=&media=: the file."""
    if request.method != "GET":
        raise Refused("GET", status=405)
    wanted = {key: request.GET.get(key) not in (None, "", "0", "false") for key in ("stable",)}
    media = request.GET.get("media") not in ("0", "false")
    answer = StreamingHttpResponse(
        dump(stable=wanted["stable"], media=media), content_type="application/x-ndjson; charset=utf-8"
    )
    answer["Content-Disposition"] = 'attachment; filename="sandbox.jsonl"'
    return answer  # type: ignore[return-value]


def import_(request: HttpRequest) -> HttpResponse:
    """POST /control/import: the file as the body, or as the field `file` of a form."""
    if request.method != "POST":
        raise Refused("POST", status=405)
    uploaded = request.FILES.get("file") if (request.content_type or "").startswith("multipart/") else None
    lines: Iterable[bytes] = uploaded if uploaded is not None else request
    return JsonResponse(restore(lines))


FILES: dict[str, Callable[[HttpRequest], Any]] = {"export": export, "import": import_}
