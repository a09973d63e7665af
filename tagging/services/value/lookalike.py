"""'Find me more like these': naive Bayes over what is known of customers as bits, with the reason of each step.

Weight of a feature = log of how much more often the given people have it than everybody else (add-one smoothed); the
score of a customer is the sum over the features they have, minus those they lack. Features are tags, channel codes,
gender, value group, stage, R, F and M, and what was bought by category.

Source: Manning, Raghavan, Schütze (2008), "Introduction to Information Retrieval", 13.3 (Bernoulli model).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.utils.translation import gettext as _

from commerce.models import Product
from contacts import hooks
from contacts.services import positions
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm.errors import InvalidError
from tagging.models import Dim, Flag, LifecycleStage, Segment, Tag, ValueGroup
from tagging.services.bits.frames import Bits, Frame, contacts_at, count
from tagging.services.segments import segments
from tagging.services.segments.audience import Audience
from tagging.services.segments.snapshots import condition_of
from tenants.models import Brand

MIN_SEED, MAX_SIZE = 20, 1_000_000
SHOWN = 12  # reasons
MIN_GAIN = 0.05  # |weight| below this is noise and left out


@dataclass(frozen=True)
class Reason:
    """One feature: share of the given people who have it, and of everybody else."""

    name: str
    of_seed: float
    of_others: float
    weight: float


@dataclass(frozen=True)
class Result:
    """`contact_ids` by likeness, the most alike first; `reasons` by how much they weigh."""

    contact_ids: list[int]
    reasons: list[Reason]
    n_seed: int


def find(brand: Brand, segment: Segment, size: int) -> Result:
    """The `size` reachable customers outside of a segment who are most like its members.

    Raises:
        InvalidError: too few members to learn from.
    """
    frame = Frame.whole(brand)
    seed = frame.of_chunks(Audience(brand, condition_of(segment)).bitmap())
    n_seed = count(seed)
    if n_seed < MIN_SEED:
        raise InvalidError(_("At least %(n)s people are needed to learn from") % {"n": MIN_SEED})
    everybody = frame.one(Dim.FLAG, Flag.EVERYBODY)
    others = everybody & ~seed
    n_others = count(others)
    scores = np.zeros((len(frame.chunks), 8192), dtype=np.float32)
    reasons = []
    for name, bits in features(brand, frame):
        with_it, without = count(bits & seed), count(bits & others)
        p, q = (with_it + 1) / (n_seed + 2), (without + 1) / (n_others + 2)
        yes, no = np.log(p / q), np.log((1 - p) / (1 - q))
        if abs(yes) < MIN_GAIN and abs(no) < MIN_GAIN:
            continue
        scores += np.where(np.unpackbits(bits, axis=1), np.float32(yes), np.float32(no))
        reasons.append(Reason(name, with_it / n_seed, without / max(n_others, 1), float(yes * p)))
    wanted = np.unpackbits(others & frame.one(Dim.FLAG, Flag.REACHABLE), axis=1).astype(bool)
    best = _best(scores, wanted, min(size, MAX_SIZE))
    positions = frame.chunks[best // 8192] * 8192 + best % 8192
    reasons.sort(key=lambda reason: -abs(reason.weight))
    return Result(_contacts(brand, frame, positions), reasons[:SHOWN], n_seed)


def _best(scores: Any, wanted: Any, size: int) -> Any:
    flat = np.where(wanted, scores, -np.inf).ravel()
    n = min(size, int(wanted.sum()))
    if not n:
        return np.empty(0, dtype=np.int64)
    top = np.argpartition(-flat, n - 1)[:n]
    return top[np.argsort(-flat[top], kind="stable")]


def _contacts(brand: Brand, frame: Frame, positions: Any) -> list[int]:
    bits = frame.of_positions(positions)
    by_position = dict(zip(frame.positions(bits), contacts_at(brand, frame, bits), strict=True))
    return [by_position[position] for position in positions]


def features(brand: Brand, frame: Frame) -> list[tuple[str, Bits]]:
    """(name, who has it) of everything that is known as bits."""
    found: list[tuple[str, Bits]] = []
    tags = dict(Tag.objects.filter(deleted_at=None).values_list("pk", "name"))
    found += [(tags[val], bits) for val, bits in frame.load(Dim.TAG, 0, 2**62) if val in tags]
    codes = list(frame.load(Dim.CODE, 0, 2**62))
    names = hooks.code_names([val for val, _bits in codes])
    found += [(names.get(val, "—"), bits) for val, bits in codes]
    found += [(_("Male"), frame.one(Dim.FLAG, Flag.MALE)), (_("Female"), frame.one(Dim.FLAG, Flag.FEMALE))]
    return found + _of_columns(brand, frame) + _of_categories(brand, frame)


def _of_columns(brand: Brand, frame: Frame) -> list[tuple[str, Bits]]:
    stages = dict(LifecycleStage.objects.values_list("number", "name"))
    words = {
        "value_group": {int(group): str(group.label) for group in ValueGroup}, "lifecycle": stages,
        "recency": {n: f"R{n}" for n in range(1, 6)}, "frequency": {n: f"F{n}" for n in range(1, 6)},
        "monetary": {n: f"M{n}" for n in range(1, 6)},
    }  # fmt: skip
    found = []
    for column, names in words.items():
        sql = f"SELECT position FROM contacts_contactstat WHERE brand_id = %s AND {column} = %s"  # noqa: S608
        found += [(name, frame.select(sql, [brand.pk, number])) for number, name in names.items()]
    return found


def _of_categories(brand: Brand, frame: Frame) -> list[tuple[str, Bits]]:
    sql = (
        "SELECT DISTINCT s.position FROM commerce_product p"
        " JOIN commerce_orderline l ON l.brand_id = %s AND l.product_id = p.id"
        " JOIN commerce_order o ON o.brand_id = %s AND o.id = l.order_id AND o.is_sale"
        " JOIN contacts_contactstat s ON s.brand_id = %s AND s.contact_id = o.contact_id"
        " WHERE p.brand_id = %s AND p.category = %s"
    )
    names = (
        Product.objects.exclude(category="")
        .order_by("category")
        .values_list("category", flat=True)
        .distinct()[:50]
    )
    is_new = positions.are_unknown(brand)
    return [(name, frame.select(sql, [*[brand.pk] * 4, name], joins_all=is_new)) for name in names]


# ---- as a job: the result is a list (org/services/jobs.py)


def start(brand: Brand, *, segment: Segment, size: int, name: str, by: Actor) -> Job:
    """Begin to look; the job makes a list segment of that name.

    Raises:
        InvalidError: a size out of range, no name.
    """
    if not 1 <= size <= MAX_SIZE:
        raise InvalidError(
            _("Between 1 and %(n)s people") % {"n": f"{MAX_SIZE:,}"}, fields={"size": str(MAX_SIZE)}
        )
    if not name.strip() or len(name) > 60:
        raise InvalidError(_("1 to 60 characters"), fields={"name": _("1 to 60 characters")})
    params = {"segment": segment.pk, "size": size, "name": name.strip()}
    title = _("People like “%(name)s”") % {"name": segment.name}
    return jobs.start_job(brand, kind="lookalike", title=title, params=params, by=by, n_total=size)


def step(brand: Brand, job: Job) -> bool:
    """The whole search is one step: seconds at a million."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        segment = segments.get_segment(job.params["segment"])
        result = find(brand, segment, job.params["size"])
        note = " · ".join(f"{r.name} {r.of_seed:.0%}/{r.of_others:.0%}" for r in result.reasons[:4])
        made = segments.create_list(
            brand,
            by=Actor(job.created_by),
            name=job.params["name"],
            contact_ids=result.contact_ids,
            note=note[:200],
            why=f"like:{segment.pk}",
        )
        reasons = [
            {"name": r.name, "of_seed": round(r.of_seed, 4), "of_others": round(r.of_others, 4)}
            for r in result.reasons
        ]
        params = {**job.params, "made": made.pk, "reasons": reasons, "n_seed": result.n_seed}
        jobs.save_step(job, params=params, n_done=len(result.contact_ids))
    return False
