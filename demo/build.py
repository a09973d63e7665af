"""Builds one demo brand, step by step; every step can be repeated, so that a killed set-up goes on at the next start."""

import contextlib
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, transaction

from campaigns.models import Enrolment, Sop
from campaigns.services.sops import enrolments, sops
from contacts.models import EventType, Follow
from contacts.services import stats
from contacts.services.sync import sync
from demo import alerts, leads, library, reach, tasks
from demo.journeys import in_minutes, journeys
from demo.people import Person, people
from demo.sandbox import control
from demo.shopping import shop
from demo.story import BrandStory
from insights.services import rollups
from livecodes.models import ChannelCode, Welcome
from livecodes.services import codes, ways
from livecodes.services.content import CodeInput, GuideInput, WelcomeInput
from org.access import PRESETS, SYSTEM
from org.models import Corp, Job, Region, Role, Staff, Store
from org.services import jobs
from org.services.brands import connect_corp, create_brand
from scrm import clock
from tagging.conditions.templates import TEMPLATES
from tagging.models import Segment, Tag, TagRule
from tagging.services.rules import rules
from tagging.services.segments import segments
from tagging.services.value import lifecycle, value, value_model
from tenants.models import Brand
from tenants.scoping import tenant_scope

FILE = Path(__file__).resolve().parent.parent / "demo_data" / "cdnow_master.txt"
SLICE = 2_000
TODAYS_SOP = "今日回访"

Say = Callable[[str], None]


def build(story: BrandStory, say: Say) -> Brand:
    """The brand, its corp in the sandbox, its people in both."""
    brand = Brand.objects.filter(slug=story.slug).first() or create_brand(name=story.name, slug=story.slug)
    with tenant_scope(brand):
        corp = _corp(brand, story)
        announce(brand, corp)
        _load_corp(story)
        _sync(brand, corp)
        _places(story)
        with transaction.atomic():
            guides = list(Staff.objects.filter(is_guide=True).order_by("pk"))
        guides.sort(key=lambda s: story.guides.index(s.name))
        sop = _sop(brand, story)
        made = _codes(brand, corp, story, guides, sop)
        say(f"{brand.name}: corp, {len(guides)} guides, {len(made)} channel codes")
        crowd = _crowd(story, guides)
        _load_people(story, crowd, guides, made)
        _load_groups(story, crowd, guides)
        say(f"{brand.name}: {len(crowd):,} customers are in WeCom's sandbox")
        _sync(brand, corp)
        _member_numbers(brand, corp, crowd)
        _losses(brand, crowd)
        say(f"{brand.name}: {len(crowd):,} customers synced")
        n_orders, n_acts = shop(brand, story, crowd, FILE)
        say(f"{brand.name}: {n_orders:,} orders, {n_acts:,} acts of behaviour")
        _segments(brand)
        _rules(brand)
        _values(brand)
        _enrol(brand, sop)
        _todays_sop(brand)
        journeys(brand)
        in_minutes(brand)
        tasks.give(brand, story.guide_tasks)
        library.fill(brand)
        leads.give(brand)
        alerts.give(brand)
        reach.send(brand)
        rollups.rebuild(brand)
    return brand


def announce(brand: Brand, corp: Corp) -> None:
    """Tell the sandbox the corp's secrets and where its callbacks go (the port may have changed since)."""
    control(
        "corps",
        corpid=corp.corpid,
        name=brand.name,
        agent_id=corp.agent_id,
        secret=corp.secret,
        callback_url=f"{settings.PUBLIC_URL}/wecom/callback/{corp.callback_path}/",
        token=corp.callback_token,
        aes_key=corp.callback_aes_key,
        open_platform=True,
        sidebar_url=f"{settings.PUBLIC_URL}/g/sidebar/?corp={corp.corpid}",
    )


def _corp(brand: Brand, story: BrandStory) -> Corp:
    with transaction.atomic():
        corp = Corp.objects.filter(corpid=story.corpid).first()
    return corp or connect_corp(
        brand, by=SYSTEM, name=story.name, corpid=story.corpid, agent_id=story.agent_id, secret=story.secret
    )


