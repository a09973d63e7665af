"""渠道活码: make, edit, copy and delete codes, and move guides between them. Each act is audited and told to
WeCom after commit."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from livecodes.models import ChannelCode, CodeGuide, CodeHours
from livecodes.services import ways
from livecodes.services.content import CodeInput, apply, as_audit, as_input, check, write_parts
from livecodes.services.roster import is_able
from livecodes.services.warm import warm_later
from org import audit
from org.access import Actor
from org.models import Corp, Staff
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

LEFT_TO_CALLER = timedelta(minutes=10)

# ---- acts


@transaction.atomic
def create_code(
    brand: Brand,
    *,
    by: Actor,
    corp: Corp,
    given: CodeInput,
    push: bool = True,
    kind: str = ChannelCode.Kind.CODE,
) -> ChannelCode:
    """A new code; WeCom makes its QR picture after commit (`sync_state` tells).

    Args:
        kind: a QR code, or an acquisition link (获客助手), which is a code without a picture of WeCom's.
        push: False leaves the call to WeCom to the caller (a batch makes them one by one); the tick makes
            what the caller has not made after ten minutes.

    Raises:
        InvalidError: with `fields`, for the form. NotFoundError: an id of another brand.
    """
    check(given, corp, code=None)
    code = ChannelCode(corp=corp, kind=ChannelCode.Kind(kind), state=new_state(), created_by=by.name)
    code.due_at = clock.now() + (timedelta(0) if push else LEFT_TO_CALLER)
    apply(code, given)
    code.save()
    write_parts(code, given)
    audit.record(by, "code.create", code, after=as_audit(code))
    warm_later(brand, given.welcomes)
    if push:
        _push_later(brand, [code.pk])
    return code


@transaction.atomic
def edit_code(brand: Brand, *, by: Actor, code_id: int, given: CodeInput) -> ChannelCode:
    """Change a code; its QR picture stays the same, so printed codes follow the change."""
    code = get_code(code_id, lock=True)
    check(given, code.corp, code=code)
    before = as_audit(code)
    apply(code, given)
    code.save()
    write_parts(code, given)
    ways.mark_for_push([code.pk])
    audit.record(by, "code.edit", code, before=before, after=as_audit(code))
    warm_later(brand, given.welcomes)
    _push_later(brand, [code.pk])
    return code


@transaction.atomic
def delete_code(brand: Brand, *, by: Actor, code_id: int) -> ChannelCode:
    """Take a code away, here and in WeCom: printed ones are dead. Its figures and its customers stay."""
    code = get_code(code_id, lock=True)
    code.deleted_at = code.due_at = clock.now()
    code.save(update_fields=["deleted_at", "due_at"])
    audit.record(by, "code.delete", code, before={"name": code.name, "state": code.state})
    _push_later(brand, [code.pk])
    return code


@transaction.atomic
def duplicate_code(brand: Brand, *, by: Actor, code_id: int, name: str = "") -> ChannelCode:
    """A second code with the same settings and a QR picture of its own."""
    code = get_code(code_id)
    given = as_input(code)
    name = name.strip() or _free_name(code.name)
    return create_code(brand, by=by, corp=code.corp, given=replace(given, name=name), kind=code.kind)


@transaction.atomic
def replace_guide(
    brand: Brand, *, by: Actor, old: Staff, new: Staff | None, code_ids: Sequence[int] | None = None
) -> tuple[int, list[str]]:
    """Put one guide in another's place in all codes, or in some; `new=None` takes `old` out.

    Returns:
        how many codes changed, and the names of those left as they are because nobody else is behind them.

    Raises:
        InvalidError: the new guide cannot have customers, or belongs to another corp.
    """
    if new is not None and (not is_able(new) or new.corp_id != old.corp_id):
        raise InvalidError(_("%(name)s cannot take customers in this corp") % {"name": new.name})
    codes = ChannelCode.objects.live().filter(guides__staff=old)
    if code_ids is not None:
        codes = codes.filter(pk__in=list(code_ids))
    changed, kept = [], []
    for code in codes.order_by("pk").prefetch_related("guides"):
        others = {g.staff_id for g in code.guides.all()} - {old.pk}
        mine = [g for g in code.guides.all() if g.staff_id == old.pk]
        if new is None and not others:
            kept.append(code.name)
            continue
        rows = CodeGuide.objects.filter(pk__in=[g.pk for g in mine])
        if new is None or new.pk in others:
            rows.delete()
            CodeHours.objects.filter(code=code, staff=old).delete()
        else:
            rows.update(staff=new, refused_at=None, refusal="")
            CodeHours.objects.filter(code=code, staff=old).update(staff=new)
        changed.append(code.pk)
        audit.record(
            by,
            "code.replace_guide",
            code,
            before={"guide": old.name},
            after={"guide": new.name if new else ""},
        )
    ways.mark_for_push(changed)
    _push_later(brand, changed)
    return len(changed), kept


def matching(*, q: str = "", guide_id: int | None = None, kind: str = "") -> QuerySet[ChannelCode]:
    """Live codes with `q` in name or place, with a guide, of a kind; in no order."""
    found = ChannelCode.objects.live()
    if q := q.replace("\x00", "").strip():
        found = found.filter(Q(name__icontains=q) | Q(place__icontains=q))
    if guide_id is not None:
        found = found.filter(guides__staff=guide_id)
    return found.filter(kind=kind) if kind in ChannelCode.Kind.values else found


def get_code(code_id: int, *, lock: bool = False) -> ChannelCode:
    """A live code of the brand in scope.

    Raises:
        NotFoundError: none, deleted, or another brand's.
    """
    codes = ChannelCode.objects.live().select_related("corp")
    if lock:
        codes = codes.select_for_update(of=("self",))
    code = codes.filter(pk=code_id).first()
    if code is None:
        raise NotFoundError(_("There is no such channel code"))
    return code


def new_state() -> str:
    """WeCom's `state`, which comes back with every customer; ≤ 30 characters, not to be guessed."""
    return f"c{secrets.token_hex(8)}"


def _free_name(name: str) -> str:
    taken = set(ChannelCode.objects.live().filter(name__startswith=name[:50]).values_list("name", flat=True))
    for n in range(2, 10_000):
        candidate = f"{name[:52]} ({n})"
        if candidate not in taken:
            return candidate
    raise ConflictError(_("There is a code of this name already"))


def _push_later(brand: Brand, code_ids: Sequence[int]) -> None:
    from livecodes.tasks import push_code

    for code_id in code_ids:
        push_code.delay_on_commit(brand_id=brand.pk, code_id=code_id)
