"""Members and departments: who is where, and whom an app sees (可见范围)."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection
from django.db.models import BooleanField, JSONField

from .models import App, Department, Member, Seat

ACTIVE, LEFT = 1, 5
# asked by nearly every call: the ORM would take longer to write this and to read its row than SQLite to answer it
_FIELDS = Member._meta.concrete_fields
_NAMES = [field.attname for field in _FIELDS]
_KINDS: dict[type, Callable[[Any], Any]] = {JSONField: json.loads, BooleanField: bool}
_READ = [(place, _KINDS[type(field)]) for place, field in enumerate(_FIELDS) if type(field) in _KINDS]
MEMBER = (
    f"SELECT {', '.join(field.column for field in _FIELDS)} FROM sandbox_member"  # noqa: S608
    " WHERE corpid = %s AND userid = %s AND status <> %s"
)


def subtree(corpid: str, roots: Iterable[int]) -> set[int]:
    """The departments and everything below them."""
    children: dict[int, list[int]] = {}
    known = set()
    for dept_id, parentid in Department.objects.filter(corpid=corpid).values_list("dept_id", "parentid"):
        known.add(dept_id)
        children.setdefault(parentid, []).append(dept_id)
    found: set[int] = set()
    todo = [root for root in roots if root in known]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo.extend(children.get(one, ()))
    return found


def members_in(corpid: str, departments: Iterable[int]) -> set[str]:
    """Ids of those who sit in the departments or below them."""
    departments = list(departments)
    if not departments:
        return set()
    ids = list(subtree(corpid, departments))
    return set(Seat.objects.filter(corpid=corpid, dept_id__in=ids).values_list("userid", flat=True))


def visible_users(app: App) -> set[str] | None:
    """Lower-cased ids of the members an app sees; None: everybody."""
    if app.visible is None:
        return None
    users = {user.lower() for user in app.visible.get("users", [])}
    return users | {user.lower() for user in members_in(app.corpid, app.visible.get("departments", []))}


def visible_departments(app: App) -> set[int] | None:
    """Departments an app sees; None: all."""
    if app.visible is None:
        return None
    return subtree(app.corpid, app.visible.get("departments", []))


def sees(app: App, userid: str) -> bool:
    """Whether a member is in the app's visible range."""
    users = visible_users(app)
    return users is None or userid.lower() in users


def find(corpid: str, userid: str) -> Member | None:
    """A member who has not left."""
    with connection.cursor() as cursor:
        cursor.execute(MEMBER, [corpid, userid, LEFT])
        row = cursor.fetchone()
    if row is None:
        return None
    values = list(row)
    for place, read in _READ:
        values[place] = read(values[place])
    return Member.from_db("default", _NAMES, values)