def _load_corp(story: BrandStory) -> None:
    departments = [{"id": 1, "name": story.name, "parentid": 0}]
    departments += [{"id": i, "name": name, "parentid": 1} for i, name in enumerate(story.departments, 2)]
    members = [
        {
            "userid": f"{story.slug}-{i + 1:02d}",
            "name": name,
            "department": [3],
            "position": "店长" if i % 3 == 0 else "导购",
            "leader": i == 0,
            "has_contact_right": True,
        }
        for i, name in enumerate(story.guides)
    ]
    members += [
        {"userid": f"{story.slug}-office-{i}", "name": name, "department": [2], "has_contact_right": False}
        for i, name in enumerate(story.office, 1)
    ]
    groups = [{"group_name": name, "tags": list(tags)} for name, tags in story.tag_groups.items()]
    control("load", corpid=story.corpid, departments=departments, members=members, tag_groups=groups)


def _sync(brand: Brand, corp: Corp) -> None:
    """A full sync in this process, the way a worker runs it."""
    with transaction.atomic():
        job = sync.start_sync(brand, corp=corp, by=SYSTEM)
    done = jobs.run(brand, job.pk)
    if done is None or done.state != Job.State.DONE:
        raise CommandError(f"sync of {brand.name} ended as {done and done.state}: {done and done.error}")


@transaction.atomic
def _places(story: BrandStory) -> None:
    stores = []
    for region_name, store_name in story.stores:
        region, _ = Region.objects.get_or_create(name=region_name)
        stores.append(Store.objects.get_or_create(name=store_name, defaults={"region": region})[0])
    for i, name in enumerate(story.guides):
        store = stores[i * len(stores) // len(story.guides)]
        Staff.objects.filter(name=name, store=None).update(store=store, region=store.region)
    # every third is the manager of a store; each of them can come in through WeCom
    for i, name in enumerate(story.guides):
        key = "manager" if i % 3 == 0 else "guide"
        role = Role.objects.get(name=PRESETS[key][0])
        Staff.objects.filter(name=name, role=None).update(role=role)


def _sop(brand: Brand, story: BrandStory) -> Sop:
    with transaction.atomic():
        sop = Sop.objects.filter(name=story.sop_name).first()
    if sop is None:
        steps = [sops.StepInput(day, hour, 0, text) for day, hour, text in story.sop_steps]
        sop = sops.create_sop(brand, name=story.sop_name, steps=steps, by=SYSTEM)
        sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    return sop


def _codes(brand: Brand, corp: Corp, story: BrandStory, guides: list[Staff], sop: Sop) -> list[ChannelCode]:
    """The channel codes in the story's order, live in the sandbox; the brand's default welcome beside them."""
    with transaction.atomic():
        there = {code.name: code for code in ChannelCode.objects.live()}
        tags = {tag.name: tag.pk for tag in Tag.objects.filter(deleted_at=None)}
        if not Welcome.objects.filter(code=None, staff=None, department_wecom_id=None).exists():
            Welcome.objects.create(text=story.default_welcome)
    made = []
    for told in story.codes:
        code = there.get(told.name)
        if code is None:
            chosen = [guides[i] for i in told.guides]
            given = CodeInput(
                name=told.name,
                place=told.place,
                strategy=told.strategy,
                cost_fen=told.cost_fen,
                sop_id=sop.pk if told.sop else None,
                tag_ids=[tags[name] for name in told.tags],
                guides=[
                    GuideInput(s.pk, weight=3 - min(n, 2), is_standby=told.standby and s is chosen[-1])
                    for n, s in enumerate(chosen)
                ],
                welcomes=[WelcomeInput(text=told.welcome)] if told.welcome else [],
            )
            code = codes.create_code(brand, by=SYSTEM, corp=corp, given=given, push=False)
        ways.push(brand, code.pk)
        made.append(code)
    return made


def _crowd(story: BrandStory, guides: list[Staff]) -> list[Person]:
    n_tags = sum(len(tags) for tags in story.tag_groups.values())
    return people(
        FILE,
        n=story.n_people,
        skip=story.skip,
        now=clock.now(),
        seed=story.seed,
        n_channels=len(story.codes),
        n_guides=len(guides),
        n_tags=n_tags,
    )


def _load_people(
    story: BrandStory, crowd: list[Person], guides: list[Staff], made: list[ChannelCode]
) -> None:
    tags = [tag for group in story.tag_groups.values() for tag in group]
    for start in range(0, len(crowd), SLICE):
        rows = []
        for person in crowd[start : start + SLICE]:
            code = made[person.channel]
            follow = {
                "userid": guides[person.guide].userid,
                "createtime": int(person.joined_at.timestamp()),
                "state": code.state,
                "add_way": 1,
                "tags": [tags[i] for i in person.tags],
            }
            follows = [follow]
            if person.second_guide is not None:
                later = int(person.joined_at.timestamp()) + 3600
                follows.append(
                    {**follow, "userid": guides[person.second_guide].userid, "createtime": later, "state": ""}
                )
            rows.append(
                {
                    "external_userid": person.external_userid,
                    "name": person.name,
                    "unionid": person.unionid,
                    "gender": person.gender,
                    "follows": follows,
                }
            )
        control("load", corpid=story.corpid, customers=rows)


def _load_groups(story: BrandStory, crowd: list[Person], guides: list[Staff]) -> None:
    """Customer groups of some guides, founded weeks apart; members are their newest customers. A second start finds
    them there."""
    now = clock.now().timestamp()
    for n, name in enumerate(story.groups):
        owner = n % len(guides)
        own = [p.external_userid for p in crowd if p.guide == owner and not p.lost_after][-(25 + 15 * n) :]
        with contextlib.suppress(CommandError):
            control(
                "group_create",
                corpid=story.corpid,
                chat_id=f"wr{story.seed:06d}{n:024d}",
                owner=guides[owner].userid,
                name=name,
                notice="每周三晚八点上新，群内优先。请勿发布广告。",
                members=[guides[(owner + 1) % len(guides)].userid],
                customers=own,
                create_time=int(now - (60 - 9 * n) * 86_400),
            )


@transaction.atomic
def _member_numbers(brand: Brand, corp: Corp, crowd: list[Person]) -> None:
    """The number under which the purchase history knows each person."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO contacts_identity (brand_id, contact_id, kind, scope, value, added_at)
            SELECT i.brand_id, i.contact_id, 'member_no', '', p.member_no, i.added_at
              FROM unnest(%s::text[], %s::text[]) AS p(external_userid, member_no)
              JOIN contacts_identity i ON i.brand_id = %s AND i.kind = 'external_userid' AND i.scope = %s
               AND i.value = p.external_userid
            ON CONFLICT DO NOTHING
            """,
            [[p.external_userid for p in crowd], [p.member_no for p in crowd], brand.pk, corp.corpid],
        )


@transaction.atomic
def _losses(brand: Brand, crowd: list[Person]) -> None:
    """Customers who deleted their guide some time after joining: what a sync cannot tell, as the history would have it."""
    lost = [p for p in crowd if p.lost_after]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH given AS (
                SELECT * FROM unnest(%s::text[], %s::float8[]) AS g(external_userid, after_s)
            ), ended AS (
                UPDATE contacts_follow f SET ended_at = f.added_at + g.after_s * interval '1 second', end_kind = %s,
                       changed_at = f.added_at + g.after_s * interval '1 second'
                  FROM given g
                 WHERE f.brand_id = %s AND f.external_userid = g.external_userid AND f.ended_at IS NULL
                RETURNING f.contact_id, f.staff_id, f.channel_code_id, f.ended_at
            ), told AS (
                INSERT INTO contacts_event (brand_id, at, contact_id, type, staff_id, object_id, source, data)
                SELECT %s, ended_at, contact_id, %s, staff_id, channel_code_id, 'sync', '{}' FROM ended
            )
            UPDATE contacts_contact c SET n_follows = 0, lost_at = e.ended_at
              FROM (SELECT contact_id, max(ended_at) AS ended_at FROM ended GROUP BY contact_id) e
             WHERE c.brand_id = %s AND c.id = e.contact_id
            RETURNING c.id
            """,
            [
                [p.external_userid for p in lost],
                [p.lost_after.total_seconds() for p in lost if p.lost_after],
                Follow.End.BY_CUSTOMER,
                brand.pk,
                brand.pk,
                EventType.LOST_BY_CUSTOMER,
                brand.pk,
            ],
        )
        stats.refresh(brand, [pk for (pk,) in cursor.fetchall()])


@transaction.atomic
def _segments(brand: Brand) -> None:
    """The first ready conditions as segments, each counted."""
    for template in TEMPLATES:
        if not Segment.objects.filter(name=str(template.name)).exists():
            segments.create_segment(
                brand,
                by=SYSTEM,
                name=str(template.name),
                note=str(template.note),
                condition=template.condition,
            )


@transaction.atomic
def _rules(brand: Brand) -> None:
    """One tag rule on an event, switched on: a large order."""
    name = "单笔满 500 元"
    if TagRule.objects.filter(name=name).exists():
        return
    tag = Tag.objects.filter(deleted_at=None, name="会员").first()
    if tag is not None:
        filters = {"amount_from_fen": 50_000}
        rule = rules.create(
            brand,
            by=SYSTEM,
            values={
                "name": name,
                "kind": "event",
                "event": "order_paid",
                "filters": filters,
                "add_tag_ids": [tag.pk],
            },
        )
        rules.switch_on(brand, by=SYSTEM, rule=rule, confirmed=True, past_days=0)


@transaction.atomic
def _values(brand: Brand) -> None:
    """Scores, groups and stages as a night would make them."""
    value.recompute(brand)
    value_model.fit(brand)
    value_model.apply(brand)
    lifecycle.place(brand)


def _enrol(brand: Brand, sop: Sop) -> None:
    """Everybody who joined in the last three days through a code with the SOP is in it: their first step goes out, late."""
    with transaction.atomic():
        if Enrolment.objects.filter(sop=sop).exists():
            return
        since = clock.now() - timedelta(days=3)
        with_sop = ChannelCode.objects.filter(sop=sop).values_list("pk", flat=True)
        rows = Follow.objects.filter(ended_at=None, added_at__gt=since, channel_code_id__in=list(with_sop))
        by_day: dict[object, list[tuple[int, object]]] = defaultdict(list)
        for contact_id, added_at, code_id in rows.values_list("contact_id", "added_at", "channel_code_id"):
            by_day[(added_at.astimezone(ZoneInfo(brand.timezone)).date(), code_id)].append(
                (contact_id, added_at)
            )
    for (_, code_id), pairs in by_day.items():  # type: ignore[misc]
        joined_at = max(at for _, at in pairs)  # type: ignore[type-var]
        ids = [contact_id for contact_id, _ in pairs]
        enrolments.enrol_many(brand, sop=sop, contact_ids=ids, source=f"channel_code:{code_id}", at=joined_at)  # type: ignore[arg-type]


def _todays_sop(brand: Brand) -> None:
    """An SOP whose only message is due three minutes from now, so that touches can be watched going out."""
    with transaction.atomic():
        if Sop.objects.filter(name=TODAYS_SOP).exists():
            return
    now = clock.now().astimezone(ZoneInfo(brand.timezone))
    due = now + timedelta(minutes=3)
    text = "今天路过门店，给老朋友留了一份小样。我是{员工姓名}，方便的时候来店里找我。"
    step = sops.StepInput((due.date() - now.date()).days, due.hour, due.minute, text)
    sop = sops.create_sop(brand, name=TODAYS_SOP, steps=[step], by=SYSTEM)
    sops.switch_on(brand, sop_id=sop.pk, by=SYSTEM)
    with transaction.atomic():
        newest = Follow.objects.filter(ended_at=None, contact__n_follows__gt=0).order_by("-added_at")
        ids = list(newest.values_list("contact_id", flat=True)[:400])
    enrolments.enrol_many(brand, sop=sop, contact_ids=ids[100:], source="page")
